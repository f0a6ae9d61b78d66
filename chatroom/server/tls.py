"""TLS: the server's certificate, which is read again when its files change.

A server does not start with faulty files. If new files are faulty, a running server keeps its
certificate and logs the fault.
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
from chatroom.server.files import reason
from chatroom.server.settings import SettingError

log = Logger()

#: When a client connects, the files are checked for changes, but no more often than this.
CHECK_SECONDS: Final = 5.0

#: How much of a file is read, more than any certificate or key has.
FILE_BYTES: Final = 1024 * 1024

#: A private key in its file (RFC 7468, sections 10 and 11, and OpenSSL's own kinds).
KEY: Final = re.compile(rb"-----BEGIN ((?:[A-Z]+ )*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)

#: The ciphers for TLS 1.2, all with forward secrecy (RFC 9325, section 4.2), as all of TLS 1.3 are:
#: a key that is stolen later does not decrypt what was recorded before.
CIPHERS: Final = AcceptableCiphers.fromOpenSSLCipherString("ECDHE+AESGCM:ECDHE+CHACHA20")


@implementer(IOpenSSLServerConnectionCreator)
class Certificate:
    """The server's certificate and key, and the connections made with them.

    certificate: a PEM file with the server's certificate, then its chain.
    key: a PEM file with the key, "" if it is in the same file.
    seconds: see Clock.seconds.

    Raises SettingError, which says what is wrong with which file.
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
        """A warning about a certificate that is used nevertheless, or ""."""
        if self._until > datetime.now(UTC):
            return ""
        return f"The certificate in {self._certificate} has expired ({self._until:%Y-%m-%d})."

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Twisted: a client connects."""
        self._look()
        return self._options.serverConnectionForTLS(protocol)

    def reload(self) -> None:
        """Read the files now, for clients that connect from now on.

        Raises SettingError, which names the fault; then nothing has changed.
        """
        # Noted before reading, so that a change meanwhile is noticed the next time.
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
                    "The certificate was not read again, the former one stays in use: {error}",
                    event="certificate_kept",
                    error=self._fault,
                )

    def _state(self) -> list[tuple[int, ...] | None]:
        """Return values that differ when a file was replaced or written."""
        return [_state_of(path) for path in (self._certificate, self._key)]

    def _read(self) -> tuple[datetime, CertificateOptions]:
        """Return when the certificate expires, and the options for connections.

        Raises SettingError.
        """
        data = _bytes_of("certificate", self._certificate)
        try:
            own, *others = x509.load_pem_x509_certificates(data)
        except ValueError:
            raise SettingError(
                f"certificate: {self._certificate} has no certificate in PEM format"
            ) from None
        key = self._read_key(data)
        self._check_match(own, key)
        return own.not_valid_after_utc, self._make_options(own, others, key)

    def _read_key(self, certificate: bytes) -> Any:
        """Return the private key. Raises SettingError.

        certificate: the content of the certificate's file.
        """
        alone = self._key != self._certificate
        found = KEY.search(_bytes_of("key", self._key) if alone else certificate)
        if found is None and not alone:
            raise SettingError(f"certificate: {self._key} has no key; name its file with --key")
        if found is None:
            raise SettingError(f"key: {self._key} has no key in PEM format")
        try:
            return serialization.load_pem_private_key(found[0], None)
        except TypeError:
            raise SettingError(
                f"key: the key in {self._key} is encrypted; store it without a passphrase"
            ) from None
        except (ValueError, UnsupportedAlgorithm):
            raise SettingError(f"key: the key in {self._key} cannot be read") from None

    def _check_match(self, own: x509.Certificate, key: Any) -> None:
        """Raise SettingError unless *key* belongs to the certificate *own*."""
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

    def _make_options(
        self, own: x509.Certificate, others: list[x509.Certificate], key: Any
    ) -> CertificateOptions:
        try:
            options = CertificateOptions(
                privateKey=key,
                # Twisted is annotated with a class that pyOpenSSL does not accept any more.
                certificate=own,  # type: ignore[arg-type]
                extraCertChain=others,  # type: ignore[arg-type]
                # TLS 1.0 and 1.1 are forbidden (RFC 8996).
                raiseMinimumTo=TLSVersion.TLSv1_2,
                acceptableCiphers=CIPHERS,
                enableSessionTickets=True,
            )
            # Made now, so that OpenSSL reports errors now.
            options.getContext()
        except (SSL.Error, ValueError, TypeError) as error:
            # The error is a list of OpenSSL's errors, of which the last one is the most specific.
            parts = error.args[0] if error.args and isinstance(error.args[0], list) else []
            why = parts[-1][-1] if parts else reason(error)
            raise SettingError(f"certificate: {self._certificate} cannot be used: {why}") from None
        return options


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
    """TLS for clients that shut down their sending side without close_notify and read on.

    A client should send close_notify first (RFC 8446, section 6.1). `ncat --ssl` does not, and its
    user would get no answer.
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
            # The client will not answer our close_notify either.
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Twisted: our sending side is closed."""

    def loseConnection(self) -> None:
        """Twisted: close when everything is sent."""
        super().loseConnection()
        if self._ended:
            # The client sends nothing more, so TLS must not wait for its close_notify.
            self.transport.loseConnection()


def secured(door: ServerFactory, certificate: Certificate, clock: Any) -> ServerFactory:
    """Return a factory for the connections of *door* over TLS."""
    factory = TLSMemoryBIOFactory(certificate, False, door, clock)
    factory.protocol = HalfClosing
    # WrappingFactory is annotated as a ClientFactory, but works for both sides.
    return cast(ServerFactory, factory)
