"""Telnet for a terminal: what it is asked, its size, characters as they are typed, and back.

What the clients in here send is what they really send: inetutils telnet 2.4 was listened to on
Linux, in a terminal of tmux; of PuTTY and TinTin++ the sources were read.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.doors.telnet.codes import (
    AYT,
    BINARY,
    BRK,
    DO,
    DONT,
    ECHO,
    IAC,
    IP,
    NOP,
    SB,
    SE,
    SUPPRESS_GO_AHEAD,
    WILL,
    WONT,
    Command,
)
from chatroom.doors.telnet.framing import MAX_SUBNEGOTIATION_BYTES
from chatroom.doors.telnet.parser import Telnet
from chatroom.doors.telnet.subnegotiation import NAWS, NEW_ENVIRON, TTYPE
from tests.support.fuzzing import examples
from tests.support.reactor import DEADLINE

SGA = SUPPRESS_GO_AHEAD
TERMINAL_SPEED = b"\x20"
OLD_ENVIRON = b"\x24"
ASK_NO_COLOR = IAC + SB + NEW_ENVIRON + b"\x01\x00NO_COLOR\x03NO_COLOR" + IAC + SE
ASK_KIND = IAC + SB + TTYPE + b"\x01" + IAC + SE
TAKE_OVER = [(WILL, ECHO), (WILL, SGA), (DO, SGA), (WILL, BINARY)]
GIVE_BACK = [(WONT, ECHO), (WONT, SGA), (DONT, SGA), (WONT, BINARY)]
KIND = [(DO, TTYPE), (DO, NAWS), (DO, NEW_ENVIRON)]


def sequence(*pairs: tuple[bytes, bytes]) -> bytes:
    return b"".join(IAC + verb + option for verb, option in pairs)


def told(option: bytes, data: bytes) -> bytes:
    return IAC + SB + option + data.replace(IAC, IAC + IAC) + IAC + SE


def sized(columns: int, rows: int) -> bytes:
    return told(NAWS, columns.to_bytes(2, "big") + rows.to_bytes(2, "big"))


def named(kind: bytes) -> bytes:
    return told(TTYPE, b"\x00" + kind)


def spoken() -> Telnet:
    """A client that speaks telnet and has BINARY on."""
    telnet = Telnet()
    telnet.receive(sequence((WILL, BINARY)))
    telnet.answers()
    return telnet


def asked() -> Telnet:
    """One that has also been asked for its kind, and has not answered yet."""
    telnet = spoken()
    telnet.ask_kind()
    assert telnet.answers() == sequence(*KIND)
    return telnet


def taken() -> Telnet:
    """One that has been taken over, and has not answered yet."""
    telnet = spoken()
    telnet.take_over()
    assert telnet.answers() == sequence(*TAKE_OVER)
    return telnet


def kind_known(telnet: Telnet) -> bool:
    return telnet.kind_known


def character_mode(telnet: Telnet) -> bool | None:
    return telnet.character_mode


# What it is.


def test_nothing_is_known_of_a_client_that_was_not_asked() -> None:
    telnet = spoken()
    telnet.receive(sized(80, 24) + named(b"xterm") + told(NEW_ENVIRON, b"\0\0NO_COLOR\x01" + b"1"))
    assert (telnet.kinds, telnet.mtts, telnet.no_color, telnet.size) == ([], 0, False, None)
    assert not telnet.kind_known
    assert telnet.answers() == b""


@pytest.mark.parametrize("option", [TTYPE, NAWS, NEW_ENVIRON])
def test_what_is_offered_before_it_is_asked_for_is_refused(option: bytes) -> None:
    telnet = spoken()
    telnet.receive(sequence((WILL, option)))
    assert telnet.answers() == sequence((DONT, option))


def test_a_client_is_asked_for_its_kind_once() -> None:
    telnet = asked()
    telnet.ask_kind()
    assert telnet.answers() == b""


def test_inetutils_tells_its_kind() -> None:
    telnet = asked()
    assert telnet.receive(
        bytes.fromhex("ff fb 18 ff fb 1f ff fa 1f 00 5a 00 1e ff f0 ff fb 27")
    ) == [Command.RESIZED]
    assert telnet.answers() == ASK_KIND + ASK_NO_COLOR
    assert telnet.size == (90, 30)
    name = bytes.fromhex("ff fa 18 00 54 4d 55 58 2d 32 35 36 43 4f 4c 4f 52 ff f0")
    telnet.receive(name)
    assert telnet.answers() == ASK_KIND
    telnet.receive(b"\xff\xfa'\x00\x03NO_COLOR\x03NO_COLOR\xff\xf0")
    assert not kind_known(telnet)
    telnet.receive(name)
    assert telnet.answers() == b""
    assert kind_known(telnet)
    assert (telnet.kinds, telnet.mtts, telnet.no_color) == (["TMUX-256COLOR"], 0, False)


def test_a_client_with_mtts_tells_its_kind() -> None:
    telnet = asked()
    telnet.receive(sequence((WILL, TTYPE), (WONT, NAWS), (WONT, NEW_ENVIRON)))
    for name in (b"TINTIN++", b"xterm-256color", b"MTTS 2349"):
        assert telnet.answers() == ASK_KIND
        assert not kind_known(telnet)
        telnet.receive(named(name))
    assert telnet.answers() == b""
    assert kind_known(telnet)
    assert (telnet.kinds, telnet.mtts) == (["TINTIN++", "XTERM-256COLOR"], 2349)


def test_the_kind_of_a_client_that_refuses_all_is_known() -> None:
    telnet = asked()
    telnet.receive(sequence((WONT, TTYPE), (WONT, NAWS)))
    assert not kind_known(telnet)
    telnet.receive(sequence((WONT, NEW_ENVIRON)))
    assert kind_known(telnet)
    assert telnet.answers() == b""


def test_a_refusal_of_our_refusal_is_not_the_last_word() -> None:
    # Some answer DONT with WONT, although they have nothing on.
    telnet = spoken()
    telnet.receive(sequence((WILL, TTYPE)))
    telnet.ask_kind()
    telnet.answers()
    telnet.receive(sequence((WONT, TTYPE), (WILL, TTYPE)))
    assert telnet.answers() == sequence((DO, TTYPE)) + ASK_KIND


def test_no_color_is_told() -> None:
    telnet = asked()
    telnet.receive(sequence((WILL, NEW_ENVIRON)))
    telnet.receive(told(NEW_ENVIRON, b"\x00\x03NO_COLOR\x01yes\x03NO_COLOR\x01yes"))
    assert telnet.no_color


# Its size.


def test_each_change_of_the_size_is_told_where_it_happened() -> None:
    telnet = asked()
    assert telnet.receive(
        sequence((WILL, NAWS)) + b"a" + sized(80, 24) + b"b" + sized(80, 24) + b"c" + sized(0, 0)
    ) == [b"a", Command.RESIZED, b"bc", Command.RESIZED]
    assert telnet.size == (0, 0)


def test_a_size_with_a_doubled_iac_is_read() -> None:
    telnet = asked()
    assert telnet.receive(sequence((WILL, NAWS)) + sized(255, 65535)) == [Command.RESIZED]
    assert telnet.size == (255, 65535)


def test_a_size_whose_iac_was_not_doubled_is_read() -> None:
    telnet = asked()
    telnet.receive(sequence((WILL, NAWS)) + IAC + SB + NAWS + b"\x00\xff\x00\x18" + IAC + SE)
    assert telnet.size == (255, 24)


@pytest.mark.parametrize("command", [NOP, AYT, DO + ECHO, SB])
def test_a_size_that_was_broken_off_is_none(command: bytes) -> None:
    telnet = asked()
    telnet.receive(sequence((WILL, NAWS)) + IAC + SB + NAWS + b"\x00\x50\x00\x18" + IAC + command)
    telnet.receive(IAC + SE)
    assert telnet.size is None


def test_a_size_from_a_client_that_refused_to_tell_it_is_passed_over() -> None:
    telnet = asked()
    assert telnet.receive(sequence((WONT, NAWS)) + sized(80, 24)) == []
    assert telnet.size is None


def test_what_was_told_too_long_is_given_up_and_the_next_is_taken() -> None:
    telnet = asked()
    telnet.receive(sequence((WILL, NAWS), (WILL, TTYPE)))
    telnet.answers()
    endless = IAC + SB + TTYPE + b"\x00" + b"x" * MAX_SUBNEGOTIATION_BYTES
    assert Command.OVERLONG in telnet.receive(endless + b"\n")
    assert telnet.receive(b"a" + sized(80, 24) + b"b") == [b"a", Command.RESIZED, b"b"]
    assert telnet.kinds == []


# Characters as they are typed.


def test_a_client_is_in_character_mode_when_it_has_agreed_to_echo_and_suppress_go_ahead() -> None:
    telnet = taken()
    modes = [character_mode(telnet)]
    for pair in ((WILL, SGA), (DO, BINARY), (DO, ECHO), (DO, SGA)):
        telnet.receive(sequence(pair))
        modes.append(character_mode(telnet))
    assert modes == [None, None, None, None, True]
    assert telnet.hidden
    assert telnet.answers() == b""


@pytest.mark.parametrize("option", [ECHO, SGA])
def test_a_client_that_refuses_either_is_not(option: bytes) -> None:
    telnet = taken()
    telnet.receive(sequence((DONT, option)))
    assert character_mode(telnet) is False
    telnet.receive(sequence((DO, ECHO if option == SGA else SGA)))
    assert character_mode(telnet) is False
    assert telnet.answers() == b""


@pytest.mark.parametrize("option", [ECHO, SGA])
def test_a_client_that_takes_either_back_is_obeyed(option: bytes) -> None:
    telnet = taken()
    telnet.receive(sequence((DO, ECHO), (DO, SGA)))
    telnet.receive(sequence((DONT, option)))
    assert character_mode(telnet) is False
    assert telnet.answers() == sequence((WONT, option))


def test_a_client_that_is_switched_by_hand_is_followed() -> None:
    # `mode line` and `mode character` at inetutils' prompt.
    telnet = taken()
    telnet.receive(sequence((DO, ECHO), (DO, SGA), (WILL, SGA), (DO, BINARY)))
    telnet.receive(sequence((DONT, SGA), (DONT, ECHO)))
    assert telnet.answers() == sequence((WONT, SGA), (WONT, ECHO))
    assert character_mode(telnet) is False
    telnet.receive(sequence((DO, SGA), (DO, ECHO)))
    assert telnet.answers() == sequence((WILL, SGA), (WILL, ECHO))
    assert character_mode(telnet) is True


@pytest.mark.parametrize(("verb", "option"), [(DO, ECHO), (DO, SGA), (WILL, SGA)])
def test_character_mode_is_refused_to_a_client_that_is_not_taken_over(
    verb: bytes, option: bytes
) -> None:
    for telnet in (spoken(), taken()):
        telnet.receive(sequence((DO, ECHO), (DO, SGA), (WILL, SGA)))
        telnet.give_back()
        telnet.receive(sequence((DONT, ECHO), (DONT, SGA), (WONT, SGA)))
        telnet.answers()
        telnet.receive(sequence((verb, option)))
        assert telnet.answers() == sequence((WONT if verb == DO else DONT, option))
        assert character_mode(telnet) is False


def test_what_is_given_back_was_taken_and_binary_stays_with_the_client() -> None:
    telnet = taken()
    telnet.receive(sequence((DO, ECHO), (DO, SGA), (WILL, SGA), (DO, BINARY)))
    telnet.give_back()
    assert telnet.answers() == sequence(*GIVE_BACK)
    assert character_mode(telnet) is False
    assert telnet.binary
    telnet.give_back()
    assert telnet.answers() == b""


def test_nothing_is_given_back_that_was_not_taken() -> None:
    telnet = spoken()
    telnet.give_back()
    assert telnet.answers() == b""


def test_our_binary_stays_if_the_client_had_asked_for_it() -> None:
    telnet = spoken()
    telnet.receive(sequence((DO, BINARY)))
    telnet.answers()
    telnet.take_over()
    telnet.give_back()
    assert (WILL, BINARY) not in pairs(said := telnet.answers())
    assert (WONT, BINARY) not in pairs(said)


def test_binary_is_asked_for_again_where_it_was_refused() -> None:
    telnet = Telnet()
    telnet.evidence()
    telnet.receive(sequence((WONT, BINARY)))
    telnet.answers()
    telnet.take_over()
    assert (DO, BINARY) in pairs(telnet.answers())
    assert telnet.receive(sequence((WILL, BINARY))) == [Command.BINARY_ON]


def test_answers_to_what_was_said_before_are_not_taken_for_answers_to_the_last() -> None:
    telnet = taken()
    telnet.give_back()
    telnet.take_over()
    telnet.answers()
    modes = []
    for pair in (
        *((DO, ECHO), (DO, SGA)),
        *((DONT, ECHO), (DONT, SGA)),
        *((DO, ECHO), (DO, SGA)),
    ):
        telnet.receive(sequence(pair))
        modes.append(character_mode(telnet))
    assert modes == [None, None, None, None, None, True]
    assert telnet.answers() == b""


def test_to_take_over_once_more_asks_again_for_what_was_refused() -> None:
    telnet = taken()
    telnet.receive(sequence((DONT, ECHO), (DO, SGA)))
    telnet.take_over()
    assert telnet.answers() == sequence((WILL, ECHO))
    assert character_mode(telnet) is None


@pytest.mark.parametrize("command", [Command.INTERRUPT_PROCESS, Command.BREAK])
def test_commands_come_out_between_characters(command: Command) -> None:
    telnet = taken()
    telnet.receive(sequence((DO, ECHO), (DO, SGA)))
    assert {IP, BRK} >= {command.value}
    assert telnet.receive(b"a" + IAC + command.value + b"b") == [b"a", command, b"b"]


# Passwords, while it is taken over.


def test_hiding_changes_nothing_while_the_client_is_taken_over() -> None:
    telnet = taken()
    telnet.receive(sequence((DO, ECHO), (DO, SGA)))
    telnet.hide()
    telnet.show()
    assert telnet.answers() == b""
    assert telnet.hidden


def test_what_is_hidden_stays_so_when_the_client_is_given_back() -> None:
    telnet = taken()
    telnet.receive(sequence((DO, ECHO), (DO, SGA)))
    telnet.hide()
    telnet.give_back()
    assert (WONT, ECHO) not in pairs(telnet.answers())
    assert telnet.hidden
    telnet.show()
    assert telnet.answers() == sequence((WONT, ECHO))


def test_what_is_hidden_when_the_client_is_taken_over_is_not_said_again() -> None:
    telnet = spoken()
    telnet.hide()
    telnet.receive(sequence((DO, ECHO)))
    telnet.answers()
    telnet.take_over()
    assert (WILL, ECHO) not in pairs(telnet.answers())
    telnet.receive(sequence((DO, SGA)))
    assert character_mode(telnet) is True
    telnet.show()
    assert character_mode(telnet) is True


def test_a_client_that_was_given_back_after_a_password_shows_what_is_typed() -> None:
    telnet = taken()
    telnet.receive(sequence((DO, ECHO), (DO, SGA)))
    telnet.hide()
    telnet.show()
    telnet.give_back()
    assert (WONT, ECHO) in pairs(telnet.answers())
    telnet.receive(sequence((DONT, ECHO)))
    assert not telnet.hidden


# Against clients that have states of their own.


def pairs(sent: bytes) -> list[tuple[bytes, bytes]]:
    """The negotiations in *sent*."""
    found: list[tuple[bytes, bytes]] = []
    split(sent, lambda verb, option: found.append((verb, option)), lambda _: None)
    return found


def split(
    sent: bytes,
    negotiation: Callable[[bytes, bytes], None],
    subnegotiation: Callable[[bytes], None],
) -> None:
    """Take a server's bytes apart; there is nothing but commands in them, each whole."""
    while sent:
        assert sent[:1] == IAC
        verb = sent[1:2]
        if verb == SB:
            inside, _, sent = sent[2:].partition(IAC + SE)
            subnegotiation(inside)
        else:
            assert verb in (DO, DONT, WILL, WONT)
            negotiation(verb, sent[2:3])
            sent = sent[3:]


YES = {DO: WILL, WILL: DO}
NO = {DO: WONT, WILL: DONT, DONT: WONT, WONT: DONT}
SIDES = {DO: DO, DONT: DO, WILL: WILL, WONT: WILL}


class Client:
    """A client: what it is told it takes, what it has asked for by itself is not answered again.

    Of an option on one side it knows whether it is "on", "off", or "asked" for. Sides are named by
    what the server says to have it on.

    refuses: what it does not do. asks: what it asks for on connecting. mute: it never answers DONT
    and WONT. times: how often it says each thing.
    """

    kinds = (b"XTERM", b"XTERM")

    def __init__(
        self,
        refuses: frozenset[tuple[bytes, bytes]] = frozenset(),
        asks: tuple[tuple[bytes, bytes], ...] = (),
        mute: bool = False,
        times: int = 1,
    ) -> None:
        self.refuses = refuses
        self.mute = mute
        self.times = times
        self.states: dict[tuple[bytes, bytes], str] = {}
        self.told_kinds = 0
        self.sent = bytearray()
        for verb, option in asks:
            self.states[verb, option] = "asked"
            self.sent += sequence((YES[verb], option))

    def hear(self, sent: bytes) -> None:
        split(sent, self.negotiate, self.answer)

    def negotiate(self, verb: bytes, option: bytes) -> None:
        key = (SIDES[verb], option)
        state = self.states.get(key, "off")
        if verb not in YES:
            self.states[key] = "off"
            if state == "on" and not self.mute:
                self.say(sequence((NO[verb], option)))
        elif state == "asked":
            self.states[key] = "on"
            self.begin(key)
        elif state == "off" and key in self.refuses:
            self.say(sequence((NO[verb], option)))
        elif state == "off":
            self.states[key] = "on"
            self.say(sequence((YES[verb], option)))
            self.begin(key)

    def begin(self, key: tuple[bytes, bytes]) -> None:
        if key == (DO, NAWS):
            self.say(sized(80, 24))

    def answer(self, inside: bytes) -> None:
        if inside[:2] == TTYPE + b"\x01":
            self.say(named(self.kinds[self.told_kinds % len(self.kinds)]))
            self.told_kinds += 1
        elif inside[:2] == NEW_ENVIRON + b"\x01":
            self.say(told(NEW_ENVIRON, b"\x00\x00USER\x01alice"))

    def say(self, said: bytes) -> None:
        self.sent += self.times * said

    @property
    def on(self) -> set[tuple[bytes, bytes]]:
        return {key for key, state in self.states.items() if state == "on"}


PUTTY_ASKS = (
    *((DO, NAWS), (DO, TERMINAL_SPEED), (DO, TTYPE), (DO, NEW_ENVIRON)),
    *((WILL, ECHO), (DO, SGA), (WILL, SGA)),
)
CHARACTERS = {(WILL, ECHO), (WILL, SGA), (DO, SGA), (WILL, BINARY), (DO, BINARY)}


def settle(telnet: Telnet, client: Client) -> None:
    """Let both hear all that there is to hear."""
    for _ in range(100):
        client.hear(telnet.answers())
        if not client.sent:
            return
        received = bytes(client.sent)
        client.sent.clear()
        telnet.receive(received)
    pytest.fail("they go on and on")


@pytest.mark.parametrize("late", [True, False], ids=["refused before", "crossing"])
@pytest.mark.parametrize("asks", [(), PUTTY_ASKS], ids=["passive", "PuTTY"])
def test_a_client_tells_its_kind_and_sends_characters_whatever_it_asked_for_first(
    asks: tuple[tuple[bytes, bytes], ...], late: bool
) -> None:
    telnet, client = Telnet(), Client(asks=asks)
    if late:
        settle(telnet, client)
        assert not client.on & {*CHARACTERS - {(DO, BINARY)}, *KIND}
    telnet.evidence()
    telnet.ask_kind()
    telnet.take_over()
    settle(telnet, client)
    assert kind_known(telnet)
    assert (telnet.kinds, telnet.size) == (["XTERM"], (80, 24))
    assert character_mode(telnet) is True
    assert client.on == {*CHARACTERS, *KIND}
    telnet.give_back()
    settle(telnet, client)
    assert client.on == {(DO, BINARY), *KIND}
    telnet.take_over()
    settle(telnet, client)
    assert character_mode(telnet) is True
    assert client.on == {*CHARACTERS, *KIND}


OPTIONS = (*TAKE_OVER, (DO, BINARY), *KIND)


@given(
    refuses=st.frozensets(st.sampled_from(OPTIONS)),
    asks=st.sampled_from([(), PUTTY_ASKS, ((DO, BINARY), (WILL, BINARY))]),
    mute=st.booleans(),
    times=st.sampled_from([1, 1, 2]),
    steps=st.lists(
        st.sampled_from(
            [
                *("take_over", "give_back", "take_over", "give_back", "hide", "show", "ask_kind"),
                *("client", "client", "server", "server", "cut"),
            ]
        ),
        max_size=50,
    ),
)
@examples(500)
def test_whatever_is_taken_and_given_back_both_ends_agree_and_little_is_said(
    refuses: frozenset[tuple[bytes, bytes]],
    asks: tuple[tuple[bytes, bytes], ...],
    mute: bool,
    times: int,
    steps: list[str],
) -> None:
    telnet, client = Telnet(), Client(refuses, asks, mute, times)
    telnet.evidence()
    under_way = bytearray()
    allowed = said = 0

    def collect() -> None:
        nonlocal said
        answers = telnet.answers()
        said += len(answers)
        under_way.extend(answers)

    def receive(size: int) -> None:
        nonlocal allowed
        received = bytes(client.sent[:size])
        del client.sent[:size]
        allowed += len(received)
        telnet.receive(received)

    def hear() -> None:
        client.hear(bytes(under_way))
        under_way.clear()

    costs = {"take_over": 15, "give_back": 12, "hide": 3, "show": 3}
    allowed += len(sequence((DO, BINARY))) + 51 * ("ask_kind" in steps)
    for step in steps:
        allowed += costs.get(step, 0)
        match step:
            case "client":
                hear()
            case "server":
                receive(len(client.sent))
            case "cut":
                receive(4)
            case _:
                getattr(telnet, step)()
        collect()
    for _ in range(100):
        if not under_way and not client.sent:
            break
        hear()
        receive(len(client.sent))
        collect()
    else:
        pytest.fail("they go on and on")
    assert said <= allowed
    wishes = [step for step in steps if step in ("take_over", "give_back")]
    over = wishes[-1:] == ["take_over"]
    # Of others nobody could tell what is an answer and what they say by themselves.
    if times == 1 and not (asks and mute):
        both = {(WILL, ECHO), (WILL, SGA)}
        assert character_mode(telnet) is (over and both <= client.on)
        assert telnet.hidden == ((WILL, ECHO) in client.on)
        assert telnet.binary == ((DO, BINARY) in client.on)
        if over and not refuses:
            assert client.on >= CHARACTERS
        if not over:
            assert not client.on & {(WILL, SGA), (DO, SGA)}
        assert kind_known(telnet) == ("ask_kind" in steps)


CUT = examples(200)


@CUT
@given(
    data=st.lists(
        st.sampled_from(
            [
                *(sequence((verb, option)) for verb in (WILL, WONT) for _, option in KIND),
                *(sequence((verb, option)) for verb in (DO, DONT) for option in (ECHO, SGA)),
                *(sized(80, 24), sized(255, 255), named(b"A"), named(b"B"), named(b"MTTS 9")),
                *(told(NEW_ENVIRON, b"\x00\x00NO_COLOR\x01" + b"1"), told(b"", b"")),
                *(IAC, SB, SE, NAWS, b"\x00", b"a", IAC + SB + NAWS, IAC + SE),
            ]
        ),
        max_size=30,
    ).map(b"".join)
    | st.binary(max_size=100),
    sizes=st.lists(st.integers(1, 5), min_size=1),
)
def test_any_cutting_of_the_bytes_tells_the_same(data: bytes, sizes: list[int]) -> None:
    seen: list[object] = []
    for step in (len(data) + 1, 0):
        telnet = asked()
        telnet.take_over()
        received: list[bytes | Command] = []
        answers = b""
        start = turn = 0
        while start < len(data):
            size = step or sizes[turn % len(sizes)]
            for item in telnet.receive(data[start : start + size]):
                if isinstance(item, bytes) and received and isinstance(received[-1], bytes):
                    received[-1] += item
                else:
                    received.append(item)
            answers += telnet.answers()
            start += size
            turn += 1
        seen.append(
            (
                *(received, answers, telnet.kinds, telnet.mtts, telnet.no_color, telnet.size),
                *(telnet.kind_known, telnet.character_mode, telnet.hidden, telnet.pending),
            )
        )
    assert seen[0] == seen[1]


def test_a_connection_that_negotiates_nothing_holds_nothing_for_it() -> None:
    telnet = Telnet()
    telnet.receive(b"hello\r\n")
    held = [getattr(telnet, name) for name in Telnet.__slots__]
    assert all(value in (None, False, 0, b"") for value in held)


@pytest.mark.parametrize(
    "end", [IAC + SE, IAC + AYT, IAC + DO + ECHO, b"x" * MAX_SUBNEGOTIATION_BYTES]
)
def test_a_subnegotiation_is_not_held_longer_than_it_lasts(end: bytes) -> None:
    telnet = asked()
    telnet.receive(IAC + SB + TTYPE + b"x" * 1000)
    telnet.receive(end)
    telnet.answers()
    held = [getattr(telnet, name) for name in Telnet.__slots__]
    assert not [value for value in held if isinstance(value, bytes | bytearray) and value]


def has_inetutils() -> bool:
    telnet = shutil.which("telnet")
    if telnet is None:
        return False
    said = subprocess.run(
        [telnet, "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    return b"inetutils" in said.stdout


@pytest.mark.skipif(not has_inetutils(), reason="the telnet here is not that of inetutils")
def test_a_real_client_sends_characters_and_lines_and_characters() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    terminal, its_side = os.openpty()
    environment = {"TERM": "xterm", "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    command = ["telnet", "127.0.0.1", str(listener.getsockname()[1])]
    client = subprocess.Popen(
        command, stdin=its_side, stdout=its_side, stderr=its_side, env=environment
    )
    listener.settimeout(DEADLINE)
    connection, _ = listener.accept()
    telnet = Telnet()
    raw = bytearray()
    received = bytearray()

    def wait(until: Callable[[], bool]) -> None:
        while True:
            connection.sendall(telnet.answers())
            if until():
                return
            sources = [connection.fileno(), terminal]
            readable = select.select(sources, [], [], DEADLINE)[0]
            assert readable, "nothing came"
            if terminal in readable:
                os.read(terminal, 4096)
            if connection.fileno() in readable:
                data = connection.recv(4096)
                assert data
                raw.extend(data)
                for part in telnet.receive(data):
                    received.extend(part if isinstance(part, bytes) else b"")

    def typed(text: str, arrives: bytes) -> None:
        os.write(terminal, text.encode())
        wait(lambda: len(received) >= len(arrives))
        assert bytes(received) == arrives
        received.clear()

    try:
        telnet.evidence()
        telnet.ask_kind()
        wait(lambda: telnet.kind_known and telnet.binary)
        assert telnet.kinds[0] == "XTERM"
        for _ in range(2):
            telnet.take_over()
            wait(lambda: telnet.character_mode is True)
            typed("я", "я".encode())
            typed("\x7f\x03\r", b"\x7f\x03\r")
            telnet.give_back()
            # This was said last, and it answers when it has done what it was told.
            wait(lambda: sequence((DONT, BINARY)) in raw)
            raw.clear()
            typed("ax\x7f来\n", "a来\n".encode())
    finally:
        client.kill()
        client.wait()
        for closing in (connection, listener):
            closing.close()
        os.close(terminal)
        os.close(its_side)
