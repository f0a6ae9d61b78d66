"""Whom a line names."""

import pytest

from chatroom.chat.mentions import FEW, Mentions

NAMES = ("alice", "Bob", "anna-lena", "anna", "小明", "明", "Ødegård", "r2d2", "สมชาย", "Éva")


@pytest.fixture
def mentions() -> Mentions:
    """All NAMES are listened for, each by its place as the origin."""
    made = Mentions()
    for origin, name in enumerate(NAMES):
        made.listen(origin, name)
    return made


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", []),
        ("hello all", []),
        ("alice", ["alice"]),
        ("hi ALICE!", ["alice"]),
        ("@alice, bob: look", ["alice", "Bob"]),
        ("alice alice", ["alice"]),
        ("malice, alices and bobby", []),
        ("anna", ["anna"]),
        ("Anna-Lena", ["anna-lena", "anna"]),
        ("lena", []),
        ("小明你好", ["小明", "明"]),
        ("你好小明。", ["小明", "明"]),
        ("大明天", ["明"]),
        ("小 明", ["明"]),
        ("hi ødegård", ["Ødegård"]),
        ("r2d2?", ["r2d2"]),
        ("คุณสมชายครับ", ["สมชาย"]),
        ("ÉVA and eva", ["Éva"]),
        ("e\u0301va", ["Éva"]),
    ],
)
def test_a_line_names(mentions: Mentions, text: str, named: list[str]) -> None:
    origins = mentions.named_in(text)
    found = [NAMES[origin] for origin in sorted(origins)]
    assert sorted(found) == sorted(named)


def test_who_has_another_name_is_found_by_that_alone() -> None:
    mentions = Mentions()
    assert not mentions
    mentions.listen(1, "alice")
    mentions.listen(2, "Alice-B")
    assert mentions
    mentions.listen(1, "carol")
    assert mentions.named_in("alice and carol") == [1]
    assert mentions.named_in("alice-b") == [2]
    mentions.forget(1)
    mentions.forget(1)
    assert mentions.named_in("alice and carol") == []
    mentions.forget(2)
    assert not mentions


def test_where_many_listen_a_line_names_the_same(mentions: Mentions) -> None:
    text = "hi ALICE, 你好小明 and malice"
    few = sorted(mentions.named_in(text))
    for number in range(FEW):
        mentions.listen(100 + number, f"listener{number}")
    assert sorted(mentions.named_in(text)) == few
    assert sorted(mentions.named_in(f"{text} listener7")) == [*few, 107]
