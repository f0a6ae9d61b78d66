"""The service of SSH in which clients say who their user is, and prove it.

A name that is not registered needs no proof, a registered one needs a key of its account or the
password. One request is answered before the next is looked at.
"""

import struct
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatroom.actions import authenticate
from chatroom.actions.authenticate import PendingConnection
from chatroom.chat.chat import Chat
from chatroom.doors.ssh.algorithms import SIGNATURES
from chatroom.doors.ssh.conch import ConchService
from chatroom.doors.ssh.transport import SshViolation
from chatroom.model import publickeys
from chatroom.model.accounts import Account
from chatroom.model.identity import Identity
from chatroom.model.publickeys import KeyRefused, PublicKey
from chatroom.model.refused import TooMany
from chatroom.text import names

log = Logger()

#: How often a client may fail, and how often it may ask for anything at all.
MAX_FAILURES: Final = 6
MAX_REQUESTS: Final = 30

#: How many of its failures may be wrong passwords.
MAX_WRONG: Final = 3

#: The messages of RFC 4252, section 6, and RFC 4256, section 5.
MSG_USERAUTH_REQUEST: Final = 50
MSG_USERAUTH_FAILURE: Final = 51
MSG_USERAUTH_SUCCESS: Final = 52
MSG_USERAUTH_PK_OK: Final = 60
MSG_USERAUTH_INFO_REQUEST: Final = 60
MSG_USERAUTH_INFO_RESPONSE: Final = 61

TOO_MANY: Final = "Too many are trying passwords just now. Please try again later."

MESSAGES: Final = {
    MSG_USERAUTH_REQUEST: "MSG_USERAUTH_REQUEST",
    MSG_USERAUTH_INFO_RESPONSE: "MSG_USERAUTH_INFO_RESPONSE",
}

#: The methods by which a client can prove who its user is.
METHODS: Final = b"publickey,keyboard-interactive"

#: Of what a client calls itself, so much is looked at: more is no name anyway, not even where it
#: is spelled with several code points for each character.
NAME_BYTES: Final = 12 * (names.MAX_NAME + 1)

#: A key on a security token signs that somebody has touched it (OpenSSH, PROTOCOL.u2f).
USER_PRESENT: Final = 1


class Authentication(ConchService):
    """The service `ssh-userauth` (RFC 4252) of one connection.

    chat: the chat.
    stranger: the connection, for the login throttle; takes the key that the user has proved.
    arrived: called once with the Identity of the user.
    """

    name = b"ssh-userauth"
    transport: Any
    protocolMessages = MESSAGES

    def __init__(
        self, chat: Chat, stranger: PendingConnection, arrived: Callable[[Identity], None]
    ) -> None:
        self._chat = chat
        self._stranger = stranger
        self._arrived = arrived
        self._requests = 0
        self._failures = 0
        self._wrong = 0
        # The account whose password was asked for, None for none.
        self._asked: Account | None = None
        self._user = b""
        self._name = ""

    def ssh_USERAUTH_REQUEST(self, packet: bytes) -> None:
        """Take the name of a user and a proof (RFC 4252, section 5)."""
        user, service, method, rest = getNS(packet, 3)
        self._requests += 1
        if self._requests > MAX_REQUESTS:
            raise SshViolation(
                "Too many authentication requests.", DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE
            )
        # A new request takes back a question that was not answered (RFC 4256, section 3.1).
        self._asked = None
        if user != self._user:
            # What was proved was proved for another one (RFC 4252, section 5).
            self._stranger.key = None
        self._user = user
        self._name = user[:NAME_BYTES].decode(errors="replace")
        if service != b"ssh-connection":
            self._refuse()
        elif method == b"publickey":
            self._by_key(user, rest)
        elif method == b"keyboard-interactive":
            self._wait_for(authenticate.owner(self._chat, self._name), self._owner_known)
        elif method == b"none":
            # It is how a client asks what there is, which is no failure.
            self._send_failure()
        else:
            self._refuse()

    # -- keys

    def _by_key(self, user: bytes, rest: bytes) -> None:
        """Take a public key, or a signature made with it (RFC 4252, section 7)."""
        signed = rest[:1] != b"\0"
        algorithm, blob, rest = getNS(rest[1:], 2)
        key = known_key(algorithm, blob)
        if key is None:
            self._refuse()
            return
        if not signed:
            # Whose key it is is told only once the client has proved to have it.
            self.transport.sendPacket(MSG_USERAUTH_PK_OK, NS(algorithm) + NS(blob))
            return
        signature, _ = getNS(rest)
        self.transport.charge_crypto()
        if not verified(algorithm, blob, signature, self._signed(user, algorithm, blob)):
            self._refuse()
            return
        if self._stranger.key is None:
            # A user whom the password lets in may bind this key to the account.
            self._stranger.key = key
        self._wait_for(authenticate.by_key(self._chat, self._name, key), self._key_known)

    def _signed(self, user: bytes, algorithm: bytes, blob: bytes) -> bytes:
        """Return what a client has to sign (RFC 4252, section 7)."""
        return (
            NS(self.transport.sessionID)
            + bytes([MSG_USERAUTH_REQUEST])
            + NS(user)
            + NS(b"ssh-connection")
            + NS(b"publickey")
            + b"\1"
            + NS(algorithm)
            + NS(blob)
        )

    def _key_known(self, identity: Identity | None) -> None:
        """Let the owner of the key in, if there is one."""
        if identity is None:
            # It opens nothing here, but it was no guess either.
            self._send_failure()
        else:
            self._succeed(identity)

    # -- passwords

    def _owner_known(self, account: Account | None) -> None:
        """Ask for the password of *account*, or let a guest in."""
        if account is None:
            self._succeed(authenticate.by_name(self._chat, self._name, self._stranger.key))
            return
        self._asked = account
        prompt = f"Password for {account.name} (empty: come in as a guest): "
        # No title, no instruction, no language, one question, whose answer is not shown.
        question = NS(b"") * 3 + struct.pack(">L", 1) + NS(prompt.encode()) + b"\0"
        self.transport.sendPacket(MSG_USERAUTH_INFO_REQUEST, question)

    def ssh_USERAUTH_INFO_RESPONSE(self, packet: bytes) -> None:
        """Take the password (RFC 4256, section 3.4)."""
        account, self._asked = self._asked, None
        if account is None or packet[:4] != struct.pack(">L", 1):
            self._refuse()
            return
        answer, _ = getNS(packet[4:])
        password = answer.decode(errors="replace").strip()
        if not password:
            guest = authenticate.by_name(self._chat, self._name, self._stranger.key)
            self._succeed(replace(guest, asked=True))
            return

        def compared(identity: Identity | None) -> None:
            if identity is not None:
                self._succeed(identity)
                return
            self._wrong += 1
            if self._wrong >= MAX_WRONG:
                raise SshViolation(
                    "Too many wrong passwords.", DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE
                )
            self._refuse()

        known = authenticate.by_password(self._chat, self._stranger, account, password)
        self._wait_for(known, compared)

    # -- answers

    def _wait_for(self, answer: "Deferred[Any]", told: Callable[[Any], None]) -> None:
        """Take no further packet until *told* was called with the answer."""
        transport = self.transport
        transport.hold()

        def known(result: Any) -> None:
            # The connection may have ended meanwhile.
            if not transport.over:
                told(result)

        def failed(failure: Any) -> None:
            failure.trap(Exception)
            if failure.check(SshViolation):
                transport.misbehaved(failure.value)
            elif failure.check(TooMany):
                transport.misbehaved(
                    SshViolation(TOO_MANY, DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE)
                )
            elif not transport.over:
                log.failure(
                    "It could not be found out who connection {connection} is",
                    failure,
                    event="arrival_failed",
                    connection=self._stranger.origin,
                )
                transport.misbehaved(SshViolation("Please try again later."))

        answer.addCallback(known).addErrback(failed)
        answer.addCallback(lambda _: transport.go_on())

    def _refuse(self) -> None:
        """Count a failure. Raises SshViolation for one too many."""
        self._failures += 1
        if self._failures >= MAX_FAILURES:
            raise SshViolation(
                "Too many authentication failures.", DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE
            )
        self._send_failure()

    def _send_failure(self) -> None:
        self.transport.sendPacket(MSG_USERAUTH_FAILURE, NS(METHODS) + b"\0")

    def _succeed(self, identity: Any) -> None:
        self.transport.sendPacket(MSG_USERAUTH_SUCCESS, b"")
        self._arrived(identity)


def known_key(algorithm: bytes, blob: bytes) -> PublicKey | None:
    """Return the key in *blob* if it is of a kind that signs by *algorithm*, or None."""
    if algorithm not in SIGNATURES:
        return None
    try:
        key = publickeys.decode(blob)
    except KeyRefused:
        return None
    # RFC 8332, section 3: of an RSA key the two are different.
    kind = b"ssh-rsa" if algorithm.startswith(b"rsa-sha2-") else algorithm
    return key if key.type.encode() == kind else None


def verified(algorithm: bytes, blob: bytes, signature: bytes, said: bytes) -> bool:
    """Return whether *signature* of *said* was made with the key in *blob*."""
    try:
        key = Key.fromString(blob, type="blob")
        made_by, rest = getNS(signature)
        # SHA-1 could be slipped in here.
        if made_by != algorithm:
            return False
        if key.isSecurityKey():
            _, rest = getNS(rest)
            if len(rest) != 5 or not rest[0] & USER_PRESENT:
                return False
            said = sha256(key.application).digest() + rest + sha256(said).digest()
        return bool(key.verify(signature, said))
    except Exception:
        # Whatever the libraries make of what is no key, or no signature.
        return False
