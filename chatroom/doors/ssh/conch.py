"""The private names of Twisted's Conch that the SSH door uses, all of them.

Such names are no part of what Conch promises, so that a release of Twisted may do without them:
tests/doors/ssh/test_conch.py fails then.
"""

from typing import Any, Final

from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import SSHServerTransport


class Silent:
    """A logger that is silent: Conch would log each packet."""

    def debug(self, *_: object, **__: object) -> None:
        """Log nothing."""

    info = warn = error = critical = failure = debug


SILENT: Final[Any] = Silent()


class ConchService(SSHService):
    """Conch's service, which logs nothing."""

    _log = SILENT


class ConchConnection(SSHConnection):
    """Conch's service of channels, which logs nothing."""

    _log = SILENT


class ConchChannel(SSHChannel):
    """Conch's channel, which logs nothing."""

    _log = SILENT


class ConchTransport(SSHServerTransport):
    """Conch's transport of a server, which logs nothing.

    host_key: the key by which the server proves its identity.
    """

    _log = SILENT
    host_key: Key

    @property
    def exchanging(self) -> bool:
        """Whether keys are being agreed on, so that no data may be sent."""
        return bool(self._keyExchangeState != self._KEY_EXCHANGE_NONE)

    def is_of_exchange(self, message_type: int) -> bool:
        """Return whether such a message may be sent while keys are being agreed on."""
        return bool(self._allowedKeyExchangeMessageType(message_type))

    def put_off(self, message_type: int, payload: bytes) -> int:
        """Send a message when keys are agreed on; return how many wait for that."""
        blocked: Any = self._blockedByKeyExchange
        blocked.append((message_type, payload))
        return len(blocked)

    def keys_computed(self) -> None:
        """Note that there are new keys, used from the NEWKEYS of either side on."""

    def _getHostKeys(self, keyAlg: bytes) -> tuple[Key, Key]:
        return self.host_key.public(), self.host_key

    def _keySetup(self, sharedSecret: bytes, exchangeHash: bytes) -> None:
        super()._keySetup(sharedSecret, exchangeHash)
        self.keys_computed()
