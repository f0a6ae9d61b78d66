"""The line editor: what keys make of a line."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.terminal.editactions import (
    Action,
    Bell,
    Choices,
    Eof,
    Interrupt,
    Line,
    Redraw,
    Unsent,
)
from chatroom.terminal.editor import ASKED_LINES, MAX_LINES, Editor
from chatroom.terminal.keys import Event, Key, Paste, Text
from chatroom.terminal.linehistory import MAX_HISTORY, MAX_HISTORY_BYTES
from chatroom.terminal.textbuffer import REACH_GRAPHEMES
from chatroom.text.cells import graphemes
from chatroom.text.names import fold
from tests.support.fuzzing import examples

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
LIMIT = 200


def press(editor: Editor, *events: Event | str) -> list[Action]:
    """What comes of these keys; a str is typed."""
    return [
        action
        for event in events
        for action in editor.receive(Text(event) if isinstance(event, str) else event)
    ]


def edited(*events: Event | str) -> str:
    """The line that these keys make, with a bar for the cursor; nothing else comes of them."""
    editor = Editor(LIMIT)
    assert press(editor, *events) == []
    split = graphemes(editor.text)
    return "".join([*split[: editor.cursor], "|", *split[editor.cursor :]])


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (["abc"], "abc|"),
        (["ab", Key.LEFT, "x"], "ax|b"),
        (["ab", Key.LEFT, Key.RIGHT], "ab|"),
        (["ab", Key.START, "x"], "x|ab"),
        (["ab", Key.START, Key.END, "x"], "abx|"),
        (["abc", Key.LEFT, Key.BACKSPACE], "a|c"),
        (["abc", Key.START, Key.DELETE], "|bc"),
        (["abc", Key.START, Key.END_OF_FILE], "|bc"),
        ([f"a{FAMILY}", Key.BACKSPACE], "a|"),
        (["小e\u0301", Key.LEFT, Key.LEFT], "|小e\u0301"),
        # A mark joins what it is typed behind.
        (["ae", Key.LEFT, Key.RIGHT, "\u0301", Key.LEFT], "a|e\u0301"),
        (["e\u0301", Key.START, "a", Key.RIGHT], "ae\u0301|"),
        (["one two-three", Key.WORD_LEFT], "one two-|three"),
        (["one two-three", *[Key.WORD_LEFT] * 3], "|one two-three"),
        (["one, two ", Key.WORD_LEFT, Key.WORD_LEFT, Key.WORD_RIGHT], "one|, two "),
        (["one ", Key.START, *[Key.WORD_RIGHT] * 2], "one |"),
        (["don't", Key.WORD_LEFT], "|don't"),
        (["сборка зелёная", Key.WORD_LEFT], "сборка |зелёная"),
        (["你好 abc", *[Key.WORD_LEFT] * 2], "你|好 abc"),
        (["e\u0301te\u0301 la", *[Key.WORD_LEFT] * 2], "|e\u0301te\u0301 la"),
        (["one two", Key.KILL_WORD_LEFT], "one |"),
        (["one two", Key.KILL_WORD_LEFT, Key.YANK, Key.YANK], "one twotwo|"),
        (["one two", Key.START, Key.KILL_WORD_RIGHT], "| two"),
        (["one two", Key.WORD_LEFT, Key.KILL_TO_END, Key.START, Key.YANK], "two|one "),
        (["one two", Key.WORD_LEFT, Key.KILL_TO_START, Key.END, Key.YANK], "twoone |"),
        (["abc", Key.TRANSPOSE], "acb|"),
        (["abc", Key.LEFT, Key.LEFT, Key.TRANSPOSE], "ba|c"),
        (["a小", Key.TRANSPOSE], "小a|"),
        (["ab", Key.ESCAPE], "ab|"),
        (["ab", Paste("x\ty")], "abx   y|"),
        (["ab", Key.LEFT, Paste("one line\n")], "aone line|b"),
        ([Paste("a\x1b[Ab\x9b")], "a\ufffd[Ab\ufffd|"),
    ],
)
def test_keys_make_a_line(keys: list[Event | str], line: str) -> None:
    assert edited(*keys) == line


@pytest.mark.parametrize(
    "key",
    [
        *(Key.LEFT, Key.RIGHT, Key.BACKSPACE, Key.DELETE, Key.UP, Key.DOWN, Key.TAB, Key.YANK),
        *(Key.KILL_TO_END, Key.KILL_TO_START, Key.KILL_WORD_LEFT, Key.KILL_WORD_RIGHT),
        Key.TRANSPOSE,
    ],
)
def test_what_cannot_be_rings_the_bell(key: Key) -> None:
    editor = Editor(LIMIT)
    assert press(editor, key) == [Bell()]
    assert (editor.text, editor.cursor) == ("", 0)


def test_enter_ends_the_line() -> None:
    editor = Editor(LIMIT)
    assert press(editor, "hi", Key.LEFT, Key.ENTER, Key.ENTER) == [Line("hi"), Line("")]
    assert (editor.text, editor.cursor) == ("", 0)


def test_what_a_door_acts_on() -> None:
    editor = Editor(LIMIT)
    assert press(editor, Key.END_OF_FILE, "half", Key.REDRAW, Key.INTERRUPT) == [
        Eof(),
        Redraw(),
        Interrupt("half"),
    ]
    assert editor.text == ""


def test_a_line_has_a_length_in_bytes_and_graphemes_are_whole() -> None:
    editor = Editor(10)
    assert press(editor, "小明小") == []
    assert press(editor, "明") == []
    (action,) = press(editor, Key.ENTER)
    assert action == Unsent("Not said: a line may have at most 10 bytes, and this one has 12.")
    assert editor.text == "小明小明"
    assert press(editor, Key.BACKSPACE, Key.ENTER) == [Line("小明小")]


@pytest.mark.parametrize("more", [Text, Paste])
def test_what_cannot_be_edited_is_not_taken_in_part(more: Callable[[str], Event]) -> None:
    editor = Editor(10)
    assert press(editor, "x" * 40) == []
    assert press(editor, more("y")) == [Bell()]
    (action,) = press(editor, more("more"))
    assert action == Unsent("That is longer than can be edited; nothing of it was taken.")
    assert editor.text == "x" * 40


# -- history


def test_lines_come_back_and_the_draft_is_kept() -> None:
    editor = Editor(LIMIT)
    press(editor, "one", Key.ENTER, "two", Key.ENTER, "two", Key.ENTER, "  ", Key.ENTER, "dra")
    seen = []
    for key in [Key.UP, Key.UP, Key.UP, Key.DOWN, Key.DOWN, Key.DOWN]:
        rung = press(editor, key)
        seen.append((editor.text, bool(rung)))
    assert seen == [
        ("two", False),
        ("one", False),
        ("one", True),
        ("two", False),
        ("dra", False),
        ("dra", True),
    ]
    assert press(editor, Key.UP, Key.UP, "!", Key.ENTER) == [Line("one!")]
    assert (press(editor, Key.UP), editor.text) == ([], "one!")


def test_an_interrupt_goes_back_to_the_end_of_the_history() -> None:
    editor = Editor(LIMIT)
    press(editor, "one", Key.ENTER, "two", Key.ENTER, Key.UP, Key.UP, Key.INTERRUPT, Key.UP)
    assert editor.text == "two"


def test_the_history_is_bounded() -> None:
    editor = Editor(1000)
    for number in range(2 * MAX_HISTORY):
        press(editor, str(number), Key.ENTER)
    assert len(editor._history) == MAX_HISTORY
    for number in range(50):
        press(editor, f"{number}" + "小" * 300, Key.ENTER)
    assert sum(len(line.encode()) for line in editor._history._lines) == editor._history.size
    assert editor._history.size <= MAX_HISTORY_BYTES


def test_a_line_with_a_secret_is_forgotten() -> None:
    editor = Editor(LIMIT, secret=lambda text: "secret" in text)
    press(editor, "one", Key.ENTER, "/login alice secret", Key.ENTER)
    press(editor, Paste("two\n/login alice secret\n"), Key.UP)
    assert editor.text == "two"
    press(editor, Key.UP)
    assert editor.text == "one"
    assert editor._history.size == len("onetwo")


# -- hidden


def test_what_is_hidden_leaves_no_trace() -> None:
    editor = Editor(LIMIT, lambda before, after: ["never"])
    press(editor, "shown", Key.ENTER, "half")
    editor.hide()
    assert editor.hidden
    assert editor.view("Password: ") == ("Password: ", (), 0)
    assert press(editor, "secret", Key.UP, Key.DOWN, Key.TAB) == [Bell()] * 3
    assert press(editor, Key.LEFT, Key.RIGHT, Key.ENTER) == [Line("halfsecret", hidden=True)]
    assert press(editor, "other", Key.INTERRUPT) == [Interrupt("")]
    assert press(editor, "other", Key.KILL_TO_START, Key.YANK) == [Bell()]
    assert press(editor, Paste("one\ntwo"), Paste("pasted\n")) == [Bell()]
    editor.unhide()
    assert editor.view("> ") == ("> ", [], 0)
    assert press(editor, Key.YANK, Key.UP, Key.UP) == [Bell(), Bell()]
    assert editor.text == "shown"
    editor.unhide()
    assert editor.text == "shown"


# -- pastes


def pasted(*texts: str) -> list[Line]:
    return [Line(text, pasted=True) for text in texts]


def test_a_paste_of_two_lines_goes_out_at_once() -> None:
    editor = Editor(LIMIT)
    actions = press(editor, "ab", Key.LEFT, Paste("1\n2\t3\n"))
    assert actions == pasted("a1", "2   3")
    assert editor.view("") == ("", ["b"], 0)
    press(editor, Key.UP)
    assert editor.text == "2   3"


def test_the_last_line_of_a_paste_stays_if_it_was_not_ended() -> None:
    editor = Editor(LIMIT)
    assert press(editor, "ab", Key.LEFT, Paste("1\n2")) == pasted("a1")
    assert editor.view("") == ("", ["2", "b"], 1)
    assert press(editor, Paste("3\n\n4\n5")) == []
    assert editor.question == "Send 3 lines? y/n "
    assert press(editor, "y") == pasted("23", "", "4")
    assert editor.view("") == ("", ["5", "b"], 1)


def test_empty_lines_count_inside_of_a_paste() -> None:
    editor = Editor(LIMIT)
    press(editor, Paste("\n \n1\n\n\n2\n\n"))
    assert press(editor, "y") == pasted("1", "", "", "2")
    assert press(editor, Paste("\n\n")) == []
    assert editor.question == ""


def test_a_tab_in_a_paste_goes_to_the_next_column_of_four() -> None:
    editor = Editor(LIMIT)
    press(editor, Paste("if x:\n\ty\nab\tc\n"))
    assert press(editor, "y") == pasted("if x:", "    y", "ab  c")


def test_a_paste_without_its_end_is_dropped_and_that_is_said() -> None:
    editor = Editor(LIMIT)
    (action,) = press(editor, "ab", Paste("", ended=False))
    assert action == Unsent("The end of what you pasted is missing; nothing of it was sent.")
    assert editor.text == "ab"


def many(count: int) -> Paste:
    return Paste("".join(f"{number}\n" for number in range(count)))


def test_a_long_paste_is_asked_about_once() -> None:
    editor = Editor(LIMIT)
    assert len(press(editor, many(ASKED_LINES - 1))) == ASKED_LINES - 1
    assert press(editor, "a", many(50)) == []
    assert editor.view("> ") == ("Send 50 lines? y/n ", (), 0)
    assert press(editor, "x", Key.ENTER, many(3), Key.LEFT) == [Bell()] * 4
    assert press(editor, Key.REDRAW) == [Redraw()]
    lines = press(editor, "Y")
    assert lines[:2] == pasted("a0", "1")
    assert len(lines) == 50
    assert editor.view("> ") == ("> ", [], 0)


@pytest.mark.parametrize("key", [Text("n"), Text("No"), Key.INTERRUPT, Key.ESCAPE, Key.END_OF_FILE])
def test_a_long_paste_is_dropped_and_the_line_stays(key: Event) -> None:
    editor = Editor(LIMIT)
    assert press(editor, "mine", Key.LEFT, many(21), key) == []
    assert editor.question == ""
    assert editor.text == ("mino" if key == Text("No") else "min") + "e"


def test_what_is_too_long_to_be_pasted_is_not_sent_in_part() -> None:
    editor = Editor(10)
    (action,) = press(editor, "ab", Paste("one\n" + "x" * 11))
    assert action == Unsent("A line of that is longer than 10 bytes; nothing was sent.")
    (action,) = press(editor, Paste("beginning", whole=False))
    assert isinstance(action, Unsent)
    assert editor.text == "ab"


# -- completion

NAMES = ["alice", "alina", "Bob", "小明", "小红"]


def completing(suffix: str = "") -> Editor:
    def complete(before: str, after: str) -> list[str]:
        word = before.rpartition(" ")[2].casefold()
        return [name + suffix for name in NAMES if name.casefold().startswith(word)]

    return Editor(LIMIT, complete)


def test_one_choice_is_put_in_as_it_is_spelled() -> None:
    editor = completing(": ")
    assert press(editor, "bO", Key.TAB) == []
    assert editor.text == "Bob: "
    assert press(editor, "hello alin", Key.TAB, Key.LEFT) == []
    assert editor.text == "Bob: hello alina: "


def test_what_is_before_and_after_the_word_stays() -> None:
    editor = completing()
    press(editor, "hi there", *[Key.LEFT] * 6, " b", Key.TAB)
    assert (editor.text, editor.cursor) == ("hi Bob there", 6)


def test_several_are_completed_as_far_as_they_agree_and_then_shown() -> None:
    editor = completing()
    assert press(editor, "A", Key.TAB) == []
    assert editor.text == "ali"
    assert press(editor, Key.TAB, Key.TAB) == [Bell(), Choices(["alice", "alina"])]
    assert press(editor, Key.TAB) == [Choices(["alice", "alina"])]
    assert press(editor, Key.LEFT, Key.RIGHT, Key.TAB) == [Bell()]
    assert press(editor, Key.INTERRUPT, "小", Key.TAB, Key.TAB)[1:] == [
        Bell(),
        Choices(["小明", "小红"]),
    ]


def test_a_word_is_completed_whatever_its_form() -> None:
    def complete(before: str, after: str) -> list[str]:
        return [name for name in ("Élodie ", "Éloïse ", "alice ") if fold(name)[0] == fold(before)]

    editor = Editor(LIMIT, complete)
    assert press(editor, "e\u0301", Key.TAB) == []
    assert editor.text == "Élo"
    assert press(editor, Key.INTERRUPT, "Ａ", Key.TAB) == [Interrupt("Élo")]
    assert editor.text == "alice "


def test_one_choice_may_begin_otherwise_but_several_may_not() -> None:
    choices = ["Europe/Berlin"]
    editor = Editor(LIMIT, lambda before, after: choices)
    press(editor, "/tz berl", Key.TAB)
    assert editor.text == "/tz Europe/Berlin"
    choices += ["Europe/Bern"]
    assert press(editor, Key.INTERRUPT, "ber", Key.TAB, Key.TAB)[1:] == [Bell(), Choices(choices)]
    assert editor.text == "ber"


def test_nothing_to_complete_rings_the_bell() -> None:
    editor = completing()
    assert press(editor, "zz", Key.TAB) == [Bell()]
    assert press(editor, Key.INTERRUPT, "alice", Key.TAB) == [Interrupt("zz")]
    press(editor, Key.INTERRUPT, "x" * (LIMIT - 3) + " al")
    assert press(editor, Key.TAB) == [Bell()]


# -- anything at all


class Model:
    """A line as a list, edited in the simplest way."""

    def __init__(self) -> None:
        self.line: list[str] = []
        self.cursor = 0
        self.killed: list[str] = []
        self.history: list[list[str]] = []
        self.place = 0
        self.draft: list[str] = []

    def receive(self, event: Event) -> None:
        line, at = self.line, self.cursor
        if isinstance(event, Text):
            self.insert(graphemes(event.text))
        elif event in (Key.LEFT, Key.RIGHT):
            self.cursor = max(0, min(len(line), at + (1 if event is Key.RIGHT else -1)))
        elif event in (Key.START, Key.END):
            self.cursor = len(line) if event is Key.END else 0
        elif event is Key.BACKSPACE:
            if at:
                del line[at - 1]
                self.cursor -= 1
        elif event in (Key.DELETE, Key.END_OF_FILE):
            del line[at : at + 1]
        elif event is Key.KILL_TO_END:
            self.killed = line[at:] or self.killed
            del line[at:]
        elif event is Key.KILL_TO_START:
            self.killed = line[:at] or self.killed
            del line[:at]
            self.cursor = 0
        elif event is Key.YANK:
            self.insert(self.killed)
        elif event is Key.TRANSPOSE:
            at = min(at, len(line) - 1)
            if at > 0:
                line[at - 1], line[at] = line[at], line[at - 1]
                self.cursor = at + 1
        elif event is Key.ENTER:
            if "".join(line).strip() and self.history[-1:] != [line]:
                self.history.append(line)
            self.place, self.line, self.cursor = len(self.history), [], 0
        elif event in (Key.UP, Key.DOWN):
            place = self.place + (1 if event is Key.DOWN else -1)
            if 0 <= place <= len(self.history):
                if self.place == len(self.history):
                    self.draft = line
                self.place = place
                self.line = [*self.history, self.draft][place].copy()
                self.cursor = len(self.line)

    def insert(self, new: list[str]) -> None:
        self.line[self.cursor : self.cursor] = new
        self.cursor += len(new)


# None of these becomes one with its neighbour.
TEXTS = st.lists(st.sampled_from(["a", "B", " ", "é", "e\u0301", "小", FAMILY, "-"]), min_size=1)
KEYS = st.sampled_from(
    [
        *(Key.LEFT, Key.RIGHT, Key.START, Key.END, Key.BACKSPACE, Key.DELETE, Key.KILL_TO_END),
        *(Key.KILL_TO_START, Key.YANK, Key.TRANSPOSE, Key.ENTER, Key.UP, Key.DOWN),
    ]
)


@given(st.lists(TEXTS.map("".join).map(Text) | KEYS, max_size=40))
@examples(500)
def test_a_line_is_edited_as_a_list_is(events: list[Event]) -> None:
    editor, model = Editor(10**6), Model()
    for event in events:
        editor.receive(event)
        model.receive(event)
        assert editor.view("> ") == ("> ", model.line, model.cursor)


ANYTHING = st.one_of(
    st.text(min_size=1, max_size=8).map(Text),
    st.text(alphabet="e\u0301\u200d\U0001f1e9\U0001f469\u1100\u1161 \r\n", min_size=1).map(Text),
    st.sampled_from(list(Key)),
    st.text(alphabet="ab\n\r\t\x1b小", max_size=60).map(Paste),
)
EVENTS: list[Callable[[Editor], None]] = [Editor.hide, Editor.unhide]


@given(st.lists(ANYTHING | st.sampled_from(EVENTS), max_size=40))
@examples(500)
def test_whatever_is_typed_the_line_is_sound(
    events: list[Event | Callable[[Editor], None]],
) -> None:
    editor = Editor(60, lambda before, after: [after, before, "x\n\x1b", "xé"])
    for event in events:
        if callable(event):
            event(editor)
            actions = []
        else:
            actions = editor.receive(event)
        _, split, cursor = editor.view("")
        assert 0 <= cursor <= len(split)
        assert list(split) == graphemes("".join(split))
        assert len(editor.text.encode(errors="replace")) <= 240
        texts = [editor.text, *(action.text for action in actions if isinstance(action, Line))]
        for text in texts[1:]:
            assert len(text.encode()) <= 60
        for text in texts:
            assert not any(character < " " or "\x7f" <= character < "\xa0" for character in text)


def test_a_paste_of_too_many_lines_is_not_sent() -> None:
    editor = Editor(LIMIT)
    assert press(editor, Paste("x\n" * (MAX_LINES + 1))) == [
        Unsent("That is more than 500 lines; nothing of it was sent.")
    ]
    press(editor, Paste("x\n" * MAX_LINES))
    assert editor.question == "Send 500 lines? y/n "


@given(
    st.lists(
        st.sampled_from([*"ab\u0301\u200d\ufe0f\U0001f1e9\U0001f1ea\u1100\u1161❤क्ष"]), max_size=30
    ),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["", *"a\u0301\u200d\U0001f1e9❤्"]))),
)
def test_wherever_a_line_is_changed_its_graphemes_are_those_of_its_text(
    text: list[str], changes: list[tuple[int, str]]
) -> None:
    editor = Editor(1000)
    editor.receive(Text("".join(text)))
    for place, put in changes:
        _, split, _ = editor.view("")
        editor._buffer.cursor = min(place, len(split))
        before, after = "".join(split[: editor.cursor]), "".join(split[editor.cursor :])
        if put:
            editor.receive(Text(put))
            assert editor.text == before + put + after
        else:
            editor.receive(Key.BACKSPACE)
            before = "".join(split[: max(0, min(place, len(split)) - 1)])
            assert editor.text == before + after
        _, split, cursor = editor.view("")
        assert list(split) == graphemes(editor.text)
        assert editor.size == len(editor.text)
        assert len("".join(split[:cursor])) >= len(before + put)
        assert cursor == 0 or len("".join(split[: cursor - 1])) < len(before + put)


def test_a_change_in_a_long_line_takes_apart_what_is_near_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    editor = Editor(1000)
    editor.receive(Text("漢a" * 400))
    taken: list[int] = []

    def counted(text: str) -> list[str]:
        taken.append(len(text))
        return graphemes(text)

    monkeypatch.setattr("chatroom.terminal.textbuffer.graphemes", counted)
    for key in (Key.START, Text("y"), Key.BACKSPACE, Key.DELETE, Key.RIGHT, Key.TRANSPOSE):
        editor.receive(key)
    assert editor.text == "漢aa" + "漢a" * 398
    assert max(taken) < 20


def test_a_word_is_looked_for_no_further_than_need_be() -> None:
    editor = Editor(10_000)
    editor.receive(Text("x " * 2000 + "y" * 300))
    editor.receive(Key.KILL_WORD_LEFT)
    assert editor.text == "x " * 2000 + "y" * (300 - REACH_GRAPHEMES)
    for _ in range(3):
        editor.receive(Key.KILL_WORD_LEFT)
    assert editor.text == "x " * 1999
    editor.receive(Key.START)
    editor.receive(Key.WORD_RIGHT)
    assert editor.cursor == 1
