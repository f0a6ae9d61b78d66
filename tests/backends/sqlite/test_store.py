"""A chat over a store, and what becomes of it when a server ends at a bad moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chatroom.backends.sqlite.directory import DATABASE, Folder, StoreError, check_folder
from chatroom.chat.chat import Chat
from chatroom.chat.room import Room
from chatroom.model.entry import Entry
from chatroom.model.events import Left, Said, TookBack, TopicSet
from chatroom.model.history import Query
from chatroom.text.words import phrases
from tests.conftest import Strictness
from tests.support.reactor import clock, on_reactor, until
from tests.support.stores import running

LAST = 2**63 - 1


def say(chat: Chat, room: Room, text: str, origin: int = 1) -> None:
    chat.submit(room, Said(clock.time(), origin, "alice", text, user=-origin))


def texts(entries: list[Entry]) -> list[str]:
    return [getattr(entry.event, "text", "") for entry in entries]


@on_reactor
async def test_rooms_topics_scrollback_and_history_come_back(tmp_path: Path) -> None:
    async with running(tmp_path) as (chat, store):
        den = chat.make_room("Den", "here")
        chat.submit(den, TopicSet(clock.time(), 1, "alice", "tea"))
        for number in range(30):
            say(chat, den, f"cup {number}")
        say(chat, chat.lobby, "nobody here")
        chat.make_room("Empty", "here")
    for _ in range(2):
        async with running(tmp_path) as (chat, store):
            assert {room.name for room in chat.rooms.values()} == {"lobby", "Den"}
            den = chat.rooms["den"]
            assert den.topic == "tea"
            assert texts([Entry("", 0, event) for event in den.log.recent(50)]) == [
                f"cup {number}" for number in range(10, 30)
            ]
            earlier = await chat.lines_before(den, LAST, 25)
            assert texts(earlier) == [f"cup {number}" for number in range(5, 30)]
            assert [entry.id for entry in earlier] == sorted({entry.id for entry in earlier})
            await until(lambda: not store.maintenance.indexing)
            found = await store.search(Query(phrases("cup 7"), ["den"]), 5)
            assert texts(found) == ["cup 7"]


@on_reactor
async def test_ids_and_origins_of_an_earlier_run_are_not_taken_for_those_of_this_one(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as (chat, _):
        say(chat, chat.lobby, "of the first run")
    async with running(tmp_path) as (chat, store):
        (first,) = await store.before("lobby", LAST, 5)
        assert store.ledger.last_id >= first.id
        now = clock.time()
        say(chat, chat.lobby, "of the second")
        await until(lambda: len(chat.lobby.log.recent(5)) == 2)
        chat.submit(chat.lobby, TookBack(now, 1, "alice", frozenset([-1]), now - 3600))
        await until(lambda: len(chat.lobby.log.recent(5)) == 1)
        assert texts(await store.before("lobby", LAST, 5)) == ["of the first run"]


@on_reactor
async def test_who_leaves_when_the_ledger_was_closed_does_not_write_to_a_closed_file(
    tmp_path: Path, strict: Strictness
) -> None:
    async with running(tmp_path) as (chat, store):
        say(chat, chat.lobby, "hello")
        await chat.close()
        chat.submit(chat.lobby, Left(clock.time(), 1, "alice", "", False))
        await until(lambda: not chat._turn_ends)
        assert store.ledger._retry is None
        assert store.ledger._overdue is None
    assert not strict.errors


@on_reactor
async def test_a_server_that_ends_while_it_cleans_cleans_when_it_is_back(tmp_path: Path) -> None:
    async with running(tmp_path) as (chat, store):
        now = clock.time()
        say(chat, chat.lobby, "zanzibar 罕见")
        await until(lambda: chat.lobby.log.recent(1))
        await until(lambda: not store.maintenance.indexing)
        chat.submit(chat.lobby, TookBack(now, 1, "alice", frozenset([-1]), now - 3600))
        await until(lambda: not chat.lobby.log.recent(1))
        say(chat, chat.lobby, "afterwards")
        await until(lambda: chat.lobby.log.recent(1))
        await store._writing.do(store._writer.begin_merge)
        assert await store._writing.do(lambda: store._writer.unclean)
    async with running(tmp_path) as (_, store):
        assert await store._writing.do(lambda: store._writer.unclean)
        await store.maintenance.keep_up()
        assert not await store._writing.do(lambda: store._writer.unclean)
        data = b"".join(file.read_bytes() for file in (tmp_path / "data").glob(f"{DATABASE}*"))
        for trace in ("zanzibar", "罕见"):
            assert trace.encode() not in data
        await until(lambda: not store.maintenance.indexing)
        found = await store.search(Query(phrases("afterwards"), ["lobby"]), 5)
        assert texts(found) == ["afterwards"]


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_folder_can_have_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    for use in (check_folder, Folder):
        with pytest.raises(StoreError, match="cannot use") as refused:
            use(str(tmp_path / name))
        assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_in_is_refused_by_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StoreError, match="permission denied"):
        check_folder(str(tmp_path))


def test_a_folder_that_may_not_be_looked_at_is_refused_by_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stat(path: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(StoreError, match="permission denied"):
        check_folder(str(tmp_path / "data"))
