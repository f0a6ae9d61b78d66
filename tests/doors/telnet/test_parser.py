"""What the telnet protocol object takes out, answers, and leaves alone.

The fixtures named after a client and what was typed in it are what that client really sent, to a
port other than 23: inetutils telnet 2.4 on Linux, in a UTF-8 terminal.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatroom.doors.telnet.codes import (
    ABORT,
    AO,
    AYT,
    BINARY,
    BRK,
    DM,
    DO,
    DONT,
    EC,
    ECHO,
    EL,
    EOF,
    EOR,
    GA,
    IAC,
    IP,
    LINEMODE,
    NOP,
    SB,
    SE,
    SUPPRESS_GO_AHEAD,
    SUSP,
    TIMING_MARK,
    WILL,
    WONT,
    Command,
)
from chatroom.doors.telnet.framing import MAX_SUBNEGOTIATION_BYTES
from chatroom.doors.telnet.parser import Telnet
from tests.support.fuzzing import examples
from tests.support.telnet import DAMAGED

ASK = IAC + DO + BINARY
MARK = IAC + WILL + TIMING_MARK
CUTS = examples(200)

UNHARMED = {
    "ni hao": ("你好", "e4 bd a0 e5 a5 bd 0d 0a"),
    "je (0x88), erase key ^H": ("ab\u0408cd", "61 62 d0 88 63 64 0d 0a"),
    "ie (0x95)": ("ab\u0415cd", "61 62 d0 95 63 64 0d 0a"),
    "lai, client started with -E": ("ab来cd", "61 62 e6 9d a5 63 64 0d 0a"),
}
KEYS = {
    "^C in a half-typed line": ("ff f4 ff fd 06", [Command.INTERRUPT_PROCESS], ASK + MARK),
    "^Z in a half-typed line": ("ff ed ff fd 06", [Command.SUSPEND], ASK + MARK),
    "^backslash": ("ff f3 ff fd 06", [Command.BREAK], ASK + MARK),
    "half, ^O, x, Enter": (
        "68 61 6c 66 ff f5 ff fd 06 78 0d 0a",
        [b"half", Command.ABORT_OUTPUT, b"x\r\n"],
        ASK + MARK,
    ),
    "^D in an empty line": ("04", [b"\x04"], b""),
    "half, ^T, Enter": ("68 61 6c 66 14 0d 0a", [b"half\x14\r\n"], b""),
    "send ayt": ("ff f6", [Command.ARE_YOU_THERE], ASK),
    "send brk": ("ff f3", [Command.BREAK], ASK),
    "send ip": ("ff f4", [Command.INTERRUPT_PROCESS], ASK),
    "send ao": ("ff f5", [Command.ABORT_OUTPUT], ASK),
    "send ec": ("ff f7", [Command.ERASE_CHARACTER], ASK),
    "send el": ("ff f8", [Command.ERASE_LINE], ASK),
    "send eof": ("ff ec", [Command.END_OF_FILE], ASK),
    "send susp": ("ff ed", [Command.SUSPEND], ASK),
    "send abort": ("ff ee", [Command.ABORT], ASK),
    "send nop": ("ff f1", [], ASK),
    "send eor": ("ff ef", [], ASK),
    "send ga": ("ff f9", [], ASK),
    "send escape": ("1d", [b"\x1d"], b""),
    "send do echo": ("ff fd 01", [], IAC + WONT + ECHO + ASK),
    "send synch, urgent data inline": ("ff f2", [], ASK),
    "send synch, urgent data not inline": ("f2", [b"\xf2"], b""),
    "mode character, hi, Enter": (
        "ff fd 03 ff fd 01 68 69 0d 00",
        [b"hi\r\x00"],
        IAC + WONT + SUPPRESS_GO_AHEAD + ASK + IAC + WONT + ECHO,
    ),
}


def plain(received: Iterable[bytes | Command]) -> bytes:
    return b"".join(run for run in received if isinstance(run, bytes))


def commands(received: Iterable[bytes | Command]) -> list[Command]:
    return [command for command in received if isinstance(command, Command)]


def fed(pieces: Iterable[bytes]) -> tuple[list[bytes | Command], bytes, Telnet]:
    """Give *pieces* to a new connection: what came out, runs joined; all answers; itself."""
    telnet = Telnet()
    received: list[bytes | Command] = []
    answers = b""
    for piece in pieces:
        for item in telnet.receive(piece):
            last = received[-1] if received else None
            if isinstance(item, bytes) and isinstance(last, bytes):
                received[-1] = last + item
            else:
                received.append(item)
        answers += telnet.answers()
    return received, answers, telnet


def requests(answers: bytes) -> list[tuple[bytes, bytes]]:
    """Split *answers* into verb and option; fails if they are anything else."""
    assert len(answers) % 3 == 0
    triples = [answers[start : start + 3] for start in range(0, len(answers), 3)]
    for triple in triples:
        assert triple[:1] == IAC
        assert triple[1:2] in (DO, DONT, WILL, WONT)
    return [(triple[1:2], triple[2:]) for triple in triples]


def spoken() -> Telnet:
    """A client that has been asked for BINARY and has not answered yet."""
    telnet = Telnet()
    telnet.evidence()
    telnet.answers()
    return telnet


# What clients really send.


@pytest.mark.parametrize(("sent", "out", "answers"), KEYS.values(), ids=KEYS)
def test_a_key_or_command_of_a_real_client_is_understood_and_answered(
    sent: str, out: list[bytes | Command], answers: bytes
) -> None:
    received, answered, telnet = fed([bytes.fromhex(sent)])
    assert received == out
    assert sorted(requests(answered)) == sorted(requests(answers))
    assert telnet.spoken == bool(answers)


@pytest.mark.parametrize(("typed", "sent"), DAMAGED.values(), ids=DAMAGED)
def test_a_line_that_a_real_client_damaged_is_not_valid_utf_8(typed: str, sent: str) -> None:
    received, _, telnet = fed([bytes.fromhex(sent)])
    assert plain(received) != typed.encode() + b"\r\n"
    with pytest.raises(UnicodeDecodeError):
        plain(received).decode()
    assert not telnet.binary


@pytest.mark.parametrize(("typed", "sent"), UNHARMED.values(), ids=UNHARMED)
def test_a_line_that_a_real_client_left_alone_comes_out_as_typed(typed: str, sent: str) -> None:
    received, answers, _ = fed([bytes.fromhex(sent)])
    assert received == [typed.encode() + b"\r\n"]
    assert answers == b""


def test_a_client_cured_by_its_first_damaged_line_sends_the_next_one_whole() -> None:
    received, answers, telnet = fed(
        [
            bytes.fromhex("d1 ff f5 ff fd 06 0d 0a"),
            bytes.fromhex("ff fb 00"),
            bytes.fromhex("e6 9d a5 e2 80 9d e6 9c ac 0a"),
        ]
    )
    assert received == [
        b"\xd1",
        Command.ABORT_OUTPUT,
        b"\r\n",
        Command.BINARY_ON,
        "来”本\n".encode(),
    ]
    assert answers == ASK + MARK
    assert telnet.binary


def test_binary_agreed_in_the_middle_of_a_damaged_line_is_told_where_it_happened() -> None:
    # Three lines pasted at once: the question overtook the third.
    received, _, _ = fed([bytes.fromhex("e6 ff f3 ff fd 06 ff fb 00 ac 0a e6 9c ac 0a")])
    assert received == [
        b"\xe6",
        Command.BREAK,
        Command.BINARY_ON,
        b"\xac\n" + "本\n".encode(),
    ]


def test_a_client_that_begins_with_all_its_options_is_asked_for_binary_once() -> None:
    # `telnet -- HOST -PORT`, after its answer to our question.
    offered = bytes.fromhex(
        "ff fd 26 ff fb 26 ff fd 03 ff fb 18 ff fb 1f ff fb 20 ff fb 21 ff fb 22 ff fb 27"
        " ff fd 05 ff fb 00"
    )
    received, answers, telnet = fed([offered, b"\xe7\x9a\x84\n"])
    assert received == [Command.BINARY_ON, "的\n".encode()]
    assert answers.count(ASK) == 1
    assert set(requests(answers)) - {(DO, BINARY)} == {
        *((WONT, option) for option in (b"\x26", SUPPRESS_GO_AHEAD, b"\x05")),
        *((DONT, option) for option in (b"\x26", b"\x18", b"\x1f", b"\x20", b"\x21", LINEMODE)),
        (DONT, b"\x27"),
    }
    assert telnet.binary


def test_a_client_that_switches_binary_on_and_off_by_hand_is_followed() -> None:
    telnet = Telnet()
    assert telnet.receive(bytes.fromhex("ff fd 00 ff fb 00")) == [Command.BINARY_ON]
    assert requests(telnet.answers()) == [(WILL, BINARY), (DO, BINARY)]
    assert telnet.receive(bytes.fromhex("ff fe 00 ff fc 00")) == [Command.BINARY_OFF]
    assert requests(telnet.answers()) == [(WONT, BINARY), (DONT, BINARY)]
    assert not telnet.binary


# Commands.


@pytest.mark.parametrize(
    ("byte", "command"),
    [
        (EOF, Command.END_OF_FILE),
        (SUSP, Command.SUSPEND),
        (ABORT, Command.ABORT),
        (BRK, Command.BREAK),
        (IP, Command.INTERRUPT_PROCESS),
        (AO, Command.ABORT_OUTPUT),
        (AYT, Command.ARE_YOU_THERE),
        (EC, Command.ERASE_CHARACTER),
        (EL, Command.ERASE_LINE),
    ],
)
def test_a_command_comes_out_between_the_bytes_around_it(byte: bytes, command: Command) -> None:
    assert Telnet().receive(b"a" + IAC + byte + b"b") == [b"a", command, b"b"]


@pytest.mark.parametrize("byte", [NOP, DM, GA, EOR, SE])
def test_a_command_that_asks_for_nothing_is_taken_out(byte: bytes) -> None:
    assert Telnet().receive(b"a" + IAC + byte + b"b") == [b"ab"]


def test_a_doubled_iac_is_one_byte_of_data() -> None:
    assert Telnet().receive(b"a" + IAC + IAC + b"b") == [b"a\xffb"]


@pytest.mark.parametrize("byte", [b"\n", b"\r", b"a", b"\x00", b"\xeb"])
def test_an_iac_that_begins_no_command_is_data_like_the_byte_after_it(byte: bytes) -> None:
    received, answers, telnet = fed([b"a" + IAC + byte + b"b"])
    assert received == [b"a" + IAC + byte + b"b"]
    assert (answers, telnet.spoken) == (b"", False)


@pytest.mark.parametrize("ending", [b"\r\n", b"\n", b"\r\x00"])
def test_line_ends_come_out_as_they_came_in(ending: bytes) -> None:
    assert Telnet().receive(b"a" + ending) == [b"a" + ending]


def test_nothing_comes_out_of_nothing() -> None:
    assert fed([b"", IAC, b"", DO, b""])[:2] == ([], b"")


@pytest.mark.parametrize(
    ("unfinished", "rest"),
    [
        (IAC, NOP),
        (IAC + DO, ECHO),
        (IAC + SB, IAC + SE),
        (IAC + SB + b"x" + IAC, SE),
        (IAC + SB + b"x" + IAC + IAC, IAC + SE),
    ],
)
def test_a_sequence_is_pending_until_its_last_byte(unfinished: bytes, rest: bytes) -> None:
    telnet = Telnet()
    pending = [telnet.pending]
    for piece in (b"a" + unfinished, rest):
        telnet.receive(piece)
        pending.append(telnet.pending)
    assert pending == [False, True, False]


# Options.


@pytest.mark.parametrize(
    ("verb", "option", "answer"),
    [
        (DO, ECHO, [(WONT, ECHO)]),
        (DO, SUPPRESS_GO_AHEAD, [(WONT, SUPPRESS_GO_AHEAD)]),
        (DO, LINEMODE, [(WONT, LINEMODE)]),
        (DO, IAC, [(WONT, IAC)]),
        (DO, TIMING_MARK, [(WILL, TIMING_MARK)]),
        (DO, BINARY, [(WILL, BINARY)]),
        (WILL, ECHO, [(DONT, ECHO)]),
        (WILL, SUPPRESS_GO_AHEAD, [(DONT, SUPPRESS_GO_AHEAD)]),
        (WILL, LINEMODE, [(DONT, LINEMODE)]),
        (WILL, TIMING_MARK, [(DONT, TIMING_MARK)]),
        (WILL, BINARY, []),
        (DONT, ECHO, []),
        (DONT, TIMING_MARK, []),
        (DONT, BINARY, []),
        (WONT, ECHO, []),
        (WONT, TIMING_MARK, []),
        (WONT, BINARY, []),
    ],
)
def test_each_request_gets_its_answer(
    verb: bytes, option: bytes, answer: list[tuple[bytes, bytes]]
) -> None:
    telnet = spoken()
    telnet.receive(IAC + verb + option)
    assert requests(telnet.answers()) == answer


@pytest.mark.parametrize(
    ("verb", "option", "answer"),
    [
        (DO, TIMING_MARK, (WILL, TIMING_MARK)),
        (DO, ECHO, (WONT, ECHO)),
        (WILL, ECHO, (DONT, ECHO)),
    ],
)
def test_a_mark_is_given_and_a_refusal_repeated_each_time(
    verb: bytes, option: bytes, answer: tuple[bytes, bytes]
) -> None:
    telnet = spoken()
    telnet.receive(3 * (IAC + verb + option))
    assert requests(telnet.answers()) == 3 * [answer]


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("verbs", [(WILL, WONT), (DO, DONT)])
def test_a_request_for_the_state_already_in_effect_gets_no_answer(
    on: bool, verbs: tuple[bytes, bytes]
) -> None:
    telnet = spoken()
    request = IAC + (verbs[0] if on else verbs[1]) + BINARY
    telnet.receive(request)
    telnet.answers()
    assert telnet.receive(request) == []
    assert telnet.answers() == b""


def test_binary_offered_by_the_client_is_accepted_once() -> None:
    telnet = Telnet()
    assert telnet.receive(IAC + WILL + BINARY) == [Command.BINARY_ON]
    assert telnet.answers() == ASK
    telnet.evidence()
    assert telnet.answers() == b""
    assert telnet.binary


def test_binary_refused_is_not_asked_for_again() -> None:
    telnet = spoken()
    assert telnet.receive(IAC + WONT + BINARY) == []
    telnet.evidence()
    telnet.receive(IAC + NOP)
    assert telnet.answers() == b""
    assert not telnet.binary


def test_binary_refused_at_first_and_offered_later_is_accepted() -> None:
    telnet = spoken()
    telnet.receive(IAC + WONT + BINARY)
    assert telnet.receive(IAC + WILL + BINARY) == [Command.BINARY_ON]
    assert telnet.answers() == ASK
    assert telnet.binary


def test_our_own_binary_does_not_make_the_client_8_bit_clean() -> None:
    telnet = spoken()
    assert telnet.receive(IAC + DO + BINARY) == []
    assert not telnet.binary


def test_own_binary_switched_off_is_acknowledged_once() -> None:
    telnet = spoken()
    telnet.receive(IAC + DO + BINARY)
    telnet.answers()
    telnet.receive(2 * (IAC + DONT + BINARY))
    assert requests(telnet.answers()) == [(WONT, BINARY)]


# Evidence.


def test_a_client_that_never_shows_telnet_is_never_sent_any() -> None:
    _, answers, telnet = fed(["hello 你好\r\n".encode(), b"\x80\xfe\xfd\n"])
    assert (answers, telnet.spoken) == (b"", False)


def test_utf_16_text_is_not_taken_for_telnet() -> None:
    _, answers, telnet = fed(["\ufeffhi\n".encode("utf-16-le")])
    assert (answers, telnet.spoken) == (b"", False)


@pytest.mark.parametrize(
    "first",
    [IAC + NOP, IAC + AYT, IAC + SB, IAC + DO + TIMING_MARK, IAC + DO + BINARY, IAC + WILL + ECHO],
)
def test_the_first_command_shows_that_the_client_speaks_telnet(first: bytes) -> None:
    _, answers, telnet = fed([first])
    assert telnet.spoken
    assert requests(answers).count((DO, BINARY)) == 1


def test_evidence_from_elsewhere_asks_for_binary_once() -> None:
    telnet = Telnet()
    telnet.evidence()
    assert telnet.spoken
    assert telnet.answers() == ASK
    telnet.evidence()
    telnet.receive(IAC + NOP)
    assert telnet.answers() == b""


def test_answers_are_taken_out_once() -> None:
    telnet = Telnet()
    telnet.receive(IAC + DO + TIMING_MARK)
    assert telnet.answers() == MARK + ASK
    assert telnet.answers() == b""


# Subnegotiations.


@pytest.mark.parametrize(
    "inside",
    [
        b"",
        b"\x18\x00xterm",
        IAC + IAC,
        b"x" + IAC + IAC + SE,
        b"x" + IAC + b"\n",
        b"\r\nIAC",
        b"x" * (MAX_SUBNEGOTIATION_BYTES - 1),
        b"x" * (MAX_SUBNEGOTIATION_BYTES - 3) + IAC + IAC,
    ],
)
def test_a_subnegotiation_is_passed_over(inside: bytes) -> None:
    telnet = Telnet()
    assert telnet.receive(b"a" + IAC + SB + inside + IAC + SE + b"b") == [b"ab"]
    assert not telnet.pending


def test_a_command_ends_a_subnegotiation_that_lost_its_end() -> None:
    telnet = Telnet()
    assert telnet.receive(b"a" + IAC + SB + b"x" + IAC + AYT + b"b") == [
        b"a",
        Command.ARE_YOU_THERE,
        b"b",
    ]
    telnet.answers()
    assert telnet.receive(IAC + SB + b"x" + IAC + DO + TIMING_MARK + b"c") == [b"c"]
    assert telnet.answers() == MARK


@pytest.mark.parametrize(
    "inside",
    [
        b"x" * MAX_SUBNEGOTIATION_BYTES,
        b"x" * (MAX_SUBNEGOTIATION_BYTES - 2) + IAC + IAC,
        b"x" * (MAX_SUBNEGOTIATION_BYTES - 1) + IAC + IAC,
        IAC * (MAX_SUBNEGOTIATION_BYTES),
    ],
    ids=["text", "doubled IAC at the bound", "doubled IAC over the bound", "IACs alone"],
)
def test_a_subnegotiation_without_end_is_given_up_at_its_bound(inside: bytes) -> None:
    telnet = Telnet()
    assert telnet.receive(b"a" + IAC + SB + inside + b"rest\nb") == [
        b"a",
        Command.OVERLONG,
        b"rest\nb",
    ]
    assert not telnet.pending


def test_each_subnegotiation_has_the_whole_bound() -> None:
    sequence = IAC + SB + b"x" * (MAX_SUBNEGOTIATION_BYTES - 1) + IAC + SE
    assert Telnet().receive(3 * sequence + b"a") == [b"a"]


# Whatever arrives.

TELNET_BYTES = st.lists(
    st.sampled_from(
        [
            *(bytes([byte]) for byte in range(236, 256)),
            *(IAC + verb + BINARY for verb in (DO, DONT, WILL, WONT)),
            IAC + DO + TIMING_MARK,
            IAC + SB,
            IAC + SE,
            IAC + SB + b"x" * (MAX_SUBNEGOTIATION_BYTES - 2),
            b"\x00",
            b"\x01",
            b"\r\n",
            "я本".encode(),
        ]
    ),
    max_size=40,
).map(b"".join)


@CUTS
@given(data=TELNET_BYTES | st.binary(max_size=200), sizes=st.lists(st.integers(1, 5), min_size=1))
@example(data=IAC + SB + b"x" * (MAX_SUBNEGOTIATION_BYTES - 1) + IAC + IAC + b"y", sizes=[1])
@example(data=IAC + SB + b"x" * MAX_SUBNEGOTIATION_BYTES + IAC + AYT, sizes=[1])
def test_any_cutting_of_the_bytes_gives_the_same(data: bytes, sizes: list[int]) -> None:
    pieces: list[bytes] = []
    rest = data
    while rest:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(rest[:size])
        rest = rest[size:]
    whole, answers, telnet = fed([data])
    cut, cut_answers, cut_telnet = fed(pieces)
    assert (cut, cut_answers) == (whole, answers)
    for name in ("spoken", "binary", "pending"):
        assert getattr(cut_telnet, name) == getattr(telnet, name)


@CUTS
@given(data=TELNET_BYTES | st.binary(max_size=500))
def test_answers_are_whole_requests_and_no_longer_than_what_was_received(data: bytes) -> None:
    _, answers, _ = fed([data])
    requests(answers)
    assert len(answers) <= len(data) + len(ASK)


@CUTS
@given(data=TELNET_BYTES | st.binary(max_size=500))
def test_runs_of_plain_bytes_are_never_empty_and_never_adjacent(data: bytes) -> None:
    received = Telnet().receive(data)
    runs = [isinstance(item, bytes) for item in received]
    assert b"" not in received
    assert (True, True) not in set(pairwise(runs))


@CUTS
@given(data=TELNET_BYTES)
def test_binary_is_the_last_thing_that_was_told_about_it(data: bytes) -> None:
    received, _, telnet = fed([data])
    told = [c for c in commands(received) if c in (Command.BINARY_ON, Command.BINARY_OFF)]
    assert telnet.binary == (told[-1:] == [Command.BINARY_ON])
    assert all(one is not other for one, other in pairwise(told))


@CUTS
@given(data=st.binary(max_size=500).map(lambda data: data.replace(IAC, b"")))
def test_bytes_without_an_iac_come_out_untouched(data: bytes) -> None:
    received, answers, telnet = fed([data])
    assert (plain(received), commands(received), answers) == (data, [], b"")
    assert not telnet.spoken


@CUTS
@given(
    asks=st.sets(st.sampled_from([0, 1]), min_size=1),
    late=st.integers(0, 6),
    deliveries=st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(1, 9)), max_size=40),
)
@example(asks={0}, late=0, deliveries=[])
@example(asks={0, 1}, late=0, deliveries=[])
def test_two_that_ask_each_other_for_binary_agree_and_fall_silent(
    asks: set[int], late: int, deliveries: list[tuple[int, int]]
) -> None:
    ends = (Telnet(), Telnet())
    under_way = [b"", b""]  # to the end of that number
    said = 0

    def collect() -> None:
        nonlocal said
        for number in (0, 1):
            answers = ends[number].answers()
            said += len(answers)
            under_way[1 - number] += answers

    for turn, (to, size) in enumerate([*deliveries, *10 * [(0, 99), (1, 99)]]):
        if turn >= late:
            for number in asks:
                ends[number].evidence()
        collect()
        ends[to].receive(under_way[to][:size])
        under_way[to] = under_way[to][size:]
        collect()
    assert under_way == [b"", b""]
    # Each asks once and agrees once.
    assert said <= 4 * len(ASK)
    assert ends[0].binary
    assert ends[1].binary


# Hiding what is typed.

SAY_WILL = IAC + WILL + ECHO
SAY_WONT = IAC + WONT + ECHO
DOES = IAC + DO + ECHO
DOES_NOT = IAC + DONT + ECHO


def hidden(telnet: Telnet) -> bool:
    return telnet.hidden


def hiding() -> Telnet:
    """A client that has been told WILL ECHO and has not answered yet."""
    telnet = spoken()
    telnet.hide()
    assert telnet.answers() == SAY_WILL
    return telnet


def test_a_client_that_agrees_hides_until_it_is_told_otherwise() -> None:
    telnet = hiding()
    assert not hidden(telnet)
    telnet.receive(DOES)
    assert hidden(telnet)
    telnet.show()
    assert not hidden(telnet)
    assert telnet.answers() == SAY_WONT
    telnet.receive(DOES_NOT)
    assert telnet.answers() == b""


def test_what_is_so_already_is_not_said_again() -> None:
    telnet = hiding()
    telnet.hide()
    assert telnet.answers() == b""
    telnet.show()
    telnet.show()
    assert telnet.answers() == SAY_WONT


def test_a_client_that_refuses_shows_what_is_typed_and_is_told_nothing_more() -> None:
    telnet = hiding()
    telnet.receive(DOES_NOT)
    assert not hidden(telnet)
    telnet.show()
    assert telnet.answers() == b""


def test_a_client_that_stops_hiding_by_itself_is_believed_and_answered_once() -> None:
    telnet = hiding()
    telnet.receive(DOES)
    telnet.receive(DOES_NOT)
    assert not hidden(telnet)
    assert telnet.answers() == SAY_WONT
    telnet.receive(DOES_NOT)
    telnet.show()
    assert telnet.answers() == b""


def test_a_repeated_answer_is_no_question() -> None:
    telnet = hiding()
    telnet.receive(3 * DOES)
    assert hidden(telnet)
    assert telnet.answers() == b""


def test_an_answer_to_what_was_said_before_is_not_taken_for_one_to_what_was_said_last() -> None:
    telnet = hiding()
    telnet.show()
    telnet.hide()
    telnet.answers()
    telnet.receive(DOES)
    assert not hidden(telnet)
    telnet.receive(DOES_NOT)
    assert not hidden(telnet)
    telnet.receive(DOES)
    assert hidden(telnet)
    assert telnet.answers() == b""


@pytest.mark.parametrize(
    "answers",
    [
        # It refuses, but late: that we stop is nothing new to it.
        ([], [DOES_NOT]),
        # It does not answer WONT.
        ([DOES], []),
        # It answers neither.
        ([], []),
    ],
)
def test_a_client_that_said_less_the_last_time_can_hide_the_next_time(
    answers: tuple[list[bytes], list[bytes]],
) -> None:
    telnet = hiding()
    for received in answers[0]:
        telnet.receive(received)
    telnet.show()
    for received in answers[1]:
        telnet.receive(received)
    telnet.hide()
    telnet.answers()
    if answers == ([], []):
        telnet.receive(DOES)
    telnet.receive(DOES)
    assert hidden(telnet)
    assert telnet.answers() == b""


class Client:
    """A client's side of ECHO (RFC 1143): what it is told it takes, and it answers a change.

    agrees: whether it does what it is told. mute: whether it does not answer WONT.
    """

    def __init__(self, agrees: bool, mute: bool) -> None:
        self.hides = False
        self.agrees = agrees
        self.mute = mute
        self.sent: list[bytes] = []

    def hears(self, verb: bytes) -> None:
        if verb == WILL and not self.hides:
            self.hides = self.agrees
            self.sent.append(DOES if self.agrees else DOES_NOT)
        elif verb == WONT and self.hides:
            self.hides = False
            if not self.mute:
                self.sent.append(DOES_NOT)


@given(
    agrees=st.booleans(),
    mute=st.booleans(),
    steps=st.lists(
        st.sampled_from(["hide", "show", "hear", "answer", "cut", "do", "dont", "change"]),
        max_size=40,
    ),
)
@examples(500)
def test_no_client_and_server_answer_one_another_without_end(
    agrees: bool, mute: bool, steps: list[str]
) -> None:
    telnet, client = spoken(), Client(agrees, mute)
    verbs: list[bytes] = []
    told = 0
    unasked = False

    def collect() -> None:
        nonlocal told
        for verb, option in requests(telnet.answers()):
            assert option == ECHO
            verbs.append(verb)
            told += 1

    for step in steps:
        match step:
            case "hide" | "show":
                getattr(telnet, step)()
            case "hear" if verbs:
                client.hears(verbs.pop(0))
            case "answer" if client.sent:
                telnet.receive(client.sent.pop(0))
            case "cut" if client.sent:
                for byte in client.sent.pop(0):
                    telnet.receive(bytes([byte]))
            case "do" | "dont":
                unasked = True
                telnet.receive(DOES if step == "do" else DOES_NOT)
            case "change":
                client.agrees = not client.agrees
        collect()
    for _ in range(100):
        if not verbs and not client.sent:
            break
        while verbs:
            client.hears(verbs.pop(0))
        while client.sent:
            telnet.receive(client.sent.pop(0))
        collect()
    else:
        pytest.fail("they go on and on")
    assert told <= 2 * len(steps)
    if not unasked:
        # Both are of one mind in the end.
        assert hidden(telnet) == client.hides
