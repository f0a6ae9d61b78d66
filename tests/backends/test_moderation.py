"""Rules as they are stored, networks as they are found, and the records that keep both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.backends.memory import MemoryModeration
from chatroom.backends.sqlite.accounts import AccountTables
from chatroom.backends.sqlite.directory import Folder
from chatroom.backends.sqlite.moderation import ROWS, ModerationTables, dump, load
from chatroom.backends.sqlite.store import Store
from chatroom.backends.sqlite.writer import Writer
from chatroom.model.networks import Address, Network, Networks, as_network, read_networks
from chatroom.model.sanctions import (
    REMEMBERED,
    AuditEntry,
    Operator,
    Report,
    RoomAccess,
    Rule,
    RuleKey,
    RuleKind,
    Sanction,
)
from tests.support.reactor import clock, on_reactor, reactor

# -- networks

# Few bits that differ, so that networks meet.
BITS = st.sampled_from([0, 1, 2**7, 2**15, 2**31, 2**32 - 1])


@st.composite
def addresses(draw: st.DrawFn) -> Address:
    value = draw(BITS)
    if draw(st.booleans()):
        return IPv4Address(value)
    return IPv6Address(value << draw(st.sampled_from([0, 32, 96])))


@st.composite
def networks(draw: st.DrawFn) -> Network:
    address = draw(addresses())
    lengths = st.sampled_from([0, 1, 8, 16, 31, 32, 64, 96, 127, 128])
    length = min(draw(lengths), address.max_prefixlen)
    return ip_network((address, length), strict=False)


@given(
    st.lists(st.tuples(st.booleans(), networks()), max_size=12),
    st.lists(addresses(), min_size=1, max_size=4),
)
def test_networks_find_what_a_list_of_them_would(
    steps: list[tuple[bool, Network]], asked: list[Address]
) -> None:
    made, model = Networks(), set[Network]()
    for adds, network in steps:
        if adds:
            made.add(network)
            model.add(network)
        else:
            made.discard(network)
            model.discard(network)
    assert set(made.networks()) == model
    assert len(made.networks()) == len(model)
    assert bool(made) is bool(model)
    for address in asked:
        found = [network for network in model if address in network]
        assert sorted(map(str, made.find(address))) == sorted(map(str, found))
        assert (address in made) is bool(found)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7/24", "192.0.2.0/24"),
        ("2001:db8::1", "2001:db8::1/128"),
        # As addresses of connections are taken: see limits.address_of.
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("fe80::1%eth0", "fe80::1/128"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_as_people_write_it(text: str, network: str) -> None:
    assert str(as_network(text)) == network


@pytest.mark.parametrize("text", ["", "bob", "1", "1.2.3", "1.2.3.4/33", "٣.1.1.1", "::1/x", "/8"])
def test_what_is_no_network(text: str) -> None:
    assert as_network(text) is None


def test_a_list_of_networks_has_comments_and_one_that_is_wrong_is_none() -> None:
    listed = read_networks(["# ours", "", "192.0.2.0/24 # office", " 2001:db8::/32 "])
    assert set(listed.networks()) == {
        IPv4Network("192.0.2.0/24"),
        IPv6Network("2001:db8::/32"),
    }
    with pytest.raises(ValueError, match="line 2: 'office' is neither"):
        read_networks(["192.0.2.0/24", "office"])
    assert not read_networks(["# nobody"])
    assert ip_address("192.0.2.9") in listed


# -- rules as rows

BAN = Sanction("192.0.2.7", 9.5, "", "olga", 5.0, "bob")
ACCESS = RoomAccess(3, "alice", True, ((4, "bob", 77), (5, "carol", 0)))
LOCKDOWN = Sanction("", 0.0, "", "olga", 5.0)
RULES: list[tuple[RuleKind, RuleKey, Rule]] = [
    (RuleKind.ACCOUNT_BAN, 7, Sanction("bob", 0.0, "spam", "olga", 5.0)),
    (RuleKind.NETWORK_BAN, IPv4Network("192.0.2.7/32"), BAN),
    (RuleKind.NETWORK_BAN, IPv6Network("2001:db8::/64"), BAN),
    (RuleKind.SOURCE_MUTE, "2001:db8::/64", BAN),
    (RuleKind.OPERATOR, 8, Operator("王", "192.0.2.7")),
    (RuleKind.ROOM, "den", ACCESS),
    (RuleKind.LOCKDOWN, "", LOCKDOWN),
]


@pytest.mark.parametrize(("kind", "key", "rule"), RULES)
def test_a_rule_is_stored_as_it_is(kind: RuleKind, key: RuleKey, rule: Rule) -> None:
    assert load(ROWS[kind][0], str(key), dump(rule)) == (kind, key, rule)


def test_the_rows_of_an_earlier_version_are_read() -> None:
    room = '{"owner": 3, "name": "alice", "private": true, "invited": [[4, "bob", 77]]}'
    assert load("room", "den", room) == (
        RuleKind.ROOM,
        "den",
        RoomAccess(3, "alice", True, ((4, "bob", 77),)),
    )
    assert dump(RoomAccess(3, "alice", True, ((4, "bob", 77),))) == room


def test_an_invitation_of_a_guest_is_not_stored() -> None:
    assert dump(replace(ACCESS, guests={9: 5})) == dump(ACCESS)


def test_what_a_file_has_is_made_safe() -> None:
    ban = dump(Sanction("\x1b[2J", 0.0, "\nroot: hi", "\x07", 5.0))
    assert load("ban account", "7", ban)[2] == Sanction(
        "\ufffd[2J", 0.0, "\ufffdroot: hi", "\ufffd", 5.0
    )
    access = dump(RoomAccess(1, "a", True, ((2, "\x1b", 3),)))
    assert load("room", "den", access)[2] == RoomAccess(1, "a", True, ((2, "\ufffd", 3),))


@pytest.mark.parametrize(
    ("kind", "key", "text"),
    [
        ("operator", "1", "no JSON"),
        ("operator", "1", "[]"),
        ("operator", "1", '{"name": "a", "more": 1}'),
        ("operator", "olga", '{"name": "a"}'),
        ("ban network", "nowhere", dump(BAN)),
        ("ban account", "1", '{"target": "a"}'),
        ("ban account", "1", dump(Sanction("a", 1e300, "", "b", 0.0))),
        ("ban account", "1", dump(Sanction("a", float("nan"), "", "b", 0.0))),
        ("room", "den", '{"name": "a", "owner": 1}'),
        ("room", "den", '{"name": "a", "owner": 1, "invited": [[1]]}'),
        ("room", "den", '{"name": "a", "owner": 1, "invited": [], "guests": {}}'),
        ("unheard of", "", "{}"),
    ],
)
def test_what_is_no_rule_is_refused(kind: str, key: str, text: str) -> None:
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
        load(kind, key, text)


@pytest.mark.parametrize(("account", "since"), [(3, 0), (4, 77), (5, 0), (6, None), (0, None)])
def test_a_private_room_is_for_its_owner_and_who_is_invited(
    account: int, since: int | None
) -> None:
    access = RoomAccess(3, "alice", True, ((4, "bob", 77), (5, "carol", 0)))
    assert access.visible_from(account) == since
    assert replace(access, guests={9: 8}).visible_from(0, 9) == 8
    assert RoomAccess(3, "alice").visible_from(account) == 0


def test_a_private_room_of_nobody_is_not_for_guests() -> None:
    assert RoomAccess(0, "nobody", True).visible_from(0) is None


# -- records


ACTION = AuditEntry(1.5, "olga", "banned", "bob", "spam")
REPORT = Report(2.5, "alice", "bob", "spam", "lobby", "bob: buy\r\nbob: now\r\n")


@pytest.fixture
def docket(tmp_path: Path) -> Iterator[ModerationTables]:
    with closing(Writer(tmp_path / "file")) as writer:
        yield ModerationTables(writer.connection)


def test_records_in_memory_and_in_a_file_give_back_the_last_ones(docket: ModerationTables) -> None:
    memory = MemoryModeration()
    for number in range(5):
        docket.record(ACTION._replace(why=str(number)))
        memory.record(ACTION._replace(why=str(number)))
    expected = [ACTION._replace(why="3"), ACTION._replace(why="4")]
    assert docket.actions(2) == expected
    assert memory.actions(2).result == expected
    ids = [docket.report(REPORT), docket.report(REPORT._replace(about="zoe"))]
    kept: list[int] = []
    memory.report(REPORT).addCallback(kept.append)
    memory.report(REPORT._replace(about="zoe")).addCallback(kept.append)
    assert ids == kept == [1, 2]
    expected_reports = [REPORT._replace(id=1), REPORT._replace(about="zoe", id=2)]
    assert docket.reports(9) == expected_reports
    assert docket.reports(1) == expected_reports[1:]
    assert memory.reports(9).result == expected_reports
    assert docket.find_report(2) == memory.find_report(2).result == expected_reports[1]
    assert docket.find_report(3) is None
    assert memory.find_report(3).result is None


def test_memory_does_not_grow_for_ever() -> None:
    memory = MemoryModeration()
    for number in range(REMEMBERED + 5):
        memory.record(ACTION._replace(why=str(number)))
    answers: list[Sequence[AuditEntry]] = []
    memory.actions(10 * REMEMBERED).addCallback(answers.append)
    assert len(answers[0]) == REMEMBERED


def test_what_records_in_a_file_have_is_made_safe(docket: ModerationTables) -> None:
    docket.record(AuditEntry(1.0, "\x1b", "\x1b", "\x1b", "\x1b"))
    assert docket.actions(1) == [AuditEntry(1.0, *["\ufffd"] * 4)]
    docket.report(Report(1.0, "\x1b", "\x1b", "\x1b", "\x1b", "a\x1b\r\nb\n"))
    assert docket.reports(1) == [
        Report(1.0, "\ufffd", "\ufffd", "\ufffd", "\ufffd", "a\ufffd\r\nb\ufffd", 1)
    ]


def test_orders_of_accounts_that_are_gone_are_forgotten_at_the_start(tmp_path: Path) -> None:
    with closing(Writer(tmp_path / "file")) as writer:
        docket, book = ModerationTables(writer.connection), AccountTables(writer.connection)
        kept, gone = book.add("olga", "", 1.0), book.add("bob", "", 1.0)
        assert kept is not None
        assert gone is not None
        book.remove(gone.id)
        for kind in ("operator", "ban account", "mute account"):
            for account in (kept, gone):
                docket.set(kind, str(account.id), "{}")
        docket.set("ban network", "192.0.2.7/32", "{}")
        left = {(kind, key) for kind, key, _ in docket.load()}
    kinds = ("operator", "ban account", "mute account")
    assert left == {("ban network", "192.0.2.7/32"), *[(kind, str(kept.id)) for kind in kinds]}


@on_reactor
async def test_a_store_keeps_orders_actions_and_reports_over_a_restart(tmp_path: Path) -> None:
    def store() -> Store:
        made = Store(clock, reactor.callFromThread, Folder(str(tmp_path / "data")))
        made.open(5, "lobby")
        return made

    first = store()
    assert first.records.lasting
    assert first.rules() == []
    for kind, key, rule in RULES:
        await first.records.set(kind, key, rule)
    await first.records.set(RuleKind.ROOM, "other", ACCESS)
    await first.records.set(RuleKind.ROOM, "other", None)
    await first.records.record(ACTION)
    assert await first.records.report(REPORT) == 1
    await first.close()
    second = store()
    stored = [found for found in RULES if not isinstance(found[1], int)]
    assert sorted(second.rules(), key=str) == sorted(stored, key=str)
    assert await second.records.actions(9) == [ACTION]
    assert await second.records.reports(9) == [REPORT._replace(id=1, evidence=REPORT.evidence)]
    assert (await second.records.find_report(1)) is not None
    await second.close()
