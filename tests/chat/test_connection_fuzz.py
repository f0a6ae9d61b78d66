"""Whatever people do, everything stays in order."""

from hypothesis import given
from hypothesis import strategies as st

from chatroom.model.events import Event, Said
from tests.support.doubles import DelayedLedger, immediate
from tests.support.fuzzing import examples
from tests.support.world import Person, World, check

ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(
            [
                *("say", "nick", "steal", "join", "lobby", "part", "msg", "ignore", "topic"),
                *("history", "rooms"),
                *("stall", "take", "drain", "hang up", "quit", "come", "turn", "wait"),
            ]
        ),
    ),
    max_size=60,
)


@given(ledger=st.sampled_from([immediate, DelayedLedger]), actions=ACTIONS)
@examples(200)
def test_whatever_people_do_everything_stays_in_order(
    ledger: type[DelayedLedger], actions: list[tuple[int, str]]
) -> None:
    world = World(ledger)
    people = [world.person() for _ in range(4)]
    said = 0
    for index, action in actions:
        person = people[index]
        match action:
            case "say":
                person.types(f"line {said}")
                said += 1
            case "nick":
                person.types(f"/nick name{said}")
            case "steal":
                person.types("/nick wanted")
            case "join":
                person.types("/join den")
            case "lobby":
                person.types("/join lobby")
            case "msg":
                person.types(f"/msg {people[(index + 1) % 4].name} psst")
            case "ignore":
                person.types(f"/ignore {people[(index + 1) % 4].name}")
            case "topic" | "history" | "part" | "rooms":
                person.types(f"/{action}")
            case "stall":
                person.writer.stall(said % 7)
            case "take":
                person.writer.drain(said % 50)
            case "drain":
                person.writer.drain()
            case "hang up":
                person.hangs_up()
            case "quit":
                person.types("/quit")
            case "come" if person.gone:
                people[index] = Person(world)
            case "turn":
                world.clock.advance(0.001)
            case "wait":
                world.wait(1)
    for person in people:
        person.writer.drain()
    world.settle()
    chat = world.chat
    check(world)
    for person in world.came:
        live = [line for line in person.writer.data.split(b"\r\n") if b": line " in line]
        live = [line for line in live if not line[:2].isdigit()]
        numbers = [int(line.split()[-1]) for line in live]
        order = {room.key: _order(room.log.recent(10_000)) for room in chat.rooms.values()}
        for key in order:
            shown = [number for number in numbers if number in set(order[key])]
            places = [order[key].index(number) for number in shown]
            assert places == sorted(set(places))
    world.empty()
    assert chat.connections == {}
    assert chat.people == {}
    assert {key for key, room in chat.rooms.items() if not room.log.lines} <= {"lobby"}
    assert world.clock.getDelayedCalls() == []


def _order(events: list[Event]) -> list[int]:
    return [int(event.text.split()[-1]) for event in events if isinstance(event, Said)]
