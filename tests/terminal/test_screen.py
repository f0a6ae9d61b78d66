"""What a terminal shows of a prompt, of what is typed, and of what arrives meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.terminal.editactions import Action, Bell, Choices, Line, Redraw
from chatroom.terminal.editor import Editor
from chatroom.terminal.keys import Event, Key, Paste, Text
from chatroom.terminal.screen import PlainScreen, Screen
from chatroom.text.cells import columns, wrap
from chatroom.text.names import clean
from tests.support.fuzzing import examples
from tests.support.terminal import OldTerminal, Terminal, expected, filled

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
HEART = "\u2764\ufe0f"
FLAG = "\U0001f1e9\U0001f1ea"
PROMPT = "> "


class Person:
    """Somebody at a terminal: what they type goes through an editor, what is sent is shown."""

    def __init__(self, width: int, height: int, terminal: type[Terminal] = Terminal) -> None:
        self.terminal = terminal(width, height)
        self.screen = Screen(width, height)
        self.editor = Editor(400, lambda before, after: ["alice: ", "alina: "])
        self.prompt = PROMPT
        #: The rows that are to be above the input.
        self.log: list[str] = []
        self.terminal.feed(self.screen.begin())
        self.show()

    def show(self) -> bytes:
        sent = self.screen.show(*self.editor.view(self.prompt))
        self.terminal.feed(sent)
        return sent

    def press(self, *events: Event) -> list[Action]:
        actions = [action for event in events for action in self.editor.receive(event)]
        for action in actions:
            match action:
                case Line(hidden=False):
                    self.terminal.feed(self.screen.ended())
                    self.say(f"me: {action.text}")
                case Choices():
                    self.terminal.feed(self.screen.choices(action.choices))
                    self.shown(columns(list(action.choices), self.width))
        self.show()
        return actions

    def say(self, *messages: str) -> bytes:
        # As formats do it, whose rows are no narrower than that.
        width = max(20, self.width)
        lines = [row for message in messages for row in wrap(clean(message), width, 4)]
        sent = self.screen.above("".join(f"{line}\r\n" for line in lines).encode())
        self.terminal.feed(sent)
        self.shown(lines)
        return sent

    def shown(self, lines: list[str]) -> None:
        """These lines were shown above the input."""
        self.log += [row.rstrip() for line in lines for row in filled(line, self.width)]

    def resize(self, width: int, height: int) -> None:
        # What is in the rows of the input that do not fit any more is in the scrollback now.
        lost = max(0, self.place()[0] - (height - 1))
        self.log += self.terminal.rows[self.first() :][:lost]
        self.terminal.resize(height, width)
        self.terminal.feed(self.screen.resize(width, height))

    @property
    def width(self) -> int:
        return self.screen.width

    def place(self) -> tuple[int, int]:
        return self.screen._cursor

    def first(self) -> int:
        """In which row of the terminal's the input begins."""
        return self.terminal.above - self.place()[0]

    def check(self) -> None:
        """The terminal shows all that it is to show, and the cursor is where it is to be."""
        prompt, text, cursor = self.editor.view(self.prompt)
        rows, place = expected(prompt, text, cursor, self.width)
        first = self.first()
        assert self.terminal.rows[:first] == self.log
        shown = self.terminal.rows[first:]
        most = self.screen.height - 1
        begin = place[0] - self.place()[0]
        assert begin == 0 or len(rows) > most
        window = rows[begin : begin + most]
        assert shown[: len(window)] == [row.rstrip() for row in window]
        assert not any(shown[len(window) :])
        assert (self.terminal.above - first + begin, self.terminal.cursor.x) == place
        assert 0 <= self.place()[0] < len(window)


# -- what is sent


def test_what_is_typed_at_the_end_is_sent_alone() -> None:
    screen = Screen(80, 24)
    assert screen.show("> ", [], 0) == b"> "
    assert screen.show("> ", ["a"], 1) == b"a"
    assert screen.show("> ", ["a", "小"], 2) == "小".encode()
    assert screen.show("> ", ["a", "小"], 2) == b""
    assert screen.show("> ", ["a", "小"], 0) == b"\x1b[3G"
    assert screen.show("> ", ["a"], 1) == b"\x1b[4G\x1b[J"


def test_a_message_takes_the_input_away_and_draws_it_again_once() -> None:
    screen = Screen(80, 24)
    screen.show("> ", ["h", "i"], 1)
    lines = b"one\r\ntwo\r\nthree\r\n"
    assert screen.above(lines) == b"\r\x1b[J" + lines + b"> hi\x1b[4G"
    assert screen.above(lines) == b"\r\x1b[J" + lines + b"> hi\x1b[4G"


def test_a_message_before_there_is_an_input_is_sent_as_it_is() -> None:
    assert Screen(80, 24).above(b"hi\r\n") == b"hi\r\n"


def test_the_bytes_of_messages_are_not_touched() -> None:
    screen = Screen(20, 4)
    screen.show("> ", [], 0)
    shared = b"\x1b[38;5;30malice\x1b[39m: \xff\xfe\r\n"
    assert shared in screen.above(shared)


def test_emoji_have_the_column_said_behind_them_and_nothing_wraps() -> None:
    screen = Screen(20, 4)
    assert screen.show("", [FAMILY, "a"], 2) == f"\x1b[?7l{FAMILY}\x1b[3Ga\x1b[?7h".encode()


def test_a_session_marks_pastes_and_leaves_the_terminal_as_it_was() -> None:
    screen = Screen(20, 4)
    assert screen.begin() == b"\x1b[?2004h"
    screen.show("> ", ["a"], 0)
    assert screen.end() == b"\r\r\n\x1b[?2004l"
    assert screen.end() == b"\x1b[?2004l"


@pytest.mark.parametrize(
    ("given", "taken"),
    [((0, 0), (4, 2)), ((9999, 9999), (500, 500)), ((80, 24), (80, 24)), ((-1, 5), (4, 5))],
)
def test_a_size_is_bounded(given: tuple[int, int], taken: tuple[int, int]) -> None:
    screen = Screen(*given)
    assert (screen.width, screen.height) == taken
    screen.resize(50, 10)
    screen.resize(*given)
    assert (screen.width, screen.height) == taken


# -- what is shown


def test_what_is_hidden_is_not_shown() -> None:
    person = Person(30, 5)
    person.press(Text("sec"))
    person.editor.hide()
    person.prompt = "Password: "
    person.press(Text("ret"))
    person.say("hello")
    assert person.terminal.rows[:3] == ["hello", "Password:", ""]
    assert person.press(Key.ENTER) == [Line("secret", hidden=True)]
    person.editor.unhide()
    person.prompt = PROMPT
    person.show()
    person.check()
    assert not any("ret" in row for row in person.terminal.rows)


def test_what_was_typed_may_stay_where_it_is() -> None:
    person = Person(20, 5)
    person.press(Text("x" * 30), Key.START)
    person.terminal.feed(person.screen.keep())
    person.press(Key.INTERRUPT)
    assert person.terminal.rows[:3] == ["> " + "x" * 18, "x" * 12, ">"]


def test_a_row_that_is_full_is_followed_by_one_for_the_cursor() -> None:
    person = Person(20, 5)
    person.press(Text("x" * 18))
    assert (person.terminal.cursor.y, person.terminal.cursor.x) == (1, 0)
    person.check()
    person.press(Key.BACKSPACE)
    person.check()


def test_a_cleared_screen_has_the_input_at_its_top() -> None:
    person = Person(20, 5)
    person.say("one", "two", "three", "four")
    assert person.press(Text("abc"), Key.REDRAW) == [Redraw()]
    person.terminal.feed(person.screen.clear())
    person.log = list(person.terminal.scrolled)
    person.check()


def test_controls_are_not_drawn_as_such() -> None:
    screen = Screen(80, 24)
    sent = screen.show("\x1b[2J", ["\x07", "\x9b", "\u202e", "\t"], 4)
    assert sent == "^[[2J^G\ufffd\ufffd^I".encode()


def test_a_grapheme_that_is_wider_than_the_screen_is_replaced() -> None:
    person = Person(4, 5)
    person.press(Text("\u1100" * 4 + "a"))
    assert person.terminal.rows[0] == "> \ufffda"


def test_a_question_stands_where_the_line_is() -> None:
    person = Person(40, 5)
    person.press(Text("mine"), Paste("x\n" * 30))
    person.check()
    person.say("hello")
    assert person.terminal.rows[1] == "Send 30 lines? y/n"
    assert person.press(Text("n")) == []
    assert person.terminal.rows[1] == "> mine"


def test_a_window_of_rows_is_shown_of_a_text_that_is_too_long() -> None:
    person = Person(20, 4)
    person.say("one")
    person.press(Text("x" * 150))
    person.check()
    for key in [Key.START, Key.RIGHT, Key.END, Key.LEFT, Key.KILL_TO_START]:
        person.press(key)
        person.check()
        person.say("more")
        person.check()


# -- for a screen reader


def test_a_screen_reader_is_sent_nothing_twice() -> None:
    screen = PlainScreen(80, 24)
    assert screen.show("", [], 0) == b""
    assert screen.above(b"one\r\n") == b"one\r\n"
    assert screen.show("", ["h"], 1) == b"h"
    assert screen.show("", ["h", "小"], 2) == "小".encode()
    assert screen.show("", ["h", "小"], 1) == b"\b\b"
    assert screen.show("", ["h", "小"], 2) == "小".encode()
    assert screen.above(b"two\r\nthree\r\n") == b"\r\ntwo\r\nthree\r\n"
    assert screen.above(b"four\r\n") == b"four\r\n"
    assert screen.show("", ["h", "小", "!"], 3) == "h小!".encode()
    assert screen.show("", ["h", "小"], 2) == b"\b \b"
    assert screen.show("", ["h"], 1) == b"\b\b  \b\b"
    assert screen.ended() == b"\r\n"
    assert screen.show("", [], 0) == b""
    assert screen.show("Password: ", [], 0) == b"Password: "
    assert screen.show("", [], 0) == b"\r\n"


def test_a_change_in_the_middle_is_a_row_of_its_own_for_a_screen_reader() -> None:
    screen = PlainScreen(80, 24)
    screen.show("", ["a", "c"], 1)
    assert screen.show("", ["a", "b", "c"], 2) == b"\r\nabc\b"
    assert screen.show("", ["\x1b", "[", "A"], 3) == b"\r\n^[[A"
    assert screen.choices(["alice: ", "alina: "]) == b"\r\nalice, alina\r\n"
    assert screen.show("", ["x"], 1) == b"x"
    assert screen.clear() == b"\r\n"
    assert screen.resize(9999, 50) == b""
    assert (screen.width, screen.height) == (500, 50)
    screen.show("", ["x"], 1)
    assert screen.end() == b"\r\n\x1b[?2004l"


# -- anything at all

ODD = st.sampled_from(
    [
        *("a", "hello ", "wonderful", " ", "x" * 17, "小", "明天", "，", "각", "カ"),
        *("e\u0301", "\u0301", FAMILY, HEART, FLAG, "\U0001f1e9", "\U0001f44d\U0001f3fd"),
        *("\u200d", "\u3164", "\u202e", "क्षे", "กำ", "1\ufe0f\u20e3", "\x9b", "\u3000"),
    ]
)
TEXTS = st.lists(ODD, min_size=1, max_size=12).map("".join)
MESSAGES = TEXTS | st.sampled_from(["https://example.org/" + "x" * 50, "y" * 90, "see `a b c`"])
SIZES = st.tuples(st.integers(4, 45), st.integers(2, 9))

STEPS = st.one_of(
    TEXTS.map(Text),
    st.sampled_from([key for key in Key if key is not Key.REDRAW]),
    st.sampled_from([Key.LEFT, Key.BACKSPACE, Key.WORD_LEFT, Key.START, Key.UP]),
    TEXTS.map(Paste),
    st.lists(TEXTS, min_size=2, max_size=30).map("\n".join).map(Paste),
    st.lists(MESSAGES, min_size=1, max_size=4).map(tuple),
    SIZES.map(list),
)


@given(SIZES, st.lists(STEPS, max_size=25))
@examples(400)
def test_everything_is_shown_whatever_happens(
    size: tuple[int, int], steps: list[Event | tuple[str, ...] | list[int]]
) -> None:
    person = Person(*size)
    for step in steps:
        if isinstance(step, tuple):
            person.say(*step)
        elif isinstance(step, list):
            person.resize(*step)
        else:
            person.press(step)
        person.check()


@given(st.tuples(st.integers(20, 45), st.integers(2, 9)), st.lists(STEPS, max_size=25))
@examples(200)
def test_a_terminal_that_knows_of_no_graphemes_keeps_rows_and_cursor(
    size: tuple[int, int], steps: list[Event | tuple[str, ...] | list[int]]
) -> None:
    person = Person(*size, OldTerminal)
    for step in steps:
        if isinstance(step, tuple):
            person.say("hello")
        elif isinstance(step, Text | Key) and step is not Key.ENTER:
            person.press(step)
        prompt, text, cursor = person.editor.view(PROMPT)
        _, place = expected(prompt, text, cursor, person.width)
        first = person.first()
        assert person.terminal.rows[:first] == person.log
        assert person.terminal.cursor.x == place[1]


def test_a_bell_is_for_the_door() -> None:
    assert Person(20, 3).press(Key.LEFT) == [Bell()]
