"""A chat without a network, and the people in it: what they type, and what they see."""

import re
from collections.abc import Callable
from typing import Any

from chatroom.actions import login
from chatroom.actions.handler import TEXT
from chatroom.backends.interfaces import AccountStore, Ledger, ModerationStore, NameClaims
from chatroom.backends.memory import MemoryModeration, MemoryNameClaims
from chatroom.backends.sqlite.store import Store
from chatroom.chat.chat import Chat
from chatroom.chat.connection import Connection
from chatroom.chat.reader import Reader
from chatroom.chat.room import Room
from chatroom.chat.rules import Moderation
from chatroom.commands import COMMANDS
from chatroom.commands.interpreter import Interpreter
from chatroom.formats.format import Format
from chatroom.formats.plain import PLAIN, plain
from chatroom.model.accounts import Account
from chatroom.model.chatsettings import Settings
from chatroom.model.identity import Identity
from chatroom.model.limits import LOCAL, Limits, source_of
from chatroom.model.preferences import Preferences
from chatroom.text import names
from tests.support.doubles import Clock, FakeWriter, LateClaims, immediate


class Person:
    """Somebody at a door: what they type goes to a connection, what they see comes back."""

    def __init__(
        self,
        world: "World",
        source: str = LOCAL,
        format: Format = PLAIN,
        address: str = "",
        identity: Identity | None = None,
        one_shot: bool = False,
        replaces: bool = True,
    ) -> None:
        self.address = address or self.address
        self.writer = FakeWriter(lambda: self.connection.drained(), lambda: self.resume())
        self.world = world
        self.gone = False
        #: How often it was asked not to show what is typed.
        self.hidings = 0
        self._waiting: list[str] = []
        self._ended = False
        self._seen = 0
        self._format = format
        self.connection = Connection(world.chat, self, self.writer, TEXT, COMMANDS, source)
        self.interpreter = Interpreter(self.connection)
        self.connection.one_shot = one_shot
        self.connection.replaces = replaces
        world.came.append(self)
        login.open_connection(self.connection, identity)

    @property
    def name(self) -> str:
        return self.connection.user.name

    @property
    def room(self) -> Room:
        """The room that they are shown."""
        assert self.connection.room is not None
        return self.connection.room

    @property
    def reader(self) -> Reader:
        """Their place in the log of that room."""
        assert self.connection.reader is not None
        return self.connection.reader

    # -- what its connection asks of it as a Connection

    #: Whether it is a telnet that can be asked not to show what is typed, and whether it complies.
    telnet = False
    complies = True
    encrypted = False
    hidden = False
    #: Whether it draws its own screen.
    echo = False
    hint = ""
    height = 0
    closing = ""
    place = "192.0.2.7 (a plain line)"
    address = "127.0.0.1"

    def format_for(self, preferences: Preferences) -> Format:
        return plain(preferences) if self._format is PLAIN else self._format

    def hide_input(self) -> bool:
        if self.telnet:
            self.hidden = self.complies
            self.hidings += 1
        return self.telnet

    def show_input(self) -> None:
        self.hidden = False

    def types(self, *lines: str) -> None:
        """Type lines, without waiting for what they lead to."""
        self._waiting += lines
        self.resume()

    def says(self, *lines: str) -> None:
        """Type lines and wait until everything has happened."""
        self.types(*lines)
        self.world.settle()

    def asks(self, *lines: str) -> list[str]:
        """What is shown after typing *lines*."""
        _ = self.sees
        self.says(*lines)
        return self.sees

    def operates(self) -> None:
        """Make this person an operator, with an account of their name."""
        chat = self.world.chat
        if self.connection.user.account is None:
            added: list[Account | None] = []
            chat.logins.accounts.add(self.name, "", chat.clock.time()).addCallback(added.append)
            self.world.settle()
            (account,) = added
            assert account is not None
            chat.logins.logged_in(self.connection.user, account)
        assert self.connection.user.account is not None
        chat.moderation.make_operator(self.connection, self.connection.user.account)

    def ends(self) -> None:
        """No more will be typed, but what comes is still read."""
        self._ended = True
        self.resume()

    def hangs_up(self, reason: str = "") -> None:
        """The connection is gone at once."""
        self.gone = True
        self._waiting.clear()
        self.writer.lose()
        self.connection.lost(reason)

    def closes(self) -> None:
        """The client has closed both ways, as it does with TLS: what it has sent counts."""
        self.gone = True
        self.writer.lose()
        self.connection.disconnected()
        self.ends()

    def resume(self) -> None:
        self.interpreter.resume()
        while (
            self._waiting
            and self.connection.gate.is_open
            and (self.gone or not self.writer.congested)
        ):
            self.interpreter.received(self._waiting.pop(0))
        if self._ended and not self._waiting and self.connection.gate.is_open:
            self.connection.end()

    def expelled(self, what: str) -> None:
        self.closing = what

    def close(self, farewell: bytes) -> None:
        assert not self.connection.queue.size
        if not self.gone:
            self.writer.data += farewell
        self.gone = True
        self.writer.lose()

    @property
    def sees(self) -> list[str]:
        """The whole lines that were shown since this was last asked; a bell after them is one.

        What the server says in several rows, so that it fits into 79 columns, is one line.
        """
        new = self.writer.data[self._seen :]
        self._seen = len(self.writer.data)
        lines = re.sub("\r\n-- {4}(?! )", " ", new.decode()).split("\r\n")
        last = lines.pop()
        assert last in ("", "\a"), "a line was cut"
        return [*lines, last] if last else lines


class World:
    """A chat, a clock that tests move, and whoever comes.

    lasting: accounts, and what operators decide, are in the store as well. now: the time at first.
    """

    def __init__(
        self,
        ledger: Callable[[Clock], Ledger | Store] = immediate,
        settings: Settings | None = None,
        limits: Limits | None = None,
        claims: NameClaims | None = None,
        accounts: AccountStore | None = None,
        records: ModerationStore | None = None,
        now: float = 1_800_000_000,
        lasting: bool = False,
        **moderated: Any,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(now)
        made = ledger(self.clock)
        #: What it keeps its lines in, None for nothing.
        self.store = made if isinstance(made, Store) else None
        self.ledger = made.ledger if isinstance(made, Store) else made
        if self.store is not None and lasting:
            accounts, records = self.store.accounts, self.store.records
        self.came: list[Person] = []
        self.claims = claims or MemoryNameClaims()
        self.chat = Chat(
            self.clock,
            settings,
            limits or Limits(rate=0),
            ledger=self.ledger,
            claims=self.claims,
            history=self.store,
            accounts=accounts,
            moderation=Moderation(self.clock, records or MemoryModeration(), **moderated),
        )
        if self.store is not None:
            kept = self.store.open(self.chat.settings.scrollback, self.chat.lobby.key)
            if lasting:
                self.chat.moderation.restore(self.store.rules())
            self.chat.restore(kept)
            self.store.maintenance.start()
        self.chat.doors.append(self)

    def expel_banned(self, why: str) -> None:
        """Its people come by no door: it is theirs."""
        for person in self.came:
            told = self.chat.moderation.banned_from(person.address)
            if told is not None:
                person.connection.expel(told, "banned", why)

    def person(
        self, name: str = "", source: str = LOCAL, format: Format = PLAIN, address: str = ""
    ) -> Person:
        """Somebody who came in, has this name, and has read the greeting.

        address: what the network has as theirs; it says their source as well.
        """
        person = Person(self, source_of(address) if address else source, format, address)
        self.settle()
        if name:
            person.says(f"/nick {name}")
        person._seen = len(person.writer.data)
        return person

    def arrives(self, identity: Identity, source: str = LOCAL, format: Format = PLAIN) -> Person:
        """Somebody whom a door knows, when everything has happened; the greeting is to be read."""
        person = Person(self, source, format, identity=identity)
        self.settle()
        return person

    def passes(self, identity: Identity, line: str, source: str = LOCAL) -> list[str]:
        """What answers the one *line* that somebody has come for, who is gone then."""
        person = Person(self, source, identity=identity, one_shot=True)
        self.settle()
        answer = person.asks(line)
        person.ends()
        self.settle()
        assert person.gone
        return answer

    def people(self, *names: str) -> list[Person]:
        """Several people, all announced, who have read everything so far."""
        came = [self.person(name) for name in names]
        self.wait(5)
        for person in came:
            _ = person.sees
        return came

    def settle(self) -> None:
        """Let everything happen that was asked for, which takes next to no time."""
        for _ in range(40):
            self.clock.advance(0.001)

    @property
    def pending(self) -> list[Any]:
        """What is to be called in some time, but for what a store does by itself."""
        own = self.store.maintenance.calls if self.store is not None else ()
        return [call for call in self.clock.getDelayedCalls() if call not in own]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(10):
            self.clock.advance(seconds / 10)
        self.settle()

    def empty(self) -> None:
        """Everybody hangs up, and nothing of them may be left."""
        for person in self.came:
            person.hangs_up()
        self.settle()
        # Who was waiting to be announced is waited for.
        self.wait(5)
        origins = {person.connection.origin for person in self.came}
        chat = self.chat
        assert not origins & chat.connections.keys()
        assert not origins & {user.origin for user in chat.people.values()}
        for room in chat.rooms.values():
            assert not origins & room.members.keys()
            assert not origins & room.readers.keys()
            assert not origins & room._entering.keys()
        assert not origins & {user.origin for user in chat.logins.online.values()}
        assert not origins & {
            origin for same in chat.logins.connections.values() for origin in same
        }
        if isinstance(self.claims, MemoryNameClaims):
            assert not origins & set(self.claims._holders.values())
        assert chat._announcers.keys() == chat.rooms.keys()

    def end(self) -> None:
        """Nothing may be left to be called, whatever the tests did."""
        try:
            self.empty()
        finally:
            self.close()

    def close(self) -> None:
        """The server has ended."""
        self.chat.close()
        if self.store is not None:
            self.settle()
            self.store.close()
            self.settle()


def check(world: World) -> None:
    """What holds once everything has settled."""
    chat = world.chat
    for key, user in chat.people.items():
        assert names.fold(user.name) == key
        assert user.here
        for connection in chat.connections_by(user):
            assert connection.user is user
            assert chat.connections[connection.origin] is connection
        assert [room.key for room in chat.rooms_with(user)] == list(user.rooms)
    assert {connection.user for connection in chat.connections.values()} == set(
        chat.people.values()
    )
    for room in chat.rooms.values():
        for member in room.members.values():
            assert chat.people[names.fold(member.name)] is member.user
        for origin, reader in room.readers.items():
            assert chat.connections[origin].reader is reader
            assert chat.connections[origin].room is room
    for id, user in chat.logins.online.items():
        assert user.account is not None
        assert user.account.id == id
        assert user.account.name == user.name
        assert chat.people[user.account.key] is user
    for connection in chat.connections.values():
        account = connection.user.account
        assert account is None or chat.logins.online[account.id] is connection.user
        assert connection.gate.is_open
    claims = world.claims
    local: Any = claims.local if isinstance(claims, LateClaims) else claims
    holders: dict[str, int] = local._holders
    for key, origin in holders.items():
        assert chat.people[key].origin == origin
    for key, user in chat.people.items():
        if not names.is_reserved(user.name):
            assert holders.get(key) == user.origin
