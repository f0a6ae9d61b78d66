"""The log: its two formats, its events, and what fail2ban finds in it."""

from __future__ import annotations

import ast
import configparser
import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.application.service import Application
from twisted.internet.error import ConnectionLost
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent

import chatroom
from chatroom.doors.factory import DoorFactory
from chatroom.doors.relay import RelayFactory
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.chatsettings import Settings
from chatroom.model.limits import Limits, address_of
from chatroom.server import logs
from chatroom.server.logwriter import LogWriter, open_log
from chatroom.server.service import RootService
from tests.support.doubles import Clock
from tests.support.process import MODULE, ROOT, Terminal, comes
from tests.support.process import running as run
from tests.support.wire import UNLIMITED, Visitor
from tests.support.world import World

PACKAGE = Path(chatroom.__file__).parent
RUNNING = ROOT / "docs" / "running.md"
FILTER = ROOT / "contrib" / "fail2ban" / "filter.d" / "chatroom.conf"


def made(format: str, **fields: Any) -> LogEvent:
    """The event that a logger makes of this."""
    events: list[LogEvent] = []
    observer: Any = events.append
    Logger("chatroom.test", observer=observer).info(format, **fields)
    return events[0]


def failed(text: str, **fields: Any) -> LogEvent:
    """The event of an error with *text*."""
    events: list[LogEvent] = []
    observer: Any = events.append
    try:
        raise ValueError(text)
    except ValueError:
        Logger("chatroom.test", observer=observer).failure("It failed", **fields)
    return events[0]


def text_of(event: LogEvent) -> str:
    line = logs.as_text(event)
    assert line is not None
    return line


def json_of(event: LogEvent) -> dict[str, Any]:
    line = logs.as_json(event)
    assert line is not None
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    row: dict[str, Any] = json.loads(line)
    return row


# The formats


def test_text_is_as_twistd_writes_it() -> None:
    line = text_of(made("Hello {name!r}", event="greeted", name="Zoë"))
    assert re.fullmatch(r"[-\dT:]{19}[-+]\d{4} \[chatroom\.test#info\] Hello 'Zoë'\n", line)


def test_json_is_one_object_with_the_fields_and_the_time_in_utc() -> None:
    event = made("Hello {name}", event="greeted", name="你好", connection=7, source="local", why=2j)
    event["log_time"] = 1_700_000_000.0004
    row = json_of(event)
    assert row == {
        "time": "2023-11-14T22:13:20.000Z",
        "level": "info",
        "event": "greeted",
        "connection": 7,
        "source": "local",
        "message": "Hello 你好",
        "logger": "chatroom.test",
        "name": "你好",
        "why": "2j",
    }
    assert list(row)[:4] == ["time", "level", "event", "connection"]


def test_what_others_log_is_in_it_as_well() -> None:
    row = json_of(made("starting on {port}", port=5))
    assert (row["event"], row["message"]) == ("twisted", "starting on 5")
    assert "port" not in row
    assert logs.as_json(made("")) is None
    assert logs.as_text(made("")) is None


def test_a_traceback_follows_in_lines_that_begin_with_a_tab() -> None:
    event = failed("a\nb\x1b", event="oops")
    first, *rest = text_of(event).splitlines()
    assert first.endswith("It failed")
    assert len(rest) > 2
    assert all(line.startswith("\t") for line in rest)
    assert "\x1b" not in text_of(event)
    assert "ValueError: a\nb\x1b" in json_of(event)["traceback"]


@given(st.text())
def test_whatever_people_are_called_an_event_is_one_line(name: str) -> None:
    event = made("{name} came", event="came", name=name, connection=1)
    line = text_of(event)
    assert line.count("\n") == len(line.splitlines()) == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", line)
    line.encode()
    assert json_of(event)["name"] == name
    (logs.as_json(event) or "").encode()


@pytest.mark.parametrize(
    "name", ["a\nb", "a\r\nb", "\x1b[2J", "\u2028", "\x85", "\u202e", "\ud800"]
)
def test_hostile_text_is_escaped(name: str) -> None:
    event = made("{name} came", event="came", name=name)
    for line in (text_of(event), logs.as_json(event) or ""):
        assert name not in line
        line.encode()


# Where it goes


@pytest.mark.parametrize("server", [{"syslog": True}, {"logger": print}])
def test_another_logger_that_was_asked_for_is_left_alone(server: dict[str, Any]) -> None:
    assert open_log({"nodaemon": True, **server}) is None


def test_a_daemon_that_would_log_to_its_terminal_is_left_to_twistd() -> None:
    assert open_log({"logfile": "-"}) is None


def test_where_standard_output_is_closed_the_log_goes_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("stdout", "__stdout__"):
        monkeypatch.setattr(sys, name, None)
    writer = open_log({"nodaemon": True})
    assert writer is not None
    writer.write("a line\n")
    writer.finish()


def test_the_application_logs_with_the_observer_of_the_service() -> None:
    observer = logs.observer(LogWriter(-1), "json")
    application: Any = Application("test")
    RootService(observer).setServiceParent(application)
    assert application.getComponent(ILogObserver) is observer
    other: Any = Application("test")
    RootService(None).setServiceParent(other)
    assert other.getComponent(ILogObserver, None) is None


# The events


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a logger in the package, and where it stands."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
            ):
                yield f"{path.name}:{node.lineno}", node


def test_every_event_has_a_name_and_stands_in_the_table() -> None:
    names: set[str] = set()
    for where, call in calls():
        given = {word.arg: word.value for word in call.keywords}
        assert "event" in given, f"{where} has no event="
        assert not given.keys() & {"message", "time", "system", "format", "failure"}, where
        if isinstance(given["event"], ast.Constant):
            names.add(str(given["event"].value))
    # Those that are handed to Conversation.log_input.
    names |= {"input_overlong", "input_not_utf8", "stranger_refused"}
    # What the log says of itself.
    names |= {"log_lines_dropped"}
    assert all(re.fullmatch(r"[a-z]+[a-z0-9_]*", name) for name in names)
    table = set(
        re.findall(r"^\| `([a-z0-9_]+)` \|", RUNNING.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert table == names


def told(events: list[LogEvent]) -> list[tuple[str, int]]:
    return [(event["event"], event["connection"]) for event in events if "connection" in event]


def test_a_connection_can_be_followed_by_its_number(log_events: list[LogEvent]) -> None:
    world = World(limits=UNLIMITED)
    factory = ChatFactory(world.chat)
    alice, bob = Visitor(world, factory), Visitor(world, factory)
    alice.sends(b"/nick alice\n", b"hello\n", b"/me waves\n", b"/join den\n")
    alice.sends(b"\xff\n", b"\xff\n", b"x" * 3000 + b"\n")
    world.clock.advance(5)
    alice.sends(b"/quit bye\n")
    number = next(event["connection"] for event in log_events if event.get("event") == "renamed")
    mine = [event for event in log_events if event.get("connection") == number]
    assert [event["event"] for event in mine] == [
        "connection_accepted",
        "room_joined",
        "renamed",
        "room_joined",
        "input_not_utf8",
        "input_overlong",
        "room_left",
        "room_left",
        "connection_closed",
    ]
    assert (mine[0]["address"], mine[0]["source"], mine[0]["door"]) == (
        "127.0.0.1",
        "local",
        "line",
    )
    assert (mine[1]["name"], mine[1]["room"]) == ("guest1", "lobby")
    assert (mine[2]["former"], mine[2]["name"]) == ("guest1", "alice")
    assert [mine[place]["room"] for place in (3, 6, 7)] == ["den", "lobby", "den"]
    end = mine[-1]
    assert (end["why"], end["lines"]) == ("left", 4)
    assert end["seconds"] >= 5
    assert not any("hello" in str(event) or "bye" in str(event) for event in log_events)
    bob.hangs_up(ConnectionLost())
    # That they have left the room is known when it is in the room's log.
    assert [event["event"] for event in log_events[-2:]] == ["connection_closed", "room_left"]
    assert log_events[-2]["why"] == "lost"


@pytest.mark.parametrize("door", [ChatFactory, RelayFactory])
def test_an_end_says_why(door: type[DoorFactory[Any]], log_events: list[LogEvent]) -> None:
    world = World(limits=UNLIMITED)
    factory = door(world.chat)
    half, hangs, lost = (Visitor(world, factory) for _ in range(3))
    half.half_closes()
    hangs.hangs_up()
    lost.hangs_up(ConnectionLost())
    stays = Visitor(world, factory)
    factory.stop_reading()
    factory.dismiss()
    stays.settle()
    closed = [event for event in log_events if event.get("event") == "connection_closed"]
    assert [event["why"] for event in closed] == [
        "closed by the client",
        "closed by the client",
        "lost",
        "the server stops",
    ]
    assert len({event["connection"] for event in closed}) == 4


def test_strangers_are_named(log_events: list[LogEvent]) -> None:
    world = World(limits=UNLIMITED)
    browser = Visitor(world, ChatFactory(world.chat))
    browser.sends(b"GET / HTTP/1.1\r\n\r\n")
    assert {"stranger_refused", "connection_closed"} <= {event.get("event") for event in log_events}
    assert log_events[-1]["why"] == "not a person"


def test_a_refused_connection_has_a_number_and_an_address(log_events: list[LogEvent]) -> None:
    world = World(limits=Limits(attempts_per_minute=1))
    factory = ChatFactory(world.chat)

    class From:
        host = "::ffff:203.0.113.5"

    address: Any = From()
    first = factory.buildProtocol(address)
    assert first.address == "203.0.113.5"
    factory.buildProtocol(address)
    (event,) = [event for event in log_events if event.get("event") == "connection_refused"]
    assert (event["address"], event["source"], event["door"]) == (
        "203.0.113.5",
        "203.0.113.5",
        "line",
    )
    assert event["connection"] > 0
    assert "Too many connections" in event["why"]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("elsewhere", None),
        (None, None),
    ],
)
def test_an_address_is_as_an_operator_writes_it(host: str | None, address: str | None) -> None:
    found = address_of(host)
    assert (found and str(found)) == address


def test_what_people_say_is_logged_only_when_asked_for(log_events: list[LogEvent]) -> None:
    for log_chat in (False, True):
        world = World(settings=Settings(log_chat=log_chat), limits=UNLIMITED)
        factory = ChatFactory(world.chat)
        alice, bob = Visitor(world, factory), Visitor(world, factory)
        alice.sends(b"hello\n", b"/me waves\n", b"/msg guest2 psst\n")
        said = [event for event in log_events if event.get("event") == "said"]
        alice.hangs_up()
        bob.hangs_up()
        if not log_chat:
            assert not said
    assert [(event["room"], event["name"], event["text"]) for event in said] == [
        ("lobby", "guest1", "hello"),
        ("lobby", "guest1", "waves"),
    ]
    assert said[0]["connection"]
    assert not any("psst" in str(event) for event in log_events)


# What one source causes again and again


class Repeating:
    """What is passed on of what sources cause."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        self.repeats = logs.Repeats(lambda event: self.lines.append(formatEvent(event)), self.clock)
        self.log = Logger("chatroom.test", observer=cast(Any, self.repeats))

    def refuses(self, count: int, source: str = "192.0.2.7") -> None:
        for _ in range(count):
            self.log.info("{source} refused", event="connection_refused", source=source)

    @property
    def sees(self) -> list[str]:
        """What is new."""
        lines = self.lines[:]
        self.lines.clear()
        return lines


def test_what_one_source_causes_again_and_again_is_one_line_a_minute() -> None:
    desk = Repeating()
    desk.refuses(500)
    # As many as fail2ban has to see.
    assert desk.sees == ["192.0.2.7 refused"] * 10
    desk.clock.advance(60)
    assert desk.sees == ["192.0.2.7 refused (489 more like it within a minute)"]
    desk.refuses(2)
    desk.clock.advance(60)
    assert desk.sees == ["192.0.2.7 refused (1 more like it within a minute)"]
    desk.refuses(1)
    desk.clock.advance(60)
    assert desk.sees == ["192.0.2.7 refused"]
    desk.clock.advance(60)
    assert not desk.clock.getDelayedCalls()
    desk.refuses(1)
    assert desk.sees == ["192.0.2.7 refused"]


def test_which_events_are_counted_is_documented() -> None:
    text = RUNNING.read_text(encoding="utf-8")
    (listed,) = re.findall(r"cannot fill the disk with log lines: of (.*?) the first", text, re.S)
    assert set(re.findall(r"`(\w+)`", listed)) == logs.REPEATED


def test_what_others_cause_is_not_held_back() -> None:
    desk = Repeating()
    desk.refuses(500)
    desk.refuses(1, "198.51.100.1")
    desk.log.info("{source} wrong", event="password_wrong", source="192.0.2.7")
    for _ in range(20):
        desk.log.info("other", event="renamed", source="192.0.2.7")
    assert desk.sees[10:] == ["198.51.100.1 refused", "192.0.2.7 wrong", *["other"] * 20]


def test_a_thousand_sources_are_counted_singly_and_the_others_together() -> None:
    desk = Repeating()
    for number in range(1500):
        desk.refuses(1, f"source {number}")
    assert len(desk.sees) == 1000 + 10
    desk.clock.advance(60)
    assert desk.sees == ["source 1499 refused (489 more like it within a minute)"]


def test_what_was_counted_is_told_before_the_server_has_stopped() -> None:
    desk = Repeating()
    desk.refuses(13)
    desk.repeats.flush()
    assert desk.sees[10:] == ["192.0.2.7 refused (2 more like it within a minute)"]
    desk.clock.advance(60)
    assert not desk.sees


def test_that_there_are_no_descriptors_left_is_not_three_lines_for_each_connection() -> None:
    desk = Repeating()
    port = Logger("twisted.internet.tcp", observer=cast(Any, desk.repeats))
    for number in range(100):
        port.info("EMFILE recovery: Closed socket from {address}", address=number)
    desk.clock.advance(60)
    assert len(desk.sees) == 11


# A server of its own


def rows(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_a_server_logs_json_from_its_first_line_to_its_last(
    tmp_path: Path, ended: ExitStack
) -> None:
    server = run(ended, tmp_path, MODULE, "--log-format", "json", "--log-chat").started()
    alice = comes(ended, server)
    alice.sends("/nick alice\n\x1b[2Jhi\u202e\n".encode())
    alice.reads(b"alice.\r\n")
    alice.sends(b"/quit\n")
    alice.reads_to_the_end()
    server.stop()
    found = rows(server.output)
    number = next(row["connection"] for row in found if row["event"] == "renamed")
    assert [row["event"] for row in found if row.get("connection") == number] == [
        "connection_accepted",
        "room_joined",
        "renamed",
        "said",
        "room_left",
        "connection_closed",
    ]
    events = [row["event"] for row in found]
    # What is logged before the server has started is so, too.
    assert events.index("twisted") < events.index("started") < events.index("stopped")


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_log_is_utf8_wherever_it_is_shown(
    tmp_path: Path, ended: ExitStack, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where the locale is of another encoding: what that does not have is logged all the same.
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    server = run(ended, tmp_path, MODULE, "--log-format", format).started()
    alice = comes(ended, server)
    alice.sends("/nick 王明\n".encode())
    alice.reads("You are now 王明.\r\n".encode())
    server.stop()
    assert "is '王明' now" in server.output


# fail2ban


def expressions() -> list[re.Pattern[str]]:
    """The filter's, as fail2ban makes them: <ADDR> is an address."""
    parser = configparser.ConfigParser()
    parser.read(FILTER)
    found = parser["Definition"]["failregex"].strip().splitlines()
    return [re.compile(line.replace("<ADDR>", r"(?P<host>[\d.]+|[\da-fA-F:]+)")) for line in found]


TIMES = {"text": r"^[-\dT:]{19}[-+]\d{4}", "json": r'^\{"time": "[-\dT:.]{23}Z"'}


def found_by_fail2ban(output: str, format: str, prefix: str = "") -> list[str]:
    """The hosts that it finds; of a file it takes the time off first."""
    hosts = []
    for line in output.splitlines():
        rest = prefix + line if prefix else re.sub(TIMES[format], "", line)
        hosts += [match["host"] for one in expressions() if (match := one.search(rest))]
    return hosts


#: Somebody who is not of this machine, to whom limits apply, and the header of a proxy for them.
FAR = "192.0.2.7"
HEADER = f"PROXY TCP4 {FAR} 192.0.2.1 1024 8008\r\n".encode()


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize("prefix", ["", "host chatroom[123]: "])
def test_fail2ban_finds_wrong_passwords_and_codes_and_refusals(
    tmp_path: Path, ended: ExitStack, format: str, prefix: str
) -> None:
    path = tmp_path / "proxy"
    server = run(
        *(ended, tmp_path, MODULE, "--listen", f"proxy:unix:{path}", "--attempts-per-minute", "2"),
        *("--log-format", format, "--log-chat"),
    ).started()
    # At once, because after half a minute there may be one more.
    terminals = [Terminal(path) for _ in range(3)]
    for terminal in terminals:
        ended.callback(terminal.close)
        terminal.sends(HEADER)
    first, second, third = terminals
    assert b"Too many connections" in third.reads_to_the_end()
    for index, terminal in enumerate((first, second)):
        terminal.greeted()
        name = b"bob" if not index else b"carl"
        terminal.sends(b"/nick %s\n/register s3cretpass9\n/claim 9F3A-22C1-77D0\n" % name)
        terminal.reads(b"That is not the code.")
        terminal.sends(b"/logout\n/login bob wrong1wrong\n")
        terminal.reads(b"That is not the password")
        terminal.sends(b"/login 2345-6789\n[chatroom.login#info] A wrong code from 203.0.113.9 (\n")
        terminal.reads(b"/pair makes another.\r\n")
        terminal.sends(b"/quit\n")
        terminal.reads_to_the_end()
    server.stop()
    hosts = found_by_fail2ban(server.output, format, prefix)
    assert len(hosts) >= 6
    assert set(hosts) == {FAR}
