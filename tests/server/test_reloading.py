"""SIGHUP: what is read anew, and that nobody is dropped."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from twisted.logger import LogEvent

from chatroom.doors.relay import RelayFactory
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.chatsettings import Settings
from chatroom.model.limits import Limits
from chatroom.server import reload
from chatroom.server.options import Options
from chatroom.server.reload import ReloadService
from chatroom.server.settings import SettingError
from chatroom.server.systemd import Notifier
from tests.support.process import MODULE, Server, Terminal, environment, running
from tests.support.reactor import DEADLINE
from tests.support.wire import UNLIMITED, Visitor
from tests.support.world import World


def named(events: list[LogEvent], name: str) -> list[LogEvent]:
    return [event for event in events if event.get("event") == name]


class FakeReactor:
    """Runs at once, and notes that it is stopped."""

    def __init__(self) -> None:
        self.stops: list[bool] = []

    def callWhenRunning(self, function: Callable[[], None]) -> None:
        function()

    def callFromThread(self, function: Callable[[], None]) -> None:
        function()

    def stop(self) -> None:
        self.stops.append(True)


def hang_up() -> None:
    """This process gets SIGHUP, and has it when this returns."""
    signal.raise_signal(signal.SIGHUP)


@pytest.fixture
def calm() -> Iterator[None]:
    """SIGHUP would end the tests."""
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, former)


# The service


@pytest.mark.usefixtures("calm")
def test_the_settings_are_read_first_and_then_the_rest(log_events: list[LogEvent]) -> None:
    done: list[str] = []
    service = ReloadService(FakeReactor(), Notifier(), lambda: done.append("settings"))
    service.add("the certificates", lambda: done.append("certificates"))
    service.startService()
    hang_up()
    assert done == ["settings", "certificates"]
    service.stopService()
    hang_up()
    assert done == ["settings", "certificates"]
    (event,) = named(log_events, "reloaded")
    assert event["what"] == "the settings, the certificates"


def failing(text: str) -> Callable[[], None]:
    def fail() -> None:
        raise ValueError(text)

    return fail


def test_when_the_settings_are_faulty_nothing_is_reloaded(log_events: list[LogEvent]) -> None:
    done: list[str] = []
    service = ReloadService(FakeReactor(), Notifier(), failing("chat.toml: what\nis that"))
    service.add("the certificates", lambda: done.append("certificates"))
    service.reload()
    assert not done
    (event,) = named(log_events, "reload_failed")
    assert event["why"] == "chat.toml: what is that"
    assert not named(log_events, "reloaded")


def test_what_cannot_be_reloaded_holds_up_nothing_else(log_events: list[LogEvent]) -> None:
    done: list[str] = []
    service = ReloadService(FakeReactor(), Notifier(), lambda: None)
    service.add("the certificates", failing("expired"))
    service.add("the list", lambda: done.append("list"))
    service.reload()
    assert done == ["list"]
    assert [event["what"] for event in named(log_events, "reload_failed")] == ["the certificates"]


@pytest.mark.usefixtures("calm")
def test_a_terminal_that_is_gone_ends_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fake = FakeReactor()
    monkeypatch.setattr(reload, "terminal", lambda: True)
    service = ReloadService(fake, Notifier(), lambda: done.append("settings"))
    service.startService()
    hang_up()
    assert done == ["settings"]
    assert fake.stops == []
    monkeypatch.setattr(reload, "terminal", lambda: False)
    hang_up()
    assert done == ["settings"]
    assert fake.stops == [True]
    service.stopService()


# What other settings change


def test_other_settings_hold_for_those_who_are_here() -> None:
    world = World(limits=UNLIMITED)
    factory = ChatFactory(world.chat)
    alice = Visitor(world, factory)
    relay = RelayFactory(world.chat)
    one = Visitor(world, relay)
    limits = Limits(rate=0, byte_rate=0, line_length=64, max_connections=1, attempts_per_minute=1)
    settings = Settings(
        name="Ours", lobby="hall", join_quiet_above=7, rooms_per_hour=1, names_per_day=1
    )
    world.chat.configure(settings, limits)
    for door in (factory, relay):
        door.configure()
    assert world.chat.settings.name == "Ours"
    assert world.chat.settings.lobby == "lobby"
    assert world.chat.announcer(world.chat.lobby).quiet_above == 7
    assert world.chat.logins.created.count == 1
    assert factory.line_length == 64
    alice.sends(b"x" * 65 + b"\n")
    assert "-- Not said: a line may have at most 64 bytes." in alice.sees
    one.sends(b"y" * 65 + b"\n")
    assert one.gone
    alice.sends(b"/join a\n", b"/join b\n")
    assert any("Too many rooms were created" in line for line in alice.sees)
    bob = Visitor(world, factory)
    assert bob.sees == ["-- The server is full. Please try again later."]
    alice.hangs_up()


def test_a_longer_line_is_taken_from_who_is_here_as_well() -> None:
    world = World(limits=Limits(rate=0, byte_rate=0, line_length=64))
    factory = ChatFactory(world.chat)
    alice = Visitor(world, factory)
    world.chat.configure(Settings(), UNLIMITED)
    factory.configure()
    alice.sends(b"x" * 1000 + b"\n")
    assert not any("Not said" in line for line in alice.sees)
    alice.hangs_up()


# What is read


def test_the_command_line_goes_on_winning_and_what_needs_a_restart_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "chat.toml"
    config.write_text('port = 0\nname = "a"\nscrollback = 1\nmanhole = "hole"\n')
    options = Options()
    options.parseOptions(["--config", "chat.toml", "--name", "given"])
    monkeypatch.chdir("/")
    assert options.reread()[1] == []
    (tmp_path / "motd.txt").write_text("Be kind.\n")
    config.write_text('port = 1\nname = "b"\nscrollback = 2\nlobby = "x"\nmotd = "motd.txt"\n')
    values, changed = options.reread()
    assert (values["name"], values["scrollback"], values["rate"]) == ("given", 2, 2.0)
    assert values["motd"] == "Be kind.\n"
    assert changed == ["port", "lobby", "manhole"]
    config.write_text("prot = 1\n")
    with pytest.raises(SettingError, match="unknown key 'prot'; did you mean port"):
        options.reread()


def test_without_a_file_the_motd_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "motd").write_text("one")
    options = Options()
    options.parseOptions(["--port", "0", "--motd", "motd"])
    monkeypatch.chdir("/")
    (tmp_path / "motd").write_text("two")
    values, changed = options.reread()
    assert values["motd"] == "two"
    assert changed == []


# A server of its own


def comes_and_sees(ended: ExitStack, server: Server, expected: bytes) -> Terminal:
    terminal = Terminal(server.path)
    ended.callback(terminal.close)
    terminal.reads(expected)
    return terminal


def logs(server: Server, text: str) -> None:
    overdue = time.monotonic() + DEADLINE
    while text not in server.output:
        assert time.monotonic() < overdue, server.output
        time.sleep(0.01)


def test_sighup_changes_the_motd_and_a_limit_and_drops_nobody(
    tmp_path: Path, ended: ExitStack
) -> None:
    config, motd = tmp_path / "chat.toml", tmp_path / "motd.txt"
    config.write_text('motd = "motd.txt"\nline-length = 100\n')
    motd.write_text("one")
    data = ("--data", str(tmp_path / "data"))
    server = running(ended, tmp_path, MODULE, "--config", str(config), *data).started()
    alice = comes_and_sees(ended, server, b"-- one\r\n")
    alice.sends(b"x" * 90 + b"\n")
    motd.write_text("two")
    config.write_text('motd = "motd.txt"\nline-length = 64\nlobby = "hall"\nkeep-lines = 9\n')
    server.process.send_signal(signal.SIGHUP)
    logs(server, "Reloaded: the settings")
    assert "lobby has changed. Restart the server to apply it." in server.output
    comes_and_sees(ended, server, b"-- two\r\n")
    alice.sends(b"x" * 90 + b"\n")
    alice.reads(b"a line may have at most 64 bytes.\r\n")

    motd.write_text("three")
    config.write_text('motd = "motd.txt"\nline-length = "long"\n')
    server.process.send_signal(signal.SIGHUP)
    logs(server, "Not reloaded")
    assert (
        f"{config}: line-length: expected a whole number from 64 to 65536 (bytes), not 'long'"
        in server.output
    )
    comes_and_sees(ended, server, b"-- two\r\n")
    alice.sends(b"/back\n")
    alice.reads(b"You are not away.")
    assert server.stop() == -signal.SIGTERM
    assert "Traceback" not in server.output


def test_closing_the_terminal_still_ends_a_server_in_the_foreground(
    tmp_path: Path, ended: ExitStack
) -> None:
    path = tmp_path / "line"
    # The terminal is to be its controlling one. Not by pty.fork: there may be threads here.
    program = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        " os.execv(sys.argv[1], sys.argv[1:])"
    )
    master, terminal = os.openpty()
    closing = ended.enter_context(ExitStack())
    closing.callback(os.close, master)
    server = subprocess.Popen(
        [sys.executable, "-c", program, *MODULE, "--listen", f"unix:{path}"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    ended.callback(server.wait)
    ended.callback(server.kill)
    output = b""
    while b"--data to store them" not in output:
        assert select.select([master], [], [], DEADLINE)[0], output
        output += os.read(master, 65536)
    alice = Terminal(path)
    ended.callback(alice.close)
    alice.greeted()
    closing.close()
    assert alice.reads_to_the_end().endswith(b"-- The server is shutting down.\r\n")
    server.wait(DEADLINE)
    assert not path.exists()
