"""What newcomers are shown of a room, and that they share it."""

from chatroom.chat.room import Room
from chatroom.formats.plain import PLAIN, RAW
from chatroom.model.events import Said
from tests.support.rooms import filled


def test_newcomers_share_the_scrollback_until_something_is_said() -> None:
    room = Room("den", "den")
    room.append(1, Said(1.0, 99, "alice", "hi"))
    first = room.scrollback.encoded(PLAIN, 20, 10.0)
    assert first == b"-- Today (times are UTC)\r\n00:00 alice: hi\r\n-- Now\r\n"
    assert room.scrollback.encoded(PLAIN, 20, 11.0) is first
    assert room.scrollback.encoded(RAW, 20, 11.0) == b""
    assert room.scrollback.encoded(PLAIN, 20, 11.0) is first
    assert room.scrollback.encoded(PLAIN, 20, 90_000.0).startswith(b"-- Yesterday")
    room.append(2, Said(1.0, 99, "alice", "ho"))
    assert b"ho" in room.scrollback.encoded(PLAIN, 20, 10.0)


def test_a_room_without_anything_said_has_no_scrollback() -> None:
    assert Room("den", "den").scrollback.encoded(PLAIN, 20, 0.0) == b""


def test_scrollback_forgets_what_the_room_forgets() -> None:
    room = filled()
    assert b"alice: 0" in room.scrollback.encoded(PLAIN, 9, 10.0)
    room.expire(1.0, 0)
    assert b"alice: 0" not in room.scrollback.encoded(PLAIN, 9, 10.0)
    assert b"alice: 1" in room.scrollback.encoded(PLAIN, 9, 10.0)
    room.expire(99.0, 0)
    assert room.scrollback.encoded(PLAIN, 9, 10.0) == b""
