"""What is new is marked once, what was shown is not shown again, and /missed shows the rest."""

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from chatroom.chat.unread import Unread
from chatroom.model.chatsettings import Settings
from chatroom.model.history import MAX_ID, Gap
from tests.conftest import MakeWorld
from tests.support.accounts import WORD, again, owner
from tests.support.rooms import shorten
from tests.support.world import World

TODAY = "-- Today (times are UTC)"


def numbers(count: int, first: int = 0) -> list[str]:
    return [str(number) for number in range(first, first + count)]


def shown(lines: Sequence[str]) -> list[str]:
    """What was said before, in *lines*, without times and names."""
    return [line.partition(": ")[2] for line in lines if line[:2].isdigit()]


def test_who_comes_back_to_a_room_is_shown_what_is_new_and_nothing_twice(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("seen")
    alice.says("/join den")
    bob.says("one", "two")
    assert alice.asks("/join lobby") == [
        TODAY,
        "-- 2 new",
        "08:00 bob: one",
        "08:00 bob: two",
        "-- Now",
        "-- You are now in #lobby with bob.",
    ]
    alice.says("/join den")
    assert alice.asks("/join lobby") == ["-- You are now in #lobby with bob."]
    assert alice.asks("/missed") == ["-- You missed nothing."]


def test_what_does_not_fit_is_there_for_missed(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/join den")
    bob.says(*numbers(34))
    back = alice.asks("/join lobby")
    assert back[1] == "-- 20 new, and /missed shows 14 more"
    assert shown(back) == numbers(20, 14)
    assert shown(alice.asks("/missed")) == numbers(14)
    assert alice.asks("/missed") == ["-- You missed nothing."]
    # And nothing of that is forgotten by who goes and comes once more.
    alice.says("/join den")
    bob.says("last")
    assert shown(alice.asks("/join lobby")) == ["last"]


def test_what_missed_has_shown_is_not_shown_again(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/join den")
    bob.says("one", "two")
    assert shown(alice.asks("/missed")) == ["one", "two"]
    bob.says("three")
    assert alice.asks("/join lobby")[1:-2] == ["-- 1 new", "08:00 bob: three"]
    assert alice.asks("/missed") == ["-- You missed nothing."]


def test_who_arrives_as_themselves_is_shown_where_what_is_new_begins(world: World) -> None:
    bob = world.person("bob")
    alice = owner(world)
    bob.says("seen")
    alice.says("/quit")
    bob.says("one", "two")
    back = world.arrives(again(world))
    lines = back.sees
    assert lines[:5] == [TODAY, "08:00 bob: seen", "-- 2 new", "08:00 bob: one", "08:00 bob: two"]
    assert not [line for line in lines if "missed" in line]
    assert back.asks("/missed") == ["-- You missed nothing."]


def test_who_logs_in_is_told_what_of_the_lines_above_was_new(world: World) -> None:
    bob = world.person("bob")
    alice = owner(world)
    bob.says("seen")
    alice.says("/quit")
    bob.says("one", "two")
    back = world.person()
    bob.says("live")
    lines = back.asks(f"/login alice {WORD}")
    assert "-- The last 2 lines before Now are new to you." in lines
    assert not [line for line in lines if "missed" in line]
    assert back.asks("/missed") == ["-- You missed nothing."]


def test_who_logs_in_missed_what_a_guest_was_not_shown(world: World) -> None:
    bob = world.person("bob")
    owner(world).says("/quit")
    bob.says(*numbers(34))
    back = world.person()
    lines = back.asks(f"/login alice {WORD}")
    assert "-- The last 20 lines before Now are new to you." in lines
    assert "-- You missed 14 lines since 08:00. /missed shows them." in lines
    assert shown(back.asks("/missed")) == numbers(14)


def test_who_logs_in_and_moves_is_shown_the_mark_there(world: World) -> None:
    bob = world.person("bob")
    bob.says("/join den", "seen")
    owner(world).says("/join den", "/quit")
    bob.says("one", "two")
    lines = world.person().asks(f"/login alice {WORD}")
    place = lines.index("-- 2 new")
    assert lines[place - 1 : place + 4] == [
        "08:00 bob: seen",
        "-- 2 new",
        "08:00 bob: one",
        "08:00 bob: two",
        "-- Now",
    ]


def test_ones_own_lines_are_not_new(world: World) -> None:
    bob = world.person("bob")
    owner(world).says("/quit")
    world.passes(again(world), "/say by a command")
    bob.says("one")
    back = world.person()
    back.says("as a guest")
    lines = back.asks(f"/login alice {WORD}")
    assert "-- The last line before Now is new to you." in lines
    assert not [line for line in lines if "missed" in line]


def test_only_ones_own_lines_are_nothing_missed(world: World) -> None:
    world.person("bob").says("/join den", "hello")
    owner(world).says("/join den", "/join lobby", "/quit")
    world.passes(again(world), "/say by a command")
    back = world.person()
    assert not [
        line for line in back.asks(f"/login alice {WORD}") if "missed" in line or "new" in line
    ]


def test_other_rooms_are_missed_and_marked_when_one_comes_there(world: World) -> None:
    bob = world.person("bob")
    bob.says("/join den", "seen")
    owner(world).says("/join den", "/join lobby", "/quit")
    bob.says("one", "two")
    back = world.arrives(again(world))
    assert "-- You missed 2 lines since 08:00. /missed shows them." in back.sees
    assert back.asks("/join den")[1:-2] == [
        "08:00 bob: seen",
        "-- 2 new",
        "08:00 bob: one",
        "08:00 bob: two",
    ]
    assert back.asks("/missed") == ["-- You missed nothing."]


def test_what_is_new_is_counted_where_none_of_it_is_shown(make_world: MakeWorld) -> None:
    world = make_world(Settings(scrollback=0))
    alice, bob = world.people("alice", "bob")
    alice.says("/join den")
    bob.says(*numbers(3))
    assert "-- 3 new: /missed" in alice.asks("/join lobby")
    assert shown(alice.asks("/missed")) == numbers(3)


def test_what_the_log_does_not_know_may_be_more(world: World) -> None:
    shorten(world.chat.lobby, 10)
    alice, bob = world.people("alice", "bob")
    alice.says("/join den")
    bob.says(*numbers(30))
    marked = [line for line in alice.asks("/join lobby") if "new" in line]
    assert len(marked) == 1
    assert marked[0].endswith(" new; /missed may have more")


# -- any order


STEPS = st.lists(
    st.tuples(st.sampled_from(["enter", "leave", "say", "read"]), st.integers(1, 4)), max_size=30
)


@given(STEPS)
def test_every_line_is_shown_once_or_is_in_a_gap(steps: list[tuple[str, int]]) -> None:
    unread, here, first, last = Unread(), True, 1, 0
    shown: list[int] = []
    for step, count in steps:
        match step:
            case "say":
                shown += range(last + 1, last + count + 1) if here else ()
                last += count
            case "leave" if here:
                unread.leave("lobby", first, last)
                here = False
            case "enter" if not here:
                mark = unread.mark("lobby")
                assert mark is not None
                # As many as there is room for.
                first = max(mark + 1, last - count + 1)
                unread.enter("lobby", first, complete=first == mark + 1)
                shown += range(first, last + 1)
                here = True
            case "read" if unread.gaps:
                room, gap = unread.gaps[0]
                ids = range(gap.after + 1, min(gap.before, last + 1, gap.after + 1 + count))
                shown += ids
                if ids:
                    unread.read(room, gap, ids[-1])
    left = [id for _, gap in unread.gaps for id in range(gap.after + 1, min(gap.before, last + 1))]
    assert sorted(shown + left) == list(range(1, last + 1))


def test_what_was_shown_to_the_guest_is_not_missed_by_the_user() -> None:
    unread = Unread()
    unread.leave("den", 5, 9)
    places: Mapping[str, int] = {"lobby": 2, "den": 3, "attic": 7}
    unread.log_in(places, "lobby", 6)
    assert unread.gaps == [
        ("den", Gap(3, 5)),
        ("den", Gap(9, MAX_ID)),
        ("lobby", Gap(2, 6)),
        ("attic", Gap(7, MAX_ID)),
    ]
