"""The SSH door over real sockets: with OpenSSH's client where it is, and with conch's."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    clientFromString,
    connectProtocol,
    serverFromString,
    wrapClientTLS,
)
from twisted.internet.protocol import ProcessProtocol, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure

from chatroom.chat.chat import Chat
from chatroom.doors.ssh.factory import SshFactory
from chatroom.model.history import MAX_ID
from chatroom.model.limits import Limits
from chatroom.server import hostkey
from tests.support.certificates import certificate
from tests.support.reactor import clock, on_reactor, reactor, turns, until
from tests.support.sshclient import HOST_KEY, Caller
from tests.support.wire import UNLIMITED

# Twisted's ssl: endpoint hands pyOpenSSL objects of a kind that it does not want any more.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

needs_openssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="OpenSSH is not here")


class Ssh(ProcessProtocol):
    """OpenSSH's client."""

    transport: Any

    def __init__(self) -> None:
        self.data = b""
        self.errors = b""
        self.status: int | None = None
        self.ended: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.data += data

    def errReceived(self, data: bytes) -> None:
        self.errors += data

    def processEnded(self, reason: Failure) -> None:
        value: Any = reason.value
        self.status = value.exitCode
        self.ended.callback(None)

    async def reads(self, expected: bytes) -> None:
        await until(lambda: expected in self.data or self.ended.called)
        assert expected in self.data, (self.data, self.errors)


class Lodge:
    """An SSH door on a real port, and those who come to it."""

    def __init__(self, chat: Chat, factory: SshFactory, port: int, folder: Path) -> None:
        self.chat, self.factory, self.port, self.folder = chat, factory, port, folder
        self.clients: list[Ssh] = []

    def comes(self, name: str, *words: str, options: tuple[str, ...] = ()) -> Ssh:
        known = self.folder / "known_hosts"
        blob = HOST_KEY.public().toString("openssh").decode()
        known.write_text(f"[127.0.0.1]:{self.port} {blob}\n")
        command = ["ssh", "-F", "none", "-T", "-p", str(self.port), "-o", "LogLevel=ERROR"]
        command += ["-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes"]
        command += ["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", *options]
        command += [f"{name}@127.0.0.1", *words]
        client = Ssh()
        self.clients.append(client)
        environment = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin"}
        reactor.spawnProcess(client, shutil.which("ssh"), command, environment)
        return client


@asynccontextmanager
async def opened(
    folder: Path, limits: Limits = UNLIMITED, *, way: str = "tcp"
) -> AsyncIterator[Lodge]:
    """An open SSH door, and in the end nothing that is left of it. way: tcp or ssl."""
    chat = Chat(clock, None, limits)
    factory = SshFactory(chat, HOST_KEY)
    place = f"{way}:0:interface=127.0.0.1"
    if way == "ssl":
        place += f":privateKey={certificate(folder)}"
    port: Any = await serverFromString(reactor, place).listen(factory)
    lodge = Lodge(chat, factory, port.getHost().port, folder)
    try:
        yield lodge
    finally:
        await port.stopListening()
        for client in lodge.clients:
            if not client.ended.called:
                client.transport.signalProcess("KILL")
                await client.ended
        await until(lambda: not factory.clients)
        await turns()
        await chat.close()
        await turns()


@needs_openssh
@on_reactor
async def test_people_with_openssh_talk(tmp_path: Path) -> None:
    async with opened(tmp_path) as lodge:
        alice, bob = lodge.comes("alice"), lodge.comes("bob")
        await alice.reads(b"/quit leaves.\r\n")
        await bob.reads(b"/quit leaves.\r\n")
        alice.transport.write(b"hello\n")
        await bob.reads(b"alice: hello\r\n")
        bob.transport.write(b"/quit\n")
        await bob.ended
        assert bob.status == 0
        assert bob.data.endswith(b"-- Good-bye.\r\n")
        assert bob.errors == b""


@needs_openssh
@on_reactor
async def test_commands_and_scripts_with_openssh(tmp_path: Path) -> None:
    async with opened(tmp_path) as lodge:
        asked = lodge.comes("alice", "/who")
        await asked.ended
        assert (asked.data, asked.status) == (b"-- 0 people in #lobby\n", 0)
        refused = lodge.comes("alice", "/nosuch")
        await refused.ended
        assert (refused.data[:3], refused.status) == (b"-- ", 1)
        script = lodge.comes("carol")
        script.transport.write(b"one\ntwo")
        script.transport.closeStdin()
        await script.ended
        assert script.status == 0
        said: list[Any] = [event for _, event in lodge.chat.lobby.log.before(MAX_ID, 9)]
        assert [event.text for event in said] == ["one", "two"]


@needs_openssh
@on_reactor
async def test_keys_of_rsa_sign_with_sha2_only(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from twisted.conch.ssh.keys import Key

    file = tmp_path / "id"
    file.write_bytes(Key(rsa.generate_private_key(65537, 2048)).toString("openssh"))
    file.chmod(0o600)
    own = ("-i", str(file), "-o", "PreferredAuthentications=publickey")
    async with opened(tmp_path) as lodge:
        good = lodge.comes("alice", "/who", options=own)
        await good.ended
        assert good.status == 0, good.errors
        old = lodge.comes("alice", "/who", options=(*own, "-o", "PubkeyAcceptedAlgorithms=ssh-rsa"))
        await old.ended
        assert old.status == 255


@needs_openssh
@on_reactor
async def test_whoever_is_killed_has_left(tmp_path: Path) -> None:
    async with opened(tmp_path) as lodge:
        alice = lodge.comes("alice")
        await alice.reads(b"/quit leaves.\r\n")
        alice.transport.signalProcess("KILL")
        await alice.ended
        await until(lambda: not lodge.chat.connections)


@needs_openssh
@on_reactor
async def test_new_keys_while_there_is_much_to_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as lodge:
        alice = lodge.comes("alice", options=("-o", "RekeyLimit=20K"))
        bob = lodge.comes("bob", options=("-o", "RekeyLimit=20K"))
        await alice.reads(b"/quit leaves.\r\n")
        await bob.reads(b"/quit leaves.\r\n")
        sent = [b"%04d%s" % (number, b"x" * 500) for number in range(400)]
        alice.transport.write(b"\n".join(sent) + b"\nend\n")
        await bob.reads(b"alice: end\r\n")
        lines = [line.removeprefix(b"alice: ") for line in bob.data.split(b"\r\n")]
        assert [line for line in lines if b"x" in line] == sent


@needs_openssh
@on_reactor
async def test_those_who_may_not_come_read_why(tmp_path: Path) -> None:
    async with opened(tmp_path, Limits(max_connections=1)) as lodge:
        alice = lodge.comes("alice")
        await alice.reads(b"/quit leaves.\r\n")
        bob = lodge.comes("bob")
        await bob.ended
        assert bob.status == 255
        assert b"The server is full. Please try again later." in bob.errors


@on_reactor
async def test_those_who_may_not_stay_read_why_over_tls_too(tmp_path: Path) -> None:
    async with opened(tmp_path, Limits(max_connections=1), way="ssl") as lodge:
        endpoint: Any = clientFromString(reactor, f"tcp:127.0.0.1:{lodge.port}")
        endpoint = wrapClientTLS(CertificateOptions(), endpoint)
        alice: Any = await connectProtocol(endpoint, Caller("alice"))
        await until(lambda: b"/quit leaves." in alice.data)
        bob: Caller = await connectProtocol(endpoint, Caller("bob"))
        await until(lambda: bob.gone)
        assert bob.reason == b"The server is full. Please try again later."
        alice.transport.loseConnection()
        await until(lambda: not lodge.factory.clients)


@on_reactor
async def test_people_with_conch_talk_and_send_commands(tmp_path: Path) -> None:
    async with opened(tmp_path) as lodge:
        endpoint: Any = clientFromString(reactor, f"tcp:127.0.0.1:{lodge.port}")

        async def comes(name: str, **able: Any) -> Caller:
            caller: Caller = await connectProtocol(endpoint, Caller(name, **able))
            return caller

        alice = await comes("alice", keys=(hostkey.generate(),))
        await until(lambda: b"/quit leaves." in alice.data)
        said = await comes("bob", command="build ok")
        await until(lambda: said.gone)
        assert (said.data, said.status) == (b"", 0)
        await until(lambda: b"bob: build ok\r\n" in alice.data)
        alice.channel.write(b"/who\n/quit\n")
        await until(lambda: alice.gone)
        assert b"-- 1 person in #lobby: alice\r\n" in alice.data
        assert alice.data.endswith(b"-- Good-bye.\r\n")
        assert (alice.status, alice.eof, alice.session_closed) == (0, True, True)


@on_reactor
@pytest.mark.parametrize("way", ["tcp", "ssl"])
async def test_whoever_does_not_read_for_a_while_gets_all_of_it_in_order(
    way: str, tmp_path: Path
) -> None:
    async with opened(tmp_path, way=way) as lodge:
        endpoint: Any = clientFromString(reactor, f"tcp:127.0.0.1:{lodge.port}")
        if way == "ssl":
            endpoint = wrapClientTLS(CertificateOptions(), endpoint)
        # It is not their window that keeps them from reading.
        alice: Any = await connectProtocol(endpoint, Caller("alice", window=1 << 30))
        await until(lambda: b"/quit leaves." in alice.data)
        (connection,) = lodge.factory.clients
        if way == "tcp":
            connection.transport.getHandle().setsockopt(SOL_SOCKET, SO_SNDBUF, 4096)
        bob: Any = await connectProtocol(endpoint, Caller("bob"))
        await until(lambda: b"/quit leaves." in bob.data)
        alice.transport.pauseProducing()
        said = 0

        async def says_some() -> None:
            nonlocal said
            more = [b"%d %s\n" % (said + number, b"x" * 1000) for number in range(100)]
            said += len(more)
            bob.channel.write(b"".join(more))
            await until(lambda: not bob.channel.buf)

        while not connection.writer.congested:
            assert said < 20_000
            await says_some()
        await says_some()
        bob.channel.write(b"end\n")
        alice.transport.resumeProducing()
        await until(lambda: b"bob: end\r\n" in alice.data)
        lines = [line for line in alice.data.split(b"\r\n") if line.startswith(b"bob: ")]
        assert lines.pop() == b"bob: end"
        assert [int(line.split()[1]) for line in lines] == list(range(said))
        for each in (alice, bob):
            each.transport.loseConnection()


@on_reactor
async def test_whoever_does_not_agree_on_tls_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatroom.doors.factory.HANDSHAKE_SECONDS", 0.2)
    async with opened(tmp_path, way="ssl") as lodge:
        endpoint: Any = clientFromString(reactor, f"tcp:127.0.0.1:{lodge.port}")
        silent: Any = await connectProtocol(endpoint, Protocol())
        await until(lambda: lodge.chat.counters.cut)
        await until(lambda: not lodge.chat.limiter.connected)
        silent.transport.loseConnection()
