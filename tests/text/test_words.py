"""What a line is found by: its words, and the phrases that are looked for among them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.text.words import Phrase, finder, named, phrases, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" ... -- !? ", []),
        ("Hello, World!", ["hello", "world"]),
        ("don't e-mail", ["don", "t", "e", "mail"]),
        ("port 8000", ["port", "8000"]),
        ("snake_case", ["snake", "case"]),
        # without case and diacritics
        ("Café CRÈME", ["cafe", "creme"]),
        ("cafe\u0301", ["cafe"]),
        ("Ελλάδα Ёлка", ["ελλαδα", "елка"]),
        ("Straße", ["strasse"]),
        ("ｆｕｌｌ ﬁne", ["full", "fine"]),
        # and without signs and strokes that are left out at times
        ("كَتَبَ كتـــب", ["كتب", "كتب"]),
        ("أحمد إلى آخر مدرسة", ["احمد", "الي", "اخر", "مدرسه"]),
        ("کتاب فارسی", ["كتاب", "فارسي"]),
        ("שָׁלוֹם", ["שלום"]),
        ("ܫܠܳܡܳܐ", ["ܫܠܡܐ"]),
        ("Łódź Ørsted đường Ħal", ["lodz", "orsted", "duong", "hal"]),
        ("Æsir œuvre ISIK ışık İstanbul", ["aesir", "oeuvre", "isik", "isik", "istanbul"]),
        ("❤\ufe0f", ["❤"]),
        # where a diacritic makes another letter it stays
        ("が", ["が"]),
        ("한국어 말", ["한국어", "말"]),
        ("नमस्ते", ["नमस्ते"]),
        ("ދިވެހި", ["ދިވެހި"]),
        ("தமிழ்", ["தமிழ்"]),
        ("ؤ ئ", ["ؤ", "ئ"]),
        # what stands for a whole sentence is one
        ("\ufdfa\ufdfa x", ["\ufdfa\ufdfa", "x"]),
        # pairs of what is written without blanks
        ("你", ["你"]),
        ("你好", ["你好", "好"]),
        ("你好吗", ["你好", "好吗", "吗"]),
        ("你好，小明。", ["你好", "好", "小明", "明"]),
        ("カレーを", ["カレ", "レー", "ーを", "を"]),
        ("用Python写", ["用", "python", "写"]),
        ("สวัสดี", ["สว", "วั", "ัส", "สด", "ดี", "ี"]),
        # symbols
        ("tea ☕☕ 🎉!", ["tea", "☕", "☕", "🎉"]),
    ],
)
def test_a_line_has_these_words(text: str, found: list[str]) -> None:
    assert words(text) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", []),
        ("... \"\" '!'", []),
        ("Tea", [Phrase(("tea",))]),
        ("tea green", [Phrase(("tea",)), Phrase(("green",))]),
        ('"green tea" now', [Phrase(("green", "tea")), Phrase(("now",))]),
        ('"green tea', [Phrase(("green",)), Phrase(("tea",))]),
        ("e-mail", [Phrase(("e", "mail"))]),
        ("umbr*", [Phrase(("umbr",), True)]),
        ('"big umbr*"', [Phrase(("big", "umbr"), True)]),
        ("*", []),
        ("你", [Phrase(("你",), True)]),
        ("你好", [Phrase(("你好",))]),
        ("你好吗", [Phrase(("你好", "好吗"))]),
        ("用Python写", [Phrase(("用", "python", "写"), True)]),
        ("x你好", [Phrase(("x", "你好"))]),
        ("☕", [Phrase(("☕",))]),
    ],
)
def test_what_is_looked_for_is_these_phrases(query: str, found: list[Phrase]) -> None:
    assert phrases(query) == found


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("tea", "Green TEA, please"),
        ("cafe", "au café"),
        ("सड़क", "यह सडक है"),
        ("सडक", "यह सड़क है"),
        ("ग़ज़ल", "गजल"),
        ("ग\u093cजल", "ग़ज़ल"),
        ("ऩ", "न"),
        ("CAFÉ", "at the cafe"),
        ('"green tea"', "some green-tea"),
        ("umbr*", "my umbrella"),
        ("umbrella*", "my umbrella"),
        ('"my umbr*"', "it is my umbrella"),
        ("e-mail", "an e mail"),
        ("好", "你好吗"),
        ("吗", "你好吗"),
        ("你好", "小明，你好吗？"),
        ("好吗", "你好吗"),
        ("你好吗", "你好吗"),
        ("用python", "我用Python写"),
        ("python写", "我用Python写程序"),
        ('"ab ab ac"', "ab ab ab ac"),
    ],
)
def test_a_line_is_found(query: str, text: str) -> None:
    said = words(text)
    assert all(phrase.found_in(said) for phrase in phrases(query))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("tea", "teapot"),
        ("pot", "teapot"),
        ("pot*", "teapot"),
        ('"green tea"', "tea, green"),
        ('"green tea"', "green is tea"),
        ('"green tea"', "tea"),
        ('"big umbr*"', "small umbrella"),
        ("你吗", "你好吗"),
        ("您好", "你好"),
        ("tea", ""),
        ("☕", "🎉"),
    ],
)
def test_a_line_is_not_found(query: str, text: str) -> None:
    (phrase,) = phrases(query)
    assert not phrase.found_in(words(text))


@given(st.text(alphabet='ab 你好吗é*"-☕が\u0301', max_size=12), st.data())
def test_every_part_of_a_run_of_han_characters_finds_the_line(
    text: str, data: st.DataObject
) -> None:
    run = data.draw(st.text(alphabet="你好吗小明", min_size=1, max_size=5))
    first = data.draw(st.integers(0, len(run) - 1))
    last = data.draw(st.integers(first + 1, len(run)))
    (phrase,) = phrases(run[first:last])
    assert phrase.found_in(words(f"{text} {run}"))


@given(st.text(max_size=30))
def test_whatever_was_said_is_found_by_itself(text: str) -> None:
    said = words(text)
    assert all(phrase.found_in(said) for phrase in phrases(text))


def test_a_name_of_nothing_but_signs_is_a_name_all_the_same() -> None:
    assert named("\u0640") == Phrase(("\u0640",))
    assert named("Łukasz") == Phrase(("lukasz",))


@given(
    st.sampled_from(["tea", "green tea", '"green tea"', "gr*", "你好", "سلام", "é*"]),
    st.text(max_size=60),
)
def test_what_is_found_in_a_text_is_what_its_words_say(query: str, text: str) -> None:
    wanted = phrases(query)
    for said in (text, f"{text} green tea 你好 سَلام éa"):
        assert finder(wanted)(said) == all(phrase.found_in(words(said)) for phrase in wanted)
