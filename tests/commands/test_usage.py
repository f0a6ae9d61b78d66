"""Usages: what may be typed behind a command."""

import pytest

from chatroom.commands.usage import is_argument, parse, remaining, steps, words


def goes_on(usage: str, *typed: str) -> list[str]:
    """The words that may follow those that were typed."""
    found = remaining(usage, typed, {"TEXT"})
    return [word for sequence in found for word, _ in steps(sequence)]


@pytest.mark.parametrize(
    ("usage", "typed", "words"),
    [
        ("", [], []),
        ("", ["x"], []),
        ("NAME", [], ["NAME"]),
        ("NAME", ["bob"], []),
        ("NAME TEXT", ["bob"], ["TEXT"]),
        ("NAME TEXT", ["bob", "hi"], ["TEXT"]),
        ("[NAME]", [], ["NAME"]),
        ("NAME [TIME] [TEXT]", ["bob"], ["TIME", "TEXT"]),
        ("NAME [TIME] [TEXT]", ["bob", "7d"], ["TEXT", "TEXT"]),
        ("[on|off]", [], ["on", "off"]),
        ("[on|off]", ["ON"], []),
        ("[on|off]", ["up"], []),
        ("on|off NAME", ["off"], ["NAME"]),
        ("add KEY|list", [], ["add", "list"]),
        ("add KEY|list", ["list"], []),
        ("[public|invite NAME]", ["invite"], ["NAME"]),
        ("[public|invite NAME]", ["public"], []),
        ("[N] [before TIME]", [], ["N", "before"]),
        ("[N] [before TIME]", ["5"], ["before"]),
        # The word itself is meant, where it can be.
        ("[N] [before TIME]", ["before"], ["TIME"]),
        ("TEXT [in ROOM] [from NAME]", ["in"], ["TEXT", "in", "from"]),
        ("TEXT [in ROOM] [from NAME]", ["a", "in"], ["TEXT", "in", "from", "ROOM"]),
        ("TEXT [in ROOM] [from NAME]", ["a", "b", "c", "in", "x"], ["TEXT", "in", "from", "from"]),
        ("A [B [C]] D", ["a"], ["B", "D"]),
        ("A [B [C]] D", ["a", "b"], ["C", "D", *[]]),
    ],
)
def test_what_may_follow(usage: str, typed: list[str], words: list[str]) -> None:
    assert sorted(set(goes_on(usage, *typed))) == sorted(set(words))


@pytest.mark.parametrize("usage", ["[", "]", "[a", "a]", "[a]]", "[[a]"])
def test_brackets_that_do_not_match_are_found(usage: str) -> None:
    with pytest.raises(ValueError, match="bracket"):
        parse(usage)


def test_words_stand_for_arguments_or_for_themselves() -> None:
    found = words("[on|off] [before TIME] N")
    assert found == ["on", "off", "before", "TIME", "N"]
    assert [word for word in found if is_argument(word)] == ["TIME", "N"]
