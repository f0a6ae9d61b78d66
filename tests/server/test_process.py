"""The server as it is run: a process of its own, real sockets, signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from chatroom.doors.writer import CLOSING_SECONDS
from tests.support.certificates import issued
from tests.support.process import (
    FOREGROUND,
    MODULE,
    TWISTD,
    Terminal,
    alive,
    comes,
    environment,
    kill,
    running,
    wait_for_answer,
    wait_for_end,
)
from tests.support.reactor import DEADLINE


@pytest.mark.parametrize("command", [FOREGROUND, MODULE], ids=["twistd", "python -m chatroom"])
def test_people_talk_until_the_server_is_stopped(
    tmp_path: Path, ended: ExitStack, command: list[str]
) -> None:
    server = running(ended, tmp_path, command).started()
    alice, bob = comes(ended, server), comes(ended, server)
    alice.sends(b"/nick alice\n")
    alice.reads(b"-- You are now alice.\r\n")
    alice.sends("你好\n".encode())
    bob.reads("alice: 你好\r\n".encode())
    assert server.stop() == -signal.SIGTERM
    for client in (alice, bob):
        assert client.reads_to_the_end().endswith(b"-- The server is shutting down.\r\n")
    assert "Traceback" not in server.output
    assert not server.path.exists()
    assert not (tmp_path / "twistd.pid").exists()


def test_ctrl_c_stops_it_as_well(tmp_path: Path, ended: ExitStack) -> None:
    # What a shell has started in the background ignores it, and so would all that is started here.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    ended.callback(signal.signal, signal.SIGINT, former)
    server = running(ended, tmp_path, MODULE).started()
    alice = comes(ended, server)
    server.process.send_signal(signal.SIGINT)
    assert alice.reads_to_the_end() == b"-- The server is shutting down.\r\n"
    server.process.wait(DEADLINE)
    assert "Traceback" not in server.output


def test_it_tells_where_it_listens(tmp_path: Path, ended: ExitStack) -> None:
    server = running(ended, tmp_path, MODULE).started()
    assert str(server.path) in server.output
    server.stop()


def test_of_200_clients_all_who_read_are_told_and_one_who_does_not_holds_nobody_up(
    tmp_path: Path, ended: ExitStack
) -> None:
    server = running(ended, tmp_path, MODULE, "--rate", "0", "--byte-rate", "0").started()
    clients = [comes(ended, server) for _ in range(199)]
    deaf = comes(ended, server)
    deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    talker = clients[0]
    for _ in range(40):
        talker.sends((b"x" * 1000 + b"\n") * 10)
    talker.sends(b"end\n")
    for client in clients[1:]:
        client.reads(b": end\r\n")
    begun = time.monotonic()
    assert server.stop() == -signal.SIGTERM
    # It does not wait until the connection would be closed anyhow; no measure of speed.
    assert time.monotonic() - begun < CLOSING_SECONDS
    farewells = [client.reads_to_the_end() for client in clients]
    assert all(last.endswith(b"-- The server is shutting down.\r\n") for last in farewells)
    assert b"shutting down" not in deaf.reads_to_the_end()
    assert "Traceback" not in server.output


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path, ended: ExitStack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = running(ended, tmp_path, MODULE, "--listen", f"tcp:{port}:interface=127.0.0.1")
        assert server.process.wait(DEADLINE) == 1
    (line,) = server.output.splitlines()
    assert str(port) in line
    assert "in use" in line


def test_an_unknown_option_is_said_in_one_line(tmp_path: Path, ended: ExitStack) -> None:
    server = running(ended, tmp_path, MODULE, "--frobnicate")
    assert server.process.wait(DEADLINE) == 1
    (line,) = server.output.splitlines()
    assert "--frobnicate" in line


def test_over_tcp_a_script_says_all_its_lines_and_reads_its_answers(
    tmp_path: Path, ended: ExitStack
) -> None:
    server = running(ended, tmp_path, MODULE, "--listen", "tcp:0:interface=127.0.0.1").started()
    bob = comes(ended, server)
    script = Terminal(("127.0.0.1", server.port))
    ended.callback(script.close)
    script.sends(b"/nick u1\nhi\nlast")
    script.socket.shutdown(socket.SHUT_WR)
    assert b"-- You are now u1.\r\n" in script.reads_to_the_end()
    bob.reads(b"u1: last\r\n")
    server.stop()


def encrypted(ended: ExitStack, port: int, hello: bytes = b"") -> tuple[Terminal, bytes]:
    """A client over TLS that has said *hello* in the clear, and the certificate it was shown."""
    client = Terminal(("127.0.0.1", port))
    ended.callback(client.close)
    client.sends(hello)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    secret = context.wrap_socket(client.socket)
    ended.callback(secret.close)
    client.socket = secret
    shown = secret.getpeercert(binary_form=True)
    assert shown is not None
    return client.greeted(), shown


def test_through_a_proxy_and_tls_while_the_certificate_is_renewed(
    tmp_path: Path, ended: ExitStack
) -> None:
    path = tmp_path / "both.pem"
    path.write_bytes(b"".join(issued("first")))
    server = running(
        *(ended, tmp_path, FOREGROUND),
        *("--tls", "proxy:tcp:0:interface=127.0.0.1", "--certificate", "both.pem"),
        *("--proxy-from", "127.0.0.1", "--connections-per-source", "1"),
    ).started()
    port = server.port
    hello = b"PROXY TCP4 192.0.2.%d 192.0.2.1 1 2\r\n"
    alice, first = encrypted(ended, port, hello % 1)
    with pytest.raises(AssertionError, match="There are 1 connections from your address"):
        encrypted(ended, port, hello % 1)
    renewed = b"".join(issued("second"))
    (tmp_path / "new.pem").write_bytes(renewed)
    (tmp_path / "new.pem").replace(path)
    overdue = time.monotonic() + DEADLINE
    number = 2
    while (found := encrypted(ended, port, hello % number))[1] == first:
        found[0].close()
        number += 1
        assert time.monotonic() < overdue, server.output
        time.sleep(0.5)
    assert ssl.DER_cert_to_PEM_cert(found[1]).encode() in renewed
    alice.sends(b"still here\n")
    found[0].reads(b": still here\r\n")
    unsaid = Terminal(("127.0.0.1", port))
    ended.callback(unsaid.close)
    unsaid.sends(b"/nick mallory\n")
    assert unsaid.reads_to_the_end() == b""
    assert server.stop() == -signal.SIGTERM
    assert alice.reads_to_the_end().endswith(b"-- The server is shutting down.\r\n")
    assert "Traceback" not in server.output
    assert "(TLS, behind a proxy)" in server.output


def test_a_script_that_ends_without_a_word_of_tls_is_heard_and_answered(
    tmp_path: Path, ended: ExitStack
) -> None:
    (tmp_path / "both.pem").write_bytes(b"".join(issued("localhost")))
    server = running(
        *(ended, tmp_path, MODULE),
        *("--tls", "tcp:0:interface=127.0.0.1", "--certificate", "both.pem"),
    ).started()
    bob = comes(ended, server)
    script, _ = encrypted(ended, server.port)
    script.sends(b"/nick ci\none\n/nick ci2\ntwo\nlast")
    # As ncat --ssl does: TCP ends, TLS does not.
    socket.socket.shutdown(script.socket, socket.SHUT_WR)
    told = script.reads_to_the_end()
    assert b"You are now ci.\r\n" in told
    assert told.endswith(b"You are now ci2.\r\n")
    assert b"ci: one\r\n" in bob.reads(b"ci2: last\r\n")
    server.stop()
    assert "Traceback" not in server.output


def test_as_a_daemon_it_writes_its_pid_and_its_log_and_ends_by_its_pid(
    tmp_path: Path, ended: ExitStack
) -> None:
    path, pid_file, log = tmp_path / "line", tmp_path / "pid", tmp_path / "log"
    command = [TWISTD, f"--pidfile={pid_file}", f"--logfile={log}"]
    started = subprocess.run(
        [*command, "chatroom", "--listen", f"unix:{path}"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    assert started.returncode == 0, started
    pid = int(pid_file.read_text())
    ended.callback(kill, pid)
    wait_for_answer(path, lambda: alive(pid), log)
    alice = Terminal(path)
    ended.callback(alice.close)
    alice.greeted()
    os.kill(pid, signal.SIGTERM)
    assert alice.reads_to_the_end() == b"-- The server is shutting down.\r\n"
    wait_for_end(pid)
    assert not pid_file.exists()
    text = log.read_text()
    assert re.search(r"Stopped; \d+ connections were told", text)
    assert "Traceback" not in text


def history(folder: Path) -> list[bytes]:
    """The lines in the file as people are shown them, in their order."""
    with closing(sqlite3.connect(folder / "data" / "chatroom.sqlite")) as connection:
        rows = connection.execute("SELECT name, text FROM events WHERE kind = 0 ORDER BY id")
        return [f"{name}: {text}".encode() for name, text in rows]


def test_what_anybody_received_is_in_the_history_after_a_kill(
    tmp_path: Path, ended: ExitStack
) -> None:
    arguments = ("--data", str(tmp_path / "data"), "--rate", "0", "--byte-rate", "0")
    server = running(ended, tmp_path, MODULE, *arguments).started()
    clients = [comes(ended, server) for _ in range(4)]
    for number in range(500):
        for index, client in enumerate(clients):
            client.sends(b"line %d of %d\n" % (number, index))
            client.reads_what_is_there()
        if b": line 150 of 3\r\n" in clients[0].data:
            break
    else:
        clients[0].reads(b": line 150 of 3\r\n")
    server.process.kill()
    server.process.wait(DEADLINE)
    kept = history(tmp_path)
    assert len(set(kept)) == len(kept)
    place = {line: index for index, line in enumerate(kept)}
    received = 0
    for client in clients:
        # The last one may be cut.
        lines = client.reads_to_the_end().split(b"\r\n")[:-1]
        places = [place[line] for line in lines if b": line " in line]
        received += len(places)
        assert places == sorted(places)
    assert received > 100
    (tmp_path / "line").unlink()

    again = running(ended, tmp_path, MODULE, *arguments).started()
    visitor = Terminal(again.path)
    ended.callback(visitor.close)
    assert kept[-1] in visitor.reads(b"-- Now\r\n")
    found = b""
    # The index is caught up soon after the start.
    while b"of 3" not in found:
        visitor.sends(b"/search line 150\n/back\n")
        found = visitor.reads(b"You are not away.")
    second = running(ended, tmp_path / "data", MODULE, *arguments)
    assert second.process.wait(DEADLINE) == 1
    (line,) = second.output.splitlines()
    assert "is in use by another server" in line
    again.stop()
    assert history(tmp_path) == kept


def test_a_name_and_what_waits_for_it_survive_a_kill(tmp_path: Path, ended: ExitStack) -> None:
    arguments = ("--data", str(tmp_path / "data"))
    server = running(ended, tmp_path, FOREGROUND, *arguments).started()
    alice, bob = comes(ended, server), comes(ended, server)
    alice.sends(b"/nick alice\n/register kohlrabi-77\n")
    alice.reads(b"-- alice is yours,")
    alice.sends(b"/bell on\n/join den\nhello den\n/quit\n")
    alice.reads_to_the_end()
    bob.sends(b"/msg alice call me\n")
    bob.reads(b"-- alice is not here. Your line waits, and is shown when they log in.\r\n")
    carol = comes(ended, server)
    carol.sends(b"/join den\n")
    carol.reads(b"-- You are now in #den")
    bob.sends(b"/nick bob\n/join den\nalice, are you there?\n")
    # Whoever has read it knows that it is kept.
    carol.reads(b"bob: alice, are you there?\r\n")
    bob.sends(b"/nick alice\n")
    bob.reads(b"-- alice is registered.")
    server.process.kill()
    server.process.wait(DEADLINE)
    assert "kohlrabi" not in server.output
    files = [path.read_bytes() for path in (tmp_path / "data").iterdir() if path.is_file()]
    assert not [data for data in files if b"kohlrabi" in data]
    (tmp_path / "line").unlink()

    again = running(ended, tmp_path, FOREGROUND, *arguments).started()
    alice = comes(ended, again)
    alice.sends(b"/login alice wrong-one\n/login alice kohlrabi-77\n")
    told = alice.reads(b"call me\r\n")
    for expected in (
        b"-- That is not the password of alice.\r\n",
        b"-- You are now alice.\r\n",
        b"-- You are now in #den.\r\n",
        b"-- 1 new\r\n",
        b" bob: alice, are you there?\r\n-- Now\r\n",
    ):
        assert expected in told
    assert again.stop() == -signal.SIGTERM
    assert "kohlrabi" not in again.output
    assert "scrypt" not in again.output
    assert "Traceback" not in again.output
