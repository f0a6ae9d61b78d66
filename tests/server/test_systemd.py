"""What the service manager is told, and sockets that it hands over."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chatroom.server.systemd import STATUS_SECONDS, Notifier, NotifyService, from_environment
from tests.support.doubles import Clock
from tests.support.process import (
    MODULE,
    ROOT,
    TWISTD,
    Terminal,
    comes,
    environment,
    kill,
    running,
    wait_for_end,
)
from tests.support.reactor import DEADLINE


class Manager:
    """A service manager that notes what it is told."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(DEADLINE)
        self.socket.bind(address)

    def hears(self) -> str:
        return self.socket.recv(4096).decode()

    def hears_until(self, beginning: str) -> list[str]:
        overdue = time.monotonic() + DEADLINE
        heard = [self.hears()]
        while not heard[-1].startswith(beginning):
            assert time.monotonic() < overdue, heard
            heard.append(self.hears())
        return heard

    def hears_nothing(self) -> bool:
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            return not self.socket.recv(4096)
        return True


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    with made.socket:
        yield made


@pytest.fixture
def notifier(manager: Manager, tmp_path: Path) -> Iterator[Notifier]:
    made = Notifier(str(tmp_path / "notify"))
    yield made
    made.close()


# The notifier


def test_what_is_told_is_one_datagram(manager: Manager, notifier: Notifier) -> None:
    notifier.send("READY=1", "STATUS=all is well")
    assert manager.hears() == "READY=1\nSTATUS=all is well"


def test_a_line_feed_begins_no_assignment_of_its_own(manager: Manager, notifier: Notifier) -> None:
    notifier.send("STATUS=a\nWATCHDOG=trigger")
    assert manager.hears() == "STATUS=a WATCHDOG=trigger"


def test_a_reload_says_since_when(manager: Manager, notifier: Notifier) -> None:
    notifier.reloading()
    first, second = manager.hears().split("\n")
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


def test_an_abstract_socket_will_do() -> None:
    name = f"chatroom-test-{os.getpid()}"
    listening = Manager(f"\0{name}")
    notifier = Notifier(f"@{name}")
    notifier.ready()
    assert listening.hears() == "READY=1"
    notifier.close()
    listening.socket.close()


@pytest.mark.parametrize("path", ["", "/nonexistent/notify", "/" + "x" * 200, "@" + "x" * 200])
def test_that_nobody_listens_is_no_error(path: str) -> None:
    notifier = Notifier(path)
    assert notifier.listening is bool(path)
    notifier.ready()
    notifier.close()
    notifier.ready()


def test_a_manager_that_does_not_read_holds_nobody_up(manager: Manager, notifier: Notifier) -> None:
    for _ in range(10_000):
        notifier.send("WATCHDOG=1")
    assert manager.hears() == "WATCHDOG=1"


# The environment


def test_what_was_said_about_notifying_is_not_left_to_children(tmp_path: Path) -> None:
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/",
    }
    notifier, watchdog = from_environment(environment)
    assert notifier.listening
    assert watchdog == 30
    assert environment == {"HOME": "/"}
    notifier.close()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "relative"},
        {"NOTIFY_SOCKET": "@"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_where_nothing_useful_is_said_nobody_is_notified(environment: dict[str, str]) -> None:
    notifier, watchdog = from_environment(environment)
    assert not notifier.listening
    assert watchdog == 0


# The service


class Running:
    """A notifying service on a clock, with as many people as `people` says."""

    def __init__(self, notifier: Notifier, watchdog: float = 0.0) -> None:
        self.clock = Clock()
        self.people = 0
        self.begin: list[Callable[[], None]] = []
        self.service = NotifyService(
            self.clock, self.begin.append, notifier, watchdog, lambda: self.people
        )
        self.service.startService()


def test_it_is_ready_when_the_reactor_runs_and_says_when_it_stops(
    manager: Manager, notifier: Notifier
) -> None:
    running = Running(notifier)
    (begin,) = running.begin
    begin()
    assert manager.hears() == "READY=1"
    assert manager.hears() == "STATUS=0 people connected"
    running.service.stopService()
    assert manager.hears() == "STOPPING=1\nSTATUS=Stopping"
    assert not running.clock.getDelayedCalls()


def test_the_number_of_people_is_told_when_it_changes_and_not_more_often(
    manager: Manager, notifier: Notifier
) -> None:
    running = Running(notifier)
    running.begin[0]()
    manager.hears_until("STATUS=0")
    running.people = 7
    running.people = 1
    running.clock.advance(STATUS_SECONDS)
    assert manager.hears() == "STATUS=1 person connected"
    running.clock.advance(STATUS_SECONDS)
    running.service.stopService()
    assert manager.hears().startswith("STOPPING")


def test_a_sign_of_life_is_given_twice_as_often_as_it_is_due(
    manager: Manager, notifier: Notifier
) -> None:
    running = Running(notifier, watchdog=2.0)
    running.begin[0]()
    running.clock.pump([1.0] * 4)
    running.service.stopService()
    assert manager.hears_until("STOPPING").count("WATCHDOG=1") == 5


def test_without_a_manager_there_is_nothing_to_do() -> None:
    running = Running(Notifier(), watchdog=2.0)
    assert not running.begin
    running.service.stopService()


def test_a_start_that_is_stopped_at_once_is_never_ready(
    manager: Manager, notifier: Notifier
) -> None:
    running = Running(notifier)
    running.service.stopService()
    running.begin[0]()
    assert manager.hears().startswith("STOPPING")
    assert manager.hears_nothing()


# Through twistd


def test_a_server_tells_its_manager_from_start_to_stop(
    tmp_path: Path, ended: ExitStack, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    # So seldom that there is room for what else is told: the kernel holds some ten datagrams.
    monkeypatch.setenv("WATCHDOG_USEC", "1000000000")
    server = running(ended, tmp_path, MODULE)
    # Whoever is told that it is ready may connect.
    manager.hears_until("READY=1")
    alice = comes(ended, server)
    manager.hears_until("WATCHDOG=1")
    server.process.send_signal(signal.SIGHUP)
    manager.hears_until("RELOADING=1\nMONOTONIC_USEC=")
    manager.hears_until("READY=1")
    server.process.send_signal(signal.SIGTERM)
    manager.hears_until("STOPPING=1")
    assert alice.reads_to_the_end().endswith(b"-- The server is shutting down.\r\n")
    server.process.wait(DEADLINE)


def test_a_reactor_that_is_stuck_gives_no_sign_of_life(
    tmp_path: Path, ended: ExitStack, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    server = running(ended, tmp_path, MODULE, "--manhole", str(tmp_path / "manhole"))
    manager.hears_until("WATCHDOG=1")
    prompt = Terminal(tmp_path / "manhole")
    ended.callback(prompt.close)
    prompt.sends(b"print('stuck'); import os; os.read(os.pipe()[0], 1)\n")
    manager.socket.settimeout(1.0)
    with pytest.raises(TimeoutError):
        # It never is again.
        manager.hears_until("READY=1")
    server.process.kill()


def activated(listening: socket.socket, folder: Path, *command: str) -> Any:
    """A process that is handed *listening* as systemd does it, under the name "chat"."""
    program = (
        "import os, sys; os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1',"
        " 'LISTEN_FDNAMES': 'chat'}; os.dup2(int(sys.argv[1]), 3);"
        " os.set_inheritable(3, True); os.execv(sys.argv[2], sys.argv[2:])"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, str(listening.fileno()), *command],
        cwd=folder,
        env=environment(folder),
        pass_fds=[listening.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("which", ["name=chat", "index=0"])
def test_nobody_is_refused_while_a_server_with_a_socket_from_systemd_restarts(
    tmp_path: Path, ended: ExitStack, which: str
) -> None:
    if socket.has_dualstack_ipv6():
        domain = "INET6"
        made = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    else:
        domain = "INET"
        made = socket.create_server(("127.0.0.1", 0))
    listening = ended.enter_context(made)
    address = ("127.0.0.1", listening.getsockname()[1])
    command = (*MODULE, "--listen", f"systemd:domain={domain}:{which}")

    def start() -> Any:
        server = activated(listening, tmp_path, *command)
        ended.callback(server.wait)
        ended.callback(server.kill)
        return server

    def client() -> Terminal:
        terminal = Terminal(address)
        ended.callback(terminal.close)
        return terminal

    first = start()
    alice = client().greeted()
    first.send_signal(signal.SIGTERM)
    assert alice.reads_to_the_end().endswith(b"-- The server is shutting down.\r\n")
    first.wait(DEADLINE)
    # Nobody takes this one in yet.
    bob = client()
    second = start()
    bob.greeted()
    second.send_signal(signal.SIGTERM)
    second.wait(DEADLINE)


def test_a_socket_from_systemd_survives_going_to_the_background(
    tmp_path: Path, ended: ExitStack
) -> None:
    listening = ended.enter_context(socket.create_server(("127.0.0.1", 0)))
    pid_file = tmp_path / "pid"
    command = (sys.executable, TWISTD, f"--pidfile={pid_file}", f"--logfile={tmp_path / 'log'}")
    server = activated(
        listening, tmp_path, *command, "chatroom", "--listen", "systemd:domain=INET:name=chat"
    )
    assert server.wait(DEADLINE) == 0
    pid = int(pid_file.read_text())
    ended.callback(kill, pid)
    terminal = Terminal(("127.0.0.1", listening.getsockname()[1]))
    ended.callback(terminal.close)
    terminal.greeted()
    os.kill(pid, signal.SIGTERM)
    assert terminal.reads_to_the_end().endswith(b"-- The server is shutting down.\r\n")
    wait_for_end(pid)


# What is said about installing


def test_what_the_documents_install_is_what_the_units_start() -> None:
    unit = (ROOT / "contrib" / "chatroom.service").read_text()
    manual = (ROOT / "docs" / "operating.md").read_text()
    (program,) = re.findall(r"^ExecStart=(\S+)/bin/chatroom .*--config (\S+)", unit, re.MULTILINE)
    folder, config = program
    assert f"python3 -m venv {folder} && {folder}/bin/pip install" in manual
    assert f"touch {config}" in manual
    (user,) = re.findall(r"^User=(\S+)", unit, re.MULTILINE)
    (state,) = re.findall(r"^StateDirectory=(\S+)", unit, re.MULTILINE)
    assert re.search(rf"^useradd .*--home-dir /var/lib/{state} .* {user}$", manual, re.MULTILINE)
    cron = (ROOT / "docs" / "data.md").read_text()
    assert f"* * * {user} {folder}/bin/chatroom-data backup /var/lib/{state} " in cron
    assert f"-g {user} " in (ROOT / "docs" / "tls-and-proxies.md").read_text()
