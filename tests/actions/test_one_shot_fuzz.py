"""Whoever passes for one command, whatever anybody does meanwhile: nothing of it is left."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatroom.model.chatsettings import Settings
from chatroom.model.events import Said
from chatroom.model.identity import Identity
from chatroom.text.names import fold
from tests.support.accounts import WORD, FakeBook, book_of, now
from tests.support.doubles import DelayedLedger, FailingLedger, SomeClaims, immediate, refuse
from tests.support.fuzzing import examples
from tests.support.stores import stored
from tests.support.world import Person, World, check


class Passer(Person):
    """Somebody who passes; the place says so to whoever they would replace."""

    place = "a command"


LINES = [
    *("hello", "/me waves", "/topic green", "/who", "/missed", "/forget", "/quit"),
    *("/join den", "/join lobby", "/room private", "/room invite alice", "/room uninvite alice"),
    *("/away", "/back", "/bell mentions", "/timestamps on", "/ignore alice", "/unignore alice"),
    *("/msg alice hi", "/msg bob hi", "/reply hi", "/pair", "/key add", "/nick alice", "/nick eve"),
    *(f"/register {WORD}", f"/login alice {WORD}", f"/login bob {WORD}", "/logout", "/logout"),
    *(f"/unregister {WORD}", "/unregister alice", "/op alice", "/deop alice"),
    *("/kick alice", "/ban alice 1s", "/unban alice", "/mute alice", "/unmute alice"),
]
#: What is the server's or a private line, with what may stand before it; or a bell.
ANSWER = re.compile(r"\a|\a?(\d\d:\d\d )?(-> |-- (?!\w+ (joined|left|is now)\b)).*")
#: Who does something: four who are here, three who pass.
PASSING = range(4, 7)
STEPS = st.lists(
    st.tuples(
        st.integers(0, PASSING[-1]),
        st.sampled_from(LINES)
        | st.sampled_from(
            [
                *("come", "come", "come", "come by name", "end", "hang up", "stall", "drain"),
                *("turn", "turns", "wait", "book", "book", "claim", "no claim", "late"),
                *("late claims", "disk full"),
            ]
        ),
        st.sampled_from(["alice", "alice", "bob"]),
    ),
    max_size=60,
)


class Anything:
    """People and commands at once, on a chat whose every answer may be late."""

    def __init__(self, ledger: Any) -> None:
        self.fake, self.claims = FakeBook(), SomeClaims()
        self.world = World(
            ledger,
            Settings(names_per_day=0, scrollback=0, rooms_per_hour=0),
            claims=self.claims,
            accounts=book_of(self.fake),
        )
        world = self.world
        self.people = [world.person(source=f"192.0.2.{number}") for number in range(4)]
        for person, name in zip(self.people, ("alice", "bob"), strict=False):
            person.says(f"/nick {name}", f"/register {WORD}")
        self.accounts = {name: now(self.fake.book.find(name)) for name in ("alice", "bob")}
        self.people[2].operates()
        self.people += [self.comes(number, "alice") for number in PASSING]

    def comes(self, index: int, name: str, *, owned: bool = True) -> Person:
        identity = Identity(name, self.accounts[name] if owned else None)
        source = f"192.0.2.{index}"
        if index in PASSING:
            return Passer(self.world, source, identity=identity, one_shot=True)
        return Person(self.world, source, identity=identity)

    def does(self, index: int, action: str, name: str) -> None:
        """One step."""
        world, claims, person = self.world, self.claims, self.people[index]
        match action:
            case "come" | "come by name":
                if person.gone:
                    self.people[index] = self.comes(index, name, owned=action == "come")
            case "end":
                person.ends()
            case "hang up":
                person.hangs_up()
            case "stall":
                if index not in PASSING:
                    person.writer.stall(index)
            case "drain":
                person.writer.drain()
            case "turn":
                world.clock.advance(0.001)
            case "turns":
                world.settle()
            case "wait":
                world.wait(6)
            case "book":
                self.fake.answer()
            case "claim" if claims._asked:
                claims.answer()
            case "no claim" if claims._asked:
                claims.fail()
            case "late":
                self.fake.late = not self.fake.late
            case "late claims":
                claims.late = not claims.late
                claims.hurry()
            case "disk full" if isinstance(world.ledger, FailingLedger):
                full = not world.ledger.refuses(Said(0.0, 0, "", ""))
                world.ledger.refuses = lambda event: full
            case _ if action in LINES:
                person.types(action)

    def holds(self) -> None:
        """What holds at any moment."""
        chat = self.world.chat
        online, people = chat.logins.online, chat.people
        for connection in chat.connections.values():
            account = connection.user.account
            if connection.one_shot:
                assert connection.reader is None
            if account is None or connection.over:
                continue
            assert account.id not in chat.logins.removed
            assert not chat.moderation.banned(account.id)
            if not connection.one_shot:
                assert online[account.id] is connection.user
            elif online.get(account.id) is not connection.user:
                assert people.get(account.key) is not connection.user
        for user in online.values():
            # Without another connection there is only who has registered by a command.
            assert any(user.connections)
            assert user.here or people[fold(user.name)] is user

    def ends(self) -> None:
        """All answers come, and all commands end."""
        world = self.world
        self.fake.late = self.claims.late = False
        if isinstance(world.ledger, FailingLedger):
            refuse(world.ledger)
        for _ in range(12):
            for person in world.came:
                person.writer.drain()
                if isinstance(person, Passer):
                    person.ends()
            self.fake.answer_all()
            self.claims.hurry()
            world.settle()
            world.wait(3)
            self.holds()
        check(world)
        for person in world.came:
            shown = person.sees
            # No command has ended anybody's connection, or is told anything of a room.
            assert not any("logged in at a command now" in line for line in shown)
            if isinstance(person, Passer):
                assert person.gone
                assert not [line for line in shown if not ANSWER.fullmatch(line)]
        world.empty()
        assert self.claims.local._holders == {}
        assert not world.chat.people
        assert not world.chat.connections


@given(
    ledger=st.sampled_from([immediate, DelayedLedger, stored, FailingLedger]),
    steps=STEPS,
)
@examples(300)
def test_whatever_commands_do_who_is_here_stays(
    ledger: Any, steps: list[tuple[int, str, str]]
) -> None:
    anything = Anything(ledger)
    try:
        for index, action, name in steps:
            anything.does(index, action, name)
            anything.holds()
        anything.ends()
    finally:
        anything.world.end()
