"""The tables of characters are complete, and agree with what they are made of."""

from wcwidth import wcswidth, wcwidth

from chatroom.text.characters import has_virama, kinds, widths
from chatroom.text.names import clean

EVERY = [chr(code) for code in (*range(0x3000), *range(0x3000, 0x110000, 97))]


def test_no_character_is_wider_than_its_table_says() -> None:
    shown = [character for character in EVERY if clean(character) == character]
    narrow = [one for one, width in zip(shown, widths("".join(shown)), strict=True) if width < 2]
    assert len(narrow) > 5000
    assert [one for one in narrow if wcwidth(one) > widths(one)[0]] == []


def test_every_character_has_a_kind_and_a_width() -> None:
    text = "".join(EVERY)
    assert len(kinds(text)) == len(widths(text)) == len(text)
    assert set(kinds(text)) <= set(" iekocmjx")
    assert set(widths(text)) == {0, 1, 2}


def test_the_kinds_of_characters() -> None:
    assert kinds("a\u3000漢🏽っ「」\u0301\u200d") == "x iekocmj"
    assert kinds("\U000e0100\U00050000") == "mx"


def test_marks_take_no_cell_and_wide_characters_two() -> None:
    assert list(widths("e\u0301漢\ufe0f\U000e0100")) == [1, 0, 2, 1, 0]


def test_only_a_virama_makes_letters_wider_than_they_are_alone() -> None:
    assert has_virama("क्ष")
    assert not has_virama("كَתָ e\u0301 นี่")
    for character in EVERY:
        for text in (f"{character}\u0915", f"e{character}", f"{character}\ufe0f"):
            shown = clean(text) == text
            assert not shown or has_virama(text) or wcswidth(text) <= sum(widths(text))
