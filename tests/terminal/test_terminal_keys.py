"""What keys at a terminal do, and what they cost."""

from __future__ import annotations

import pytest

from chatroom.model.limits import Limits
from chatroom.terminal.keys import KEY_SECONDS, PASTE_SECONDS
from chatroom.terminal.terminal import MAX_WAITING_LINES
from tests.support.telnet import IAC, named
from tests.support.wire import UNLIMITED
from tests.support.world import World

# -- keys


def test_keys_that_telnet_has_commands_for(world: World) -> None:
    telnet = named(world)
    telnet.types("abc")
    telnet.sends(b"\xff\xf7")
    assert telnet.last == "[alice #lobby] ab"
    telnet.sends(b"\xff\xf4")
    assert telnet.last == "[alice #lobby]"
    telnet.types("abc")
    telnet.sends(b"\xff\xf8")
    assert telnet.last == "[alice #lobby]"
    telnet.sends(b"\xff\xf6")
    assert telnet.screen[-2] == "-- Yes, chatroom is here."
    telnet.sends(b"\xff\xec")
    assert telnet.gone


def test_the_end_of_file_key_leaves(world: World) -> None:
    bob = world.person("bob")
    telnet = named(world)
    telnet.types("a\x02\x04\x04")
    assert telnet.gone
    assert bob.sees[-1] == "-- alice left."
    assert telnet.shown.rows[telnet.shown.above] == ""


def test_tab_completes_names(world: World) -> None:
    world.people("bob", "barbara")
    telnet = named(world)
    telnet.types("bo\t")
    assert telnet.last == "[alice #lobby] bob:"
    telnet.types("\x15b\t\t")
    assert telnet.screen[-2].split() in (["bob:", "barbara:"], ["barbara:", "bob:"])
    assert telnet.last == "[alice #lobby] b"


def test_a_pasted_block_asks_before_it_goes_out(world: World) -> None:
    bob = world.person("bob")
    telnet = named(world)
    _ = bob.sees
    block = "\r".join([*(f"line {number}" for number in range(50)), "and"])
    telnet.sends(f"\x1b[200~{block}\x1b[201~".encode())
    assert telnet.last == "Send 50 lines? y/n"
    assert bob.sees == []
    telnet.types("n")
    assert telnet.last == "[alice #lobby]"
    telnet.sends(f"\x1b[200~{block}\x1b[201~".encode())
    telnet.types("y")
    assert bob.sees == [f"alice: line {number}" for number in range(50)]
    assert telnet.last == "[alice #lobby] and"


def test_an_empty_line_of_a_paste_is_said_and_one_that_is_typed_is_not(world: World) -> None:
    bob = world.person("bob")
    telnet = named(world)
    _ = bob.sees
    telnet.types("\n \n")
    telnet.sends(b"\x1b[200~if x:\r\r\ty\r\x1b[201~")
    telnet.types("y")
    assert bob.sees == ["alice: if x:", "alice: ", "alice:     y"]


@pytest.mark.parametrize("gives_up", ["interrupt", "^C", "silence"])
def test_a_paste_without_its_end_is_dropped(world: World, gives_up: str) -> None:
    bob = world.person("bob")
    telnet = named(world)
    _ = bob.sees
    telnet.sends(b"\x1b[200~abc")
    telnet.types("\n")
    if gives_up == "interrupt":
        telnet.sends(bytes([IAC, 244]))
    elif gives_up == "^C":
        telnet.sends(b"\x03")
        world.wait(KEY_SECONDS)
    else:
        world.wait(PASTE_SECONDS)
    telnet.settle()
    (told,) = (row for row in telnet.screen if "pasted" in row)
    assert told == "-- The end of what you pasted is missing; nothing of it was sent."
    telnet.types("hello\n")
    assert bob.sees == ["alice: hello"]


def test_a_line_that_is_too_long_stays_to_be_shortened(world: World) -> None:
    bob = world.person("bob")
    telnet = named(world)
    _ = bob.sees
    telnet.sends(b"\x1b[200~" + b"x" * 2049 + b"\x1b[201~")
    telnet.types("\n")
    assert any("at most 2,048 bytes, and this one has 2,049" in row for row in telnet.screen)
    assert bob.sees == []
    telnet.types("\x7f\n")
    assert bob.sees == ["alice: " + "x" * 2048]


def test_an_interrupt_drops_lines_that_wait() -> None:
    world = World(limits=Limits(rate=2, burst=3))
    bob = world.person("bob")
    telnet = named(world)
    world.wait(10)
    _ = bob.sees
    telnet.sends(b"".join(b"%d\r" % number for number in range(200)))
    assert MAX_WAITING_LINES - 3 <= len(telnet.protocol.buffer.lines) <= MAX_WAITING_LINES + 1
    telnet.types("typed\x03")
    assert telnet.last == "[alice #lobby]"
    assert any("lines that waited were not said." in row for row in telnet.screen)
    said = len(bob.sees)
    assert said <= 5
    world.wait(60)
    telnet.types("next\n")
    world.wait(5)
    assert bob.sees == ["alice: next"]
    telnet.hangs_up()
    world.end()


@pytest.mark.parametrize("leaving", ["/quit\r", "/bye\r", "\x04"])
def test_who_leaves_a_terminal_does_not_wait_for_what_they_pasted(leaving: str) -> None:
    world = World(limits=Limits(rate=2, burst=3))
    bob = world.person("bob")
    telnet = named(world)
    world.wait(10)
    telnet.sends(b"".join(b"%d\r" % number for number in range(50)))
    telnet.types(leaving)
    world.wait(2)
    telnet.settle()
    assert telnet.gone
    world.wait(60)
    assert len([line for line in bob.sees if line.startswith("alice: ")]) <= 5
    world.end()


def test_who_closes_a_terminal_says_nothing_more() -> None:
    world = World(limits=Limits(rate=2, burst=3))
    bob = world.person("bob")
    telnet = named(world)
    world.wait(10)
    telnet.sends(b"".join(b"%d\r" % number for number in range(50)))
    telnet.hangs_up()
    _ = bob.sees
    world.wait(60)
    assert bob.sees == ["-- alice left."]
    world.end()


def test_a_flood_is_said_to_its_end() -> None:
    world = World(limits=Limits(rate=100, burst=3, byte_rate=0))
    bob = world.person("bob")
    telnet = named(world)
    _ = bob.sees
    telnet.sends(b"".join(b"%d\r" % number for number in range(500)))
    for _ in range(20):
        world.wait(1)
        telnet.settle()
    assert bob.sees == [f"alice: {number}" for number in range(500)]
    telnet.hangs_up()
    world.end()


# -- what keys cost


def test_keys_cost_what_they_make_the_server_do() -> None:
    world = World(limits=Limits())
    telnet = named(world)
    world.wait(20)
    # Both cost next to nothing by the line that there is before them.
    telnet.types("я" * 1000)
    telnet.sends(b"\x15")
    world.wait(20)
    telnet.sends(b"\x19\x15" * 4000)
    seconds = 0
    while telnet.wire.producerState == "paused":
        world.wait(1)
        seconds += 1
    assert 60 < seconds < 120
    telnet.hangs_up()
    world.end()


def test_so_does_a_terminal_that_is_resized_all_the_time() -> None:
    world = World(limits=Limits())
    telnet = named(world)
    telnet.types("я" * 1000)
    world.wait(20)
    turns = 0
    while telnet.wire.producerState == "producing":
        telnet.size = (40 + turns % 2, 24)
        telnet.protocol.dataReceived(telnet._naws())
        turns += 1
    assert turns < 50
    telnet.hangs_up()
    world.end()


@pytest.mark.parametrize("limits", [UNLIMITED, Limits()])
def test_others_have_their_turn_between_many_keys(limits: Limits) -> None:
    world = World(limits=limits)
    telnet = named(world)
    telnet.types("x" * 2000)
    world.wait(20)
    _ = telnet.received
    telnet.protocol.dataReceived(b"\x14" * 100 + b"\x15done")
    assert telnet.wire.producerState == "paused"
    assert b"done" not in telnet.received
    world.wait(20)
    telnet.settle()
    assert telnet.last == "[alice #lobby] done"
    assert telnet.wire.producerState == "producing"
    telnet.hangs_up()
    world.end()


def test_who_wants_to_leave_is_still_not_read_while_nothing_is_taken() -> None:
    world = World(limits=Limits(rate=1, burst=2, byte_rate=0))
    telnet = named(world)
    telnet.sends(b"one\rtwo\rthree\rfour\r\x04")
    telnet.protocol.writer.congested = True
    telnet.protocol.stalled()
    assert telnet.wire.producerState == "paused"
    telnet.protocol.writer.congested = False
    telnet.protocol.flowing()
    assert telnet.wire.producerState == "producing"
    # They may still drop what waits, and go at once.
    telnet.sends(b"\x03")
    world.wait(1)
    telnet.settle()
    assert telnet.gone
    world.end()
