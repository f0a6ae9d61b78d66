"""One connection's conversation: greeting, talking, names, moving, private lines, going."""

import pytest

from chatroom.chat.connection import Connection
from chatroom.chat.gate import Reason
from chatroom.commands import Command
from chatroom.formats.ansi import Colours, terminal
from chatroom.model.chatsettings import Settings
from chatroom.model.events import Said
from tests.conftest import MakeWorld, Strictness
from tests.support.doubles import LateClaims
from tests.support.world import Person, World

HINT = "-- Type to talk. /nick NAME picks a name, /help lists the rest, /quit leaves."
DAY = 24 * 60 * 60


def comes(world: World) -> list[str]:
    """What somebody who comes is shown."""
    person = Person(world)
    world.settle()
    return person.sees


# -- greeting


def test_the_first_person_is_greeted_alone(world: World) -> None:
    assert comes(world) == ["-- Welcome to chatroom. You are guest1, in #lobby.", HINT]


def test_a_greeting_names_who_is_there(world: World) -> None:
    world.people("alice")
    assert comes(world)[0] == "-- Welcome to chatroom. You are guest2, in #lobby with alice."
    world.wait(5)
    assert comes(world)[0] == (
        "-- Welcome to chatroom. You are guest3, in #lobby with alice and guest2."
    )


def test_a_greeting_names_at_most_ten(world: World) -> None:
    world.people(*[f"b{number}" for number in range(10)])
    assert comes(world)[0].endswith("with b0, b1, b2, b3, b4, b5, b6, b7, b8 and b9.")
    world.wait(5)
    assert comes(world)[0].endswith("with b0, b1, b2, b3, b4, b5, b6, b7, b8, b9 and 1 other.")
    world.wait(5)
    assert comes(world)[0].endswith("with b0, b1, b2, b3, b4, b5, b6, b7, b8, b9 and 2 others.")


def test_a_greeting_has_the_name_the_message_and_the_topic(make_world: MakeWorld) -> None:
    world = make_world(Settings(name="Example", lobby="Hall", motd="Be kind.\n\nAlways."))
    (alice,) = world.people("alice")
    alice.says("/topic tea")
    assert comes(world) == [
        "-- Welcome to Example. You are guest2, in #Hall with alice.",
        HINT,
        "-- Be kind.",
        "--",
        "-- Always.",
        "-- The topic is: tea",
    ]


def test_a_newcomer_is_shown_what_was_said_with_days_and_now(world: World) -> None:
    (alice,) = world.people("alice")
    alice.says("the build is red")
    world.wait(DAY)
    alice.says("the build is green again", "/me cheers")
    world.wait(DAY)
    assert comes(world)[:-2] == [
        "-- Friday 15 January 2027 (times are UTC)",
        "08:00 alice: the build is red",
        "-- Yesterday",
        "08:00 alice: the build is green again",
        "08:00 * alice cheers",
        "-- Now",
    ]


def test_a_newcomer_is_shown_the_last_twenty_lines(world: World) -> None:
    (alice,) = world.people("alice")
    alice.says(*[str(number) for number in range(50)])
    assert comes(world)[1:-3] == [f"08:00 alice: {number}" for number in range(30, 50)]


def test_scrollback_can_be_switched_off(make_world: MakeWorld) -> None:
    world = make_world(Settings(scrollback=0))
    (alice,) = world.people("alice")
    alice.says("hi")
    assert len(comes(world)) == 2


# -- talking


@pytest.mark.parametrize(
    ("typed", "seen"),
    [
        ("hi", "alice: hi"),
        ("  indented", "alice:   indented"),
        ("//text", "alice: /text"),
        ("//", "alice: /"),
        ("a\tb\x1b[2J", "alice: a b\ufffd[2J"),
        ("/me waves", "* alice waves"),
        (" / or not", "alice:  / or not"),
        ("-- not the server", "alice: -- not the server"),
        ("loginname", "alice: loginname"),
        ("login is slow for everybody today", "alice: login is slow for everybody today"),
    ],
)
def test_what_is_typed_is_shown_to_others(world: World, typed: str, seen: str) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(typed)
    assert alice.sees == []
    assert bob.sees == [seen]


@pytest.mark.parametrize("typed", ["", "   ", "\t"])
def test_a_blank_line_is_not_said(world: World, typed: str) -> None:
    alice, bob = world.people("alice", "bob")
    assert alice.asks(typed) == []
    assert bob.sees == []


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (
            " /nick bob",
            "-- Not said: a command begins the line with its /. If it is none, /say says it.",
        ),
        (
            "\t/quit",
            "-- Not said: a command begins the line with its /. If it is none, /say says it.",
        ),
        (
            "login secret",
            "-- Not said: it looks like a password on its way to the wrong place.",
        ),
        (
            "  Identify alice secret ",
            "-- Not said: it looks like a password on its way to the wrong place.",
        ),
    ],
)
def test_a_command_gone_wrong_is_held_back(world: World, typed: str, hint: str) -> None:
    alice, bob = world.people("alice", "bob")
    assert alice.asks(typed) == [hint]
    assert bob.sees == []


def test_a_fault_in_one_conversation_ends_that_connection_alone(
    world: World, strict: Strictness
) -> None:
    alice, bob = world.people("alice", "bob")

    def fails(connection: Connection, rest: str) -> None:
        raise ZeroDivisionError

    alice.connection.commands = {"boom": Command("boom", (), "", "fails", fails, "tests")}
    # It waits in front of the fault, so that the input goes on at the end of a turn.
    alice.connection.gate.close(Reason.ANSWER)
    alice.types("/boom")
    alice.connection.gate.open(Reason.ANSWER)
    world.settle()
    assert alice.writer.aborted
    bob.says("still here")
    assert bob.asks("/who")[0].startswith("-- 2 people")
    assert strict.expected()


# -- names


def test_everybody_has_a_name_at_once_and_never_one_that_was_had(world: World) -> None:
    Person(world).hangs_up()
    world.settle()
    assert comes(world)[0].startswith("-- Welcome to chatroom. You are guest2,")


def test_a_new_name_is_shown_to_all(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    assert alice.asks("/nick carol") == ["-- You are now carol."]
    assert bob.sees == ["-- alice is now carol."]
    assert world.chat.people.keys() == {"carol", "bob"}


def test_the_first_to_ask_gets_a_name(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types("/nick carol")
    bob.types("/nick Carol")
    world.settle()
    assert alice.sees == ["-- You are now carol."]
    # Over a late ledger the refusal is there before the change.
    assert sorted(bob.sees) == [
        "-- Carol is taken. You are still bob. /nick NAME picks another.",
        "-- alice is now carol.",
    ]
    assert bob.name == "bob"


def test_a_name_is_free_when_its_owner_has_another(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/nick carol")
    bob.says("/nick alice")
    assert (alice.name, bob.name) == ("carol", "alice")


def test_a_name_is_free_when_its_owner_has_left(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.hangs_up()
    world.settle()
    bob.says("/nick alice")
    assert bob.name == "alice"


def test_another_spelling_of_the_own_name_is_free(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/nick ALICE")
    assert bob.sees == ["-- alice is now ALICE."]
    assert bob.asks("/nick Alice") == [
        "-- Alice is taken. You are still bob. /nick NAME picks another."
    ]


def test_a_script_whose_name_is_taken_talks_on(world: World) -> None:
    alice, _ci = world.people("alice", "ci")
    script = Person(world)
    script.types("/nick ci", "build ok")
    script.ends()
    world.settle()
    lines = script.sees
    assert lines[2:] == ["-- ci is taken. You are still guest3. /nick NAME picks another."]
    assert script.gone
    assert alice.sees == ["-- guest3 joined.", "guest3: build ok", "-- guest3 left."]


def test_a_script_talks_under_the_name_it_chose(world: World) -> None:
    (alice,) = world.people("alice")
    script = Person(world)
    script.types("/nick ci", "build ok")
    script.ends()
    world.settle()
    assert alice.sees == ["-- ci joined.", "ci: build ok", "-- ci left."]


@pytest.fixture
def slow(make_world: MakeWorld, claims: LateClaims) -> World:
    """A world in which it takes time to claim a name."""
    return make_world(claims=claims)


def test_input_waits_for_a_name(slow: World, claims: LateClaims) -> None:
    alice, bob = slow.person(), slow.person()
    alice.says("/nick alice", "hi")
    assert bob.sees == []
    claims.answer()
    slow.settle()
    assert bob.sees == ["-- alice joined.", "alice: hi"]


def test_late_claims_go_to_the_first(slow: World, claims: LateClaims) -> None:
    alice, bob = slow.person(), slow.person()
    alice.says("/nick carol")
    bob.says("/nick carol")
    claims.answer()
    claims.answer()
    slow.settle()
    assert alice.name == "carol"
    assert bob.sees == ["-- carol is taken. You are still guest2. /nick NAME picks another."]


def test_a_claim_that_fails_changes_nothing(slow: World, claims: LateClaims) -> None:
    alice, bob = slow.person(), slow.person()
    alice.says("/nick alice", "hi")
    claims.fail()
    slow.settle()
    assert alice.sees == ["-- You are still guest1: names cannot be changed just now."]
    assert bob.sees == ["-- guest1 joined.", "guest1: hi"]


@pytest.mark.parametrize("gone_first", [True, False])
def test_a_claim_that_is_answered_after_its_asker_left_is_given_back(
    slow: World, claims: LateClaims, gone_first: bool
) -> None:
    alice, bob = slow.person(), slow.person()
    alice.says("hi", "/nick alice")
    alice.hangs_up()
    if gone_first:
        slow.settle()
    claims.answer()
    slow.settle()
    assert bob.sees == ["-- guest1 joined.", "guest1: hi", "-- guest1 left."]
    bob.says("/nick alice")
    claims.answer()
    slow.settle()
    assert bob.name == "alice"


def test_a_claim_that_fails_after_its_asker_left_is_nothing(
    slow: World, claims: LateClaims
) -> None:
    alice = slow.person()
    alice.says("/nick alice")
    alice.hangs_up()
    slow.settle()
    claims.fail()
    slow.settle()
    assert slow.chat.people == {}


def test_a_claim_that_is_refused_after_its_asker_left_is_nothing(
    slow: World, claims: LateClaims
) -> None:
    alice, bob = slow.person(), slow.person()
    alice.says("/nick carol")
    claims.answer()
    slow.settle()
    bob.says("/nick carol")
    bob.hangs_up()
    claims.answer()
    slow.settle()
    assert list(slow.chat.people) == ["carol"]


def test_who_is_gone_before_their_name_was_changed_leaves_both_free(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types("/nick carol")
    alice.hangs_up()
    world.settle()
    assert list(world.chat.people) == ["bob"]
    bob.says("/nick carol", "/nick alice")
    assert bob.name == "alice"


# -- moving


def test_input_waits_for_a_room(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types("/join den", "hi")
    world.settle()
    assert bob.sees == []
    assert "08:00 alice: hi" in bob.asks("/join den")


def test_who_moves_is_greeted_in_short(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/join den", "/topic tea")
    assert bob.asks("/join DEN") == ["-- You are now in #den with alice.", "-- The topic is: tea"]


@pytest.mark.parametrize("lines", [["/join den"], ["/nick carol"], ["hi", "/join den"]])
def test_who_hangs_up_on_the_way_leaves_nothing(world: World, lines: list[str]) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types(*lines)
    alice.hangs_up()
    alice.hangs_up()
    world.settle()
    assert list(world.chat.connections) == [bob.connection.origin]
    assert list(world.chat.rooms) == ["lobby"]


def test_who_hangs_up_while_being_let_in_leaves_nothing(world: World) -> None:
    alice = Person(world)
    alice.hangs_up()
    alice.hangs_up()
    world.settle()
    assert world.chat.connections == {}
    assert alice.writer.data == b""


# -- going


def test_who_quits_is_seen_off(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    assert alice.asks("/quit see you") == ["-- Good-bye."]
    assert alice.gone
    assert bob.sees == ["-- alice left (see you)."]


def test_what_was_said_before_hanging_up_is_said(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types("one", "two")
    alice.hangs_up()
    world.settle()
    assert bob.sees == ["alice: one", "alice: two", "-- alice left."]


def test_the_answers_to_the_last_lines_are_sent_before_closing(world: World) -> None:
    script = Person(world)
    script.types("/nick ci", "/uptime", "/who")
    script.ends()
    world.settle()
    assert script.sees[-1] == "-- 1 person in #lobby: ci"
    assert script.gone


def test_who_has_quit_is_told_nothing_more(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types("/quit")
    bob.types("after")
    alice.hangs_up()
    world.settle()
    alice.connection.notice("nothing")
    alice.connection.tell(Said(0.0, 1, "x", "y"))
    world.settle()
    assert alice.connection.queue.size == 0


# -- how high a window is


@pytest.mark.parametrize(("height", "oldest"), [(0, 30), (100, 30), (24, 31), (12, 43), (6, 49)])
def test_what_was_said_and_the_greeting_fit_into_the_window(
    world: World, monkeypatch: pytest.MonkeyPatch, height: int, oldest: int
) -> None:
    (alice,) = world.people("alice")
    alice.says(*[str(number) for number in range(50)])
    monkeypatch.setattr(Person, "height", height)
    shown = comes(world)
    # The line that is typed stands below.
    assert not height or len(shown) < height
    assert shown[1] == f"08:00 alice: {oldest}"
    assert shown[-3:-1] == [
        "-- Now",
        "-- Welcome to chatroom. You are guest2, in #lobby with alice.",
    ]


def test_in_a_window_without_room_nothing_of_what_was_said_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (alice,) = world.people("alice")
    alice.says("hi")
    monkeypatch.setattr(Person, "height", 5)
    assert len(comes(world)) == 2


def test_lines_that_take_several_rows_count_as_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (alice,) = world.people("alice")
    alice.says(*[f"{'word ' * 30}{number}" for number in range(10)])
    monkeypatch.setattr(Person, "height", 24)
    newcomer = Person(world, format=terminal(80, Colours.NONE))
    world.settle()
    assert newcomer.writer.data.count(b"\r\n") <= 23
    assert newcomer.writer.data.count(b" alice: word") == 6
