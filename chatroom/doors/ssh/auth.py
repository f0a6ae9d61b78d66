"""Who comes by SSH: the service in which clients say who they are, and prove it.

The rule: a name that nobody has registered needs no proof, one that somebody has needs their key or
their password, and one question is answered before the next is looked at.
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

#: How a client can say who it is.
METHODS: Final = b"publickey,keyboard-interactive"

#: Of what a client calls itself, so much is looked at: more is no name anyway, not even where it
#: is spelled with several code points for each character.
NAME_BYTES: Final = 12 * (names.MAX_NAME + 1)

#: A key on a security token signs that somebody has touched it (OpenSSH, PROTOCOL.u2f).
USER_PRESENT: Final = 1


class Authentication(ConchService):
    """The service `ssh-userauth` (RFC 4252) of one connection.

    arrived: called once with the Identity, when it is known.
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
        # Whose password was asked for, None for nobody's.
        self._asked: Account | None = None
        self._user = b""
        self._name = ""

    def ssh_USERAUTH_REQUEST(self, packet: bytes) -> None:
        """Who the client wants to be, and how it proves that (RFC 4252, section 5)."""
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
        """RFC 4252, section 7."""
        signed = rest[:1] != b"\0"
        algorithm, blob, rest = getNS(rest[1:], 2)
        key = known_key(algorithm, blob)
        if key is None:
            self._refuse()
            return
        if not signed:
            # Whose it is shows when they have proved to have it; not before, to nobody else.
            self.transport.sendPacket(MSG_USERAUTH_PK_OK, NS(algorithm) + NS(blob))
            return
        signature, _ = getNS(rest)
        self.transport.charge_crypto()
        said = (
            NS(self.transport.sessionID)
            + bytes([MSG_USERAUTH_REQUEST])
            + NS(user)
            + NS(b"ssh-connection")
            + NS(b"publickey")
            + b"\1"
            + NS(algorithm)
            + NS(blob)
        )
        if not verified(algorithm, blob, signature, said):
            self._refuse()
            return
        if self._stranger.key is None:
            # If it is their password that lets them in, they may bind it to their account.
            self._stranger.key = key

        def looked_up(identity: Identity | None) -> None:
            if identity is None:
                # It opens nothing here, but nobody has guessed anything.
                self._send_failure()
            else:
                self._succeed(identity)

        self._wait_for(authenticate.by_key(self._chat, self._name, key), looked_up)

    # -- passwords

    def _owner_known(self, account: Account | None) -> None:
        if account is None:
            self._succeed(authenticate.by_name(self._chat, self._name, self._stranger.key))
            return
        self._asked = account
        prompt = f"Password for {account.name} (empty: come in as a guest): "
        # No title, no instruction, no language, one question, whose answer is not shown.
        question = NS(b"") * 3 + struct.pack(">L", 1) + NS(prompt.encode()) + b"\0"
        self.transport.sendPacket(MSG_USERAUTH_INFO_REQUEST, question)

    def ssh_USERAUTH_INFO_RESPONSE(self, packet: bytes) -> None:
        """What was typed (RFC 4256, section 3.4)."""
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
        """Take no further packet until the *answer* is there and *told*."""
        transport = self.transport
        transport.hold()

        def known(result: Any) -> None:
            # It may have ended while this was found out, for good.
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
    """The key in *blob*, None unless it is one that is taken and signs by *algorithm*."""
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
    """Whether *signature*, by *algorithm*, is of *said* by who has the key in *blob*."""
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
