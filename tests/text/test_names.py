"""Names, rooms and text: what is let through to other people's terminals, and in which form."""

import difflib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcwidth

from chatroom.text import names
from chatroom.text.names import (
    MAX_NAME,
    NameRefused,
    alike,
    check_name,
    check_room,
    clean,
    clean_topic,
    cut,
    fold,
    is_reserved,
    match_prefix,
    skeleton,
    suggest,
)
from chatroom.text.times import places
from tests.support.fuzzing import examples

ACUTE = "\u0301"
ZWJ = "\u200d"
ZWNJ = "\u200c"
FULLWIDTH_ALICE = "\uff41\uff4c\uff49\uff43\uff45"
MATH_ALICE = "\U0001d41a\U0001d425\U0001d422\U0001d41c\U0001d41e"

# Of Default_Ignorable_Code_Point what survives `clean`, written down a second time.
IGNORABLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u200c\u200d\u2065\u3164\uffa0"
).union(
    map(chr, range(0xFE00, 0xFE10)),
    map(chr, range(0xFFF0, 0xFFF9)),
    map(chr, range(0xE0000, 0xE1000)),
)

AWKWARD = "\t \n\r\x00\x1b\x7f\x85\xa0\u3000\u2800\u2028\u202e\u200b\ufeff\ufffe\ue000\ud800" + (
    "\u0301\u0323\u0489\u0903\ufe0f\u034f\u200c\u200d\u115f\u1160\u3164\U000e0020ab\u3042\U0001f469"
)
TEXTS = st.one_of(
    st.text(alphabet=st.characters()),
    st.text(alphabet=st.sampled_from(AWKWARD), max_size=60),
    st.text(alphabet=st.sampled_from(" \u3000\u200d\u0301\ufe0f\u3164"), max_size=60),
)
NAMES = st.one_of(
    st.text(max_size=30),
    st.text(alphabet=st.characters(categories=["L", "M", "Nd"]), min_size=1, max_size=6),
    st.text(alphabet="aZ\u00e9\u0130\u00df9_-\u0301\u0430\u03b1\u0345\uff41\u0e33", max_size=26),
)
bounded = examples(200)


def is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def longest_run(flags: list[bool]) -> int:
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest


def refusal(name: str) -> str:
    with pytest.raises(NameRefused) as refused:
        check_name(name)
    return str(refused.value)


# Names that people have


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "alice",
        "Alice_2-b",
        "\u017bo\u0142nierz",
        "\u0410\u043b\u0438\u0441\u0430",
        "\u0395\u03bb\u03ad\u03bd\u03b7",
        "\u7530\u4e2d\u3055\u3093",
        "\u30ab\u30bf\u30ab\u30ca\u30fc",
        "\u5c71\u7530\u30ab\u30ca\u3055\u3093",
        "q\u0334",
        "\u0430\u0334",
        "\ud55c\uad6d",
        "\u5927\u97d3\ubbfc\uad6d",
        "\u5f20\u3105\u3106",
        "\u0939\u093f\u0928\u094d\u0926\u0940",
        "\u0e2a\u0e21\u0e0a\u0e32\u0e22\u0e17\u0e35\u0e48",
        "\u0e19\u0e49\u0e33",
        "\u0639\u0644\u064a\u0661",
        "\u05d3\u05b8\u05d5\u05b4\u05d3",
        "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd",
        "\u10d0\u10dc\u10d0",
        "\u13e3\u13b3\u13a9",
    ],
)
def test_a_name_of_one_script_is_shown_as_it_was_typed(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "\u0430lice",
        "p\u0430ypal",
        "alic\u0435",
        "\u03b1lice",
        "\u0391\u0410",
        "alice\u7530",
        "\u3042\ud55c",
        "\u3042\u3105",
        "guest\u0661",
        "a\u30fc",
        "\u0430" + MATH_ALICE,
    ],
)
def test_a_name_that_mixes_scripts_is_refused(name: str) -> None:
    assert refusal(name) == "A name is of one script; this one mixes several."


@pytest.mark.parametrize("name", ["\U00010330\U00010331", "\u16a0\u16a2", "\u2c80\u2c82"])
def test_a_name_in_a_script_of_the_past_is_refused(name: str) -> None:
    assert refusal(name) == "A name is in a script that is in use today."


@pytest.mark.parametrize(
    "name",
    [
        "\u3164",
        "\u3164\u3164",
        "a\u3164",
        "\ud55c\uffa0",
        f"\u0915\u094d{ZWJ}\u0937",
        f"a{ZWNJ}b",
        "a\ufe0f",
        "a\u00adb",
        "\u034fa",
        "\u202ealice",
        "a\U000e0061",
    ],
)
def test_a_name_with_something_invisible_is_refused(name: str) -> None:
    assert refusal(name) == "A name has no invisible characters."


@pytest.mark.parametrize("name", ["1alice", "_a", "-a", ACUTE + "a", "\u0661", "\U0001f469", " a"])
def test_a_name_begins_with_a_letter(name: str) -> None:
    assert refusal(name) == "A name begins with a letter."


@pytest.mark.parametrize(
    "name",
    ["a b", "a.b", "a:b", "a/b", "a\x1b[m", "a\n", "a\u00b9", "a\u2160", "a\ud800", "a\uff3f"],
)
def test_a_name_consists_of_letters_digits_and_two_signs(name: str) -> None:
    assert refusal(name) == "A name consists of letters, digits, _ and -."


@pytest.mark.parametrize("name", ["\u037a", "\u0e33", "\ufdfa"])
def test_a_name_whose_compatibility_form_is_no_name_is_refused(name: str) -> None:
    assert refusal(name) in {
        "A name begins with a letter.",
        "A name consists of letters, digits, _ and -.",
    }


def test_a_name_has_at_most_four_combining_marks_in_a_row() -> None:
    assert check_name("q" + 4 * ACUTE + "q" + 4 * ACUTE) == "q" + 4 * ACUTE + "q" + 4 * ACUTE
    assert refusal("q" + 5 * ACUTE) == "A name has at most four combining marks in a row."


def test_a_name_has_one_to_24_characters() -> None:
    assert check_name("a" * MAX_NAME) == "a" * 24
    assert refusal("a" * 25) == "A name has at most 24 characters."
    assert refusal("a" * 2048) == "A name has at most 24 characters."
    assert refusal("") == "A name has at least one character."


def test_a_name_is_counted_and_shown_composed() -> None:
    decomposed = unicodedata.normalize("NFD", "\u1f82" * MAX_NAME)
    assert len(decomposed) == 4 * MAX_NAME
    assert check_name(decomposed) == "\u1f82" * MAX_NAME


def test_a_letter_newer_than_the_tables_of_this_python_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The one code point that stays unassigned for every Python, let through by every pattern.
    monkeypatch.setattr(names, "_RULES", [])
    assert check_name("a") == "a"
    assert refusal("a\u0378") == "A name has no characters unknown here."


def test_a_refusal_does_not_repeat_what_was_typed() -> None:
    assert "\x1b" not in refusal("a\x1b[31m")


@bounded
@given(NAMES)
def test_what_check_name_returns_is_a_name_again(name: str) -> None:
    try:
        shown = check_name(name)
    except NameRefused:
        return
    assert check_name(shown) == shown
    assert fold(shown) == fold(name)
    assert 1 <= len(shown) <= 24
    assert unicodedata.category(shown[0]).startswith("L")
    assert all(
        character in "_-" or unicodedata.category(character)[0] in "LM" or character.isdecimal()
        for character in shown
    )
    assert clean(shown) == shown
    assert not IGNORABLE.intersection(shown)


# Rooms


@pytest.mark.parametrize("typed", ["lobby", "#lobby"])
def test_the_sign_before_a_rooms_name_is_optional(typed: str) -> None:
    assert check_room(typed) == "lobby"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("#", "A room's name has at least one character."),
        ("##lobby", "A room's name begins with a letter."),
        ("l\u043ebby", "A room's name is of one script; this one mixes several."),
        ("#" + "a" * 25, "A room's name has at most 24 characters."),
    ],
)
def test_a_room_that_is_refused_is_called_a_room(typed: str, sentence: str) -> None:
    with pytest.raises(NameRefused) as refused:
        check_room(typed)
    assert str(refused.value) == sentence


# Keys


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alice", "aLICE"),
        (FULLWIDTH_ALICE, "alice"),
        (MATH_ALICE, "alice"),
        ("stra\u00dfe", "STRASSE"),
        ("\u017fam", "Sam"),
        ("Zo\u00eb", "ZOE\u0308"),
        ("\u03a3\u039f\u03a6\u039f\u03a3", "\u03c3\u03bf\u03c6\u03bf\u03c2"),
        ("\u212aelvin", "kelvin"),
        ("\u0130", "i\u0307"),
        ("\uab70", "\u13a0"),
        ("\ufb03", "ffi"),
    ],
)
def test_spellings_of_one_name_have_one_key(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("alice", "alicia"), ("Zoe", "Zo\u00eb"), ("\u0130lker", "ilker"), ("\u0131lker", "ilker")],
)
def test_different_names_have_different_keys(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_the_sign_before_a_rooms_name_stays_in_its_key() -> None:
    assert fold("#Lobby") == "#lobby"


def test_the_key_of_every_character_with_another_spelling_is_its_own_key() -> None:
    characters = [chr(n) for n in range(0x110000)]
    spelled = [c for c in characters if unicodedata.normalize("NFKC", c.casefold()) != c]
    assert [c for c in spelled if fold(fold(c)) != fold(c)] == []


@bounded
@given(st.one_of(TEXTS, NAMES))
def test_a_key_is_its_own_key(name: str) -> None:
    assert fold(fold(name)) == fold(name)


# Reserved names


@pytest.mark.parametrize(
    "name",
    [
        "guest",
        "Guest",
        "guest1",
        "GUEST999999999999",
        "guest\u0661",
        "guest\uff11",
        "guest\u00b9",
        "guest_1",
        "guestI",
        "guest\u0665\u0969",
        "\u0261uest1",
        "\uff47uest",
    ],
)
def test_the_names_the_server_gives_are_reserved(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize(
    "name",
    [
        "server",
        "Server_",
        "s-e-r-v-e-r",
        "SYSTEM",
        "systern",
        "\u0405\u0423\u0405\u0422\u0415\u041c",
        "\ua4e2\ua4f0\ua4e3\ua4e6\ua4f0\ua4e3",
        "\u13da\u13ac\u13d2\u13d9\u13ac\u13d2",
        "chatroom",
        "admin",
        "Adm1n",
        "adm\u0131n",
        "administrator",
        "operator",
        "moderator",
        "root",
        "r00t",
        "you",
        "Y0U",
        "everyone",
        "\uff39\uff2f\uff35",
        "\u1d00\u1d05\u1d0d\u026a\u0274",
        "\ua731\u1d07\u0280\u1d20\u1d07\u0280",
        "s\u1d07rver",
        "\u0262\u1d1c\u1d07\ua731\u1d1b1",
    ],
)
def test_what_could_be_taken_for_the_server_is_reserved(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize(
    "name", ["alice", "guestbook", "aguest", "young", "rooted", "Ali", "servers", "\u7530\u4e2d"]
)
def test_other_names_are_free(name: str) -> None:
    assert not is_reserved(name)


def test_a_reserved_name_is_still_a_name() -> None:
    assert check_name("guest1") == "guest1"


# Names that look alike


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("aIice", "alice"),
        ("ALlCE", "alice"),
        ("AL1CE", "alice"),
        ("a1ice", "Alice"),
        ("al\u0131ce", "alice"),
        ("\u0430\u04cf\u0456\u0441\u0435", "alice"),
        ("\u0430\u0456\u0456\u0441\u0435".upper(), "alice"),
        ("\ua4ee\ua4e1\ua4f2\ua4da\ua4f0", "alice"),
        ("\u1d00\u029f\u026a\u1d04\u1d07", "alice"),
        ("alice", "aIice"),
        ("lvan", "ivan"),
        ("Ivan", "lvan"),
        ("b0b", "bob"),
        ("torn", "tom"),
        ("Ame", "arne"),
        ("svven", "swen"),
        ("\u0391\u039d\u039d\u0391", "anna"),
        ("anna", "\u0391\u039d\u039d\u0391"),
        ("\u041b\u0415\u041d\u0410", "\u043b\u0435\u043d\u0430"),
        ("\u03bd\u03b9\u03ba", "\u039d\u0399\u039a"),
    ],
)
def test_names_that_can_be_taken_for_one_another_are_alike(name: str, other: str) -> None:
    assert alike(name, other)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("mia", "mla"),
        ("mla", "mia"),
        ("ali", "all"),
        ("ALL", "ali"),
        ("lia", "ila"),
        ("will", "wiii"),
        ("alice", "alice_"),
        ("alice", "alic\u00e9"),
        ("dan", "clan"),
        ("bob", "bobby"),
        ("\u0438\u0432\u0430\u043d", "ivan"),
        ("\u0e2a\u0e21", "\u7530\u4e2d"),
    ],
)
def test_other_names_are_not_alike(name: str, other: str) -> None:
    assert not alike(name, other)


@bounded
@given(NAMES)
def test_each_name_is_like_itself_in_every_case(name: str) -> None:
    assert alike(name, name)
    assert alike(name, fold(name))
    assert skeleton(name) == skeleton(unicodedata.normalize("NFD", name))


# Text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello, world",
        "two  spaces and eight        more",
        "\u0441\u0431\u043e\u0440\u043a\u0430 \u0437\u0435\u043b\u0451\u043d\u0430\u044f",
        f"\U0001f469{ZWJ}\u2764\ufe0f{ZWJ}\U0001f469",
        f"\u0645\u06cc{ZWNJ}\u062e\u0648\u0627\u0647\u0645",
        "\u0915\u094d\u0937\u0947\u0924\u094d\u0930",
        "Vie\u0323\u0302t",
        "\u3053\u3093\u306b\u3061\u306f\u3000\u4e16\u754c",
        "\u0378 is not assigned yet",
    ],
)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_a_tab_becomes_a_space() -> None:
    assert clean("a\tb") == "a b"


@pytest.mark.parametrize(
    "character",
    [
        *"\x00\x07\n\r\x1b\x85\x9b",
        *"\u00ad\u061c\u200b\u200e\u202e\u2066\ufeff\U000e0061",
        *"\u2028\u2029\ue000\U0010fffd\ud800\udfff\ufdd0\uffff\U0010ffff",
    ],
)
def test_what_a_terminal_could_obey_is_replaced(character: str) -> None:
    assert clean(f"a{character}b") == "a\ufffdb"


def test_an_escape_sequence_is_left_without_its_escape() -> None:
    assert clean("\x1b[2J\x1b]0;title\x07") == "\ufffd[2J\ufffd]0;title\ufffd"


def test_a_fifth_combining_mark_in_a_row_is_dropped() -> None:
    assert clean("a" + 4 * ACUTE + "b") == "a" + 4 * ACUTE + "b"
    assert clean("a" + 9 * ACUTE + "b" + 9 * ACUTE) == "a" + 4 * ACUTE + "b" + 4 * ACUTE


@pytest.mark.parametrize("between", [ZWJ, ZWNJ, "\u1160", "\u3164"])
def test_marks_are_counted_through_what_is_invisible(between: str) -> None:
    assert clean("a" + 20 * (ACUTE + between) + "b").count(ACUTE) == 4


@pytest.mark.parametrize("filler", ["\U00016fe4", "\U0001107f", "\u0301", "\u200d\u0301"])
def test_a_mark_on_a_blank_does_not_end_a_run_of_them(filler: str) -> None:
    assert clean(f"a{(8 * ' ' + filler) * 10}-- b") == f"a{8 * ' '}-- b"
    assert clean(f"a {filler}b") == f"a {filler}b"


def test_nothing_that_takes_no_cell_ends_a_run_of_blanks() -> None:
    characters = (*range(0x20, 0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE1000))
    without = [chr(code) for code in characters if wcwidth(chr(code)) < 1]
    cleaned = [character for character in without if clean(character) == character]
    assert len(cleaned) > 1000
    assert [one for one in cleaned if clean(f"a{(8 * ' ' + one) * 2}b") != f"a{8 * ' '}b"] == []


@pytest.mark.parametrize("blank", [*" \t\u00a0\u2003\u3000\u2800\u3164\u115f\uffa0", "\U0001d159"])
def test_more_than_eight_blanks_become_eight_spaces(blank: str) -> None:
    assert clean(f"a{8 * blank}b") == f"a{8 * clean(blank)}b"
    assert clean(f"a{9 * blank}b") == f"a{8 * ' '}b"
    assert clean(f"a{2000 * blank}b{2000 * blank}") == f"a{8 * ' '}b{8 * ' '}"


@pytest.mark.parametrize("between", [ZWJ, "\u034f", "\ufe0f", "\u115f", "\U000e0100", "\u2065"])
def test_blanks_are_counted_through_what_is_invisible(between: str) -> None:
    assert clean("a" + 40 * (4 * " " + between) + "b") == "a" + 8 * " " + "b"


def test_nothing_that_python_calls_printable_is_replaced() -> None:
    printable = "".join(filter(str.isprintable, map(chr, range(0x110000))))
    assert "\ufffd" not in names._UNSAFE.sub("\ufffd", printable.replace("\ufffd", ""))


@bounded
@given(TEXTS)
def test_any_text_comes_out_safe(text: str) -> None:
    cleaned = clean(text)
    for character in cleaned:
        category = unicodedata.category(character)
        assert category not in {"Cc", "Cs", "Co", "Zl", "Zp"}
        assert category != "Cf" or character in {ZWJ, ZWNJ}
        assert ord(character) & 0xFFFE != 0xFFFE
        assert not 0xFDD0 <= ord(character) <= 0xFDEF
    assert longest_run([is_mark(c) for c in cleaned]) <= 4
    assert longest_run([is_mark(c) for c in cleaned if c not in {ZWJ, ZWNJ}]) <= 4
    blank = IGNORABLE.union("\u2800")
    assert longest_run([c in blank or unicodedata.category(c) == "Zs" for c in cleaned]) <= 8


@bounded
@given(TEXTS)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@bounded
@given(st.text(alphabet=st.characters(max_codepoint=0x2FF, exclude_categories=["C", "Zs"])))
def test_visible_text_is_never_touched(text: str) -> None:
    assert clean(text) == text


# Topics


def test_a_topic_is_cleaned_and_stripped() -> None:
    assert clean_topic("\t\u3164 \x1b[1mnews\u3000\u2800\u3164 ") == "\ufffd[1mnews"
    assert clean_topic("news\u3164") == "news"


def test_a_topic_keeps_the_sign_that_makes_its_last_character_an_emoji() -> None:
    assert clean_topic("we \u2764\ufe0f ") == "we \u2764\ufe0f"


def test_a_topic_does_not_begin_with_a_mark_that_would_sit_on_what_stands_before_it() -> None:
    assert clean_topic(f" {ACUTE}news") == "news"


@pytest.mark.parametrize("nothing", ["", "  ", "\t", "\u3164", ACUTE, ZWJ])
def test_a_topic_of_nothing_visible_is_empty(nothing: str) -> None:
    assert clean_topic(nothing) == ""


def test_a_topic_is_cut_at_300_characters() -> None:
    assert clean_topic("x" * 301) == "x" * 300
    assert clean_topic(f"{'x' * 299} y") == "x" * 299
    assert clean_topic(f"{'x' * 299}e{ACUTE} and more") == "x" * 299


@bounded
@given(st.one_of(TEXTS, TEXTS.map(lambda text: text * 20)))
def test_a_topic_comes_out_safe_and_settled(text: str) -> None:
    topic = clean_topic(text)
    assert len(topic) <= 300
    assert clean(topic) == topic
    assert clean_topic(topic) == topic
    assert topic == topic.strip()


# Cutting


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc"),
        ("abc", 0, ""),
        (f"abe{ACUTE}", 3, "ab"),
        (f"abe{ACUTE}x", 4, f"abe{ACUTE}"),
        (f"a\U0001f469{ZWJ}\U0001f469", 3, "a"),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", 3, "\U0001f1e9\U0001f1ea"),
        (f"a{4 * ACUTE}", 3, f"a{2 * ACUTE}"),
    ],
)
def test_a_cut_falls_between_graphemes_where_it_can(text: str, length: int, expected: str) -> None:
    assert cut(text, length) == expected


@bounded
@given(TEXTS, st.integers(0, 40))
def test_a_cut_is_a_beginning_of_at_most_that_length(text: str, length: int) -> None:
    piece = cut(text, length)
    assert text.startswith(piece)
    assert len(piece) <= length
    assert piece or not text or length == 0


# Finding


def test_a_prefix_finds_every_name_that_begins_with_it_in_their_order() -> None:
    assert match_prefix("AL", ["bob", "alice", "Alan", "val"]) == ["alice", "Alan"]


def test_a_name_that_is_equal_wins_over_longer_ones() -> None:
    assert match_prefix("alan", ["alana", "Alan", "alanis"]) == ["Alan"]


def test_a_prefix_is_found_in_every_spelling() -> None:
    assert match_prefix(FULLWIDTH_ALICE[:2], ["Alice"]) == ["Alice"]


def test_a_prefix_of_nobody_finds_nobody() -> None:
    assert match_prefix("x", ["alice", "bob"]) == []


COMMANDS = ["help", "history", "ignore", "join", "me", "msg", "nick", "quit", "topic", "who"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("hsitory", "history"),
        ("hist", "history"),
        ("HELP", "help"),
        ("nik", "nick"),
        ("quti", "quit"),
        ("mgs", "msg"),
        ("em", "me"),
        ("whoo", "who"),
    ],
)
def test_a_near_miss_suggests_the_command(typed: str, meant: str) -> None:
    assert suggest(typed, iter(COMMANDS)) == meant


@pytest.mark.parametrize("typed", ["", "xyzzy", "login", "h" * 2048])
def test_what_is_near_to_nothing_suggests_nothing(typed: str) -> None:
    assert suggest(typed, COMMANDS) is None


def test_what_folding_makes_long_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def near(word: str, choices: list[str], n: int, cutoff: float) -> list[str]:
        compared.append(word)
        return []

    monkeypatch.setattr(difflib, "get_close_matches", near)
    suggest("xyzzy", COMMANDS)
    suggest("\ufdfa" * 24, COMMANDS)  # 18 characters each
    assert compared == ["xyzzy"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("helo\blo", "hello"),
        ("helo\x7flo", "hello"),
        ("\b\b\x7fhi", "hi"),
        ("hi\b\b\b\b", ""),
        ("né\be", "ne"),
        ("ne\u0301\be", "ne"),
        ("e\u0301\u0323\bx", "x"),
        ("e\b\u0301", "\u0301"),
        ("a\u0301\b\b", ""),
        ("你好\b们", "你们"),
        ("का\bx", "x"),
        ("a👩\u200d👧\u200d👦\bb", "ab"),
        ("a👍🏽\bb", "ab"),
        ("a❤\ufe0f\bb", "ab"),
        ("secret\x15hello", "hello"),
        ("hello wrold  \x17world", "hello world"),
        ("one\x17\x17two", "two"),
        ("N\bNA\bAM\bM", "NAM"),
        ("nothing", "nothing"),
    ],
)
def test_keys_that_erase_do_so(typed: str, said: str) -> None:
    assert names.clean(typed) == said


@given(st.text("ab \u0301\u200d👩\b\x7f\x15\x17"))
def test_nothing_that_erases_is_left(typed: str) -> None:
    left = names.clean(typed)
    assert not set(left) & set("\b\x7f\x15\x17")
    assert names.clean(left) == left


def test_what_is_longer_than_a_name_can_be_has_a_key_that_no_name_has() -> None:
    longest = "q\u0307\u0323\u0331\u0330" * MAX_NAME
    for text in ("\ufdfa" * 680, "é" * 1000, "a" * 2000, longest + "a"):
        key = fold(text)
        assert len(key) > 96
        assert fold(key) == key
    assert fold(longest) != fold(longest + "a") != fold(longest + "b")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("europe/belrin", "europe/berlin"),
        ("america/new_yrok", "america/new_york"),
        ("asia/tokio", "asia/tokyo"),
        ("berlni", None),
    ],
)
def test_among_very_many_the_one_that_somebody_may_have_meant_is_found(
    typed: str, meant: str | None
) -> None:
    assert suggest(typed, places()) == meant
