"""The clock on the wall steps: only the times that people see change."""

import signal
import socket
import sqlite3
import sys
import time
import weakref
from contextlib import ExitStack, closing
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from chatroom.model.aging import Aging
from chatroom.model.chatsettings import Settings
from chatroom.model.clock import Timer
from chatroom.model.limits import Limits
from chatroom.model.sanctions import Sanction
from chatroom.text.times import DAY
from tests.conftest import MakeWorld
from tests.support.doubles import Clock
from tests.support.process import comes, running
from tests.support.reactor import DEADLINE
from tests.support.world import World

#: Steps of the wall clock, in seconds: as at the end of a wrong summer time, and as on a machine
#: that learns late what day it is.
steps = pytest.mark.parametrize("step", [-3600, 31 * DAY])


@steps
def test_people_talk_on_at_their_pace(make_world: MakeWorld, step: int) -> None:
    world = make_world(limits=Limits(rate=2, burst=2))
    alice, bob = world.people("alice", "bob")
    world.wait(10)
    alice.says("one")
    world.clock.ahead += step
    alice.says("two", "three")
    assert bob.sees == ["alice: one", "alice: two"]
    world.wait(0.6)
    assert bob.sees == ["alice: three"]


@steps
def test_who_comes_is_announced(make_world: MakeWorld, step: int) -> None:
    world = make_world()
    (alice,) = world.people("alice")
    world.person("bob")
    world.clock.ahead += step
    world.wait(2.1)
    assert alice.sees == ["-- bob joined."]


@steps
def test_limits_last_as_long_as_they_say(make_world: MakeWorld, step: int) -> None:
    world = make_world(Settings(rooms_per_hour=1))
    (alice,) = world.people("alice")
    alice.says("/join one")
    world.clock.ahead += step
    refusal = "-- Too many rooms were created from your address. Try again later."
    assert alice.asks("/join two") == [refusal]
    world.wait(3600)
    alice.says("/join two")
    assert alice.room.name == "two"


@steps
def test_spans_that_people_are_told_are_not_changed(world: World, step: int) -> None:
    alice, _ = world.people("alice", "bob")
    world.clock.ahead += step
    (told,) = alice.asks("/whois bob")
    assert told == "-- bob is in #lobby, here for 5 seconds, idle for 5 seconds."
    assert alice.asks("/uptime")[0].startswith("-- chatroom has been up for 5 seconds.")


def test_times_that_people_are_shown_are_those_of_the_wall(world: World) -> None:
    (alice,) = world.people("alice")
    alice.says("/timestamps on")
    world.clock.ahead += 86400 - 3600
    (told,) = alice.asks("/timestamps on")
    assert told == "-- Lines are shown with their time: 07:00 (UTC)."
    bob = world.person("bob")
    bob.says("hi")
    assert "07:00 bob: hi" in alice.sees


# What is deleted for its age


def test_a_clock_that_is_far_ahead_is_believed_when_it_has_shown_so_for_a_day(
    logged: list[str],
) -> None:
    clock = Clock()
    clock.advance(1_800_000_000)
    aging = Aging(clock)
    clock.advance(10 * DAY)
    assert aging.now() == clock.time()
    assert not logged
    clock.ahead = 31 * DAY
    for _ in range(24):
        assert aging.now() == clock.seconds()
        clock.advance(3600)
    assert aging.now() == clock.time()
    doubted, believed = logged
    assert doubted.startswith(
        "The clock shows 2027-02-25 08:00:00+00:00, 31.0 days later than expected"
    )
    assert believed == "The clock is trusted again."


def test_a_clock_that_is_put_right_is_believed_at_once(logged: list[str]) -> None:
    clock = Clock()
    aging = Aging(clock)
    for ahead in (31 * DAY, 0, 5 * DAY, -3600):
        clock.ahead = ahead
        assert aging.now() == clock.seconds() + min(0, ahead)
    assert len(logged) == 4


def test_neither_lines_nor_names_nor_bans_go_by_a_clock_that_is_doubted(world: World) -> None:
    world.chat.configure(Settings(keep_days=30, keep_names=60), world.chat.limits)
    (alice,) = world.people("alice")
    alice.says("/register s3cretpass", "hello")
    alice.says("/logout", "/quit")
    now = world.clock.time()
    order = Sanction("192.0.2.7", now + 30 * DAY, "", "alice", now)
    world.chat.moderation.network_bans.set(ip_network("192.0.2.7/32"), order)
    world.clock.ahead += 90 * DAY
    world.chat.expire()
    world.chat.moderation.keep(world.chat.aging.now())
    world.settle()
    world.clock.ahead -= 90 * DAY
    bob = world.person("bob")
    assert bob.asks("/history")[-1].endswith("alice: hello")
    assert bob.asks("/nick alice")[0].startswith("-- alice is registered.")
    assert world.chat.moderation.network_bans.get(ip_network("192.0.2.7/32")) is order


#: A server whose clock on the wall shows as many seconds more as stand in a file.
SET = """
import sys, time
from pathlib import Path
wall, file = time.time, Path(sys.argv.pop(1))
time.time = lambda: wall() + float(file.read_text())
from chatroom.__main__ import main
main()
"""


@steps
def test_a_server_goes_on_when_its_clock_is_set(
    tmp_path: Path, ended: ExitStack, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    manager = ended.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    manager.settimeout(DEADLINE)
    manager.bind(str(tmp_path / "manager"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "manager"))
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    ahead = tmp_path / "ahead"
    ahead.write_text("0")
    command = [sys.executable, "-c", SET, str(ahead)]
    server = running(ended, tmp_path, command, "--rate", "10", "--burst", "1").started()
    alice, bob = comes(ended, server), comes(ended, server)
    alice.sends(b"/nick alice\r\n")
    alice.reads(b"-- You are now alice.\r\n")
    ahead.write_text(str(step))
    alice.sends(b"one\r\ntwo\r\nthree\r\n")
    said = bob.reads(b"alice: three\r\n")
    assert said.endswith(b"alice: one\r\nalice: two\r\nalice: three\r\n")
    _ = comes(ended, server)
    alice.reads(b"-- guest3 joined.\r\n")
    signs(manager, 5)
    assert server.stop() == -signal.SIGTERM


def signs(manager: socket.socket, count: int) -> None:
    """Wait for signs of life, *count* of those that are still to be given."""
    manager.setblocking(False)
    while True:
        try:
            manager.recv(4096)
        except BlockingIOError:
            break
    manager.settimeout(DEADLINE)
    while count:
        count -= manager.recv(4096) == b"WATCHDOG=1"


class StoredRoom:
    """What a server that has stopped has left in its file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "data" / "chatroom.sqlite"

    def asks(self, statement: str) -> list[Any]:
        """The first column of what *statement* finds, or changes."""
        with closing(sqlite3.connect(self._file, timeout=DEADLINE)) as connection, connection:
            return [first for first, *_ in connection.execute(statement)]


def test_a_start_with_a_clock_that_is_ahead_deletes_nothing(
    tmp_path: Path, ended: ExitStack
) -> None:
    ahead, kept = tmp_path / "ahead", StoredRoom(tmp_path)
    command = [sys.executable, "-c", SET, str(ahead)]
    options = ("--data", str(tmp_path / "data"), "--keep-days", "30", "--keep-names", "30")
    ahead.write_text("0")
    server = running(ended, tmp_path, command, *options).started()
    alice = comes(ended, server)
    alice.sends(b"/nick alice\r\nhello\r\n/register s3cretpass\r\n")
    alice.reads(b"alice is yours")
    server.stop()
    kept.asks("DELETE FROM state WHERE key = 'time'")
    ahead.write_text(str(31 * DAY))
    server = running(ended, tmp_path, command, *options).started()
    overdue = time.monotonic() + DEADLINE
    while not kept.asks("SELECT value FROM state WHERE key = 'time'"):
        assert time.monotonic() < overdue
        time.sleep(0.05)
    server.stop()
    assert "31.0 days later than expected" in server.output
    assert kept.asks("SELECT text FROM events WHERE kind = 0") == ["hello"]
    assert kept.asks("SELECT name FROM accounts") == ["alice"]


def test_a_timer_calls_once_and_only_what_was_put_off_last() -> None:
    clock = Clock()
    timer = Timer(clock.callLater)
    called: list[str] = []
    running: list[bool] = []
    for delay, name in [(2, "first"), (3, "second")]:
        timer.start(delay, partial(called.append, name))
    for _ in range(4):
        clock.advance(1)
        running.append(timer.running)
    timer.start(1, partial(called.append, "third"))
    timer.stop()
    timer.stop()
    clock.advance(5)
    assert called == ["second"]
    assert running == [True, True, False, False]


def test_a_timer_may_be_started_again_by_what_it_calls() -> None:
    clock = Clock()
    timer = Timer(clock.callLater)
    called: list[float] = []

    def again() -> None:
        called.append(clock.seconds())
        timer.start(1, again)

    timer.start(1, again)
    clock.pump([1, 1, 1])
    assert called == [1, 2, 3]
    timer.stop()
    assert not clock.getDelayedCalls()


def test_a_timer_that_is_over_keeps_nothing_of_its_owner() -> None:
    class Owner:
        def due(self) -> None:
            """It is time."""

    clock = Clock()
    timer = Timer(clock.callLater)
    for end in (lambda: clock.advance(1), timer.stop):
        owner = Owner()
        timer.start(1, owner.due)
        left = weakref.ref(owner)
        del owner
        end()
        assert left() is None
