"""TLS: the certificate, which is read again when its files change.

The rule: files that are not in order change nothing. The server does not start with them, and one
that runs goes on with what it had.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from twisted.internet.interfaces import IHalfCloseableProtocol, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import ServerFactory
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion
from twisted.logger import Logger
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from zope.interface import implementer

from chatroom.server import files
from chatroom.server.settings import SettingError, reason

log = Logger()

#: The files are looked at when somebody connects, at most once in so many seconds.
CHECK_SECONDS: Final = 5.0

#: More, in bytes, is no certificate and no key.
FILE_BYTES: Final = 1024 * 1024

#: A key among whatever else is in its file (RFC 7468, sections 10 and 11, and OpenSSL's own kinds).
KEY: Final = re.compile(rb"-----BEGIN ((?:[A-Z]+ )*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


#: What is spoken in TLS 1.2: who gets the key later cannot read what was said before (RFC 9325,
#: section 4.2). All of TLS 1.3 is so.
CIPHERS: Final = AcceptableCiphers.fromOpenSSLCipherString("ECDHE+AESGCM:ECDHE+CHACHA20")


@implementer(IOpenSSLServerConnectionCreator)
class Certificate:
    """What the server shows of itself to those who connect over TLS.

    certificate, key: names of PEM files; the first has the server's certificate, then those that
    lead to one that clients know. key may be "" where the first has the key as well.
    seconds: a clock.

    Raises SettingError, which names the file and what is wrong with it.
    """

    def __init__(
        self, certificate: str, key: str = "", seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._certificate = certificate
        self._key = key or certificate
        self._seconds = seconds
        self._look_at = seconds() + CHECK_SECONDS
        self._seen = self._state()
        self._fault = ""
        self._until, self._options = self._read()

    @property
    def concern(self) -> str:
        """What is to be said about a certificate that is taken nevertheless, or nothing."""
        if self._until > datetime.now(UTC):
            return ""
        return f"The certificate in {self._certificate} has expired ({self._until:%Y-%m-%d})."

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Twisted: somebody connects."""
        self._look()
        return self._options.serverConnectionForTLS(protocol)

    def reload(self) -> None:
        """Read the files now, for those who connect from now on.

        Raises SettingError, which names the fault; then nothing has changed.
        """
        # What changes from here on is seen the next time.
        self._seen = self._state()
        self._until, self._options = self._read()
        self._fault = ""
        log.info(
            "The certificate was read from {path} again; it is valid until {until}.",
            event="certificate_read",
            path=self._certificate,
            until=f"{self._until:%Y-%m-%d}",
        )
        if self.concern:
            log.warn("{concern}", event="certificate_concern", concern=self.concern)

    def _look(self) -> None:
        """Read the files again if they have changed."""
        now = self._seconds()
        if now < self._look_at:
            return
        self._look_at = now + CHECK_SECONDS
        if self._state() == self._seen:
            return
        try:
            self.reload()
        except SettingError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                log.warn(
                    "The certificate that was read before is kept: {error}",
                    event="certificate_kept",
                    error=self._fault,
                )

    def _state(self) -> list[tuple[int, ...] | None]:
        """What is different when a file is: another file has its name, or it was written."""
        return [_state_of(path) for path in (self._certificate, self._key)]

    def _read(self) -> tuple[datetime, CertificateOptions]:
        data = _bytes_of("certificate", self._certificate)
        try:
            own, *others = x509.load_pem_x509_certificates(data)
        except ValueError:
            raise SettingError(
                f"certificate: {self._certificate} has no certificate in PEM format"
            ) from None
        if self._key != self._certificate:
            data = _bytes_of("key", self._key)
        found = KEY.search(data)
        if found is None and self._key == self._certificate:
            raise SettingError(f"certificate: {self._key} has no key; name its file with --key")
        if found is None:
            raise SettingError(f"key: {self._key} has no key in PEM format")
        try:
            key: Any = serialization.load_pem_private_key(found[0], None)
        except TypeError:
            raise SettingError(
                f"key: the key in {self._key} is encrypted; the server has no passphrase"
            ) from None
        except (ValueError, UnsupportedAlgorithm):
            raise SettingError(f"key: the key in {self._key} cannot be read") from None
        try:
            matching = key.public_key() == own.public_key()
        except (ValueError, UnsupportedAlgorithm):
            raise SettingError(
                f"certificate: the certificate in {self._certificate} cannot be read"
            ) from None
        if not matching:
            raise SettingError(
                f"key: the key in {self._key} is not that of the first certificate in "
                f"{self._certificate}"
            )
        try:
            options = CertificateOptions(
                privateKey=key,
                # mypy, for both: Twisted names the class that pyOpenSSL does not want any more.
                certificate=own,  # type: ignore[arg-type]
                extraCertChain=others,  # type: ignore[arg-type]
                # Those before are forbidden (RFC 8996).
                raiseMinimumTo=TLSVersion.TLSv1_2,
                acceptableCiphers=CIPHERS,
                enableSessionTickets=True,
            )
            # Made now, so that what OpenSSL does not like is found now.
            options.getContext()
        except (SSL.Error, ValueError, TypeError) as error:
            # OpenSSL's errors are lists of what each of its parts says.
            parts = error.args[0] if error.args and isinstance(error.args[0], list) else []
            why = parts[-1][-1] if parts else reason(error)
            raise SettingError(f"certificate: {self._certificate} cannot be used: {why}") from None
        return own.not_valid_after_utc, options


def _state_of(path: str) -> tuple[int, ...] | None:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _bytes_of(option: str, path: str) -> bytes:
    try:
        with files.opened(path) as file:
            return file.read(FILE_BYTES)
    except OSError as error:
        raise SettingError(f"{option}: cannot read {path}: {reason(error)}") from None


@implementer(IHalfCloseableProtocol)
class HalfClosing(BufferingTLSTransport):
    """TLS with clients that end what they send without a word of TLS, and read on.

    A client should say so first (RFC 8446, section 6.1), but ncat --ssl does not, and its user
    would get no answer.
    """

    transport: Any
    _ended = False

    def readConnectionLost(self) -> None:
        """Twisted: the client will send nothing more."""
        if self._ended:
            return
        self._ended = True
        if not self._handshakeDone:
            self.abortConnection()
            return
        door: Any = self.wrappedProtocol
        if IHalfCloseableProtocol.providedBy(door):
            door.readConnectionLost()
        else:
            self.loseConnection()
        if self.disconnecting:
            # Nor will the answer to our word of TLS that it is over.
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Twisted: our side is closed. Only we close it."""

    def loseConnection(self) -> None:
        """Twisted: close when everything is sent."""
        super().loseConnection()
        if self._ended:
            # Nothing will come that TLS could wait for.
            self.transport.loseConnection()


def secured(door: ServerFactory, certificate: Certificate, clock: Any) -> ServerFactory:
    """A factory for the same connections as *door*'s, over TLS."""
    factory = TLSMemoryBIOFactory(certificate, False, door, clock)
    factory.protocol = HalfClosing
    # WrappingFactory is for both sides, and mypy knows it as a client's alone.
    return cast(ServerFactory, factory)
