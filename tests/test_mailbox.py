"""The mailbox is bounded, and what was sent of it is dropped, even in the middle of an entry."""

from hypothesis import given
from hypothesis import strategies as st

from chatroom.chat.sendqueue import MAX_BYTES, MAX_ENTRIES, Mailbox
from fuzzing import examples

ENTRIES = st.lists(st.binary(min_size=1, max_size=8), max_size=12)


def test_what_is_posted_comes_out_in_order() -> None:
    mailbox = Mailbox()
    mailbox.post(b"one\r\n")
    mailbox.post(b"two\r\n")
    assert mailbox.contents() == b"one\r\ntwo\r\n"
    assert mailbox.size == 10


def test_a_new_mailbox_is_empty() -> None:
    mailbox = Mailbox()
    assert mailbox.contents() == b""
    assert mailbox.size == 0
    assert not mailbox.full


def test_it_is_full_with_a_hundred_entries() -> None:
    mailbox = Mailbox()
    for _ in range(MAX_ENTRIES - 1):
        mailbox.post(b"x")
    assert not mailbox.full
    mailbox.post(b"x")
    assert mailbox.full


def test_it_is_full_with_64_kib() -> None:
    mailbox = Mailbox()
    mailbox.post(b"x" * (MAX_BYTES - 1))
    assert not mailbox.full
    mailbox.post(b"x")
    assert mailbox.full


def test_it_takes_entries_while_full() -> None:
    mailbox = Mailbox()
    mailbox.post(b"x" * MAX_BYTES)
    mailbox.post(b"y")
    assert mailbox.contents().endswith(b"xy")


def test_once_cleared_it_is_as_new() -> None:
    mailbox = Mailbox()
    mailbox.post(b"x" * MAX_BYTES)
    mailbox.clear()
    assert not mailbox.full
    assert mailbox.size == 0
    assert mailbox.contents() == b""


@given(entries=ENTRIES, count=st.integers(0, 120))
@examples(200)
def test_what_was_sent_the_rest_of_an_entry_and_what_stays_are_all_of_it(
    entries: list[bytes], count: int
) -> None:
    mailbox = Mailbox()
    for entry in entries:
        mailbox.post(entry)
    everything = b"".join(entries)
    count = min(count, len(everything))
    rest = mailbox.sent(count)
    assert everything[:count] + rest + mailbox.contents() == everything
    assert mailbox.size == len(mailbox.contents())
    # What stays are whole entries.
    assert any(mailbox.contents() == b"".join(entries[i:]) for i in range(len(entries) + 1))
    assert len(rest) < 8
