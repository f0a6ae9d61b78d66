"""The prompt in the running server."""

from __future__ import annotations

import builtins
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.testing import StringTransport

from chatroom.server.manhole import ManholeError, ManholeFactory, ManholeService, check
from chatroom.server.options import Options
from tests.support.reactor import on_reactor, reactor, until
from tests.support.sockets import Client, connect


class Prompt:
    """A connection to a prompt, in memory."""

    def __init__(self, **namespace: object) -> None:
        self.wire = StringTransport()
        factory: Any = ManholeFactory(namespace)
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.wire)
        self.greeting = self.wire.value()
        self.wire.clear()

    def answers(self, *lines: bytes) -> bytes:
        self.wire.clear()
        for line in lines:
            self.protocol.dataReceived(line + b"\n")
        answer: bytes = self.wire.value()
        return answer


def test_it_says_what_is_there() -> None:
    assert b"here are: chat, service." in Prompt(chat=1, service=2).greeting


def test_it_shows_what_a_line_gives_and_remembers_it() -> None:
    prompt = Prompt(chat=20)
    assert prompt.answers(b"chat + 1\r", b"_ * 2", b"None") == b"21\n>>> 42\n>>> >>> "


def test_what_is_printed_goes_to_the_prompt_and_not_to_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    prompt = Prompt()
    assert prompt.answers(b"for i in range(2):", b"  print(i)", b"") == b"... ... 0\n1\n>>> "
    assert capsys.readouterr().out == ""


def test_what_goes_to_standard_error_is_shown_as_well() -> None:
    assert Prompt().answers(b"import sys; n = sys.stderr.write('oh\\n')") == b"oh\n>>> "


def test_what_was_shown_last_is_not_kept_alive() -> None:
    prompt = Prompt()
    prompt.answers(b"'kept'")
    assert prompt.answers(b"_") == b"'kept'\n>>> "
    prompt.protocol.connectionLost()
    assert not hasattr(builtins, "_")


def test_what_is_printed_before_leaving_is_shown() -> None:
    assert Prompt().answers(b"print('bye'); exit()") == b"bye\n"


def test_an_error_is_shown_and_ends_nothing() -> None:
    prompt = Prompt()
    assert b"ZeroDivisionError" in prompt.answers(b"1/0")
    assert b"SyntaxError" in prompt.answers(b"a b")
    assert prompt.answers(b"\xff") == b"That is not UTF-8.\n>>> "
    assert prompt.answers(b"1") == b"1\n>>> "


@pytest.mark.parametrize(
    "line", [b"exit()", b"quit()", b"raise SystemExit", b"import sys; sys.exit()"]
)
def test_leaving_ends_the_connection_and_not_the_server(line: bytes) -> None:
    prompt = Prompt()
    prompt.answers(line)
    assert prompt.wire.disconnecting


async def connected(path: Path) -> Client:
    client = await connect(UNIXClientEndpoint(reactor, str(path)))
    return client


@on_reactor
async def test_its_socket_is_for_its_user_alone_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "manhole"
    modes: list[int] = []

    class Spy:
        """The reactor, which shows with what mode a socket is made."""

        def listenUNIX(self, *args: Any, **kwargs: Any) -> object:
            former = os.umask(0)
            os.umask(former)
            modes.append(former)
            return reactor.listenUNIX(*args, **kwargs)

    service = ManholeService(Spy(), str(path), {"answer": 42})
    service.startService()
    assert modes == [0o177]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    client = await connected(path)
    client.sends(b"answer\n")
    await client.reads(b"42\n>>> ")
    await maybeDeferred(service.stopService)
    await client.reads_to_the_end()
    await until(lambda: not path.exists())


@on_reactor
async def test_a_socket_on_which_nobody_listens_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "manhole"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert check(str(path))
    service = ManholeService(reactor, str(path), {})
    service.startService()
    client = await connected(path)
    await client.reads(b">>> ")
    await maybeDeferred(service.stopService)
    await client.reads_to_the_end()


def test_a_socket_in_use_or_another_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "manhole"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ManholeError, match="in use"):
            check(str(path))
    path.unlink()
    path.write_text("precious")
    with pytest.raises(ManholeError, match="is no socket"):
        check(str(path))
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(ManholeError, match="is no socket"):
        check(str(link))
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("path", "complaint"),
    [("/nonexistent/manhole", "no folder /nonexistent"), ("x" * 200, "at most 107 bytes")],
)
def test_a_path_that_cannot_be_is_said_in_one_line_at_the_start(path: str, complaint: str) -> None:
    with pytest.raises(SystemExit) as ended:
        Options().parseOptions(["--port", "0", "--manhole", path])
    assert str(ended.value.code).startswith("chatroom: manhole: ")
    assert complaint in str(ended.value.code)
