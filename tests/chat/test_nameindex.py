"""The index of names: whose names begin in a certain way."""

from hypothesis import given
from hypothesis import strategies as st

from chatroom.chat.nameindex import NameIndex
from tests.support.world import World

KEYS = st.text("aé小\U0010ffff", max_size=4)


@given(st.lists(st.tuples(st.booleans(), KEYS)), KEYS)
def test_what_begins_so_is_found_whoever_came_and_went(
    steps: list[tuple[bool, str]], key: str
) -> None:
    index: NameIndex[int] = NameIndex(lambda: 0.0)
    for comes, one in steps:
        if comes:
            index[one] = len(one)
        else:
            index.pop(one, None)
    assert index.beginning(key) == sorted(one for one in index if one.startswith(key))
    assert len(index) == len(set(index))


def test_whoever_was_renamed_or_left_is_found_by_no_old_name() -> None:
    world = World()
    alice, bob = world.people("alice", "bob")
    alice.says("/nick ann")
    bob.hangs_up()
    world.settle()
    assert world.chat.people.beginning("") == ["ann"]
    world.end()
