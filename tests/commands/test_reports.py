"""Announcements, reports, and the audit: who is told what, and what stays written."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.logger import capturedLogs

from chatroom.backends.memory import MemoryModeration
from chatroom.chat.memoryhistory import MemoryHistory
from chatroom.model.entry import Entry
from chatroom.model.events import Said
from chatroom.model.history import Query
from tests.support.doubles import FakeRecords
from tests.support.operators import HOME, OFFICE, MakeServer, operator, registered
from tests.support.world import World


def test_an_announcement_is_heard_in_all_rooms(server: World) -> None:
    olga, bob = operator(server), server.person("bob")
    bob.says("/join den")
    _ = bob.sees
    assert olga.asks("/announce tea at five")[-1] == "-- olga announces: tea at five"
    assert bob.sees == ["-- olga announces: tea at five"]


def test_a_report_is_told_to_operators_with_what_was_said(server: World) -> None:
    olga, alice, bob = operator(server), server.person("alice", address=HOME), server.person("bob")
    bob.says("buy", "/me shouts")
    _ = olga.sees, bob.sees
    assert alice.asks("/report bob spam and more")[-1] == (
        "-- Thank you. Those who keep order are told."
    )
    assert olga.sees == ["-- Report 1 by alice about bob in #lobby: spam and more"]
    assert bob.sees == []
    assert olga.asks("/reports") == [
        "-- 2027-01-15 08:00 1 by alice about bob in #lobby: spam and more"
    ]
    assert olga.asks("/reports 1")[1:] == ["08:00 bob: buy", "08:00 * bob shouts"]
    assert olga.asks("/reports 2", "/reports x", "/reports 999999999999999") == [
        "-- There is no report 2. /reports lists the last ones.",
        "-- Usage: /reports [NUMBER]. Alone, it lists the last ones.",
        "-- There is no report 999999999999999. /reports lists the last ones.",
    ]
    alice.says("/report bob", "/report bob")
    assert alice.asks("/report bob")[0].startswith("-- Three reports an hour have to do.")
    server.wait(3601)
    assert alice.asks("/report bob")[-1].startswith("-- Thank you.")


def test_a_report_that_cannot_be_kept_is_told_all_the_same(make_server: MakeServer) -> None:
    records = FakeRecords()
    server = make_server(records=records)
    olga, alice, _ = operator(server), server.person("alice"), server.person("bob")
    _ = olga.sees
    records.full = True
    with capturedLogs() as logged:
        assert alice.asks("/report bob spam") == [
            "-- Those who keep order and are here are told. Your report is not kept."
        ]
    assert len(logged) == 1
    assert olga.sees == ["-- Report that could not be kept: by alice about bob in #lobby: spam"]


def test_a_report_is_told_though_its_author_has_left(make_server: MakeServer) -> None:
    class LateRecords(FakeRecords):
        def report(self, report: Any) -> Deferred[int]:
            self.answer: Deferred[int] = Deferred()
            return self.answer

    records = LateRecords()
    server = make_server(records=records)
    olga, alice, _ = operator(server), server.person("alice"), server.person("bob")
    _ = olga.sees
    alice.says("/report bob spam")
    alice.hangs_up()
    records.answer.callback(7)
    server.settle()
    assert "-- Report 7 by alice about bob in #lobby: spam" in olga.sees


@pytest.mark.parametrize("name", ["bob", "BOB", "carl", "dora"])
def test_who_has_just_left_can_be_reported(server: World, name: str) -> None:
    olga, alice = operator(server), server.person("alice")
    bob, carl = server.person("bob"), server.person("carl")
    bob.says("buy")
    for gone in (bob, carl, registered(server, "dora")):
        gone.hangs_up()
    server.settle()
    server.wait(1800)
    _ = olga.sees
    assert alice.asks(f"/report {name} spam") == ["-- Thank you. Those who keep order are told."]
    shown = name.lower()
    assert olga.sees == [f"-- Report 1 by alice about {shown} in #lobby: spam"]


def test_nobody_is_reported_who_never_was_here(server: World) -> None:
    operator(server)
    alice = server.person("alice")
    for _ in range(4):
        assert alice.asks("/report nobody spam")[0].startswith(
            "-- Nobody called nobody is or was here."
        )
    # It has cost nothing.
    server.person("bob")
    assert alice.asks("/report bob")[-1].startswith("-- Thank you.")


def test_a_report_says_whether_anybody_is_there_to_read_it(
    server: World, make_server: MakeServer
) -> None:
    alice, _ = server.person("alice"), server.person("bob")
    assert alice.asks("/report bob") == ["-- Your report is kept, but nobody keeps order here yet."]
    operator(server).hangs_up()
    server.settle()
    assert alice.asks("/report bob")[-1] == (
        "-- Thank you. Nobody who keeps order is here; they find it in /reports."
    )
    # Where nothing lasts nobody would ever read it.
    memory = make_server(records=MemoryModeration())
    alice, _ = memory.person("alice"), memory.person("bob")
    assert alice.asks("/report bob") == [
        "-- Nobody keeps order here. /ignore NAME spares you what somebody says."
    ]


def test_what_was_said_before_the_rooms_log_begins_is_looked_up(make_server: MakeServer) -> None:
    class Looked(MemoryHistory):
        """Lines that are only in the file."""

        def search(self, query: Query, count: int) -> Deferred[list[Entry]]:
            kept = [Entry(room, 1, Said(1_799_999_000.0, 0, "Bob", "buy")) for room in ("den",)]
            return succeed([one for one in kept if one.room in query.rooms and query.name == "bob"])

    server = make_server()
    chat = server.chat
    chat.history = Looked(chat.rooms, chat.clock)
    for name in ("lobby", "den"):
        room = chat.rooms.get(name) or chat.open_room(name)
        room.restore("", [(2, Said(1_799_999_500.0, 0, "alice", "hello"))])
    olga, alice, carl = operator(server), server.person("alice"), server.person("carl")
    carl.says("/join den")
    _ = alice.sees, carl.sees
    assert olga.asks("/forget zoe")[0].startswith("-- Nothing was said as zoe")
    assert "-- What bob said in the last hour is removed." in olga.asks("/forget bob")
    assert "-- olga removed what bob said in the last hour." in carl.sees
    assert alice.sees == []


def test_the_audit_says_who_did_what_to_whom_when_and_why(server: World) -> None:
    olga, bob = operator(server), registered(server, "bob", HOME)
    server.person("carol", address=OFFICE)
    bob.says("buy")
    olga.says(
        *("/kick carol noise", "/mute bob 1h spam", "/unmute bob", "/forget bob", "/op bob"),
        *("/deop bob", "/ban bob 7d spam", "/unban bob", "/announce tea", "/lockdown on"),
        *("/lockdown off", "/unregister bob", "/unregister bob", f"/ban {OFFICE}"),
    )
    assert olga.asks("/audit") == [
        f"-- 2027-01-15 08:00 olga {done}"
        for done in (
            "kicked carol (noise)",
            "muted bob (until 2027-01-15 09:00 (UTC): spam)",
            "unmuted bob",
            "removed the lines of bob",
            "made an operator of bob",
            "made no operator of bob",
            "banned bob (until 2027-01-22 08:00 (UTC): spam)",
            "unbanned bob",
            "announced (tea)",
            "switched the lockdown on",
            "switched the lockdown off",
            "unregistered bob",
            f"banned {OFFICE}/32 (for good)",
        )
    ]
    assert olga.asks("/audit 1") == [f"-- 2027-01-15 08:00 olga banned {OFFICE}/32 (for good)"]
    assert len(olga.asks("/audit 0")) == 13
    assert olga.asks("/audit x") == ["-- Usage: /audit [NUMBER], at most 999."]


def test_addresses_are_for_operators_alone(server: World) -> None:
    olga, alice, bob = operator(server), server.person("alice"), server.person("bob", address=HOME)
    server.wait(5)
    assert "from 192.0.2.7" in olga.asks("/whois bob")[-1]
    assert alice.asks("/whois bob") == [
        "-- bob is in #lobby, here for 5 seconds, idle for 5 seconds."
    ]
    olga.says("/mute bob", "/ban bob spam")
    assert not [line for line in alice.sees + bob.sees if HOME in line]
