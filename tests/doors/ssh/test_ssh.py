"""Talking by SSH, single commands, and what becomes of those who do not read."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from twisted.conch.ssh.common import NS

from chatroom.doors.ssh.factory import SshFactory
from chatroom.model.limits import Limits
from tests.support.accounts import WORD, owner
from tests.support.doubles import LateClaims
from tests.support.sshclient import HOST_KEY, KEY, Guest
from tests.support.world import World

# Talking


def test_people_talk_and_quit(world: World, factory: SshFactory) -> None:
    alice, bob = Guest(world, factory, "alice"), Guest(world, factory, "bob")
    _ = bob.sees
    alice.sends(b"hello\n")
    assert "alice: hello" in bob.sees
    alice.sends(b"/quit\n")
    assert alice.data.endswith(b"-- Good-bye.\r\n")
    assert (alice.status, alice.eof, alice.session_closed) == (0, True, True)
    assert len(world.chat.connections) == 1
    bob.hangs_up()


def test_a_client_with_a_terminal_sends_keys(world: World, factory: SshFactory) -> None:
    guest = Guest(world, factory, "bob", term="xterm")
    (client,) = factory.clients
    talker: Any = client._talker
    assert talker.keys is not None
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
    assert not world.chat.connections
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
    service: Any = client._connection
    assert len(service.session._unsent) < 70_000
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
    service: Any = client._connection
    assert len(service.session._unread) <= 16 * 1024
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
