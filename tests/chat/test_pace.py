"""What holds a conversation up: a send queue that is full, and lines that come too fast."""

import pytest

from chatroom.chat.sendqueue import MAX_ENTRIES
from chatroom.model.limits import Limits
from tests.conftest import MakeWorld
from tests.support.doubles import DelayedLedger
from tests.support.world import Person, World

# -- the send queue


def test_a_full_queue_takes_no_private_lines(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.writer.stall()
    for number in range(MAX_ENTRIES):
        alice.says(f"/msg bob {number}")
    _ = alice.sees
    assert alice.asks("/msg bob one more") == [
        "-- bob is not reading; your line was not delivered. Try again later."
    ]
    bob.writer.drain()
    world.settle()
    assert bob.sees == [f"-> alice to you: {number}" for number in range(MAX_ENTRIES)]
    assert alice.asks("/msg bob again") == ["-> you to bob: again"]


def test_own_answers_hold_further_input_while_they_are_not_read(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    # All in one turn: nothing was sent yet that could not have been read.
    alice.types(*["/uptime"] * (MAX_ENTRIES + 50), "hi")
    assert alice.connection.queue.full
    assert bob.sees == []
    world.settle()
    assert len(alice.sees) == MAX_ENTRIES + 50
    assert bob.sees == ["alice: hi"]


def test_a_full_queue_that_is_not_read_holds_input_until_it_is(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.writer.stall(30)
    alice.types(*["/uptime"] * (MAX_ENTRIES + 50), "hi")
    world.settle()
    world.wait(60)
    assert bob.sees == []
    alice.writer.drain()
    world.settle()
    assert len(alice.sees) == MAX_ENTRIES + 50
    assert bob.sees == ["alice: hi"]


def test_history_larger_than_a_send_queue_is_its_end_and_no_line_is_passed_over(
    world: World,
) -> None:
    alice, bob = world.people("alice", "bob")
    for number in range(100):
        alice.types(f"{number} {'x' * 1900}")
    world.settle()
    _ = bob.sees
    pages = [bob.asks("/history 100")]
    assert 20 < len(pages[0]) < 40
    assert pages[0][-2].startswith("08:00 alice: 99 x")
    while pages[-1][-1] == "-- /more shows what was said before.":
        pages.append(bob.asks("/more"))
    said = [line.split()[2] for page in pages[::-1] for line in page if not line.startswith("--")]
    assert said == [str(number) for number in range(100)]


def test_who_has_just_left_cannot_be_told_anything(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.hangs_up()
    alice.types("/msg bob hi")
    world.settle()
    assert "-- bob has just left; your line was not delivered. Try again." in alice.sees


def test_private_lines_survive_a_stall_in_the_middle_of_an_entry(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.writer.stall(40)
    alice.types("/msg bob one one one", "/msg bob two two two", "/msg bob three three")
    world.settle()
    assert bob.writer.congested
    bob.writer.drain()
    assert bob.sees == [
        "-> alice to you: one one one",
        "-> alice to you: two two two",
        "-> alice to you: three three",
    ]


def test_somebody_who_is_in_no_room_yet_is_sent_what_is_for_them_on_draining() -> None:
    world = World(DelayedLedger)
    late = Person(world)
    late.writer.stall(3)
    late.connection.notice("one")
    world.clock.advance(0.001)
    assert late.writer.congested
    late.connection.notice("two")
    late.writer.drain()
    assert late.sees == ["-- one", "-- two"]
    world.end()


# -- the pace


@pytest.fixture
def paced(make_world: MakeWorld) -> World:
    return make_world(limits=Limits(rate=2, burst=3))


def test_lines_beyond_the_burst_are_delayed_and_not_lost(paced: World) -> None:
    alice, bob = Person(paced), paced.person()
    paced.wait(5)
    _ = bob.sees
    alice.types(*[str(number) for number in range(8)])
    paced.settle()
    assert len(bob.sees) == 3
    paced.wait(1.5)
    assert 2 <= len(bob.sees) <= 4
    paced.wait(10)
    assert bob.sees[-1] == "guest1: 7"


def test_commands_and_blank_lines_are_paced_too(paced: World) -> None:
    alice, bob = Person(paced), paced.person()
    paced.wait(5)
    _ = bob.sees
    alice.types("/uptime", "", "/nick alice", "hi")
    paced.settle()
    assert bob.sees == ["-- guest1 is now alice."]
    paced.wait(1)
    assert bob.sees == ["alice: hi"]


@pytest.mark.parametrize(("count", "told"), [(1, "1 is"), (2300, "2,300 are")])
def test_who_pastes_is_told_once(paced: World, count: int, told: str) -> None:
    alice = Person(paced)
    paced.settle()
    alice.types("1", "2", "3")
    _ = alice.sees
    alice.connection.waiting(count)
    alice.connection.waiting(count)
    paced.settle()
    assert alice.sees == [f"-- Your lines go out at 2 a second; {told} waiting. /quit drops them."]


def test_who_waits_for_something_else_is_not_told_of_the_pace(paced: World) -> None:
    alice = Person(paced)
    alice.connection.waiting(5)
    paced.settle()
    assert len(alice.sees) == 2


def test_who_leaves_while_their_next_line_waits_leaves_no_timer(paced: World) -> None:
    alice = Person(paced)
    paced.settle()
    alice.types("1", "2", "3")
    alice.hangs_up()
    paced.settle()
    paced.wait(5)
    assert paced.pending == []
