"""The SSH door: who comes in, what they may send, and what becomes of those who do not read."""

from __future__ import annotations

import struct
import unicodedata
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.keys import Key
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher

from chatroom.doors.ssh import algorithms, transport
from chatroom.doors.ssh.connection import LOGIN_GRACE
from chatroom.doors.ssh.factory import ARRIVING_PER_SOURCE, SshFactory
from chatroom.model import publickeys
from chatroom.model.limits import Limits
from chatroom.server import hostkey
from tests.conftest import Strictness
from tests.support.accounts import WORD, owner
from tests.support.doubles import LateClaims
from tests.support.fuzzing import examples
from tests.support.garbage import kept, uncollected
from tests.support.sshclient import HOST_KEY, Guest
from tests.support.world import World

KEY = hostkey.made()


# Who comes in


def test_whoever_has_no_account_comes_in_by_their_name(world: World, factory: SshFactory) -> None:
    guest = Guest(world, factory, "bob")
    assert guest.sees[0] == "-- Welcome to chatroom. You are bob, in #lobby."
    assert guest.prompts == []
    guest.hangs_up()
    assert not world.chat.sessions
    assert not world.chat.limiter.connected


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        Key(ec.generate_private_key(ec.SECP256R1())),
        Key(ec.generate_private_key(ec.SECP521R1())),
    ],
    ids=["ed25519", "nistp256", "nistp521"],
)
def test_any_key_gets_in(world: World, factory: SshFactory, key: Key) -> None:
    guest = Guest(world, factory, "bob", keys=(key,))
    assert "You are bob" in guest.sees[0]
    (session,) = world.chat.sessions.values()
    assert session.key == publickeys.decode(key.public().blob())
    guest.hangs_up()


def test_a_registered_name_is_for_who_knows_its_password(world: World, factory: SshFactory) -> None:
    owner(world).hangs_up()
    guest = Guest(world, factory, "alice", answers=("wrong", WORD))
    assert guest.prompts == 2 * [b"Password for alice (empty: come in as a guest): "]
    assert "You are alice" in guest.sees[0]
    assert world.chat.logins.online
    guest.hangs_up()


def test_an_empty_password_makes_a_guest(world: World, factory: SshFactory) -> None:
    owner(world).hangs_up()
    guest = Guest(world, factory, "alice", answers=("",))
    assert "You are guest" in guest.sees[0]
    guest.hangs_up()


@pytest.mark.parametrize("tried", [(), ("kohlrabi78",)])
def test_a_password_that_comes_after_one_was_asked_for_in_vain_is_not_said(
    world: World, factory: SshFactory, tried: tuple[str, ...]
) -> None:
    owner(world).hangs_up()
    bob = world.person("bob")
    guest = Guest(world, factory, "alice", answers=(*tried, ""))
    guest.sends(WORD.encode() + b"\n")
    assert guest.sees[-1] == "-- Not said: it may be a password. If it is none, /say says it."
    guest.sends(b"hello to you all\n")
    assert [line for line in bob.sees if ": " in line] == ["guest3: hello to you all"]
    guest.hangs_up()


def test_three_wrong_passwords_end_it(
    world: World, factory: SshFactory, log_events: list[LogEvent]
) -> None:
    owner(world).hangs_up()
    guest = Guest(world, factory, "alice", answers=("a", "b", "c", WORD))
    assert guest.gone
    assert guest.reason == b"Too many wrong passwords."
    assert world.chat.counters.wrong_passwords == 3
    assert [event["address"] for event in log_events if event.get("event") == "password_wrong"]


def test_a_key_that_was_bound_needs_no_password(world: World, factory: SshFactory) -> None:
    owner(world).hangs_up()
    first = Guest(world, factory, "alice", keys=(KEY,), answers=(WORD,))
    first.sends(b"/key add\n")
    first.hangs_up()
    guest = Guest(world, factory, "alice", keys=(KEY,))
    assert guest.prompts == []
    assert "You are alice" in guest.sees[0]
    guest.hangs_up()


class Liar(Key):
    """A key whose signatures are somebody else's."""

    def sign(self, data: bytes, signatureType: bytes | None = None) -> bytes:
        return bytes(hostkey.made().sign(data))


def test_whoever_cannot_sign_does_not_get_in(world: World, factory: SshFactory) -> None:
    owner(world).hangs_up()
    Guest(world, factory, "alice", keys=(KEY,), answers=(WORD,)).sends(b"/key add\n")
    liar = Liar(KEY._keyObject)
    guest = Guest(world, factory, "alice", keys=(liar,), answers=("",))
    # They were asked for the password, as if they had shown no key.
    assert len(guest.prompts) == 1
    assert "You are guest" in guest.sees[0]
    guest.hangs_up()


@pytest.mark.parametrize("algorithm", [b"ssh-rsa", b"ssh-dss", b"rsa-sha2-256-x", b"ssh-ed25519"])
def test_other_algorithms_than_the_key_has_are_refused(algorithm: bytes) -> None:
    from chatroom.doors.ssh.auth import known_key, verified

    key = Key(rsa.generate_private_key(65537, 2048))
    blob = key.public().blob()
    assert known_key(algorithm, blob) is None
    assert known_key(b"rsa-sha2-256", blob) is not None
    # A signature that was made with SHA-1 is not taken for what it says to be.
    assert not verified(b"rsa-sha2-256", blob, key.sign(b"x", b"ssh-rsa"), b"x")
    assert verified(b"rsa-sha2-256", blob, key.sign(b"x", b"rsa-sha2-256"), b"x")


def test_a_security_token_has_been_touched_for_this_connection() -> None:
    from chatroom.doors.ssh.auth import known_key, verified

    token = ed25519.Ed25519PrivateKey.generate()
    kind = b"sk-ssh-ed25519@openssh.com"
    blob = NS(kind) + NS(token.public_key().public_bytes_raw()) + NS(b"ssh:")
    assert known_key(kind, blob) is not None

    def signed(said: bytes, flags: int = 1, application: bytes = b"ssh:") -> bytes:
        # OpenSSH's PROTOCOL.u2f, "SSH U2F Signatures".
        counted = struct.pack(">BL", flags, 7)
        what = sha256(application).digest() + counted + sha256(said).digest()
        return NS(kind) + NS(token.sign(what)) + counted

    assert verified(kind, blob, signed(b"x"), b"x")
    assert not verified(kind, blob, signed(b"y"), b"x")
    assert not verified(kind, blob, signed(b"x", flags=0), b"x")
    assert not verified(kind, blob, signed(b"x", application=b"web:"), b"x")
    assert not verified(kind, blob, signed(b"x") + b"z", b"x")
    assert not verified(kind, blob, NS(kind) + NS(token.sign(b"x")), b"x")


def test_a_name_that_may_not_be_had_makes_a_guest_who_is_told(
    world: World, factory: SshFactory
) -> None:
    guest = Guest(world, factory, "two words")
    shown = guest.sees
    assert any("You are guest" in line for line in shown)
    guest.hangs_up()


# Talking


def test_people_talk_and_quit(world: World, factory: SshFactory) -> None:
    alice, bob = Guest(world, factory, "alice"), Guest(world, factory, "bob")
    _ = bob.sees
    alice.sends(b"hello\n")
    assert "alice: hello" in bob.sees
    alice.sends(b"/quit\n")
    assert alice.data.endswith(b"-- Good-bye.\r\n")
    assert (alice.status, alice.eof, alice.session_closed) == (0, True, True)
    assert len(world.chat.sessions) == 1
    bob.hangs_up()


def test_a_client_with_a_terminal_sends_keys(world: World, factory: SshFactory) -> None:
    guest = Guest(world, factory, "bob", term="xterm")
    (client,) = factory.clients
    talker: Any = client._talker
    assert talker.terminal is not None
    assert (talker.requested.width, talker.requested.height) == (80, 24)
    guest.connection.sendRequest(guest.channel, b"window-change", struct.pack(">4L", 60, 9, 0, 0))
    guest.sends(b"/whoo\x7f\r")
    assert b"-- 1 person in #lobby: bob\r\n" in guest.data
    assert (talker.requested.width, talker.requested.height) == (60, 9)
    guest.sends(b"\x04")
    assert (guest.status, guest.session_closed) == (0, True)


def test_sizes_that_follow_one_another_are_drawn_once(world: World, factory: SshFactory) -> None:
    guest = Guest(world, factory, "bob", term="xterm")
    (client,) = factory.clients
    talker: Any = client._talker
    drawn: list[tuple[int, int]] = []
    talker.resized = lambda *size: drawn.append(size)
    for width in range(40, 80):
        size = struct.pack(">4L", width, 9, 0, 0)
        guest.connection.sendRequest(guest.channel, b"window-change", size)
    guest.settle()
    assert drawn == [(79, 9)]
    size = struct.pack(">4L", 20, 9, 0, 0)
    guest.connection.sendRequest(guest.channel, b"window-change", size)
    guest._move()
    guest.hangs_up()
    del talker.resized


def test_how_long_a_line_may_be_can_change_for_keys_too(world: World, factory: SshFactory) -> None:
    alice, guest = world.person("alice"), Guest(world, factory, "bob", term="xterm")
    world.chat.configure(world.chat.settings, Limits(rate=0, byte_rate=0, line_length=9))
    factory.configure()
    guest.sends(20 * b"x" + b"\r")
    assert f"bob: {20 * 'x'}" not in alice.sees
    guest.hangs_up()


def test_a_command_has_no_terminal_even_if_its_client_has(
    world: World, factory: SshFactory
) -> None:
    guest = Guest(world, factory, "bob", term="xterm", command="/who")
    assert guest.data == b"-- 0 people in #lobby\r\n"
    assert guest.status == 0


def test_no_byte_is_a_telnet_command(world: World, factory: SshFactory) -> None:
    guest = Guest(world, factory, "bob")
    _ = guest.sees
    guest.sends(b"\xff\xfb\x01caf\xc3\xa9\r\n")
    assert "\xff" not in guest.data.decode()
    assert guest.sees == ["-- Your line was not UTF-8; what could not be read was said as \ufffd."]
    guest.hangs_up()


def test_what_was_sent_counts_when_the_client_ends_its_input(
    world: World, factory: SshFactory
) -> None:
    bob, guest = world.person("bob"), Guest(world, factory, "alice")
    guest.sends(b"one\ntwo")
    guest.ends()
    assert [line for line in bob.sees if "alice:" in line] == ["alice: one", "alice: two"]
    assert (guest.status, guest.session_closed) == (0, True)


def test_whoever_hangs_up_has_left_at_once() -> None:
    world = World(limits=Limits(rate=0.1, burst=1))
    factory = SshFactory(world.chat, HOST_KEY)
    guest = Guest(world, factory, "alice")
    guest.sends(b"one\ntwo\nthree\n")
    guest.hangs_up()
    assert not world.chat.sessions
    world.end()


# Commands


def test_a_command_prints_what_answers_it(world: World, factory: SshFactory) -> None:
    bob = world.person("bob")
    bob.says("before")
    guest = Guest(world, factory, "alice", command="/who")
    assert guest.data == b"-- 1 person in #lobby: bob\n"
    assert (guest.status, guest.session_closed) == (0, True)
    guest = Guest(world, factory, "alice", command="build ok")
    assert guest.data == b""
    assert guest.status == 0
    assert "alice: build ok" in bob.sees


def test_a_command_that_takes_its_time_prints_nothing_of_what_is_said_meanwhile() -> None:
    claims = LateClaims()
    world = World(claims=claims)
    factory = SshFactory(world.chat, HOST_KEY)
    bob = world.person()
    guest = Guest(world, factory, "", command="/nick carol")
    bob.says("noise")
    guest.settle()
    assert not guest.session_closed
    claims.answer()
    guest.settle()
    assert guest.data == b"-- You are now carol.\n"
    assert guest.status == 0
    guest.hangs_up()
    world.wait(60)
    world.end()


@pytest.mark.parametrize("command", ["/nosuch", "/nick bob", "/login alice nonsense"])
def test_a_command_that_is_refused_says_so_by_its_status(
    world: World, factory: SshFactory, command: str
) -> None:
    world.person("bob")
    guest = Guest(world, factory, "carol", command=command)
    assert guest.data.startswith(b"-- ")
    assert guest.status == 1


@pytest.mark.parametrize(
    "command",
    [
        "scp -t /tmp",
        "scp -v -f /etc/passwd",
        "scp",
        "git-upload-pack '/repo.git'",
        "git receive-pack '/repo.git'",
        "rsync --server --sender -logDtpre.iLsfxC . /etc",
        "/usr/lib/openssh/sftp-server -l INFO",
        "internal-sftp",
        "/usr/bin/rsync --server . x",
        "exec sh -c 'cd ; umask 077 ; mkdir -p .ssh && cat >> .ssh/authorized_keys'",
        "bash",
        "hg -R x serve --stdio",
        "borg serve",
        "mosh-server new -s",
        "cat > .ssh/authorized_keys",
        "ls -la",
        "/bin/ls -la /etc",
        "uname -a",
        "sudo -n id",
        "df --human-readable",
    ],
)
def test_what_programs_ask_for_is_refused_and_said_to_nobody(
    world: World, factory: SshFactory, command: str
) -> None:
    bob = world.person("bob")
    guest = Guest(world, factory, "carol", command=command)
    told = b"-- There are no files and no programs here, only people. /say says anything.\n"
    assert (guest.data, guest.errors, guest.status) == (b"", told, 1)
    assert guest.session_closed
    world.wait(5)
    assert bob.sees == []


@pytest.mark.parametrize(
    "text",
    [
        "scp is broken",
        "rsync finished",
        "git is down",
        "shall we?",
        "cat videos",
        "who - me?",
        "/say scp -t x",
    ],
)
def test_what_people_say_of_programs_is_said(world: World, factory: SshFactory, text: str) -> None:
    bob = world.person("bob")
    guest = Guest(world, factory, "carol", command=text)
    assert (guest.errors, guest.status) == (b"", 0)
    assert f"carol: {text.removeprefix('/say ')}" in bob.sees


@pytest.mark.parametrize("command", ["exit", "help", "quit"])
def test_a_lone_word_for_a_shell_is_refused(
    world: World, factory: SshFactory, command: str
) -> None:
    bob = world.person("bob")
    guest = Guest(world, factory, "carol", command=command)
    assert guest.data.startswith(b"-- Not said: ")
    assert guest.status == 1
    assert bob.sees == []


def test_a_command_that_is_too_long_is_refused(world: World, factory: SshFactory) -> None:
    for damaged in ("", "\udcff"):
        guest = Guest(world, factory, "carol", command=2050 * "x" + damaged)
        assert guest.data == b"-- Not said: a line may have at most 2,048 bytes.\n"
        assert guest.status == 1


def test_whoever_comes_for_a_command_is_told_apart_that_it_is_as_a_guest(
    world: World, factory: SshFactory
) -> None:
    bob = world.person("bob")
    guest = Guest(world, factory, "bob", command="build ok")
    assert (guest.data, guest.errors, guest.status) == (
        b"",
        b"-- bob is taken. /nick NAME picks another.\n",
        0,
    )
    assert any(line.endswith(": build ok") for line in bob.sees)
    guest = Guest(world, factory, "bob", command="/who", window=9, reads=False)
    assert guest.errors == b""
    guest.hangs_up()


def test_a_command_ends_nobodys_connection(world: World, factory: SshFactory) -> None:
    alice = owner(world)
    bob = world.person("bob")
    alice.says("here")
    _ = alice.sees
    guest = Guest(world, factory, "alice", answers=(WORD,), command="build ok")
    assert (guest.data, guest.errors, guest.status) == (b"", b"", 0)
    assert (alice.gone, alice.sees) == (False, ["alice: build ok"])
    assert bob.sees == ["-- alice joined.", "alice: here", "alice: build ok"]


BANNED = "203.0.113.7"


@pytest.mark.parametrize(
    "how",
    [
        {"starts": False},
        {"answers": ()},
        {"answers": (WORD,), "opens": False},
        {"answers": (WORD,)},
        {"answers": (WORD,), "term": "xterm"},
        {"answers": (WORD,), "command": "hello\n" * 100},
    ],
    ids=["no keys yet", "asked who it is", "no session yet", "lines", "terminal", "command"],
)
def test_a_ban_reaches_a_connection_however_far_it_has_come(how: dict[str, Any]) -> None:
    world = World(limits=Limits(rate=1, burst=10))
    factory = SshFactory(world.chat, HOST_KEY)
    owner(world).hangs_up()
    olga, far = world.person("olga"), world.person(source="198.51.100.3")
    olga.operates()
    guest = Guest(world, factory, "alice", address=BANNED, **how)
    other = Guest(world, factory, "bob", address="203.0.112.7")
    assert not guest.wire.half_closed
    assert "is banned" in olga.asks("/ban 203.0.113.0/24 5m spam")[0]
    world.wait(3)
    guest.settle()
    assert guest.gone
    assert not other.gone
    assert "alice" not in far.asks("/who")[0]
    shown = guest.reason + guest.data
    assert b"banned until" in shown or how == {"starts": False}
    assert not factory.clients - {other.server}
    other.hangs_up()
    world.end()


def test_whoever_is_banned_says_no_more_by_a_command_that_goes_on() -> None:
    world = World(limits=Limits(rate=1, burst=10))
    factory = SshFactory(world.chat, HOST_KEY)
    alice, bob = owner(world), world.person("bob")
    bob.operates()
    lines = "\n".join(map(str, range(100)))
    guest = Guest(world, factory, "alice", answers=(WORD,), command=lines)
    world.wait(5)
    bob.says("/ban alice spam")
    assert alice.gone
    guest.settle()
    assert guest.data.endswith(b"\n-- You are banned for good: spam.\n")
    assert (guest.session_closed, guest.status) == (True, 1)
    _ = bob.sees
    world.wait(5)
    assert not any(line.startswith("alice: ") for line in bob.sees)
    guest.hangs_up()
    world.end()


def test_what_waits_for_somebody_is_not_lost_to_a_command(
    world: World, factory: SshFactory
) -> None:
    owner(world).hangs_up()
    world.person("bob", source="192.0.2.1").says("/msg alice later")
    Guest(world, factory, "alice", keys=(KEY,), answers=(WORD,), command="/who")
    guest = Guest(world, factory, "alice", answers=(WORD,))
    assert any("bob to you: later" in line for line in guest.sees)
    guest.hangs_up()


def test_what_somebody_missed_is_told_to_who_reads(world: World, factory: SshFactory) -> None:
    alice = owner(world)
    alice.says("/join den")
    alice.says("mine")
    bob = world.person("bob", source="192.0.2.1")
    bob.says("/join den")
    alice.hangs_up()
    world.settle()
    bob.says("news")
    Guest(world, factory, "alice", keys=(KEY,), answers=(WORD,), command="/who")
    guest = Guest(world, factory, "alice", answers=(WORD,))
    assert "-- 1 new" in guest.sees
    guest.hangs_up()


# Those who do not read


def test_whoever_never_opens_their_window_is_cut(world: World, factory: SshFactory) -> None:
    bob = world.person("bob")
    guest = Guest(world, factory, "alice", window=4096, reads=False)
    (client,) = factory.clients
    for _ in range(200):
        bob.says("x" * 1000)
    session: Any = client._connection
    assert len(session.session._unsent) < 70_000
    assert client._talker is not None
    assert client._talker.writer.congested
    guest.settle()
    assert len(guest.data) == 4096
    world.wait(31)
    guest.settle()
    assert guest.gone
    assert world.chat.counters.cut == 1


def test_whoever_reads_again_has_missed_nothing(world: World, factory: SshFactory) -> None:
    bob = world.person("bob")
    guest = Guest(world, factory, "alice", window=4096, reads=False)
    for number in range(200):
        bob.says(f"{number} {'x' * 1000}")
    guest.settle()
    guest.reads = True
    guest.connection.adjustWindow(guest.channel, 1_000_000)
    guest.settle()
    said = [line.split()[1] for line in guest.sees if line.startswith("bob: ")]
    assert said == [str(number) for number in range(200)]
    guest.hangs_up()


def test_a_socket_that_is_full_stops_writing_and_reading(world: World, factory: SshFactory) -> None:
    bob, guest = world.person("bob"), Guest(world, factory, "alice")
    (client,) = factory.clients
    client.writer.pauseProducing()
    assert guest.wire.producerState == "paused"
    before = len(guest.wire.value())
    for _ in range(50):
        bob.says("x" * 1000)
    assert len(guest.wire.value()) == before
    client.writer.resumeProducing()
    assert sum(line.startswith("bob: x") for line in guest.sees) == 50
    guest.hangs_up()


def test_a_client_may_not_send_more_than_its_window(world: World, factory: SshFactory) -> None:
    limits = Limits(rate=1, burst=1, byte_rate=0)
    world.chat.configure(world.chat.settings, limits)
    guest = Guest(world, factory, "alice")
    for _ in range(40):
        guest.channel.write(b"line\n" * 400)
    guest.settle()
    (client,) = factory.clients
    session: Any = client._connection
    assert len(session.session._unread) <= 16 * 1024
    assert guest.channel.buf, "the client was to be held up"
    header = struct.pack(">L", guest.connection.channelsToRemoteChannel[guest.channel])
    guest.sendPacket(94, header + NS(b"x" * 8192))
    guest.sendPacket(94, header + NS(b"x" * 8192))
    guest.settle()
    assert guest.gone


def test_ignored_packets_count_for_the_byte_rate(world: World, factory: SshFactory) -> None:
    world.chat.configure(world.chat.settings, Limits(rate=0, byte_rate=4096))
    guest = Guest(world, factory, "alice")
    for _ in range(20):
        guest.sendIgnore(b"x" * 4000)
    guest.settle()
    assert guest.wire.producerState == "paused"
    world.wait(60)
    guest.settle()
    guest.hangs_up()


# What may not be sent


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-1.5-old\r\n",
        b"S" * 5000,
        b"SSH-2.0-x\r\n" + b"\xff" * 64,
        b"SSH-2.0-x\r\n" + struct.pack(">LB", 40_004, 8) + bytes(3),
        b"SSH-2.0-x\r\n" + struct.pack(">LB", 12, 0) + bytes(20),
        b"SSH-2.0-x\r\n" + struct.pack(">LB", 12, 200) + bytes(20),
        # EXT_INFO and SERVICE_REQUEST, as somebody on the way could slip them in.
        b"SSH-2.0-x\r\n" + struct.pack(">LBB", 12, 6, 7) + bytes(10),
        b"SSH-2.0-x\r\n" + struct.pack(">LBB", 28, 10, 5) + NS(b"ssh-userauth") + bytes(10),
        # NEWKEYS, KEXDH_INIT and USERAUTH_REQUEST where there was no KEXINIT.
        *(
            b"SSH-2.0-x\r\n" + struct.pack(">LBB", 12, 10, kind) + bytes(10)
            for kind in (21, 30, 50)
        ),
        # A KEXINIT that is cut short.
        b"SSH-2.0-x\r\n" + struct.pack(">LBB", 12, 5, 20) + bytes(10),
    ],
)
def test_what_is_no_ssh_ends_the_connection_in_one_line(
    world: World, factory: SshFactory, junk: bytes, logged: list[str], strict: Strictness
) -> None:
    guest = Guest(world, factory, starts=False)
    guest.server.dataReceived(junk)
    assert guest.wire.half_closed
    assert len([line for line in logged if "was ended" in line]) == 1
    assert not strict.errors
    guest.hangs_up()


def test_a_second_session_and_forwarding_are_refused(world: World, factory: SshFactory) -> None:
    from tests.support.sshclient import Channel

    guest = Guest(world, factory)
    guest.connection.openChannel(Channel(guest))
    other = Channel(guest)
    other.name = b"direct-tcpip"
    guest.connection.openChannel(other)
    answers: list[object] = []
    asked = guest.connection.sendGlobalRequest(b"tcpip-forward", NS(b"") + bytes(4), wantReply=1)
    asked.addErrback(answers.append)
    for kind in (b"x11-req", b"auth-agent-req@openssh.com", b"subsystem", b"shell", b"break"):
        request = guest.connection.sendRequest(guest.channel, kind, NS(b"sftp"), wantReply=1)
        request.addErrback(answers.append)
    guest.settle()
    assert guest.refused == 2
    assert len(answers) == 6
    guest.sends(b"/who\n")
    assert "-- 1 person in #lobby: bob" in guest.sees
    guest.hangs_up()


def test_the_keys_can_be_made_anew_by_either_side(
    world: World, factory: SshFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = Guest(world, factory)
    first = guest.server.currentEncryptions
    guest.sendKexInit()
    guest.settle()
    second = guest.server.currentEncryptions
    assert second is not first
    world.wait(transport.REKEY_SECONDS)
    guest.sends(b"/who\n")
    assert guest.server.currentEncryptions is not second
    assert "-- 1 person in #lobby: bob" in guest.sees
    assert not guest.server.exchanging
    guest.hangs_up()


def test_strict_key_exchange_is_offered_and_held_to(world: World, factory: SshFactory) -> None:
    from twisted.conch.ssh.common import getNS

    guest = Guest(world, factory, starts=False)
    guest.server.dataReceived(b"SSH-2.0-x\r\n")
    kex = NS(b"curve25519-sha256," + algorithms.STRICT_CLIENT)
    offered = [b"ssh-ed25519", b"aes256-ctr", b"aes256-ctr", b"hmac-sha2-256", b"hmac-sha2-256"]
    rest = b"".join(map(NS, [*offered, b"none", b"none", b"", b""]))
    packet = bytes([20]) + bytes(16) + kex + rest + bytes(5)
    padding = 8 - (len(packet) + 5) % 8 + 8
    guest.server.dataReceived(
        struct.pack(">LB", len(packet) + 1 + padding, padding) + packet + bytes(padding)
    )
    assert algorithms.STRICT_SERVER in getNS(guest.server.ourKexInitPayload[17:])[0]
    assert not guest.wire.half_closed
    # An IGNORE, which is harmless otherwise.
    guest.server.dataReceived(struct.pack(">LBB", 12, 6, 2) + NS(b"") + bytes(6))
    assert guest.wire.half_closed
    guest.hangs_up()


def test_keys_that_are_never_agreed_on_end_the_connection(
    world: World, factory: SshFactory
) -> None:
    # It is another matter than not reading.
    world.chat.configure(world.chat.settings, Limits(rate=0, byte_rate=0, stall_timeout=0))
    bob, guest = world.person("bob"), Guest(world, factory, "alice")
    guest.server.sendKexInit()
    for _ in range(100):
        bob.says("x" * 1000)
    assert len(guest.server._blockedByKeyExchange) < 10
    world.wait(31)
    guest.settle()
    assert guest.gone
    assert guest.server.closing == "no proper SSH"
    assert guest.reason == b"new keys are overdue"


def test_the_service_is_asked_for_once(world: World, factory: SshFactory) -> None:
    guest = Guest(world, factory)
    guest.sendPacket(5, NS(b"ssh-userauth"))
    guest.settle()
    assert guest.gone


@pytest.mark.parametrize("kind", [81, 82, 91, 92, 99, 100])
def test_answers_that_nobody_asked_for_end_it(world: World, factory: SshFactory, kind: int) -> None:
    guest = Guest(world, factory)
    # As the answer to an opened channel it would set the size of what is sent to it.
    guest.sendPacket(kind, struct.pack(">4L", 0, 0, 1000, 1))
    guest.settle()
    assert (guest.gone, guest.reason) == (True, b"nothing was asked")
    assert not world.chat.sessions


def test_whoever_asks_to_be_let_in_once_more_is_not_answered(
    world: World, factory: SshFactory
) -> None:
    guest = Guest(world, factory)
    before = guest.server.outgoingPacketSequence
    guest.sendPacket(50, NS(b"alice") + NS(b"ssh-connection") + NS(b"none"))
    guest.settle()
    assert guest.server.outgoingPacketSequence == before
    guest.sends(b"/who\n")
    assert "-- 1 person in #lobby: bob" in guest.sees
    guest.hangs_up()


@pytest.mark.parametrize("kind", [9, 120, 200])
def test_a_message_that_is_not_known_is_named_in_the_answer(
    world: World, factory: SshFactory, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    named: list[int] = []
    guest = Guest(world, factory)
    monkeypatch.setattr(guest, "receiveUnimplemented", named.append)
    sent = guest.outgoingPacketSequence
    guest.sendPacket(kind, b"x")
    guest.settle()
    assert named == [sent]
    guest.hangs_up()


STRINGS = st.sampled_from([b"", b"session", b"pty-req", b"shell", b"exec", b"env", b"x" * 50])
FIELDS = st.one_of(
    STRINGS.map(NS),
    st.sampled_from([0, 1, 2, 80, 0xFFFFFFFF]).map(lambda number: struct.pack(">L", number)),
    st.binary(max_size=9),
)
PACKETS = st.tuples(
    st.one_of(st.integers(1, 127), st.integers(90, 100)), st.lists(FIELDS, max_size=5).map(b"".join)
)


@examples(60)
@given(early=st.booleans(), packets=st.lists(PACKETS, max_size=8))
def test_whatever_is_sent_ends_that_connection_at_most(
    early: bool, packets: list[tuple[int, bytes]]
) -> None:
    events: list[LogEvent] = []
    world = World(limits=Limits(rate=0, byte_rate=0))
    factory = SshFactory(world.chat, HOST_KEY)
    bob, guest = world.person("bob"), Guest(world, factory, "alice", opens=not early)
    observer: Any = events.append
    globalLogPublisher.addObserver(observer)
    try:
        # Conch's client would not understand what it is answered.
        guest.starts = False
        for kind, payload in packets:
            guest.sendPacket(kind, payload)
        guest.settle()
        guest.hangs_up()
    finally:
        globalLogPublisher.removeObserver(observer)
    assert not [event for event in events if event.get("log_failure") is not None]
    assert sum(event.get("event") == "ssh_ended" for event in events) <= 1
    assert bob.asks("/who") == ["-- 1 person in #lobby: bob"]
    assert not factory.clients
    world.end()


# Those who are not in yet


def test_a_key_that_was_shown_for_another_name_is_not_theirs(
    world: World, factory: SshFactory
) -> None:
    owner(world).hangs_up()
    guest = Guest(world, factory, "alice", keys=(KEY,), answers=("",))
    assert next(iter(world.chat.sessions.values())).key is not None
    guest.hangs_up()
    guest = Guest(world, factory, "alice", keys=(KEY,))
    (client,) = factory.clients
    assert client._stranger.key is not None
    # RFC 4252, section 5.
    asked = NS(b"carol") + NS(b"ssh-connection") + NS(b"keyboard-interactive") + NS(b"") * 2
    guest.sendPacket(50, asked)
    guest.settle()
    assert [(one.user.name, one.key) for one in world.chat.sessions.values()] == [("carol", None)]
    guest.hangs_up()


def test_of_several_keys_that_open_nothing_the_first_is_theirs(
    world: World, factory: SshFactory
) -> None:
    owner(world).hangs_up()
    keys = (hostkey.made(), hostkey.made())
    guest = Guest(world, factory, "alice", keys=keys, answers=(WORD,))
    (session,) = world.chat.sessions.values()
    assert session.user.account is not None
    assert session.key is not None
    assert session.key.blob == keys[0].public().blob()
    guest.hangs_up()


@pytest.mark.parametrize("known", [None, OSError("the disk is away")], ids=["in time", "failed"])
@pytest.mark.parametrize("way", ["hangs up", "is ended"])
def test_an_answer_that_comes_after_the_end_leads_to_nothing(
    world: World,
    factory: SshFactory,
    monkeypatch: pytest.MonkeyPatch,
    log_events: list[LogEvent],
    known: Exception | None,
    way: str,
) -> None:
    answer: Deferred[Any] = Deferred()
    monkeypatch.setattr("chatroom.actions.authenticate.owner", lambda *_: answer)
    guest = Guest(world, factory)
    (client,) = factory.clients
    if way == "hangs up":
        guest.hangs_up()
    else:
        world.wait(LOGIN_GRACE + 0.1)
        assert guest.wire.half_closed
    before = world.clock.getDelayedCalls()
    if known is None:
        answer.callback(None)
    else:
        answer.errback(known)
    assert world.clock.getDelayedCalls() == before
    assert client._arrival is None
    assert not [event for event in log_events if event.get("event") == "arrival_failed"]
    if way == "is ended":
        guest.hangs_up()


def test_a_name_may_be_spelled_in_many_pieces(world: World, factory: SshFactory) -> None:
    name = 20 * "\ud55c"
    guest = Guest(world, factory, unicodedata.normalize("NFD", name))
    assert f"You are {name}, " in guest.sees[0]
    guest.hangs_up()


def test_looking_at_signatures_counts_for_the_byte_rate(world: World, factory: SshFactory) -> None:
    world.chat.configure(world.chat.settings, Limits(rate=0, byte_rate=4096))
    owner(world).hangs_up()
    keys = tuple(hostkey.made() for _ in range(5))
    began = world.clock.seconds()
    guest = Guest(world, factory, "alice", keys=keys, answers=("",))
    while not guest.prompts:
        world.wait(1)
        guest.settle()
    # The burst is used up by the exchange of keys.
    assert world.clock.seconds() - began > 5
    guest.hangs_up()


def test_who_has_been_at_it_for_longest_makes_room(
    world: World, factory: SshFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatroom.doors.ssh.factory.ARRIVING", 2)
    first, second = Guest(world, factory, starts=False), Guest(world, factory, starts=False)
    guest = Guest(world, factory)
    assert "You are bob" in guest.sees[0]
    assert (first.wire.half_closed, second.wire.half_closed) == (True, False)
    for each in (first, second, guest):
        each.hangs_up()


def test_an_answer_that_comes_too_late_changes_nothing(
    world: World, factory: SshFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer: Deferred[Any] = Deferred()
    monkeypatch.setattr("chatroom.actions.authenticate.owner", lambda *_: answer)
    guest = Guest(world, factory)
    assert guest.wire.producerState == "paused"
    world.wait(LOGIN_GRACE + 0.1)
    assert guest.wire.half_closed
    answer.callback(None)
    world.wait(3)
    assert guest.wire.aborted
    guest.hangs_up()


def test_whoever_says_nothing_is_cut_after_the_grace(world: World, factory: SshFactory) -> None:
    silent = Guest(world, factory, starts=False)
    world.wait(LOGIN_GRACE + 1)
    silent.settle()
    assert silent.gone
    assert not factory.clients


def test_whoever_opens_no_session_is_cut_after_the_grace(
    world: World, factory: SshFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.sshclient.Channel.channelOpen", lambda *_: None)
    idle = Guest(world, factory)
    world.wait(LOGIN_GRACE + 1)
    idle.settle()
    assert idle.gone
    assert idle.reason == b"No session was opened in time."


def test_strangers_from_one_source_are_few(world: World, factory: SshFactory) -> None:
    address = "203.0.113.9"
    silent = [
        Guest(world, factory, starts=False, address=address) for _ in range(ARRIVING_PER_SOURCE)
    ]
    refused = Guest(world, factory, address=address)
    assert refused.reason == b"Too many connections from your address are logging in just now."
    silent.pop().hangs_up()
    guest = Guest(world, factory, address=address)
    assert "You are bob" in guest.sees[0]
    for each in [guest, *silent]:
        each.hangs_up()


def test_those_who_may_not_come_are_told_in_ssh(world: World, factory: SshFactory) -> None:
    world.chat.configure(world.chat.settings, Limits(max_connections=1))
    first = Guest(world, factory)
    assert Guest(world, factory).reason == b"The server is full. Please try again later."
    first.hangs_up()


def test_whoever_logs_in_while_the_server_stops_gets_no_session(
    world: World, factory: SshFactory
) -> None:
    owner(world).hangs_up()
    guest = Guest(world, factory, "alice")
    factory.stop_reading()
    guest.settle()
    assert guest.gone
    assert guest.reason == b"The server is shutting down."
    assert not world.chat.sessions


def test_stopping_tells_everybody(world: World, factory: SshFactory) -> None:
    guest, silent = Guest(world, factory), Guest(world, factory, starts=False)
    _ = guest.sees
    factory.stop_reading()
    gone: list[object] = []
    factory.dismiss().addCallback(gone.append)
    assert guest.sees == ["-- The server is shutting down."]
    assert guest.status == 0
    silent.settle()
    assert silent.gone
    world.wait(2)
    guest.settle()
    assert gone


@pytest.mark.parametrize("name", ["bob", "taken"])
@pytest.mark.parametrize("term", ["", "xterm"])
def test_who_has_gone_leaves_nothing_to_the_garbage_collector(
    world: World, factory: SshFactory, term: str, name: str
) -> None:
    world.person("taken")
    with uncollected():
        before = kept()
        guest = Guest(world, factory, name, term=term)
        guest.sends(b"hello\r")
        assert kept(before)
        guest.hangs_up()
        assert not kept(before)


def test_the_lines_of_a_session_that_was_left_are_counted(
    world: World, factory: SshFactory, log_events: list[LogEvent]
) -> None:
    guest = Guest(world, factory)
    guest.sends(b"hello\nyou\n/quit\n")
    assert guest.session_closed
    guest.hangs_up()
    (ended,) = [event for event in log_events if event.get("event") == "connection_closed"]
    assert ended["lines"] == 2
