"""The queue is bounded, and what was sent of it is dropped, even in the middle of an entry."""

from hypothesis import given
from hypothesis import strategies as st

from chatroom.chat.sendqueue import MAX_BYTES, MAX_ENTRIES, SendQueue
from tests.support.fuzzing import examples

ENTRIES = st.lists(st.binary(min_size=1, max_size=8), max_size=12)


def test_what_is_posted_comes_out_in_order() -> None:
    queue = SendQueue()
    queue.post(b"one\r\n")
    queue.post(b"two\r\n")
    assert queue.contents() == b"one\r\ntwo\r\n"
    assert queue.size == 10


def test_a_new_queue_is_empty() -> None:
    queue = SendQueue()
    assert queue.contents() == b""
    assert queue.size == 0
    assert not queue.full


def test_it_is_full_with_a_hundred_entries() -> None:
    queue = SendQueue()
    for _ in range(MAX_ENTRIES - 1):
        queue.post(b"x")
    assert not queue.full
    queue.post(b"x")
    assert queue.full


def test_it_is_full_with_64_kib() -> None:
    queue = SendQueue()
    queue.post(b"x" * (MAX_BYTES - 1))
    assert not queue.full
    queue.post(b"x")
    assert queue.full


def test_it_takes_entries_while_full() -> None:
    queue = SendQueue()
    queue.post(b"x" * MAX_BYTES)
    queue.post(b"y")
    assert queue.contents().endswith(b"xy")


def test_once_cleared_it_is_as_new() -> None:
    queue = SendQueue()
    queue.post(b"x" * MAX_BYTES)
    queue.clear()
    assert not queue.full
    assert queue.size == 0
    assert queue.contents() == b""


@given(entries=ENTRIES, count=st.integers(0, 120))
@examples(200)
def test_what_was_sent_the_rest_of_an_entry_and_what_stays_are_all_of_it(
    entries: list[bytes], count: int
) -> None:
    queue = SendQueue()
    for entry in entries:
        queue.post(entry)
    everything = b"".join(entries)
    count = min(count, len(everything))
    rest = queue.sent(count)
    assert everything[:count] + rest + queue.contents() == everything
    assert queue.size == len(queue.contents())
    # What stays are whole entries.
    assert any(queue.contents() == b"".join(entries[i:]) for i in range(len(entries) + 1))
    assert len(rest) < 8
