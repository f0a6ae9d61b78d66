"""Who comes in by SSH, and how long those may stay who are not in yet."""

from __future__ import annotations

import struct
import unicodedata
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.keys import Key
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

from chatroom.doors.ssh.connection import LOGIN_SECONDS
from chatroom.doors.ssh.factory import MAX_ARRIVING_PER_SOURCE, SshFactory
from chatroom.doors.state import State
from chatroom.model import publickeys
from chatroom.model.limits import Limits
from chatroom.server import hostkey
from tests.support.accounts import WORD, owner
from tests.support.garbage import kept, uncollected
from tests.support.sshclient import KEY, Guest
from tests.support.world import World

# Who comes in


def test_whoever_has_no_account_comes_in_by_their_name(world: World, factory: SshFactory) -> None:
    guest = Guest(world, factory, "bob")
    assert guest.sees[0] == "-- Welcome to chatroom. You are bob, in #lobby."
    assert guest.prompts == []
    guest.hangs_up()
    assert not world.chat.connections
    assert not world.chat.limiter.connected


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        Key(ec.generate_private_key(ec.SECP256R1())),
        Key(ec.generate_private_key(ec.SECP521R1())),
    ],
    ids=["ed25519", "nistp256", "nistp521"],
)
def test_any_key_gets_in(world: World, factory: SshFactory, key: Key) -> None:
    guest = Guest(world, factory, "bob", keys=(key,))
    assert "You are bob" in guest.sees[0]
    (connection,) = world.chat.connections.values()
    assert connection.key == publickeys.decode(key.public().blob())
    guest.hangs_up()


def test_a_registered_name_is_for_who_knows_its_password(world: World, factory: SshFactory) -> None:
    owner(world).hangs_up()
    guest = Guest(world, factory, "alice", answers=("wrong", WORD))
    assert guest.prompts == 2 * [b"Password for alice (empty: come in as a guest): "]
    assert "You are alice" in guest.sees[0]
    assert world.chat.logins.online
    guest.hangs_up()


def test_an_empty_password_makes_a_guest(world: World, factory: SshFactory) -> None:
    owner(world).hangs_up()
    guest = Guest(world, factory, "alice", answers=("",))
    assert "You are guest" in guest.sees[0]
    guest.hangs_up()


@pytest.mark.parametrize("tried", [(), ("kohlrabi78",)])
def test_a_password_that_comes_after_one_was_asked_for_in_vain_is_not_said(
    world: World, factory: SshFactory, tried: tuple[str, ...]
) -> None:
    owner(world).hangs_up()
    bob = world.person("bob")
    guest = Guest(world, factory, "alice", answers=(*tried, ""))
    guest.sends(WORD.encode() + b"\n")
    assert guest.sees[-1] == "-- Not said: it may be a password. If it is none, /say says it."
    guest.sends(b"hello to you all\n")
    assert [line for line in bob.sees if ": " in line] == ["guest3: hello to you all"]
    guest.hangs_up()


def test_three_wrong_passwords_end_it(
    world: World, factory: SshFactory, log_events: list[LogEvent]
) -> None:
    owner(world).hangs_up()
    guest = Guest(world, factory, "alice", answers=("a", "b", "c", WORD))
    assert guest.gone
    assert guest.reason == b"Too many wrong passwords."
    assert world.chat.counters.wrong_passwords == 3
    assert [event["address"] for event in log_events if event.get("event") == "password_wrong"]


def test_a_key_that_was_bound_needs_no_password(world: World, factory: SshFactory) -> None:
    owner(world).hangs_up()
    first = Guest(world, factory, "alice", keys=(KEY,), answers=(WORD,))
    first.sends(b"/key add\n")
    first.hangs_up()
    guest = Guest(world, factory, "alice", keys=(KEY,))
    assert guest.prompts == []
    assert "You are alice" in guest.sees[0]
    guest.hangs_up()


class Liar(Key):
    """A key whose signatures are somebody else's."""

    def sign(self, data: bytes, signatureType: bytes | None = None) -> bytes:
        return bytes(hostkey.generate().sign(data))


def test_whoever_cannot_sign_does_not_get_in(world: World, factory: SshFactory) -> None:
    owner(world).hangs_up()
    Guest(world, factory, "alice", keys=(KEY,), answers=(WORD,)).sends(b"/key add\n")
    liar = Liar(KEY._keyObject)
    guest = Guest(world, factory, "alice", keys=(liar,), answers=("",))
    # They were asked for the password, as if they had shown no key.
    assert len(guest.prompts) == 1
    assert "You are guest" in guest.sees[0]
    guest.hangs_up()


@pytest.mark.parametrize("algorithm", [b"ssh-rsa", b"ssh-dss", b"rsa-sha2-256-x", b"ssh-ed25519"])
def test_other_algorithms_than_the_key_has_are_refused(algorithm: bytes) -> None:
    from chatroom.doors.ssh.auth import known_key, verified

    key = Key(rsa.generate_private_key(65537, 2048))
    blob = key.public().blob()
    assert known_key(algorithm, blob) is None
    assert known_key(b"rsa-sha2-256", blob) is not None
    # A signature that was made with SHA-1 is not taken for what it says to be.
    assert not verified(b"rsa-sha2-256", blob, key.sign(b"x", b"ssh-rsa"), b"x")
    assert verified(b"rsa-sha2-256", blob, key.sign(b"x", b"rsa-sha2-256"), b"x")


def test_a_security_token_has_been_touched_for_this_connection() -> None:
    from chatroom.doors.ssh.auth import known_key, verified

    token = ed25519.Ed25519PrivateKey.generate()
    kind = b"sk-ssh-ed25519@openssh.com"
    blob = NS(kind) + NS(token.public_key().public_bytes_raw()) + NS(b"ssh:")
    assert known_key(kind, blob) is not None

    def signed(said: bytes, flags: int = 1, application: bytes = b"ssh:") -> bytes:
        # OpenSSH's PROTOCOL.u2f, "SSH U2F Signatures".
        counted = struct.pack(">BL", flags, 7)
        what = sha256(application).digest() + counted + sha256(said).digest()
        return NS(kind) + NS(token.sign(what)) + counted

    assert verified(kind, blob, signed(b"x"), b"x")
    assert not verified(kind, blob, signed(b"y"), b"x")
    assert not verified(kind, blob, signed(b"x", flags=0), b"x")
    assert not verified(kind, blob, signed(b"x", application=b"web:"), b"x")
    assert not verified(kind, blob, signed(b"x") + b"z", b"x")
    assert not verified(kind, blob, NS(kind) + NS(token.sign(b"x")), b"x")


def test_a_name_that_may_not_be_had_makes_a_guest_who_is_told(
    world: World, factory: SshFactory
) -> None:
    guest = Guest(world, factory, "two words")
    shown = guest.sees
    assert any("You are guest" in line for line in shown)
    guest.hangs_up()


# Those who are not in yet


def test_a_key_that_was_shown_for_another_name_is_not_theirs(
    world: World, factory: SshFactory
) -> None:
    owner(world).hangs_up()
    guest = Guest(world, factory, "alice", keys=(KEY,), answers=("",))
    assert next(iter(world.chat.connections.values())).key is not None
    guest.hangs_up()
    guest = Guest(world, factory, "alice", keys=(KEY,))
    (client,) = factory.clients
    assert client._stranger.key is not None
    # RFC 4252, section 5.
    asked = NS(b"carol") + NS(b"ssh-connection") + NS(b"keyboard-interactive") + NS(b"") * 2
    guest.sendPacket(50, asked)
    guest.settle()
    assert [(one.user.name, one.key) for one in world.chat.connections.values()] == [
        ("carol", None)
    ]
    guest.hangs_up()


def test_of_several_keys_that_open_nothing_the_first_is_theirs(
    world: World, factory: SshFactory
) -> None:
    owner(world).hangs_up()
    keys = (hostkey.generate(), hostkey.generate())
    guest = Guest(world, factory, "alice", keys=keys, answers=(WORD,))
    (connection,) = world.chat.connections.values()
    assert connection.user.account is not None
    assert connection.key is not None
    assert connection.key.blob == keys[0].public().blob()
    guest.hangs_up()


@pytest.mark.parametrize("known", [None, OSError("the disk is away")], ids=["in time", "failed"])
@pytest.mark.parametrize("way", ["hangs up", "is ended"])
def test_an_answer_that_comes_after_the_end_leads_to_nothing(
    world: World,
    factory: SshFactory,
    monkeypatch: pytest.MonkeyPatch,
    log_events: list[LogEvent],
    known: Exception | None,
    way: str,
) -> None:
    answer: Deferred[Any] = Deferred()
    monkeypatch.setattr("chatroom.actions.authenticate.owner", lambda *_: answer)
    guest = Guest(world, factory)
    (client,) = factory.clients
    if way == "hangs up":
        guest.hangs_up()
    else:
        world.wait(LOGIN_SECONDS + 0.1)
        assert guest.wire.half_closed
    before = world.clock.getDelayedCalls()
    if known is None:
        answer.callback(None)
    else:
        answer.errback(known)
    assert world.clock.getDelayedCalls() == before
    assert client.state in (State.CLOSING, State.CLOSED)
    assert not [event for event in log_events if event.get("event") == "arrival_failed"]
    if way == "is ended":
        guest.hangs_up()


def test_a_name_may_be_spelled_in_many_pieces(world: World, factory: SshFactory) -> None:
    name = 20 * "\ud55c"
    guest = Guest(world, factory, unicodedata.normalize("NFD", name))
    assert f"You are {name}, " in guest.sees[0]
    guest.hangs_up()


def test_looking_at_signatures_counts_for_the_byte_rate(world: World, factory: SshFactory) -> None:
    world.chat.configure(world.chat.settings, Limits(rate=0, byte_rate=4096))
    owner(world).hangs_up()
    keys = tuple(hostkey.generate() for _ in range(5))
    began = world.clock.seconds()
    guest = Guest(world, factory, "alice", keys=keys, answers=("",))
    while not guest.prompts:
        world.wait(1)
        guest.settle()
    # The burst is used up by the exchange of keys.
    assert world.clock.seconds() - began > 5
    guest.hangs_up()


def test_who_has_been_at_it_for_longest_makes_room(
    world: World, factory: SshFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatroom.doors.ssh.factory.MAX_ARRIVING", 2)
    first, second = Guest(world, factory, starts=False), Guest(world, factory, starts=False)
    guest = Guest(world, factory)
    assert "You are bob" in guest.sees[0]
    assert (first.wire.half_closed, second.wire.half_closed) == (True, False)
    for each in (first, second, guest):
        each.hangs_up()


def test_an_answer_that_comes_too_late_changes_nothing(
    world: World, factory: SshFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer: Deferred[Any] = Deferred()
    monkeypatch.setattr("chatroom.actions.authenticate.owner", lambda *_: answer)
    guest = Guest(world, factory)
    assert guest.wire.producerState == "paused"
    world.wait(LOGIN_SECONDS + 0.1)
    assert guest.wire.half_closed
    answer.callback(None)
    world.wait(3)
    assert guest.wire.aborted
    guest.hangs_up()


def test_whoever_says_nothing_is_cut_after_the_grace(world: World, factory: SshFactory) -> None:
    silent = Guest(world, factory, starts=False)
    world.wait(LOGIN_SECONDS + 1)
    silent.settle()
    assert silent.gone
    assert not factory.clients


def test_whoever_opens_no_session_is_cut_after_the_grace(
    world: World, factory: SshFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.sshclient.Channel.channelOpen", lambda *_: None)
    idle = Guest(world, factory)
    world.wait(LOGIN_SECONDS + 1)
    idle.settle()
    assert idle.gone
    assert idle.reason == b"No session was opened in time."


def test_strangers_from_one_source_are_few(world: World, factory: SshFactory) -> None:
    address = "203.0.113.9"
    silent = [
        Guest(world, factory, starts=False, address=address) for _ in range(MAX_ARRIVING_PER_SOURCE)
    ]
    refused = Guest(world, factory, address=address)
    assert refused.reason == b"Too many connections from your address are logging in just now."
    silent.pop().hangs_up()
    guest = Guest(world, factory, address=address)
    assert "You are bob" in guest.sees[0]
    for each in [guest, *silent]:
        each.hangs_up()


def test_those_who_may_not_come_are_told_in_ssh(world: World, factory: SshFactory) -> None:
    world.chat.configure(world.chat.settings, Limits(max_connections=1))
    first = Guest(world, factory)
    assert Guest(world, factory).reason == b"The server is full. Please try again later."
    first.hangs_up()


def test_whoever_logs_in_while_the_server_stops_gets_no_session(
    world: World, factory: SshFactory
) -> None:
    owner(world).hangs_up()
    guest = Guest(world, factory, "alice")
    factory.stop_reading()
    guest.settle()
    assert guest.gone
    assert guest.reason == b"The server is shutting down."
    assert not world.chat.connections


def test_stopping_tells_everybody(world: World, factory: SshFactory) -> None:
    guest, silent = Guest(world, factory), Guest(world, factory, starts=False)
    _ = guest.sees
    factory.stop_reading()
    gone: list[object] = []
    factory.dismiss().addCallback(gone.append)
    assert guest.sees == ["-- The server is shutting down."]
    assert guest.status == 0
    silent.settle()
    assert silent.gone
    world.wait(2)
    guest.settle()
    assert gone


@pytest.mark.parametrize("name", ["bob", "taken"])
@pytest.mark.parametrize("term", ["", "xterm"])
def test_who_has_gone_leaves_nothing_to_the_garbage_collector(
    world: World, factory: SshFactory, term: str, name: str
) -> None:
    world.person("taken")
    with uncollected():
        before = kept()
        guest = Guest(world, factory, name, term=term)
        guest.sends(b"hello\r")
        assert kept(before)
        guest.hangs_up()
        assert not kept(before)


def test_the_lines_of_a_session_that_was_left_are_counted(
    world: World, factory: SshFactory, log_events: list[LogEvent]
) -> None:
    guest = Guest(world, factory)
    guest.sends(b"hello\nyou\n/quit\n")
    assert guest.session_closed
    guest.hangs_up()
    (ended,) = [event for event in log_events if event.get("event") == "connection_closed"]
    assert ended["lines"] == 2
