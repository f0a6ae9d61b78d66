"""Chat: all rooms, all people, who has which name, and the end of the turn.

An event happens when the ledger commits it, not when it is asked for. Requests go to `submit`; what
the ledger hands to `committed` is appended to the log of its room and delivered.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.logger import Logger

from chatroom.backends.interfaces import AccountStore, HistoryStore, Ledger, NameClaims
from chatroom.backends.memory import (
    MemoryAccounts,
    MemoryLedger,
    MemoryModeration,
    MemoryNameClaims,
)
from chatroom.chat.announcer import JoinAnnouncer
from chatroom.chat.gate import Reason
from chatroom.chat.loginservice import LoginService, RunInThread
from chatroom.chat.lookups import Lookups
from chatroom.chat.memoryhistory import MemoryHistory
from chatroom.chat.nameindex import NameIndex
from chatroom.chat.room import Entrant, Room
from chatroom.chat.rules import Moderation
from chatroom.chat.user import User
from chatroom.model.accounts import AccountState
from chatroom.model.aging import Aging
from chatroom.model.chatsettings import Settings
from chatroom.model.clock import Clock
from chatroom.model.counters import Counters
from chatroom.model.entry import Entry
from chatroom.model.events import (
    SERVER,
    Closed,
    Emoted,
    Event,
    Joined,
    Left,
    Opened,
    Renamed,
    Said,
    TookBack,
    TopicSet,
)
from chatroom.model.history import StoredRoom
from chatroom.model.limits import ConnectionLimiter, Limits, RateLimit, TokenBucket
from chatroom.model.refused import Code, Refused
from chatroom.model.sanctions import RoomAccess, Rule, RuleKey, RuleKind, Sanction
from chatroom.text import names
from chatroom.text.times import DAY

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

log = Logger()

#: How many rooms there may be.
MAX_ROOMS = 1000

#: For how long, in seconds, nothing was said in a room that gives way to another.
IDLE = 3600.0

#: How often the sockets are looked at for more before a turn ends.
MAX_LOOKS = 8

#: More bytes than this waiting for the end of the turn do not wait for it.
MAX_WAITING = 64 * 1024


def hidden_key(name: str) -> str:
    """The key of a room that is not listed: no name that anybody can give a room has it."""
    return f" {name}"


class Door(Protocol):
    """A door: it alone knows the clients that are not connections of the chat yet."""

    def expel_banned(self, why: str) -> None:
        """A network was banned, for what *why* says: who comes from one that is has to go."""


class Chat:
    """Everything that several connections share.

    run, width: see loginservice.LoginService.
    """

    def __init__(
        self,
        clock: Clock,
        settings: Settings | None = None,
        limits: Limits | None = None,
        *,
        ledger: Ledger | None = None,
        claims: NameClaims | None = None,
        history: HistoryStore | None = None,
        accounts: AccountStore | None = None,
        run: RunInThread = maybeDeferred,
        width: int = 1,
        moderation: Moderation | None = None,
        counters: Counters | None = None,
        aging: Aging | None = None,
    ) -> None:
        self.clock = clock
        #: `Clock.callLater`, once for the timers of all connections.
        self.call_later = clock.callLater
        self.aging = aging or Aging(clock)
        #: What it has done so far.
        self.counters = counters or Counters(clock.seconds)
        self.settings = settings or Settings()
        self.limits = limits or Limits()
        #: How fast one person's lines may come.
        self.pace = TokenBucket(self.limits.rate, self.limits.burst)
        #: How fast one connection's bytes may come.
        self.byte_pace = TokenBucket(self.limits.byte_rate, self.limits.byte_rate)
        #: Who may connect.
        self.limiter = ConnectionLimiter(self.limits, clock.seconds, self.counters)
        self.ledger = ledger or MemoryLedger(clock.time)
        self.claims = claims or MemoryNameClaims()
        self.started = clock.seconds()
        #: The rooms by key.
        self.rooms: dict[str, Room] = {}
        #: The conversations by origin.
        self.connections: dict[int, Connection] = {}
        #: Who has which name, by its key.
        self.people: NameIndex[User] = NameIndex(clock.seconds)
        #: What was said before the rooms' own logs begin.
        self.history = history or MemoryHistory(self.rooms, clock)
        #: Whose turn it is to be shown something of it: a page, which costs little, and what is
        #: searched for, which may take as long as it may.
        self.lookups = Lookups()
        self.searches = Lookups()
        #: What operators have decided.
        self.moderation = moderation or Moderation(clock, MemoryModeration())
        self.moderation.on_change = self._rule_changed
        #: Who is logged in.
        self.logins = LoginService(
            clock,
            accounts or MemoryAccounts(),
            run,
            width=width,
            keep_days=self.settings.keep_names,
            per_day=self.settings.names_per_day,
        )
        self.logins.state_of = self.account_state
        #: What connections come by.
        self.doors: list[Door] = []
        self._announcers: dict[str, JoinAnnouncer] = {}
        #: How often the guests of each source have changed their names, where a room was told.
        self.renamed = RateLimit(self.settings.renames_per_hour, 3600, clock.seconds)
        self._created = RateLimit(self.settings.rooms_per_hour, 3600, clock.seconds)
        # The keys of the rooms that are closed as soon as that is committed.
        self._closing: set[str] = set()
        self._last_origin = 0
        self._last_guest = 0
        self._turn_ends = False
        self._more_came = False
        self._looks = 0
        self._waiting = 0
        #: The last event that was asked for, None for none so far.
        self.asked: Event | None = None
        # The ids (of objects) of those events that are neither committed nor rejected yet, and
        # the receipts that were asked for, by the same ids.
        self._undecided: set[int] = set()
        self._receipts: dict[int, list[Deferred[int]]] = {}
        self._to_flush: list[Connection] = []
        self._to_draw: list[Callable[[], None]] = []
        self._to_resume: list[int] = []
        self.ledger.attach(self)
        self.lobby = self.open_room(self.settings.lobby)

    def configure(self, settings: Settings, limits: Limits) -> None:
        """From here on these hold, for who is here as well; all but the lobby can change.

        What is set up with each connection (stall_timeout, dead_after) stays for those there are.
        """
        self.settings = replace(settings, lobby=self.settings.lobby)
        self.limits = limits
        self.pace = TokenBucket(limits.rate, limits.burst)
        self.byte_pace = TokenBucket(limits.byte_rate, limits.byte_rate)
        self.limiter.configure(limits)
        self.logins.keep_days = settings.keep_names
        self.logins.created.count = settings.names_per_day
        self._created.count = settings.rooms_per_hour
        self.renamed.count = settings.renames_per_hour
        for announcer in self._announcers.values():
            announcer.quiet_above = settings.join_quiet_above

    # -- numbers and names

    def next_origin(self) -> int:
        """An id for a connection, never used before in this run."""
        self._last_origin += 1
        return self._last_origin

    def next_guest(self) -> str:
        """A name for somebody who has not chosen one, never used before in this run."""
        self._last_guest += 1
        return f"guest{self._last_guest}"

    def connections_of(self, account: int) -> "list[Connection]":
        """Return the connections logged in with this account id, those for one command last."""
        found = self.logins.connections.get(account, {}).values()
        return sorted(found, key=lambda connection: connection.one_shot)

    def connections_by(self, user: User) -> "list[Connection]":
        """Return the connections of *user*, who knows them as devices only."""
        return cast("list[Connection]", list(user.connections))

    def reading_by(self, user: User) -> "list[Connection]":
        """Return the connections of *user* that are open and show rooms."""
        return cast("list[Connection]", list(user.reading))

    def users_of(self, account: int) -> list[User]:
        """Return who is here with this account id, the user in the rooms first."""
        return list(dict.fromkeys(connection.user for connection in self.connections_of(account)))

    def user_of(self, id: int) -> User | None:
        """Return the user with this id, None if they are not here."""
        if id > 0:
            return self.logins.online.get(id)
        return next((user for user in self.people.values() if user.id == id), None)

    def disconnected(self, connection: "Connection") -> None:
        """Forget the connection, which has ended, and its user if that was the last one."""
        user = connection.user
        others = tuple(one for one in user.connections if one is not connection)
        if all(one.one_shot for one in others):
            self._forget(user)
        user.connections = others
        self.logins.disconnected(connection)

    def _forget(self, user: User) -> None:
        """Give the name back: *user* is gone."""
        key = names.fold(user.name)
        if self.people.get(key) is user:
            del self.people[key]
        self.claims.release(key, user.origin)
        self.logins.left(user)
        self.moderation.left(user)

    def holder(self, key: str, origin: int) -> User | None:
        """Return the user of this *origin*, who has, or is to have, the name with this *key*."""
        connection = self.connections.get(origin)
        candidates = (connection and connection.user, self.people.get(key))
        return next((user for user in candidates if user and user.origin == origin), None)

    def switch(self, connection: "Connection", user: User) -> None:
        """Have *connection* be a connection of *user*, who is here, from now on.

        The guest that it was until now leaves the rooms, unless another connection keeps them here.
        The room that it shows, it shows on.
        """
        guest = connection.user
        guest.connections = tuple(one for one in guest.connections if one is not connection)
        user.connections = (*user.connections, connection)
        connection.user = user
        if connection.reader is not None:
            connection.reader.user = user
        self.moderation.carry_over(guest, user)
        if guest.connections:
            return
        guest.leaving = True
        asked = [self.leave(room, guest) for room in self.rooms_with(guest)]
        receipts = [self.receipt(event) for event in asked if self.is_undecided(event)]
        gone = DeferredList(receipts, consumeErrors=True)
        gone.addCallback(lambda _: self._forget(guest))

    def split(self, connection: "Connection") -> None:
        """Have *connection* be a guest's from now on: its user goes on by their other connections.

        The room that it shows, it shows on.
        """
        user = connection.user
        user.connections = tuple(one for one in user.connections if one is not connection)
        self.logins.disconnected(connection)
        # Its own number may be that of a user who has gone on without it.
        connection.user = guest = User(self.next_origin(), self.next_guest())
        guest.connections = (connection,)
        self.people[names.fold(guest.name)] = guest
        if connection.reader is not None and connection.room is not None:
            connection.reader.user = guest
            connection.join(connection.room)

    def account_state(self, user: User) -> AccountState | None:
        """Return what is to be kept of *user*'s account; None for a guest."""
        account = user.account
        # Until they have their name they have not got their preferences either.
        if account is None or account.name != user.name:
            return None
        now = self.clock.time()
        online = self.logins.online.get(account.id)
        if online is None:
            return AccountState(account.id, now, None, {})
        if online is not user:
            return self.account_state(online)
        kept = user.preferences if user.unsaved else None
        rooms = user.rooms if user.rooms != (self.lobby.key,) else ()
        last = (one.room.key for one in self.connections_by(user) if one.room and not one.one_shot)
        room = next(last, "")
        if room == self.lobby.key:
            room = ""
        return AccountState(
            account.id,
            now,
            lambda preferences: replace(kept or preferences, room=room, rooms=rooms),
            self.read_by(user),
        )

    def read_by(self, user: User) -> dict[str, int]:
        """Return up to which id *user* has read each room, by the rooms' keys."""
        if user.read_markers is None:
            return {}
        markers = dict(user.read_markers)
        for one in self.connections_by(user):
            if one.reader is not None and one.room is not None:
                last = one.room.last_shown(one.reader)
                markers[one.room.key] = max(last, markers.get(one.room.key, 0))
        return markers

    # -- rooms

    def open_room(self, name: str, *, listed: bool = True) -> Room:
        """A new room called *name*; doors use it for rooms of their own, which are not *listed*."""
        key = names.fold(name) if listed else hidden_key(name)
        assert key not in self.rooms, f"there is a room with the key {key!r} already"
        room = Room(name, key, listed=listed, counters=self.counters)
        self.rooms[room.key] = room

        def submit(event: Event) -> None:
            self.submit(room, event)

        quiet_above = self.settings.join_quiet_above
        announcer = JoinAnnouncer(room, self.clock, submit, quiet_above, silent=not listed)
        self._announcers[room.key] = announcer
        room.on_joined = announcer.entered
        return room

    @property
    def first_room(self) -> Room | None:
        """Where guests come in; None while only those enter who are logged in."""
        return None if self.moderation.locked else self.lobby

    def _rule_changed(self, kind: RuleKind, key: RuleKey, rule: Rule | None) -> None:
        """Hold those who are here to a rule that has changed, whoever decided it."""
        users = self.users_of(key) if isinstance(key, int) else []
        if kind is RuleKind.ACCOUNT_BAN and isinstance(rule, Sanction):
            for user in users:
                user.expel(f"You are banned{self.moderation.until(rule)}.", "banned", rule.why)
        elif kind is RuleKind.NETWORK_BAN and isinstance(rule, Sanction):
            for door in self.doors:
                door.expel_banned(rule.why)
        elif kind is RuleKind.OPERATOR and rule is None:
            for user in users:
                self.recheck_access(user)
        elif isinstance(rule, RoomAccess) and rule.private and (room := self.rooms.get(str(key))):
            for member in list(room.members.values()):
                self.recheck_access(member.user)
        elif kind is RuleKind.LOCKDOWN and rule is None:
            for user in list(self.people.values()):
                self.recheck_access(user)

    def rooms_with(self, user: User) -> list[Room]:
        """Return the rooms that *user* is in, in the order in which they entered."""
        rooms = (self.rooms.get(key) for key in user.rooms)
        return [room for room in rooms if room is not None and user.origin in room.members]

    def recheck_access(self, user: User) -> None:
        """Have *user* leave the rooms where they may not be any more, and enter where they may."""
        for room in self.rooms_with(user):
            if not (room.members[user.origin].leaving or self.may_be_in(user, room)):
                private = f"#{room.name} is private, and you are not invited."
                user.notice(room.closing or private)
                self.leave(room, user)
        if not user.rooms:
            for connection in self.reading_by(user):
                if connection.room is None and not connection.gate.reasons & Reason.ENTERING:
                    self.place(connection)

    def place(self, connection: "Connection") -> None:
        """Have *connection*, whose room its user has left, show another one."""
        rooms = self.rooms_with(connection.user)
        room = self.lobby if self.lobby in rooms or not rooms else rooms[-1]
        if rooms or self.may_enter(connection.user):
            connection.join(room)
        elif connection.room is not None:
            connection.room = None
            connection.handler.shown(connection, None, first=False)

    def may_be_in(self, user: User, room: Room) -> bool:
        """Return whether *user* may be in *room*: it is open, and theirs or no private one."""
        return not room.closing and self.moderation.visible_from(user, room.key) is not None

    def may_enter(self, user: User) -> bool:
        """Return whether *user* may enter rooms: a guest may not during a lockdown."""
        return user.account is not None or not self.moderation.locked

    def room_for(self, name: str, connection: "Connection") -> Room:
        """The room called *name*, made now for *connection* if there is none. Raises Refused."""
        moderation = self.moderation
        if not self.may_enter(connection.user):
            raise Refused(
                Code.NOT_LOGGED_IN, "Only registered people enter a room just now: /login NAME."
            )
        try:
            name = names.check_room(name)
        except names.NameRefused as error:
            raise Refused(Code.BAD_NAME, str(error)) from None
        room = self.rooms.get(names.fold(name))
        if room is None:
            if (why := moderation.why_muted(connection)) is not None:
                raise Refused(
                    Code.MUTED, f"{why} You can go to a room that there is: /rooms lists them."
                )
            self._check_lookalike(name, connection)
            room = self.make_room(name, connection.source)
            if connection.user.account is not None:
                owner = RoomAccess(connection.user.account.id, connection.user.account.name)
                moderation.rooms.set(room.key, owner)
        elif moderation.visible_from(connection.user, room.key) is None:
            raise Refused(
                Code.NOT_INVITED, f"#{room.name} is private. Whoever it belongs to can invite you."
            )
        elif room.closing:
            raise Refused(
                Code.UNAVAILABLE, f"#{room.name} is just being closed. Try again in a moment."
            )
        return room

    def _check_lookalike(self, name: str, connection: "Connection") -> None:
        """Raises Refused if *name* may be taken for that of a room which *connection* may enter."""
        skeleton = names.skeleton(name)
        for room in self.rooms_of(connection):
            if room.skeleton == skeleton and names.alike(name, room.name):
                raise Refused(
                    Code.NAME_TAKEN,
                    f"#{name} looks like #{room.name}. /join {room.name} goes there; "
                    "a new room needs another name.",
                )

    def make_room(self, name: str, source: str) -> Room:
        """A new room called *name*, which may be a room's name. Raises Refused.

        Where there are MAX_ROOMS the one of which nobody has thought for longest gives way.
        """
        listed = [room for room in self.rooms.values() if room.listed and not room.closing]
        full = len(listed) >= MAX_ROOMS
        idle = [room for room in listed if self._is_idle(room)] if full else []
        if full and not idle:
            raise Refused(
                Code.TOO_MANY, f"There are {MAX_ROOMS:,} rooms already. /rooms lists them."
            )
        if not self._created.take(source):
            raise Refused(
                Code.RATE_LIMITED, "Too many rooms were created from your address. Try again later."
            )
        if full:
            oldest = min(idle, key=lambda room: room.log.spoken)
            log.info("#{room} has made room for another", event="room_dropped", room=oldest.name)
            self.close_room(oldest, f"#{oldest.name} is closed.")
        room = self.open_room(name)
        self.submit(room, Opened(self.clock.time(), SERVER, room.name))
        return room

    def _is_idle(self, room: Room) -> bool:
        """Whether nobody is in *room*, nobody owns it and nothing was said there for IDLE."""
        access = self.moderation.rooms.get(room.key)
        owned = access is not None and access.owner
        silent = self.clock.time() - room.log.spoken > IDLE
        return silent and room.deserted and not owned and room is not self.lobby

    def close_room(self, room: Room, told: str) -> None:
        """Have *room*, which is not the lobby, be no more, nor anything that was said there.

        Who is in it is *told* so, and goes to the lobby.
        """
        room.closing = told
        for member in list(room.members.values()):
            self.recheck_access(member.user)
        self._drop_if_unused(room)

    def restore(self, kept: Sequence[StoredRoom]) -> None:
        """Begin with the rooms that a store has kept; to be called before anybody comes."""
        for name, topic, lines in kept:
            key = names.fold(name)
            room = self.rooms.get(key) or self.open_room(name)
            room.restore(topic, lines, whole=len(lines) < self.settings.scrollback)
        for key, _ in self.moderation.rooms.items():
            if key not in self.rooms:
                # Of a room that is forgotten nobody is the owner.
                self.moderation.rooms.remove(key)
        if self.lobby.key not in {names.fold(room.name) for room in kept}:
            self.submit(self.lobby, Opened(self.clock.time(), SERVER, self.lobby.name))

    def lines_before(self, room: Room, id: int, count: int) -> Deferred[list[Entry]]:
        """The last *count* lines of *room* with smaller ids than *id*, oldest first.

        They come from the room's log, and as far as it does not go back from the store.
        """
        recent = [Entry(room.key, number, event) for number, event in room.log.before(id, count)]
        if len(recent) >= count:
            return succeed(recent)
        older = self.history.before(room.key, min(id, room.log.first_id), count - len(recent))
        return older.addCallback(lambda entries: [*entries, *recent])

    def is_there(self, entry: Entry) -> bool:
        """Return whether *entry*, which history has found, may be shown.

        Its room may be gone, and while a disk is away a file has what was taken back.
        """
        room = self.rooms.get(entry.room)
        return room is not None and (entry.id < room.log.first_id or room.log.has_line(entry.id))

    def place_of(self, room: Room, time: float) -> Deferred[int]:
        """The id after that of the latest line of *room* from before *time*; 0 if there is none."""
        place = room.log.place(time)
        return succeed(place) if place else self.history.place(room.key, time)

    def expire(self) -> None:
        """Forget the lines that are older, and more, than the settings say, and unused names."""
        now = self.aging.now()
        self.logins.expire(now, lambda name: self.moderation.forget(0, name))
        settings = self.settings
        before = now - settings.keep_days * DAY if settings.keep_days else 0.0
        for room in self.rooms.values():
            room.expire(before, settings.keep_lines)

    def rooms_of(self, connection: "Connection") -> list[Room]:
        """The rooms that *connection* may enter."""
        since, user = self.moderation.visible_from, connection.user
        return [
            room
            for room in self.rooms.values()
            if room.listed and since(user, room.key) is not None
        ]

    def find_room(self, name: str, connection: "Connection") -> Room:
        """The room called *name*, or by a unique beginning of it, that *connection* may enter.

        Raises Refused.
        """
        name = name.removeprefix("#")
        listed = {room.name: room for room in self.rooms_of(connection)}
        matches = names.match_prefix(name, listed)
        if not matches:
            raise Refused(Code.NO_SUCH_ROOM, "There is no such room. /rooms lists them.")
        if len(matches) > 1:
            what = "Several rooms' names begin like that"
            raise Refused(Code.AMBIGUOUS, f"{what}. /rooms lists them.")
        return listed[matches[0]]

    def announcer(self, room: Room) -> JoinAnnouncer:
        """What *room* is told of coming and going."""
        return self._announcers[room.key]

    def _drop_if_unused(self, room: Room) -> None:
        """An empty room in which nothing was said, or is left of it, goes at once, topic or not.

        One that is closed goes when that is committed, so that what was said there, perhaps in
        private, is nobody's before anybody may enter a room of its name.
        """
        if not (room.deserted and room.listed) or room is self.lobby:
            return
        if room.log.used and not room.closed:
            if room.closing and room.key not in self._closing:
                self._closing.add(room.key)
                self.submit(room, Closed(self.clock.time(), SERVER))
        elif self.rooms.get(room.key) is room:
            self._closing.discard(room.key)
            self._announcers.pop(room.key).close()
            del self.rooms[room.key]
            self.moderation.rooms.remove(room.key)

    # -- events

    def submit(self, room: Room, event: Event) -> None:
        """Ask for *event* to happen in *room*."""
        self.ledger.submit(room.key, event)
        self.asked = event
        self._undecided.add(id(event))
        self._waiting += event.size()
        self._more_came = True
        self._schedule()

    def enter(self, room: Room, user: User, entrant: Entrant | None = None) -> None:
        """Ask for *user* to be a member of *room*; *entrant* is told when they are."""
        if room.expect(user, entrant):
            now = self.clock.time()
            self.submit(room, Joined(now, user.origin, user.submitted, user=user.id))

    def leave(self, room: Room, user: User, reason: str = "") -> Event:
        """Ask for *user* to be a member of *room* no more; returns what was asked for."""
        member = room.members[user.origin]
        member.leaving = True
        shown = self.announcer(room).leaving(member)
        now = self.clock.time()
        left = Left(now, user.origin, user.submitted, reason, shown, user=user.id)
        self.submit(room, left)
        return left

    def is_undecided(self, event: Event) -> bool:
        """Return whether *event*, which was submitted, is neither committed nor rejected yet."""
        return id(event) in self._undecided

    def receipt(self, event: Event) -> Deferred[int]:
        """Return a Deferred that fires with the id of *event* once it is committed and delivered.

        It fails with Refused, whose text is half a sentence, if the event is rejected. A receipt is
        asked for while the event is undecided; an event that nobody asks about costs none.
        """
        receipt: Deferred[int] = Deferred()
        self._receipts.setdefault(id(event), []).append(receipt)
        return receipt

    def flush_if_large(self) -> None:
        """Between two reads of a turn: what is waiting does not wait longer if it is much."""
        if self._waiting > MAX_WAITING:
            self._end_turn()

    def committed(self, batch: Sequence[Entry]) -> None:
        """The ledger: these events have happened, in this order."""
        rooms = self.rooms
        if self.settings.log_chat:
            self._log_lines(batch)
        touched: dict[str, Room] = {}
        for key, number, event in batch:
            room = touched.get(key)
            if room is None:
                room = rooms.get(key)
                if room is None:
                    # Emptied and dropped while this was on its way.
                    continue
                touched[key] = room
            room.append(number, event)
        timer, observe = self.counters.timer, self.counters.flushes.observe
        began = timer()
        for room in touched.values():
            room.flush()
            self._drop_if_unused(room)
            ended = timer()
            observe(ended - began)
            began = ended
        self._undecided.difference_update([id(entry.event) for entry in batch])
        if self._receipts:
            for _, number, event in batch:
                for receipt in self._receipts.pop(id(event), ()):
                    receipt.callback(number)
        self._settle()

    def _log_lines(self, batch: Sequence[Entry]) -> None:
        for key, _, event in batch:
            room = self.rooms.get(key)
            if room is not None and isinstance(event, Said | Emoted):
                log.info(
                    "#{room} {name}: {text}",
                    event="said",
                    connection=event.origin,
                    room=room.name,
                    name=event.name,
                    text=event.text,
                )

    def rejected(self, key: str, event: Event, why: str) -> None:
        """The ledger: this event will not happen."""
        room = self.rooms.get(key)
        log.warn(
            "{kind} in {room} was rejected: {why}",
            event="event_rejected",
            connection=event.origin,
            kind=type(event).__name__,
            room=key,
            why=why,
        )
        if room is not None:
            self._undo(room, event, why)
        if (connection := self.connections.get(event.origin)) is not None:
            if event.line:
                connection.notice(f"Your line was not said: {why}. Please send it again.")
            elif isinstance(event, TopicSet):
                connection.notice(f"The topic was not set: {why}.")
            elif isinstance(event, TookBack):
                # They may ask again.
                connection.user.said = {**(connection.user.said or {}), key: event.time}
                connection.notice(f"Your lines in #{key} were not taken back: {why}.")
        self._undecided.discard(id(event))
        for receipt in self._receipts.pop(id(event), ()):
            receipt.errback(Refused(Code.UNAVAILABLE, why))
        self._settle()

    def _undo(self, room: Room, event: Event, why: str) -> None:
        """Have *room* be as if *event*, which was rejected, had not been asked for."""
        match event:
            case Joined():
                room.join_failed(event.origin, why)
                self._drop_if_unused(room)
            case Left():
                # They are out all the same.
                room.remove(event.origin)
                self._drop_if_unused(room)
            case Renamed() if (member := room.members.get(event.origin)) is not None:
                member.user.rename_failed(event.new, why)
            case Closed():
                # It stays as it is, and can be entered and closed again.
                self._closing.discard(room.key)
                room.closing = ""

    # -- the turn

    def flush_later(self, connection: "Connection") -> None:
        """Send what is in the send queue of *connection* when the turn ends."""
        self._to_flush.append(connection)
        self._schedule()

    def draw_later(self, draw: Callable[[], None]) -> None:
        """Call *draw* when the turn ends, after all that it leads to was sent."""
        self._to_draw.append(draw)
        self._schedule()

    def resume_input(self, id: int) -> None:
        """Let the input of the connection with this id go on when the turn ends."""
        self._to_resume.append(id)
        self._schedule()

    def _schedule(self) -> None:
        if not self._turn_ends:
            self._turn_ends = True
            self._looks = 0
            self.clock.callLater(0, self._end_turn_later)

    def _end_turn_later(self) -> None:
        if self._more_came and self._looks < MAX_LOOKS:
            # Look once more before everybody is written to: what has come in meanwhile goes
            # out in the same write. It costs one look at the sockets when nothing has.
            self._more_came = False
            self._looks += 1
            self.clock.callLater(0, self._end_turn_later)
            return
        self._turn_ends = False
        self._end_turn()

    def _end_turn(self) -> None:
        self._waiting = 0
        self.ledger.end_turn()
        self._settle()

    def _settle(self) -> None:
        """Send what is for one user alone, after the rooms' lines, and let waiting input go on."""
        to_flush, self._to_flush = self._to_flush, []
        for connection in to_flush:
            connection.flush_queue()
        to_draw, self._to_draw = self._to_draw, []
        for draw in to_draw:
            draw()
        to_resume, self._to_resume = self._to_resume, []
        for origin in to_resume:
            if (resumed := self.connections.get(origin)) is not None:
                resumed.resume()

    def close(self) -> Deferred[None]:
        """Nothing more is announced; fires when the ledger has settled what is pending."""
        self.logins.close()
        for announcer in self._announcers.values():
            announcer.close()
        self._end_turn()
        # Who has not taken theirs until now has them kept, while it can be.
        for connection in list(self.connections.values()):
            connection.queue.give_back()
        return self.ledger.close()
