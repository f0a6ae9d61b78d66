"""Clients at the line door that are no people: browsers, TLS, scanners."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests.support.lines import HELLO, Door, made
from tests.support.wire import Wire


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\nbody\n",
        b"POST /x HTTP/1.0\nHost: here\n\nbody\n",
        b"POST /" + b"x" * 3000 + b" HTTP/1.1\r\nHost: here\r\n\r\nbody\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\nrest\n",
        HELLO + b"\0" * 500,
        HELLO + b"\0" * 500 + b"\nrest\n",
        HELLO + b"\xff" * 30 + b"\n" * 5,
        HELLO + b"x" * 3000,
        HELLO + b"x" * 3000 + b"\nrest\n",
    ],
)
@pytest.mark.parametrize("step", [1, 3, 1000, 100_000])
def test_a_browser_or_a_tls_client_is_closed_at_once_and_heard_by_nobody(
    first: bytes, step: int
) -> None:
    door = made()
    visitor = door.visitor()
    for start in range(0, len(first), step):
        if not visitor.wire.disconnecting:
            visitor.protocol.dataReceived(first[start : start + step])
    visitor.settle()
    assert visitor.gone
    door.world.wait(5)
    assert door.bob.sees == []
    assert visitor.wire.value().count(b"\r\n") == 2
    door.world.end()


NO_IRC = b"ERROR :This is no IRC port but a chat for telnet and nc. Nothing was said.\r\n"


@pytest.mark.parametrize(
    "first",
    [
        b"PASS s3cretpw\r\nNICK zoe\r\nUSER zoe 0 * :Zoe\r\n",
        b"CAP LS 302\r\nPASS s3cretpw\r\nNICK zoe\r\nUSER zoe 0 * :Zoe\r\n",
        b"NICK zoe\r\nUSER zoe 0 * :Zoe\r\nPRIVMSG NickServ :IDENTIFY s3cretpw\r\n",
        b"USER zoe 0 * :Zoe\nNICK zoe\n",
    ],
)
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_an_irc_client_is_told_so_in_a_line_of_its_own_and_closed(first: bytes, step: int) -> None:
    door = made()
    visitor = door.visitor()
    for start in range(0, len(first), step):
        if not visitor.wire.disconnecting:
            visitor.protocol.dataReceived(first[start : start + step])
            door.world.settle()
    visitor.settle()
    assert visitor.gone
    assert visitor.received.endswith(NO_IRC)
    door.world.wait(5)
    assert door.bob.sees == []
    door.world.end()


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        (b"EHLO mail.example.org\r\n", b"554 "),
        (b"HELO localhost\r\nMAIL FROM:<a@example.org>\r\n", b"554 "),
        (b"MAIL FROM:<a@example.org> SIZE=100\r\n", b"554 "),
        (b"a001 CAPABILITY\r\n", b"* BYE "),
        (b"A1 LOGIN zoe s3cretpw\r\n", b"* BYE "),
        (b"*1\r\n$4\r\nPING\r\n", b"-ERR "),
        (b"*2\r\n$4\r\nAUTH\r\n$8\r\ns3cretpw\r\n", b"-ERR "),
    ],
)
def test_a_client_of_mail_or_redis_is_told_so_in_its_own_words_and_closed(
    first: bytes, answer: bytes
) -> None:
    door = made()
    visitor = door.visitor()
    visitor.protocol.dataReceived(first)
    visitor.settle()
    assert visitor.gone
    last = visitor.received.splitlines()[-1]
    assert last.startswith(answer)
    assert last.endswith(b"Nothing was said.")
    door.world.wait(5)
    assert door.bob.sees == []
    door.world.end()


def test_a_request_that_comes_before_the_greeting_is_closed_as_well(door: Door) -> None:
    wire = Wire()
    protocol = door.factory.buildProtocol(wire.getPeer())
    protocol.makeConnection(wire)
    protocol.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    door.world.settle()
    assert wire.disconnecting
    protocol.connectionLost(Failure(ConnectionDone()))
    assert door.bob.sees == []


@pytest.mark.parametrize("text", ["GET / HTTP/1.1", "\x16\x03 is a TLS hello"])
def test_as_a_second_line_the_same_is_said(door: Door, text: str) -> None:
    alice = door.alice()
    alice.sends(f"{text}\n".encode())
    assert door.said == [text.replace("\x16\x03", "\ufffd\ufffd")]


@pytest.mark.parametrize(
    "text",
    [
        "GET / HTTP/1.1 is what browsers say",
        "get / HTTP/1.1",
        "HTTP/1.1",
        "GET / HTTP/2.0",
        "PASS",
        "pass me the salt",
        "CAP on the bottle",
        "USER error",
        "SSH-2 or SSH-1?",
        "HELO EVERYBODY",
        "MAIL FROM: my mother",
        "1 LOGIN is enough",
        "*1",
    ],
)
def test_what_only_looks_a_little_like_a_request_is_said(door: Door, text: str) -> None:
    door.visitor().sends(f"{text}\n".encode())
    assert door.said == [text]
