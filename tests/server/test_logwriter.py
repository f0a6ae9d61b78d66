"""Where the log goes: nobody waits for it, nothing is cut, and what is dropped is counted."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from chatroom.server.logwriter import LogWriter, open_file
from tests.support.process import (
    MODULE,
    ROOT,
    TWISTD,
    Terminal,
    alive,
    comes,
    environment,
    kill,
    wait_for_answer,
    wait_for_end,
)
from tests.support.process import running as run
from tests.support.reactor import DEADLINE


class Pipe:
    """A pipe of one page, and a writer to it."""

    def __init__(self, most: int = 20_000) -> None:
        self.end, fd = os.pipe()
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 4096)
        self.writer = LogWriter(fd, most=most)
        self.writer.start()
        self.fd = fd

    def read(self, last: str) -> list[str]:
        """The lines up to *last*."""
        data = b""
        while not data.endswith(f"{last}\n".encode()):
            data += os.read(self.end, 65536)
        return data.decode().splitlines()


@pytest.fixture
def pipe(ended: ExitStack) -> Pipe:
    made = Pipe()
    ended.callback(os.close, made.end)
    return made


def test_who_does_not_read_holds_nobody_up_and_is_told_what_they_missed(pipe: Pipe) -> None:
    for number in range(10_000):
        pipe.writer.write(f"line {number}\n")
    shown = pipe.read("line 9999")
    lines = [line for line in shown if line.startswith("line ")]
    lost = [re.fullmatch(r"(\d+) log lines were dropped\.", line) for line in shown]
    gaps = [int(gap[1]) for gap in lost if gap]
    assert len(lines) + len(gaps) == len(shown) < 6000
    assert len(lines) + sum(gaps) == 10_000
    pipe.writer.write("later\n")
    assert pipe.read("later") == ["later"]


def test_an_event_of_several_lines_is_kept_or_dropped_whole(pipe: Pipe) -> None:
    event = "It failed\n" + "".join(f"\tline {number}\n" for number in range(100))
    for _ in range(200):
        pipe.writer.write(event)
    pipe.writer.write("last\n")
    *shown, _ = pipe.read("last")
    shown = [line for line in shown if "dropped" not in line]
    assert len(shown) % 101 == 0
    assert shown[::101] == ["It failed"] * (len(shown) // 101)


def test_the_last_lines_are_waited_for_but_not_for_long(pipe: Pipe) -> None:
    pipe.writer.write("x" * 10_000 + "\n")
    begun = time.monotonic()
    pipe.writer.finish()
    pipe.writer.write("last\n")
    assert time.monotonic() - begun < 5
    reader = threading.Thread(target=pipe.read, args=["last"])
    reader.start()
    reader.join(DEADLINE)
    assert not reader.is_alive()


def test_a_standard_output_that_is_not_blocking_is_waited_for_all_the_same(pipe: Pipe) -> None:
    os.set_blocking(pipe.fd, False)
    text = "x" * 15_000
    pipe.writer.write(f"{text}\n")
    pipe.writer.write("last\n")
    assert pipe.read("last") == [text, "last"]


def test_on_a_full_disk_no_line_goes_on_with_another(tmp_path: Path) -> None:
    file = tmp_path / "log"
    program = f"""
import resource, signal, time
from chatroom.server.logwriter import LogWriter, open_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))
writer = LogWriter(open_file({str(file)!r}))
writer.write("one\\n")
writer.write("x" * 150 + "\\n")
writer.write("two\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
writer.write("three\\n")
"""
    subprocess.run([sys.executable, "-c", program], env=environment(tmp_path), check=True)
    first, cut, gap, last = file.read_text().splitlines()
    assert (first, cut, last) == ("one", "x" * 96, "three")
    assert gap == "2 log lines were dropped."


def test_only_its_owner_and_their_group_can_read_a_log_file(tmp_path: Path) -> None:
    former = os.umask(0)
    try:
        os.close(open_file(str(tmp_path / "log")))
    finally:
        os.umask(former)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640


def test_a_log_file_that_is_made_anew_has_the_same_mode_whatever_twistd_forbids(
    tmp_path: Path,
) -> None:
    former = os.umask(0o077)
    try:
        os.close(open_file(str(tmp_path / "log")))
    finally:
        os.umask(former)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640


# A server of its own


def wait_until(true: Callable[[], bool]) -> None:
    overdue = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < overdue
        time.sleep(0.01)


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_people_talk_while_nobody_reads_the_log(
    tmp_path: Path, ended: ExitStack, kind: str, format: str
) -> None:
    end, output = os.pipe() if kind == "pipe" else pty.openpty()
    if kind == "pipe":
        fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, 4096)
    else:
        # As after ^S.
        termios.tcflow(output, termios.TCOOFF)
    ended.callback(os.close, end)
    path = tmp_path / "line"
    process = subprocess.Popen(
        [*MODULE, "--listen", f"unix:{path}", "--log-format", format],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    ended.callback(os.close, output)
    ended.callback(process.wait)
    ended.callback(process.kill)
    wait_for_answer(path, lambda: process.poll() is None, Path(os.devnull))
    for _ in range(80):
        terminal = Terminal(path)
        ended.callback(terminal.close)
        terminal.greeted()
    alice, bob = Terminal(path), Terminal(path)
    ended.callback(alice.close)
    ended.callback(bob.close)
    alice.greeted()
    bob.greeted()
    alice.sends(b"hello\n")
    bob.reads(b": hello\r\n")
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_server_without_a_log_file_has_nothing_to_open_again(
    tmp_path: Path, ended: ExitStack, number: signal.Signals
) -> None:
    server = run(ended, tmp_path, MODULE).started()
    server.process.send_signal(number)
    alice = comes(ended, server)
    alice.close()
    assert server.stop() == -signal.SIGTERM


class Daemon:
    """A server in the background, which logs to `log` in *folder*."""

    def __init__(self, ended: ExitStack, folder: Path, *options: str) -> None:
        self.path, self.log, pid = folder / "line", folder / "log", folder / "pid"
        subprocess.run(
            [
                *(TWISTD, f"--pidfile={pid}", f"--logfile={self.log}", *options),
                *("chatroom", "--listen", f"unix:{self.path}"),
            ],
            cwd=folder,
            env=environment(folder),
            timeout=DEADLINE,
            check=True,
        )
        self.pid = int(pid.read_text())
        ended.callback(kill, self.pid)
        wait_for_answer(self.path, lambda: alive(self.pid), self.log)

    def rotates(self) -> None:
        """It is told that its log file was rotated, and has a new one."""
        os.kill(self.pid, signal.SIGUSR1)
        wait_until(self.log.exists)

    def stops(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        wait_for_end(self.pid)


def test_a_log_file_that_was_moved_or_removed_is_made_anew(
    tmp_path: Path, ended: ExitStack
) -> None:
    daemon = Daemon(ended, tmp_path)
    daemon.log.rename(tmp_path / "log.1")
    os.kill(daemon.pid, signal.SIGUSR2)
    daemon.rotates()
    wait_for_answer(daemon.path, lambda: alive(daemon.pid), daemon.log)
    wait_until(lambda: "joined #lobby" in daemon.log.read_text())
    assert " chatroom " in (tmp_path / "log.1").read_text()
    daemon.log.unlink()
    daemon.rotates()
    daemon.stops()
    assert "Server Shut Down." in daemon.log.read_text()
    assert "Server Shut Down." not in (tmp_path / "log.1").read_text()


def test_a_log_file_that_cannot_be_made_anew_goes_on(tmp_path: Path, ended: ExitStack) -> None:
    daemon = Daemon(ended, tmp_path)
    former = tmp_path / "log.1"
    daemon.log.rename(former)
    daemon.log.mkdir()
    os.kill(daemon.pid, signal.SIGUSR1)
    wait_until(lambda: "could not be opened again" in former.read_text())
    daemon.stops()
    assert "Server Shut Down." in former.read_text()


def test_a_log_that_is_cut_short_goes_on_at_its_beginning(tmp_path: Path, ended: ExitStack) -> None:
    # As logrotate does by `copytruncate`.
    daemon = Daemon(ended, tmp_path)
    os.truncate(daemon.log, 0)
    daemon.stops()
    assert "\0" not in daemon.log.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_server_that_becomes_another_user_can_open_its_log_again(
    ended: ExitStack,
) -> None:
    folder = Path(ended.enter_context(tempfile.TemporaryDirectory(dir="/tmp")))
    os.chown(folder, 65534, 65534)
    daemon = Daemon(ended, folder, "--uid", "65534", "--gid", "65534")
    status = daemon.log.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (65534, 65534, 0o640)
    daemon.log.rename(folder / "log.1")
    daemon.rotates()
    daemon.stops()
    assert "Server Shut Down." in daemon.log.read_text()


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("logrotate"), reason="needs root, and logrotate"
)
def test_logrotate_as_it_is_set_up(ended: ExitStack) -> None:
    folder = Path(ended.enter_context(tempfile.TemporaryDirectory(dir="/tmp")))
    folder.chmod(0o755)
    daemon = Daemon(ended, folder, "--uid", "65534", "--gid", "65534")
    settings = (ROOT / "contrib" / "logrotate" / "chatroom").read_text()
    for name, here in {
        "/var/log/chatroom/chatroom.log": str(daemon.log),
        "/run/chatroom.pid": str(folder / "pid"),
        "chatroom chatroom": "nobody nogroup",
    }.items():
        assert name in settings
        settings = settings.replace(name, here)
    (folder / "settings").write_text(settings)
    command = ["logrotate", "--force", "--state", str(folder / "state"), str(folder / "settings")]
    for _ in range(10):
        wait_until(lambda: daemon.log.stat().st_size > 0)
        subprocess.run(command, timeout=DEADLINE, check=True)
        wait_for_answer(daemon.path, lambda: alive(daemon.pid), daemon.log)
    daemon.stops()
    assert "Server Shut Down." in daemon.log.read_text()
    assert len(list(folder.glob("log.*"))) == 8


def test_a_log_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*(TWISTD, "--pidfile=", f"--logfile={tmp_path}/none/log"), "chatroom", "--port", "0"],
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout=DEADLINE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("chatroom: the log cannot be written: ")
    assert len(ran.stderr.splitlines()) == 1
