"""Trying endpoints before the server starts, without leaving a trace."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from chatroom.server.endpoints import (
    EndpointError,
    check,
    default_endpoints,
    describe,
    describe_http,
    describe_ssh,
    kinds_here,
    with_backlog,
)
from chatroom.server.probe import probe
from tests.support.reactor import DEADLINE


def refusal(*descriptions: str, rundir: str = ".") -> str:
    with pytest.raises(EndpointError) as refused:
        probe(*descriptions, rundir=rundir)
    return str(refused.value)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, short enough for the paths of sockets."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# TCP


def test_a_port_that_was_tried_is_free_again() -> None:
    port = free_port()
    probe(f"tcp:{port}:interface=127.0.0.1")
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_port_on_which_another_server_listens_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refusal(f"tcp:{port}:interface=127.0.0.1") == (
            f"cannot listen on tcp:{port}:interface=127.0.0.1: the port is already in use"
        )


def test_a_port_closed_a_moment_ago_may_be_opened_again() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)), server:
        accepted, _ = server.accept()
        accepted.close()
    probe(f"tcp:{port}:interface=127.0.0.1")


def test_the_same_port_twice_is_refused() -> None:
    port = free_port()
    line = refusal(*default_endpoints(port), f"tcp:{port}")
    assert line == f"cannot listen on tcp:{port}: the port is already in use"


def test_any_free_port_may_be_asked_for_twice() -> None:
    probe("tcp:0", "tcp:0")


def test_a_privileged_port_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    # In place of a port below 1024, which root may open.
    monkeypatch.setattr(socket, "socket", refuse)
    assert refusal("tcp:1").endswith("tcp:1: no permission (the lowest ports are for root)")


def test_a_balancer_in_front_changes_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = refusal(f"haproxy:tcp:{port}:interface=127.0.0.1")
    assert line.endswith("the port is already in use")


def test_standard_input_is_left_alone() -> None:
    probe("stdio:")


class Kernel:
    """A socket module's socket on a machine whose `net.ipv6.bindv6only` is *alone*."""

    def __init__(self, alone: int) -> None:
        self.alone = alone

    def __call__(self, family: int, kind: int) -> Kernel:
        return self

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def bind(self, address: tuple[str, int]) -> None:
        assert address[0] == "::"

    def getsockopt(self, level: int, option: int) -> int:
        assert option == socket.IPV6_V6ONLY
        return self.alone


@pytest.mark.parametrize(("alone", "kinds"), [(0, ("tcp6",)), (1, ("tcp", "tcp6"))])
def test_the_kernel_says_whether_ipv6_brings_ipv4_with_it(
    alone: int, kinds: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", Kernel(alone))
    assert kinds_here() == kinds


def test_a_kernel_without_ipv6_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    assert kinds_here() == ("tcp",)


def test_a_name_that_no_machine_has_is_refused() -> None:
    assert refusal("tcp:0:interface=no.such.name.invalid").endswith(
        "not an address of this machine"
    )


# UNIX sockets


def test_trying_a_socket_makes_no_file(in_folder: Path) -> None:
    probe("unix:chat")
    assert list(in_folder.iterdir()) == []


def test_a_socket_with_a_live_owner_is_refused_and_kept(in_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as live:
        live.bind("chat")
        Path("chat.lock").symlink_to(str(os.getpid()))
        assert refusal("unix:chat").endswith(f"belongs to the running process {os.getpid()}")
    assert {file.name for file in in_folder.iterdir()} == {"chat", "chat.lock"}


def test_an_owner_of_another_user_is_alive(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(process: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    Path("chat.lock").symlink_to("77")
    assert refusal("unix:chat").endswith("belongs to the running process 77")


def test_a_socket_without_a_lock_is_refused_and_kept(in_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as live:
        live.bind("chat")
    assert refusal("unix:chat").endswith("/chat exists already; remove it if no server uses it")
    assert Path("chat").is_socket()


def test_a_socket_whose_owner_died_is_fine_and_kept(in_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind("chat")
    Path("chat.lock").symlink_to(str(dead_process()))
    probe("unix:chat")
    assert {file.name for file in in_folder.iterdir()} == {"chat", "chat.lock"}


def test_a_file_that_is_no_socket_is_refused_even_if_its_owner_died(in_folder: Path) -> None:
    Path("chat").write_text("a letter")
    Path("chat.lock").symlink_to(str(dead_process()))
    assert "exists already" in refusal("unix:chat")


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_the_same_socket_twice_is_refused(in_folder: Path) -> None:
    assert "exists already" in refusal("unix:chat", "unix:./chat:lockfile=0")


def test_a_socket_is_looked_for_where_the_server_will_run(in_folder: Path) -> None:
    (in_folder / "run").mkdir()
    (in_folder / "run" / "chat").write_text("")
    probe("unix:chat")
    assert f"{in_folder}/run/chat exists already" in refusal("unix:chat", rundir="run")


def test_a_socket_inside_a_chroot_is_left_for_the_server(in_folder: Path) -> None:
    probe("unix:/nowhere/chat", chroot="/srv")


def test_a_path_too_long_for_a_socket_is_refused(in_folder: Path) -> None:
    assert "at most 107 bytes" in refusal(f"unix:{'x' * 108}")


def test_a_folder_without_permission_is_refused(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In place of a chmod, which does not stop root.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert refusal("unix:chat").endswith(f"no permission to create a file in {in_folder}")


# Sockets from systemd


def log_in_as(kind: str, listening: bool = True) -> subprocess.CompletedProcess[str]:
    """What `probe` says in a process that was handed an IPv4 socket as systemd does it."""
    code = f"""
import os, sys
os.dup2({{}}, 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="chat")
from chatroom.server.endpoints import EndpointError
from chatroom.server.probe import probe
try:
    probe("systemd:{kind}:name=chat")
except EndpointError as error:
    sys.exit(str(error))
finally:
    os.fstat(3)
"""
    with socket.socket() as handed:
        handed.bind(("127.0.0.1", 0))
        if listening:
            handed.listen()
        return subprocess.run(
            [sys.executable, "-c", code.format(handed.fileno())],
            pass_fds=[handed.fileno()],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )


def test_a_socket_from_systemd_is_left_open_for_the_server() -> None:
    ended = log_in_as("INET")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_socket_from_systemd_of_another_family_is_refused() -> None:
    assert log_in_as("INET6").stderr.endswith("the socket handed over is AF_INET\n")


def test_a_socket_from_systemd_that_does_not_listen_is_refused() -> None:
    assert log_in_as("INET", listening=False).stderr.endswith("does not listen\n")


# Endpoint strings


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        ("tcp:1", "tcp:1:backlog=4096"),
        ("tcp:1:127.0.0.1", "tcp:1:127.0.0.1:backlog=4096"),
        ("tcp:1:127.0.0.1:9", "tcp:1:127.0.0.1:9"),
        (r"tcp6:1:interface=\:\:1", r"tcp6:1:interface=\:\:1:backlog=4096"),
        ("tcp6:1:9", "tcp6:1:9"),
        ("tcp:backlog=9:port=1", "tcp:backlog=9:port=1"),
        (r"ssl:1:privateKey=a\:backlog=9", r"ssl:1:privateKey=a\:backlog=9:backlog=4096"),
        ("unix:/run/chat", "unix:/run/chat:backlog=4096"),
        ("haproxy:tcp:1", "haproxy:tcp:1:backlog=4096"),
        ("proxy:tcp:1", "proxy:tcp:1:backlog=4096"),
        ("systemd:INET:index=0", "systemd:INET:index=0"),
        ("", ""),
    ],
)
def test_a_backlog_is_put_where_none_is_named(given: str, completed: str) -> None:
    assert with_backlog(given) == completed


@pytest.mark.parametrize(
    ("endpoint", "how"),
    [
        ("tcp:8008", "telnet HOST 8008"),
        ("tcp6:8008:backlog=4096", "telnet HOST 8008"),
        ("tcp:port=8008:interface=127.0.0.1", "telnet 127.0.0.1 8008"),
        (r"tcp6:8008:interface=\:\:1", "telnet ::1 8008"),
        ("tcp:0", "telnet HOST PORT"),
        ("ssl:6697:key.pem", "openssl s_client -quiet -connect HOST:6697"),
        (r"tls:/etc/keys:interface=\:\:1", "openssl s_client -quiet -connect [::1]:443"),
        ("unix:/run/chat:mode=660", "nc -U /run/chat"),
        ("haproxy:tcp:8008", "telnet HOST 8008 (a PROXY protocol balancer)"),
        ("proxy:tcp:8008", "telnet HOST 8008 (behind a proxy)"),
        ("proxy:unix:/run/chat", "nc -U /run/chat (behind a proxy)"),
        ("systemd:INET:index=0", "systemd:INET:index=0"),
    ],
)
def test_an_endpoint_is_described_by_how_to_connect_to_it(endpoint: str, how: str) -> None:
    assert describe(endpoint) == how


@pytest.mark.parametrize(
    ("endpoint", "how"),
    [
        ("tcp:8443", "openssl s_client -quiet -connect HOST:8443 (TLS)"),
        (r"tcp6:8443:interface=\:\:1", "openssl s_client -quiet -connect [::1]:8443 (TLS)"),
        ("unix:/run/chat", "openssl s_client -quiet -unix /run/chat (TLS)"),
        ("systemd:INET:index=0", "systemd:INET:index=0 (TLS)"),
        ("proxy:tcp:1", "openssl s_client -quiet -connect HOST:1 (TLS, behind a proxy)"),
    ],
)
def test_an_endpoint_for_tls_is_described_by_how_to_connect_to_it(endpoint: str, how: str) -> None:
    assert describe(endpoint, tls=True) == how


def test_an_endpoint_behind_a_proxy_is_tried_like_any_other() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refusal(f"proxy:tcp:{port}:interface=127.0.0.1") == (
            f"cannot listen on proxy:tcp:{port}:interface=127.0.0.1: the port is already in use"
        )


@pytest.mark.parametrize(
    "description", ["proxy:unix:/run/chat", "proxy:systemd:UNIX:0", "proxy:systemd:domain=UNIX"]
)
def test_behind_a_unix_socket_no_proxy_has_to_be_named(description: str) -> None:
    check(description, tls=False, proxies=False)
    check(description, tls=True, proxies=False)


@pytest.mark.parametrize(
    ("description", "tls", "complaint"),
    [
        ("proxy:tcp:1", False, "say with --proxy-from from which address or network the proxy "),
        ("proxy:tcp:1", True, "such as --proxy-from 127.0.0.1"),
        ("proxy:systemd:INET:0", False, "say with --proxy-from"),
        ("ssl:1", True, "ssl: has TLS already; write --listen ssl:1"),
        ("proxy:ssl:1", False, "a proxy's header comes before TLS; write --tls proxy:tcp:1"),
        ("proxy:haproxy:tcp:1", False, "a connection has only one proxy header"),
        ("proxy:proxy:tcp:1", False, "a connection has only one proxy header"),
    ],
)
def test_what_makes_no_sense_is_refused(description: str, tls: bool, complaint: str) -> None:
    with pytest.raises(EndpointError) as refused:
        check(with_backlog(description), tls, proxies=False)
    line = str(refused.value)
    assert line.startswith(f"cannot listen on {description}: ")
    assert complaint in line


@pytest.mark.parametrize(
    ("endpoint", "how"),
    [
        ("tcp:9108:interface=127.0.0.1", "http://127.0.0.1:9108/metrics"),
        (r"tcp6:9108:interface=\:\:1", "http://[::1]:9108/metrics"),
        ("tcp:0:interface=0.0.0.0", "http://HOST:PORT/metrics"),
        ("ssl:9108:interface=192.0.2.1", "https://192.0.2.1:9108/metrics"),
        ("unix:/run/m", "curl --unix-socket /run/m http://localhost/metrics"),
        ("systemd:domain=INET:index=1", "systemd:domain=INET:index=1, /metrics"),
    ],
)
def test_an_endpoint_of_http_is_described_by_its_address(endpoint: str, how: str) -> None:
    assert describe_http(endpoint, "/metrics") == how


@pytest.mark.parametrize(
    ("endpoint", "how"),
    [
        ("tcp:2222", "ssh -p 2222 HOST"),
        (r"tcp6:0:interface=\:\:1", "ssh -p PORT ::1"),
        ("proxy:tcp:2222", "ssh -p 2222 HOST (behind a proxy)"),
        ("haproxy:tcp:2222", "ssh -p 2222 HOST (behind a proxy)"),
        ("systemd:INET:index=0", "systemd:INET:index=0 (SSH)"),
    ],
)
def test_an_endpoint_of_ssh_is_described_by_how_to_connect_to_it(endpoint: str, how: str) -> None:
    assert describe_ssh(endpoint) == how
