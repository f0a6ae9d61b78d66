"""Completion: what Tab makes of what is typed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatroom.chat.connection import Connection
from chatroom.commands import COMMANDS, Command, command, usage
from chatroom.commands.completion import (
    COMPLETED,
    FREE,
    MAX_CHOICES,
    MAX_SIZE,
    PACE,
    SPOKEN,
    complete,
)
from chatroom.model.sanctions import RoomAccess
from chatroom.terminal.editactions import Action, Bell, Choices, Line
from chatroom.terminal.editor import Editor
from chatroom.terminal.keys import Key, Text
from chatroom.text.names import fold
from tests.support.doubles import immediate
from tests.support.fuzzing import examples
from tests.support.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """One kind of ledger will do: nothing is asked of it."""
    world = World(immediate)
    yield world
    world.end()


def offered(connection: Connection, line: str) -> list[str]:
    """What Tab offers where the bar is in *line*, or at its end."""
    before, _, after = line.partition("|")
    connection.prompt.completed = 0.0
    return list(complete(connection, before, after))


# -- people


def test_whoever_spoke_last_comes_first(world: World) -> None:
    alice, anna, arno, axel, _bob = world.people("alice", "anna", "arno", "axel", "bob")
    for person in (arno, anna):
        person.says("hello")
        world.wait(1)
    assert offered(alice.connection, "a") == ["anna: ", "arno: ", "axel: "]
    # Who did something else only comes before who did nothing.
    world.person("aaron")
    axel.says("/rooms")
    assert offered(alice.connection, "a") == ["anna: ", "arno: ", "axel: ", "aaron: "]


def test_people_who_are_equal_come_by_the_alphabet(world: World) -> None:
    (me,) = world.people("me2")
    for name in ("bob", "alice", "carl"):
        world.person(name).connection.active = 1.0
    assert offered(me.connection, "@") == ["@alice: ", "@bob: ", "@carl: "]


def test_only_who_is_in_the_room_and_not_ignored_is_named(world: World) -> None:
    alice, _bob, barbara, bert = world.people("alice", "bob", "barbara", "bert")
    barbara.says("/join den", "/part lobby")
    assert sorted(offered(alice.connection, "b")) == ["bert: ", "bob: "]
    alice.says("/ignore bert")
    assert offered(alice.connection, "b") == ["bob: "]
    assert offered(alice.connection, "al") == []
    # A command is for everybody, and for those who are ignored most of all.
    assert offered(alice.connection, "/whois b")[-1] == "barbara"
    assert sorted(offered(alice.connection, "/whois b")) == ["barbara", "bert", "bob"]
    assert offered(alice.connection, "/unignore be") == ["bert"]
    assert bert.room is not barbara.room


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("bo", ["bob: "]),
        ("BO", ["bob: "]),
        ("ｂＯ", ["bob: "]),
        ("hi bo", ["bob "]),
        ("  bo", ["bob: "]),
        ("@bo", ["@bob: "]),
        ("hi @bo", ["@bob "]),
        ("bob: bo", ["bob "]),
        ("élo", ["Élodie: "]),
        ("E\u0301LO", ["Élodie: "]),
        ("elo", []),
        # Within a word: after what does not join it to the one before.
        ("(bo", ["(bob"]),
        ("'bo", ["'bob"]),
        ('see "bo', ['"bob']),
        ("bob,él", ["bob,Élodie"]),
        ("it'sbo", []),
        ("it'bo", []),
        ("/usr/bo", []),
        ("see /usr/bo", []),
        ("//bo", []),
        ("x-bo", []),
        ("xbo", []),
        ("example.bo", []),
        # Where there are no blanks between words, anywhere; the longest beginning is meant.
        ("小", ["小明: "]),
        ("你好小", ["你好小明"]),
        ("你好，小", ["你好，小明"]),
        ("是bo", ["是bob"]),
        ("bo小", ["bo小明"]),
        ("我和王小", ["我和王小二"]),
        ("สวัสดีbo", ["สวัสดีbob"]),
        # Nothing to go by.
        ("", []),
        ("hi ", []),
        ("(", []),
        ("zz", []),
        # What stands behind the cursor is not there twice.
        ("bo| hi", ["bob:"]),
        ("hi bo| hi", ["bob"]),
        ("bo|: hi", ["bob"]),
        ("bo|b", ["bob: "]),
    ],
)
def test_names_in_what_is_said(world: World, line: str, choices: list[str]) -> None:
    alice, *_ = world.people("alice", "bob", "Élodie", "小明", "王小二")
    assert offered(alice.connection, line) == choices


def test_oneself_only_where_nobody_else_is_meant(world: World) -> None:
    alice, _ = world.people("alice", "alan")
    assert offered(alice.connection, "/whois al") == ["alan"]
    assert offered(alice.connection, "/whois ali") == ["alice"]


# -- rooms


def test_rooms_where_was_spoken_last_come_first(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/join deck", "hi")
    world.wait(1)
    bob.says("/join den", "hi", "/join lobby")
    assert offered(alice.connection, "#de") == ["#den ", "#deck "]
    assert offered(alice.connection, "see #DEN") == ["#den "]
    assert offered(alice.connection, "(#den") == ["(#den"]
    assert offered(alice.connection, "看#den") == ["看#den"]
    assert offered(alice.connection, "C#") == []
    assert offered(alice.connection, "#") == ["#den ", "#deck ", "#lobby "]
    assert offered(alice.connection, "/join de") == ["den", "deck"]
    assert offered(alice.connection, "/join #de") == ["#den", "#deck"]


def test_a_private_room_is_offered_to_nobody_who_may_not_see_it(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    bob.says("/join den", "secret")
    world.chat.moderation.rooms.set("den", RoomAccess(7, "bob", True, ()))
    world.chat.open_room("hidden", listed=False)
    carol.operates()
    lines = ["#", "#d", "/join ", "/join d", "/who d", "/search x in ", "hi #d", "#h"]
    for line in lines:
        assert not [one for one in offered(alice.connection, line) if "den" in one]
    assert offered(carol.connection, "#d") == ["#den "]
    world.chat.moderation.invite_guests("den", {alice.connection.origin: 0})
    assert offered(alice.connection, "#d") == ["#den "]


# -- commands


def test_commands_are_offered_to_who_may_use_them(world: World) -> None:
    alice, _bob = world.people("alice", "bob")
    assert offered(alice.connection, "/ki") == []
    assert offered(alice.connection, "/kick b") == []
    assert "kick" not in offered(alice.connection, "/help ")
    alice.operates()
    assert offered(alice.connection, "/ki") == ["/kick "]
    assert offered(alice.connection, "/kick b") == ["bob "]
    assert "kick" in offered(alice.connection, "/help ")


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("/he", ["/help "]),
        ("/HE", ["/help "]),
        ("/he| x", ["/help"]),
        ("/mot", ["/motd"]),
        ("/room", ["/room ", "/rooms"]),
        # Another name for one is offered if there is nothing else.
        ("/j", ["/join "]),
        ("/passw", ["/password "]),
        ("/tz", ["/tz "]),
        ("/?", ["/? "]),
        ("/tel", ["/tell "]),
        ("/zz", []),
        (" /he", []),
        ("//he", []),
        ("say /he", []),
        ("/nosuch bo", []),
        # Arguments.
        ("/msg bo", ["bob "]),
        ("/M bo", ["bob "]),
        ("/msg  bo", ["bob "]),
        ("/msg bo|", ["bob "]),
        ("/msg bo| hi", ["bob"]),
        ("/msg bob and bo", ["bob "]),
        ("/msg bob #lo", ["#lobby "]),
        ("/whois bo", ["bob"]),
        ("/whois bob bo", []),
        ("/me hugs bo", ["bob "]),
        ("/me ", []),
        ("/say bo", ["bob "]),
        ("/report bo", ["bob "]),
        ("/report bob he told bo", ["bob "]),
        ("/nick bo", []),
        ("/timestamps ", ["on", "off", "seconds"]),
        ("/timestamps O", ["on", "off"]),
        ("/timestamps on o", []),
        ("/bell m", ["mentions"]),
        ("/history ", ["before "]),
        ("/history 20 b", ["before "]),
        ("/history before ", []),
        ("/search lost i", ["in "]),
        ("/search lost things in lo", ["lobby "]),
        ("/search lost in lobby f", ["from "]),
        ("/search lost from bo", ["bob"]),
        ("/search what bo", ["bob "]),
        ("/room i", ["invite "]),
        ("/room invite bo", ["bob"]),
        ("/room public bo", []),
        ("/help roo", ["rooms", "room"]),
        ("/help /roo", ["/room", "/rooms"]),
        ("/help people", ["people"]),
        ("/help nic", ["nick"]),
        ("/help /tz", ["/tz"]),
        ("/timezone eu", ["Europe/"]),
        ("/tz Europe/Ber", ["Europe/Berlin"]),
        ("/tz berl", ["Europe/Berlin"]),
        ("/tz ＥＵＲＯＰＥ/berl", ["Europe/Berlin"]),
        ("/tz america/argentina/bue", ["America/Argentina/Buenos_Aires"]),
        ("/tz ut", ["UTC"]),
        ("/tz +5", []),
        ("/away bo", ["bob "]),
        ("/color a", ["auto"]),
        ("/reader ", ["on", "off"]),
        ("/key ", ["list", "add ", "remove "]),
        ("/key add bo", []),
        ("/motd bo", []),
    ],
)
def test_commands_and_their_arguments(world: World, line: str, choices: list[str]) -> None:
    alice, _bob = world.people("alice", "bob")
    assert offered(alice.connection, line) == choices


def test_whom_one_ignores_need_not_be_here(world: World) -> None:
    (alice,) = world.people("alice")
    ignores = {5: "spammer"}
    alice.connection.user.preferences = type(alice.connection.user.preferences)(ignores=ignores)
    assert offered(alice.connection, "/unignore sp") == ["spammer"]


def unique() -> list[Command]:
    return list(dict.fromkeys(COMMANDS.values()))


def test_nothing_is_offered_where_a_password_goes(world: World) -> None:
    alice, _bob = world.people("alice", "bob")
    alice.operates()
    secret = [one for one in unique() if {"PASSWORD", "OLD"} & set(usage.words(one.usage))]
    assert len(secret) >= 4
    for one in secret:
        for typed in ("b", "", "#", "@b", "bob b", "bob ", "bob bob b", "#lo"):
            choices = offered(alice.connection, f"/{one.name} {typed}")
            assert choices == (["bob "] if one.name == "login" and typed in ("b", "") else [])


def test_every_argument_is_completed_or_known_to_be_free() -> None:
    used = {word for one in unique() for word in usage.words(one.usage) if usage.is_argument(word)}
    assert used <= COMPLETED.keys() | SPOKEN | FREE
    assert len(COMPLETED.keys() | SPOKEN | FREE) == len(COMPLETED) + len(SPOKEN) + len(FREE)


def test_the_other_words_of_a_usage_are_typed_as_they_are() -> None:
    for one in unique():
        for word in usage.words(one.usage):
            assert usage.is_argument(word) or word == fold(word)
            assert word.replace("-", "").isalnum()


def test_a_usage_with_a_slip_is_found_at_once() -> None:
    with pytest.raises(ValueError, match="bracket"):
        command("first", usage="[on|off", into={}, group="talking")


def test_a_command_of_which_nothing_is_known_here_is_completed(world: World) -> None:
    def gadget(connection: Connection, rest: str) -> None:
        """see to your gadgets"""

    alice, _bob = world.people("alice", "bob")
    own = dict(COMMANDS)
    command(
        "gadget", usage="[list|add [UNHEARD] [NAME]|remove UNHEARD]", into=own, group="talking"
    )(gadget)
    alice.connection.commands = own
    assert offered(alice.connection, "/ga") == ["/gadget "]
    assert offered(alice.connection, "/gadget ") == ["list", "add ", "remove "]
    assert offered(alice.connection, "/gadget add x b") == ["bob"]
    assert offered(alice.connection, "/gadget remove b") == []


# -- what it costs


def test_of_very_many_some_are_offered_that_agree_in_what_all_do(world: World) -> None:
    (alice,) = world.people("alice")
    people = [world.person() for _ in range(MAX_CHOICES + 120)]
    late = world.person("guestbook")
    late.connection.active = 0.0
    people[150].says("hello")
    choices = offered(alice.connection, "gue")
    assert choices[0] == f"{people[150].name}: "
    assert len(set(choices)) <= MAX_CHOICES
    # Only guests whose numbers begin with 1, 2 or 3 spoke last, but that is not all there are.
    assert "guestbook: " in choices
    assert offered(alice.connection, "/msg g")[-1] == "guestbook "


def test_a_long_word_comes_less_often(world: World) -> None:
    (alice,) = world.people("alice")
    for _ in range(100):
        world.person()
    choices = offered(alice.connection, f"{'好' * 600}g")
    assert 2 <= len(choices) < 100
    assert sum(map(len, choices)) <= MAX_SIZE


def test_people_are_not_all_looked_at_where_they_are_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatroom.commands.completion.MAX_RANKED", 20)
    monkeypatch.setattr("chatroom.commands.completion.MAX_CHOICES", 5)
    alice, _ = world.people("alice", "guestly")
    people = [world.person() for _ in range(30)]
    here, *others = people
    for person in others:
        person.says("/join den", "/part lobby")
    # Those of the room are, and the ends.
    assert offered(alice.connection, "g") == [f"{here.name}: ", "guestly: "]
    asked = offered(alice.connection, "/msg g")
    assert asked[:2] == [f"{here.name} ", "guestly "]
    assert 5 < len(asked) <= 12


def test_a_thousand_tabs_are_a_few_questions(world: World) -> None:
    alice, _bob = world.people("alice", "bob")
    editor = Editor(200, partial(complete, alice.connection))
    editor.receive(Text("b"))
    editor.receive(Key.TAB)
    assert editor.text == "bob: "
    asked = [bool(complete(alice.connection, "b", "")) for _ in range(1000)]
    assert asked.index(False) == asked.count(True) < 40
    world.clock.advance(1)
    asked = [bool(complete(alice.connection, "b", "")) for _ in range(1000)]
    assert asked.count(True) <= PACE.rate


# -- with the editor


def typed(connection: Connection, editor: Editor, *events: Key | str) -> list[Action]:
    """What comes of these keys; a str is typed."""
    actions = []
    for event in events:
        connection.prompt.completed = 0.0
        actions += editor.receive(Text(event) if isinstance(event, str) else event)
    return actions


def test_a_conversation_with_tab(world: World) -> None:
    alice, *_ = world.people("alice", "bob", "bobby", "Élodie")
    connection = alice.connection
    editor = Editor(200, partial(complete, connection))
    assert typed(connection, editor, "Ｂ", Key.TAB) == []
    assert editor.text == "bob"
    assert typed(connection, editor, Key.TAB) == [Bell()]
    (shown,) = typed(connection, editor, Key.TAB)
    assert isinstance(shown, Choices)
    assert sorted(shown.choices) == ["bob: ", "bobby: "]
    typed(connection, editor, "b", Key.TAB, "hi e\u0301", Key.TAB, Key.ENTER)
    assert editor.text == ""
    assert typed(connection, editor, Key.UP, Key.ENTER) == [Line("bobby: hi Élodie ")]
    assert typed(connection, editor, "/wh", Key.TAB, "i", Key.TAB, "BOBB", Key.TAB, Key.ENTER) == [
        Line("/whois bobby")
    ]
    assert typed(connection, editor, "/tz berli", Key.TAB, Key.TAB, Key.ENTER) == [
        Line("/tz Europe/Berlin")
    ]
    # Several cities are shown, and nothing is put in that they have in common by chance.
    assert typed(connection, editor, "/tz mon", Key.TAB) == [Bell()]
    assert editor.text == "/tz mon"
    typed(connection, editor, Key.INTERRUPT, "hi bo there", *[Key.LEFT] * 6, "b", Key.TAB, Key.TAB)
    assert editor.text == "hi bob there"


SAMPLES = {
    "NAME": "bob",
    "WHOM": "bob",
    "ROOM": "lobby",
    "ZONE": "Europe/Berlin",
    "COMMAND": "uptime",
    "GROUP": "preferences",
}


def paths(sequence: usage.Sequence) -> Iterator[list[str]]:
    """All ways through a usage."""
    yield []
    for word, following in usage.steps(sequence):
        for path in paths(following):
            yield [word, *path]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_typed_with_tab(world: World, name: str) -> None:
    alice, _bob = world.people("alice", "bob")
    connection = alice.connection
    alice.operates()
    editor = Editor(200, partial(complete, connection))
    arguments = COMMANDS[name].usage

    def tabbed(word: str) -> None:
        """Type *word* but for its last letter, let Tab put it in, and help if it is not alone."""
        begun = editor.text
        typed(connection, editor, word[:-1], Key.TAB)
        if editor.text.strip(" ") != begun + word:
            assert editor.text == begun + word[:-1]
            typed(connection, editor, word[-1], Key.TAB)
        assert editor.text.strip(" ") == begun + word
        if not editor.text.endswith(" "):
            typed(connection, editor, " ")

    for path in paths(usage.parse(arguments)):
        wanted = [f"/{name}"]
        for letter in f"/{name}":
            typed(connection, editor, letter)
        typed(connection, editor, Key.TAB, Key.TAB)
        # An alias stays what it is, unless a command's name begins so.
        typed(connection, editor, Key.KILL_TO_START, f"/{name} ")
        for step in path:
            if step in SAMPLES or not usage.is_argument(step):
                word = SAMPLES.get(step, step)
                tabbed(word)
            else:
                word = "x1"
                typed(connection, editor, word, Key.TAB, Key.TAB, " ")
            wanted.append(word)
        typed(connection, editor, Key.TAB, Key.TAB)
        (line,) = typed(connection, editor, Key.ENTER)
        assert isinstance(line, Line)
        assert line.text.split() == wanted or line.text.split()[:-1] == wanted


@pytest.fixture(scope="module")
def crowd() -> Iterator[Connection]:
    """Somebody among people and rooms with names of many kinds."""
    world = World(immediate)
    alice, *_ = world.people(
        "alice", "Ａlina", "ﬁona", "小明", "Élodie", "ステファニー", "สมชาย", "한별"
    )
    alice.operates()
    alice.says("/join 小屋", "/join дом", "/join lobby")
    yield alice.connection
    world.end()


LETTERS = "/#@ ('aＡlｌfiﬁEe\u0301É小明王スステ\u3099ﾃﾞสมช한ㅎ\u1112ѕдом:,.-_"
NEAR = st.text(LETTERS + "\u0345\ud800\u200d\u00a0", max_size=12)
LINES = st.one_of(
    st.text(max_size=30),
    NEAR,
    st.builds(
        "{}{} {}".format, st.sampled_from(["", "/", "//"]), st.sampled_from([*COMMANDS]), NEAR
    ),
    st.builds("{} {}".format, NEAR, NEAR),
)


@settings(
    examples(400),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(before=LINES, after=st.one_of(st.text(max_size=5), st.just("")))
def test_whatever_is_typed_every_choice_begins_with_it(
    crowd: Connection, before: str, after: str
) -> None:
    crowd.prompt.completed = 0.0
    word = before.rpartition(" ")[2]
    zones = before.startswith(("/timezone ", "/tz "))
    for choice in complete(crowd, before, after):
        assert fold(choice).startswith(fold(word)) or zones
        assert " " not in choice.strip(" ")
    editor = Editor(2000, partial(complete, crowd))
    typed(crowd, editor, before.replace("\ud800", "x"))
    former = fold(editor.text)
    typed(crowd, editor, Key.TAB, Key.TAB)
    assert fold(editor.text).startswith(former) or zones
