"""The packets of SSH: how long they may be, and in which order they may come.

A packet that a client must not send ends its connection, and nothing that a client sends, or leaves
out, keeps the server busy or fills its memory.
"""

import struct
from typing import Any, Final

from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.transport import (
    DISCONNECT_KEY_EXCHANGE_FAILED,
    DISCONNECT_MAC_ERROR,
    DISCONNECT_PROTOCOL_ERROR,
    DISCONNECT_PROTOCOL_VERSION_NOT_SUPPORTED,
    DISCONNECT_SERVICE_NOT_AVAILABLE,
    MSG_DISCONNECT,
    MSG_IGNORE,
    MSG_NEWKEYS,
    MSG_SERVICE_ACCEPT,
    MSG_UNIMPLEMENTED,
    SSHCiphers,
)
from twisted.python.randbytes import secureRandom

from chatroom.doors.ssh.algorithms import (
    CIPHERS,
    COMPRESSIONS,
    KEY_EXCHANGES,
    MACS,
    SIGNATURES,
    STRICT_CLIENT,
    STRICT_SERVER,
)
from chatroom.doors.ssh.conch import ConchTransport
from chatroom.model.clock import Clock, Timer

#: What the server says first (RFC 4253, section 4.2): of which software it is, not how old.
VERSION: Final = b"SSH-2.0-chatroom"

#: The longest version line, in bytes.
VERSION_LINE: Final = 255

#: The longest packet, in bytes without its MAC (RFC 4253, section 6.1), and the shortest.
MAX_PACKET: Final = 35_000
MIN_PACKET: Final = 16

#: What a packet begins with: its length, that of its padding, and its type.
HEADER: Final = struct.Struct(">LBB")

#: The keys of a connection are made anew after so many bytes, or seconds (RFC 4253, section 9).
REKEY_BYTES: Final = 1 << 30
REKEY_SECONDS: Final = 3600.0

#: How long a client may take for that.
EXCHANGE_SECONDS: Final = 30.0

#: How many packets may wait meanwhile.
MAX_BLOCKED: Final = 1000


class SshViolation(Exception):
    """The client has broken a rule; the text is a sentence for it.

    code: the reason (RFC 4253, section 11.1).
    """

    def __init__(self, text: str, code: int = DISCONNECT_PROTOCOL_ERROR) -> None:
        super().__init__(text)
        self.code = code


def disconnect_packet(code: int, text: str) -> bytes:
    """Return a packet, not encrypted, that ends a connection before there are keys."""
    payload = bytes([MSG_DISCONNECT]) + struct.pack(">L", code) + NS(text.encode()) + NS(b"")
    padding = 8 - (len(payload) + 5) % 8
    padding += 8 * (padding < 4)
    return struct.pack(">LB", len(payload) + 1 + padding, padding) + payload + bytes(padding)


class BoundedTransport(ConchTransport):
    """One connection's packets, over a connected transport.

    A derived class sets `clock` and `host_key` before it is connected, and implements what stands
    under "for derived classes" as far as it does nothing, or raises, here.

    over: whether nothing that comes in counts any more.
    holding: whether no packet is taken, see `hold`.
    """

    ourVersionString = VERSION
    # From the top, as the client's first that is here is taken.
    supportedKeyExchanges = [
        name for name in KEY_EXCHANGES if name in ConchTransport.supportedKeyExchanges
    ] + [STRICT_SERVER]
    supportedCiphers = CIPHERS
    supportedMACs = MACS
    supportedCompressions = COMPRESSIONS

    clock: Clock
    buf: bytes
    over = False
    holding = False

    # The beginning of the next packet, which is decrypted only once.
    _head: bytes | None = None
    # Whether both ends close the Terrapin attack, see algorithms.STRICT_CLIENT.
    _strict = False
    # Whether the client has begun a key exchange that is not finished.
    _theirs_began = False
    # Whether there are keys.
    _keyed = False
    # Whether there are new keys, which the client may use with its NEWKEYS.
    _may_take_keys = False
    _rekey_at = 0.0
    _traffic = 0

    # -- for derived classes

    def misbehaved(self, why: SshViolation) -> None:
        """End the connection, if need be without a word, for what the client did."""
        transport: Any = self.transport
        transport.abortConnection()

    def send(self, data: bytes) -> None:
        """Send *data*, whole packets, now or after what waits to be sent."""
        transport: Any = self.transport
        transport.write(data)

    def unblocked(self) -> None:
        """Send data again: keys are agreed on."""

    def charge_crypto(self) -> None:
        """Charge the client for a key exchange, or for a signature to be verified."""

    def service_for(self, name: bytes) -> Any:
        """Return the service called *name*, or None if the client may not have it now."""
        return None

    def hold(self) -> None:
        """Take no further packet until `go_on`; what the client sends waits unread."""
        self.holding = True

    def go_on(self) -> None:
        """Take packets again."""
        if self.holding:
            self.holding = False
            self.digest()

    def rekey_if_due(self) -> None:
        """Ask for new keys when these have been used for long."""
        if not self._keyed or self.exchanging or self.over:
            return
        now = self.clock.seconds()
        if self._traffic >= REKEY_BYTES or now >= self._rekey_at:
            self.sendKexInit()

    def end_timers(self) -> None:
        """Stop what would be done later: the connection is over."""
        self._overdue.stop()

    # -- from bytes to packets

    def connectionMade(self) -> None:
        """Twisted: the connection is there. Conch's own writes to the transport by itself."""
        self._overdue = Timer(self.clock.callLater)
        self.send(self.ourVersionString + b"\r\n")
        self.currentEncryptions = SSHCiphers(b"none", b"none", b"none", b"none")
        self.currentEncryptions.setKeys(b"", b"", b"", b"", b"", b"")
        self.sendKexInit()

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came in."""
        if self.over:
            return
        self.buf += data
        self._traffic += len(data)
        self.digest()
        self.rekey_if_due()

    def digest(self) -> None:
        """Process the whole packets of what came in."""
        try:
            if not self.gotVersion and not self._take_version():
                return
            while not self.over and not self.holding:
                packet = self.getPacket()
                if packet is None:
                    break
                self.dispatchMessage(packet[0], packet[1:])
        except SshViolation as error:
            self.misbehaved(error)
        except Exception as error:
            # Whatever is wrong with a packet shows where it is taken apart.
            self.misbehaved(SshViolation(f"bad packet ({type(error).__name__})"))

    def _take_version(self) -> bool:
        """Take the version line (RFC 4253, section 4.2); return whether it was there."""
        line, end, rest = self.buf.partition(b"\n")
        if len(line) > VERSION_LINE or (end and not line.startswith(b"SSH-")):
            raise SshViolation("no SSH", DISCONNECT_PROTOCOL_VERSION_NOT_SUPPORTED)
        if not b"SSH-".startswith(line[:4]):
            raise SshViolation("no SSH", DISCONNECT_PROTOCOL_VERSION_NOT_SUPPORTED)
        if not end:
            return False
        if not line.startswith((b"SSH-2.0-", b"SSH-1.99-")):
            raise SshViolation(
                "This server speaks SSH 2.0 only.", DISCONNECT_PROTOCOL_VERSION_NOT_SUPPORTED
            )
        self.gotVersion = True
        self.otherVersionString = line.rstrip(b"\r")
        self.buf = rest
        return True

    def getPacket(self) -> bytes | None:
        """Return the payload of the next packet, or None if it is not whole.

        Raises SshViolation. Conch's own takes packets of a megabyte, and padding of any length.
        """
        keys = self.currentEncryptions
        block, digest = max(8, keys.decBlockSize), keys.verifyDigestSize
        if len(self.buf) < block:
            return None
        if self._head is None:
            self._head = keys.decrypt(self.buf[:block])
        head: bytes = self._head
        length, padding = struct.unpack(">LB", head[:5])
        whole = length + 4
        if not MIN_PACKET <= whole <= MAX_PACKET or whole % block:
            raise SshViolation("bad packet length")
        if len(self.buf) < whole + digest:
            return None
        self._head = None
        packet = head + keys.decrypt(self.buf[block:whole])
        sent_mac = self.buf[whole : whole + digest]
        self.buf = self.buf[whole + digest :]
        if digest and not keys.verify(self.incomingPacketSequence, packet, sent_mac):
            raise SshViolation("bad MAC", DISCONNECT_MAC_ERROR)
        # RFC 4253, section 6: at least four bytes of padding; and a payload has a type.
        if not 4 <= padding < length - 1:
            raise SshViolation("bad padding")
        self.incomingPacketSequence = (self.incomingPacketSequence + 1) & 0xFFFFFFFF
        payload: bytes = packet[5:-padding]
        return payload

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        """Send a packet (RFC 4253, section 6), or let it wait until keys are agreed on.

        Conch's own writes to the transport by itself.
        """
        if self.over and messageType != MSG_DISCONNECT:
            return
        if self.exchanging and not self.is_of_exchange(messageType):
            if self.put_off(messageType, payload) > MAX_BLOCKED:
                self._keys_overdue()
            return
        # What follows our NEWKEYS is of the new keys, wherever the client is (RFC 4253, 7.3).
        keys = self.nextEncryptions if self._may_take_keys else self.currentEncryptions
        number, block = self.outgoingPacketSequence, keys.encBlockSize
        # The length, how much padding there is, and the type; the padding is four bytes at least.
        size = len(payload) + 6
        padding = block - size % block
        if padding < 4:
            padding += block
        packet = HEADER.pack(size + padding - 4, padding, messageType)
        packet += payload + secureRandom(padding)
        self.outgoingPacketSequence = (number + 1) & 0xFFFFFFFF
        if self._strict and messageType == MSG_NEWKEYS:
            self.outgoingPacketSequence = 0
        self._traffic += len(packet)
        self.send(keys.encrypt(packet) + keys.makeMAC(number, packet))

    # -- in which order they may come

    def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
        """Conch: a packet came in. Raises SshViolation for one that is out of order."""
        if not self._keyed and self._strict and messageNum not in (MSG_DISCONNECT, MSG_NEWKEYS):
            if not 30 <= messageNum <= 49:
                raise SshViolation("nothing but a key exchange may come first")
        elif self._theirs_began and not (messageNum <= 4 or 21 <= messageNum <= 49):
            # RFC 4253, section 7.1.
            raise SshViolation("a key exchange is not finished")
        if not self._keyed and (5 <= messageNum <= 19 or messageNum >= 50):
            # A machine in the middle could have sent it.
            raise SshViolation("there are no keys yet")
        if 30 <= messageNum <= 49 and not (self._theirs_began and not self._may_take_keys):
            raise SshViolation("no key exchange was begun")
        if messageNum == MSG_IGNORE:
            return
        super().dispatchMessage(messageNum, payload)

    def sendKexInit(self) -> None:
        """Conch: begin to agree on keys, or answer a client that begins."""
        super().sendKexInit()
        self._overdue.start(EXCHANGE_SECONDS, self._keys_overdue)

    def _keys_overdue(self) -> None:
        self.misbehaved(SshViolation("new keys are overdue", DISCONNECT_KEY_EXCHANGE_FAILED))

    def ssh_KEXINIT(self, packet: bytes) -> None:
        """Conch: the client begins to agree on keys, or answers."""
        if self._theirs_began:
            raise SshViolation("a key exchange is not finished")
        self._theirs_began = True
        self._may_take_keys = False
        self.charge_crypto()
        if not self._keyed:
            offered, _ = getNS(packet[16:])
            self._strict = STRICT_CLIENT in offered.split(b",")
            if self._strict and self.incomingPacketSequence != 1:
                raise SshViolation("nothing but a key exchange may come first")
        super().ssh_KEXINIT(packet)
        if self.kexAlg == STRICT_SERVER:
            raise SshViolation("no common key exchange", DISCONNECT_KEY_EXCHANGE_FAILED)

    def keys_computed(self) -> None:
        """Let the client say that it uses the new keys."""
        self._may_take_keys = True

    def sendExtInfo(self, extensions: object) -> None:
        """Conch: tell what signatures are taken; it would name those of the host key."""
        super().sendExtInfo([(b"server-sig-algs", b",".join(SIGNATURES))])

    def ssh_NEWKEYS(self, packet: bytes) -> None:
        """Conch: the client uses the new keys from here on."""
        if not self._may_take_keys:
            raise SshViolation("no key exchange was begun")
        self._theirs_began = self._may_take_keys = False
        if self._strict:
            self.incomingPacketSequence = 0
        self._overdue.stop()
        self._keyed = True
        self._traffic = 0
        self._rekey_at = self.clock.seconds() + REKEY_SECONDS
        super().ssh_NEWKEYS(packet)
        self.unblocked()

    def ssh_SERVICE_REQUEST(self, packet: bytes) -> None:
        """Conch: the client asks for a service (RFC 4253, section 10)."""
        name, _ = getNS(packet)
        service = self.service_for(name)
        if service is None:
            raise SshViolation("there is no such service", DISCONNECT_SERVICE_NOT_AVAILABLE)
        self.sendPacket(MSG_SERVICE_ACCEPT, NS(name))
        self.setService(service)

    def sendDisconnect(self, reason: int, desc: bytes | str) -> None:
        """Conch: it has found out that the client may not go on."""
        raise SshViolation(desc.decode() if isinstance(desc, bytes) else desc, reason)

    def sendUnimplemented(self) -> None:
        """Conch: the last packet is of an unknown kind.

        Conch would name the number of the next one.
        """
        number = (self.incomingPacketSequence - 1) & 0xFFFFFFFF
        self.sendPacket(MSG_UNIMPLEMENTED, struct.pack(">L", number))

    def say_why(self, code: int, text: str) -> None:
        """Tell the client, whose connection ends, why."""
        self.sendPacket(MSG_DISCONNECT, struct.pack(">L", code) + NS(text.encode()) + NS(b""))
