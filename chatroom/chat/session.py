"""A session is one connection's conversation: lines in, events out.

The rule: it knows no bytes and no sockets. A door hands it one line of text at a time, never
while its `gate` is closed, and is told through `Connection` when input may go on or is over.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from chatroom.chat import ignores
from chatroom.chat.chat import Chat
from chatroom.chat.gate import InputGate, LinePacer, Reason
from chatroom.chat.member import Member
from chatroom.chat.prompt import Prompt
from chatroom.chat.room import Room
from chatroom.chat.sendqueue import MAX_BYTES, Letter, SendQueue
from chatroom.chat.unread import Unread
from chatroom.chat.user import User
from chatroom.formats.format import Format, encode
from chatroom.formats.plain import BELL, transcript
from chatroom.model.accounts import Account, AccountState, Change
from chatroom.model.events import SERVER, Emoted, Event, Left, Noticed, Renamed, Said
from chatroom.model.limits import LOCAL
from chatroom.model.output import Writer
from chatroom.model.preferences import Preferences
from chatroom.model.publickeys import PublicKey
from chatroom.model.refused import Code, Refused
from chatroom.text import names

log = Logger()


#: While it waits for these a connection does not go on beside the user's other one.
_ON_THE_WAY = Reason.ENTERING | Reason.NAMING | Reason.OVER


class Connection(Protocol):
    """What a session asks of its door.

    address: what the network has as the address of the other end; anything else if it has none.
    place: where that is, in words. encrypted: whether nobody on the way can read along.
    hidden: what is typed is not shown, by the client's own word. echo: it is shown its own lines
    from the log, since it draws its own screen. hint: what a greeting says of this way in, empty
    for nothing. height: how many rows its window has, 0 for unknown.
    """

    @property
    def address(self) -> str: ...

    @property
    def place(self) -> str: ...

    @property
    def encrypted(self) -> bool: ...

    @property
    def hidden(self) -> bool: ...

    @property
    def echo(self) -> bool: ...

    @property
    def hint(self) -> str: ...

    @property
    def height(self) -> int: ...

    def format_for(self, preferences: Preferences) -> Format:
        """Show things like that from here on; returns the format for it, shared where it can be."""

    def hide_input(self) -> bool:
        """Have the client not show what is typed next; returns whether it can be asked to."""

    def show_input(self) -> None:
        """What is typed may be shown again."""

    def resume(self) -> None:
        """The session's gate is open again: go on with the input."""

    def expelled(self, what: str) -> None:
        """An operator ends the connection, who has *what* its user: 'kicked', for the log."""

    def close(self, farewell: bytes) -> None:
        """The conversation is over: send *farewell* after all else and close."""


class Closeable(Protocol):
    """What is to be closed with a session: nobody waits for it any more."""

    def close(self) -> None: ...


class Handler(Protocol):
    """What is done for a session's user when the log says that something has happened to them."""

    def entered(self, session: "Session", room: Room, *, first: bool) -> None:
        """They are in *room*; *first*: for the first time on this connection."""

    def renamed(self, session: "Session", event: Renamed) -> None:
        """They have a new name."""

    def rename_failed(self, session: "Session", name: str, why: str) -> None:
        """They have not got *name*, for what half a sentence says."""


class Session:
    """One connection's conversation. The door calls `open` once, then what is listed under it.

    source: whom the connection counts for, see limits.source_of. origin: the number of the
    connection (Chat.next_origin), if it has one already.
    """

    __slots__ = (
        "_former",
        "_pacer",
        "_prompt",
        "_unsure",
        "_welcomed",
        "active",
        "arriving",
        "beside",
        "chat",
        "closed",
        "commands",
        "connection",
        "failures",
        "first_shown",
        "format",
        "gate",
        "handler",
        "key",
        "member",
        "opened",
        "origin",
        "passing",
        "queue",
        "recall",
        "refusals",
        "room",
        "source",
        "spoken",
        "turned_away",
        "unread",
        "user",
        "why",
        "writer",
    )

    member: Member
    room: Room

    def __init__(
        self,
        chat: Chat,
        connection: Connection,
        writer: Writer,
        handler: Handler,
        commands: Mapping[str, Any],
        source: str = LOCAL,
        origin: int | None = None,
    ) -> None:
        self.chat = chat
        self.connection = connection
        self.writer = writer
        self.origin = chat.next_origin() if origin is None else origin
        #: Who it is, however many connections they have.
        self.user = User(-self.origin, chat.next_guest())
        #: What shows things as the user prefers them.
        self.format = connection.format_for(self.user.preferences)
        self.source = source
        #: The slash commands of its door by name and by alias, see commands.Command.
        self.commands = commands
        #: What is done for its user when the log says that something has happened to them.
        self.handler = handler
        # Made with the first line: most connections of a large room never send one.
        self._prompt: Prompt | None = None
        self._pacer: LinePacer | None = None
        self.queue = SendQueue()
        #: Whether a further line may be handed in, and when.
        self.gate = InputGate(chat, self.origin)
        #: The connection is gone.
        self.closed = False
        #: When the connection came and when it last said something, by `Clock.seconds`.
        self.opened = self.active = chat.clock.seconds()
        #: What this person looked up last; None for nothing.
        self.recall: Closeable | None = None
        #: The id of the first line that this person was shown of the room where they are.
        self.first_shown = 0
        #: What this connection was not shown of the rooms that its user reads; None for nothing.
        self.unread: Unread | None = None
        #: The public key that whoever is there has proved to have, None for none.
        self.key: PublicKey | None = None
        #: Whether they are nowhere yet, since it is still to be found out who they are.
        self.arriving = False
        #: How many wrong passwords came from here.
        self.failures = 0
        #: How often one was not looked at, because too many waited.
        self.turned_away = 0
        #: How many lines came from here that everybody in a room was to see.
        self.spoken = 0
        #: Somebody is here for one command alone: they read nothing but what answers it, the room
        #: is not told of them, and the account whose it is stays with who is here as it.
        self.passing = False
        #: Whether they have no terminal: whoever is here as the same person stays, and while
        #: there is somebody they only pass, but read.
        self.beside = False
        #: How often something that was asked for here was refused.
        self.refusals = 0
        # Where to go back to when a move fails.
        self._former: Room | None = None
        self._welcomed = False
        #: Why they have not got the name that they came for, in whole sentences; empty for nothing.
        self.why = ""
        # Whether `recheck_access` waits for a move or a change of the name.
        self._unsure = False

    # -- what the door calls

    def open(self) -> None:
        """Give the user of the new connection a guest's name and a place in the lobby."""
        self.chat.sessions[self.origin] = self
        self.chat.people[names.fold(self.user.name)] = self
        self.enter(self.chat.first_room)

    def open_pending(self, key: PublicKey | None) -> None:
        """Begin with no place, while it is found out which name and room the user gets.

        Until `enter_first_room` input waits, and the user is seen nowhere.

        :param key: the public key that the user has proved to have.
        """
        chat = self.chat
        chat.sessions[self.origin] = self
        self.key = key
        self.arriving = True
        self.gate.close(Reason.ENTERING)
        self.room = chat.doorstep
        self.member = Member(self.origin, self.user.name, self.format, self.writer)

    def enter_first_room(self, room: Room | None = None, *, why: str = "") -> None:
        """It is known who this is: enter *room*, or where guests come in.

        why: why they have not got the name that they came for, in whole sentences.
        """
        self.arriving = False
        self.why = why
        self.enter(room or self.chat.first_room)

    def drained(self) -> bool:
        """The writer can take more. Returns whether nothing is left to send."""
        self.queue.finished()
        # On the way to another room the former one is still to be read to its end.
        for room in (self._former, self.room):
            member = room and room.reader(self.origin)
            if room and member:
                done = room.delivery.catch_up(member) and self._write_queue()
                break
        else:
            done = self._write_queue()
        if done:
            self.gate.open(Reason.OUTPUT)
        return done

    def end(self, reason: str = "") -> None:
        """No more input will come: leave when what was said is said."""
        if self.over:
            return
        self.gate.close(Reason.OVER)
        if self.arriving:
            # Nobody has seen them.
            self._finish()
        elif self.user.submitted != self.user.name:
            # The room learns the new name first, and it is under that name that they leave.
            self.gate.opened(Reason.NAMING).addCallback(self._leave, reason)
        else:
            self._leave(True, reason)

    def _leave(self, here: bool, reason: str) -> None:
        """Ask for the end of being in the room, in which they are if they are *here* still."""
        if not here:
            return
        shown = self.chat.announcer(self.room).leaving(self.member)
        now = self.chat.clock.time()
        self.chat.submit(
            self.room, Left(now, self.origin, self.user.name, reason, shown, user=self.user_id)
        )

    def disconnected(self) -> None:
        """The connection is gone: nothing that is sent arrives any more. What came in counts."""
        self.closed = True
        self.drop_queue()
        self.gate.open(Reason.OUTPUT)

    def lost(self, reason: str = "") -> None:
        """The connection is gone, and nothing that came in counts any more."""
        self.disconnected()
        self.end(reason)

    # -- input

    def sure(self, command: str) -> bool:
        """Return whether *command* is confirmed: typed twice, or by a one-shot connection."""
        return self.passing or self.prompt.confirms(command, self.chat.clock.seconds())

    @property
    def address(self) -> str:
        """What the network has as the address of the other end."""
        return self.connection.address

    @property
    def limited_as(self) -> str:
        """Whom a RateLimit counts where all who come from this machine must not share it."""
        return f"connection {self.origin}" if self.source == LOCAL else self.source

    @property
    def user_id(self) -> int:
        """The id of the user, for the room."""
        return self.user.id

    @property
    def prompt(self) -> Prompt:
        """What the next line may be, beside something to say."""
        if self._prompt is None:
            self._prompt = Prompt()
        return self._prompt

    @property
    def pacer(self) -> LinePacer:
        """What the next line waits for, if lines come too fast."""
        if self._pacer is None:
            self._pacer = LinePacer(self.gate, self.chat.clock)
        return self._pacer

    @property
    def asking(self) -> bool:
        """Whether the next line is an answer that is not to be shown."""
        return self._prompt is not None and self._prompt.answer is not None

    @property
    def over(self) -> bool:
        """Nothing that is typed counts any more."""
        return bool(self.gate.reasons & Reason.OVER)

    @property
    def reachable(self) -> bool:
        """Whether they are here, were greeted, and take what they are sent."""
        return self._welcomed and not (self.closed or self.over or self.writer.congested)

    def ask(self, text: str, answered: Callable[[str, bool], None]) -> bool:
        """Ask for a line that the client does not show, which may be empty.

        It is given to *answered*, without blanks around it, with whether it was not shown. Returns
        False, and does not ask, if the client cannot be told not to show it.
        """
        if not self.connection.hide_input():
            return False
        self.prompt.answer = answered
        self.notice(text)
        return True

    def resume(self) -> None:
        """The turn has ended and input may go on."""
        if not self.gate.is_open:
            return
        try:
            self.connection.resume()
        except Exception:
            log.failure(
                "Input of connection {connection} failed",
                event="input_failed",
                connection=self.origin,
            )
            self.writer.abort()

    def waiting(self, count: int) -> None:
        """The door: *count* lines that have come in wait."""
        if self.gate.reasons == Reason.PACE and not self.pacer.told:
            self.pacer.told = True
            rate = f"{self.chat.pace.rate:g}"
            waits = "1 is" if count == 1 else f"{count:,} are"
            self.notice(f"Your lines go out at {rate} a second; {waits} waiting. /quit drops them.")

    # -- what people ask for

    def say(self, text: str, *, emote: bool = False) -> None:
        """Say *text*, which is clean, to the room. Raises Refused."""
        chat, room, member = self.chat, self.room, self.member
        if (why := chat.moderation.why_muted(self)) is not None:
            raise Refused(Code.MUTED, why)
        if not member.announced and not self.passing:
            chat.announcer(room).spoke(member)
        now = chat.clock.time()
        if room.listed:
            if self.user.said is None:
                self.user.said = {}
            self.user.said[room.key] = now
        self.spoken += 1
        kind = Emoted if emote else Said
        chat.submit(room, kind(now, self.origin, self.user.name, text, user=self.user_id))

    def move(self, room: Room, why: str = "") -> None:
        """Leave the room for another; *why* is what the one that is left is told."""
        self._former = self.room
        self.member.moves = True
        shown = self.chat.announcer(self.room).leaving(self.member)
        access = self.chat.moderation.rooms.get(room.key)
        # Where a private room is, is for those in it to say.
        told = room.listed and not (access and access.private)
        reason = why or (f"to #{room.name}" if told else "")
        now = self.chat.clock.time()
        self.chat.submit(
            self.room, Left(now, self.origin, self.user.name, reason, shown, user=self.user_id)
        )
        self.enter(room)

    def recheck_access(self) -> None:
        """What this person may do has changed: they go to the lobby if they may not stay.

        Who is just moving or being renamed does so first.
        """
        moving = self.gate.reasons & Reason.ENTERING
        if moving or (self.gate.reasons & Reason.NAMING and not self.user.naming):
            if not self._unsure:
                self._unsure = True
                first = Reason.ENTERING if moving else Reason.NAMING
                self.gate.opened(first).addCallback(self._reconsider_again)
        elif not self.over and self.chat.misplaced(self):
            if self.room.listed:
                private = f"#{self.room.name} is private, and you are not invited."
                self.notice(self.room.closing or private)
            self.move(self.chat.lobby)

    def _reconsider_again(self, _: bool) -> None:
        self._unsure = False
        self.recheck_access()

    def enter(self, room: Room) -> None:
        """Ask for a place in *room*; input waits until there is an answer."""
        self.gate.close(Reason.ENTERING)
        self.room = room
        self.member = Member(self.origin, self.user.name, self.format, self.writer, owner=self)
        self.member.passing = self.passing
        self.member.reads = self.beside or not self.passing
        self._apply_preferences()
        self.chat.enter(room, self.member)

    def go(self, room: Room) -> "Deferred[bool]":
        """Move to *room*; fires when they are in a room again."""
        self.move(room)
        return self.gate.opened(Reason.ENTERING)

    def expel(self, told: str, what: str, why: str = "") -> None:
        """An operator ends this connection, whose user is *told* so.

        what: 'kicked', 'banned' or the like, for the log and, with *why*, for the room.
        """
        if not self.over:
            self.connection.expelled(what)
            self.refuse(told)
            self.end(f"{what}: {why}" if why else what)

    def replaced(self, place: str, account: Account) -> None:
        """Whose *account* it is has logged in at *place*: end, or go on beside that."""
        why = "logged in elsewhere"
        if self.beside and not (self.arriving or self.gate.reasons & _ON_THE_WAY):
            self.notice(f"You are logged in at {place} now. This connection goes on beside it.")
            self.passing = True
            self.chat.logins.assign(self, account)
            self.move(self.room, why)
        else:
            self.notice(f"You are logged in at {place} now. This connection ends.")
            self.end(why)

    def account_state(self) -> AccountState | None:
        """What is to be kept of whoever is logged in here; None for a guest."""
        # Until they have their name they have not got their preferences either.
        if self.user.account is None or self.user.account.name != self.user.name:
            return None
        present = self.chat.logins.present(self)
        if present is not self:
            return present.account_state()
        now = self.chat.clock.time()
        if self.user.account.id not in self.chat.logins.online:
            return AccountState(self.user.account.id, now, None, {})
        kept = self.room.listed and self.room is not self.chat.lobby
        room = self.room.key if kept else ""
        mine = self.user.preferences if self.user.unsaved else None
        return AccountState(
            self.user.account.id,
            now,
            lambda kept: replace(mine or kept, room=room),
            self.read_so_far(),
        )

    def read_so_far(self) -> dict[str, int]:
        """Up to which id this person has read each room, by their keys; who passes reads none."""
        if self.user.read_markers is None or self.passing:
            return {}
        if not self.member.joined or not self._welcomed:
            return self.user.read_markers
        return {**self.user.read_markers, self.room.key: self.room.last_shown(self.member)}

    def write_to(self, writer: Writer) -> None:
        """Send everything to *writer* from here on, which leads to where the present one does."""
        self.writer = writer
        if self.origin in self.chat.sessions:
            self.member.writer = writer
            former = self._former and self._former.members.get(self.origin)
            if former:
                former.writer = writer

    def set_preferences(self, change: Change) -> "Deferred[bool]":
        """Make this *change* to what is preferred, and keep it for who is logged in.

        What else they prefer they may have changed meanwhile, elsewhere. The Deferred fires with
        whether all that is to be kept is written.
        """
        preferences = change(self.user.preferences)
        for connection in self.chat.connections_of(self):
            connection.use_preferences(preferences)
        visit = self.account_state()
        if visit is None:
            return succeed(True)

        def noted(kept: bool) -> bool:
            self.user.unsaved = not kept
            return kept

        kept = self.chat.logins.save([visit, visit._replace(change=change)])
        return kept.addCallback(noted)

    def use_preferences(self, preferences: Preferences) -> None:
        """The same, where nothing is to be kept."""
        self.user.preferences = preferences
        self.format = self.connection.format_for(preferences)
        self._apply_preferences()

    def _apply_preferences(self) -> None:
        self.member.format = self.format
        self.member.echo = self.connection.echo
        self.refresh_ignores()
        self.member.mentioned = (
            self._mentioned if self.user.preferences.bell == "mentions" else None
        )
        self.room.listen(self.member)

    def _mentioned(self) -> None:
        """A line that names this person is on its way: the bell comes after it."""
        # Who is not reading has one bell waiting, not a send queue full of them.
        if self.queue.last != BELL and not self.queue.full:
            self.post(BELL)

    # -- output to this person alone

    def tell(self, event: Event, letter: Letter | None = None) -> None:
        """Put *event* in the send queue."""
        self.post(encode(self.format, event), letter)

    def post(self, data: bytes, letter: Letter | None = None) -> None:
        """Put whole encoded lines, or a bell, in the send queue; input waits while that is full."""
        queue = self.queue
        if self.closed or not data:
            if letter is not None:
                (letter.returned if self.closed else letter.taken)()
            return
        if not queue.size:
            self.chat.flush_later(self)
        queue.post(data, letter)
        if queue.full:
            self.gate.close(Reason.OUTPUT)

    def drop_queue(self) -> None:
        """Nothing of what is in the send queue is sent."""
        self.queue.give_back()
        self.queue.clear()

    def notice(self, text: str) -> None:
        """The server tells this person something, in one line or several."""
        self.tell(Noticed(self.chat.clock.time(), SERVER, text))

    def answer(self, text: str) -> None:
        """Tell this person what came of something they asked for, if they are still there."""
        if not self.over:
            self.notice(text)

    def refuse(self, why: str) -> None:
        """What this person asked for is not to be had, for what the whole sentences say."""
        self.refusals += 1
        self.notice(why)

    def refresh_ignores(self) -> None:
        """Have the room leave out the users whom this one ignores now."""
        ids = self.user.ignored.keys() | self.user.preferences.ignores.keys()
        self.member.ignores = frozenset(ids) if ids else None

    def hider(self) -> Callable[[Event], bool]:
        """Return a function that tells whether an event is from a user whom this one ignores."""
        known = [*self.user.ignored.values(), *self.user.preferences.ignores.values()]
        return ignores.hider(self.member.ignores or (), known)

    def shown(self, event: Event, room: str = "", id: int = 0) -> bytes:
        """Return *event*, which has happened, as this person is shown it; see Format.encode."""
        format = self.format
        piece = encode(format, event, room, id, live=False)
        return format.highlighted(piece, self.user.name) if format.highlights else piece

    def lines(
        self, said: Iterable[tuple[int, Event]], room: str = "", most: int = MAX_BYTES
    ) -> bytes:
        """Return what was *said* in the room of this name as this person is shown it.

        said: events, oldest first, each after its id.
        Those whom they ignore are left out, and the oldest if all would be more than *most* bytes.
        """
        hides = self.hider()
        kept = [(id, event) for id, event in said if not hides(event)]
        shown = transcript(kept, self.chat.clock.time(), self.format.zone)
        pieces = [self.shown(event, room, id) for id, event in shown]
        size = sum(map(len, pieces))
        first = 0
        while size > most:
            size -= len(pieces[first])
            first += 1
        return b"".join(pieces[first:])

    def flush_queue(self) -> None:
        """Send what is for this user alone: after the room's lines of the same turn."""
        try:
            if not self.writer.congested and (not self.queue.size or self._write_queue()):
                self.gate.open(Reason.OUTPUT)
        except Exception:
            # One connection's fault must not cost the others what is in their queues.
            log.failure(
                "Sending what is for connection {connection} alone failed",
                event="mail_failed",
                connection=self.origin,
            )
            self.writer.abort()

    def _write_queue(self) -> bool:
        """Hand the send queue to the writer; return whether that took all of it."""
        queue = self.queue
        data = queue.contents()
        taken = self.writer.write(data) if data else 0
        self.chat.counters.bytes += taken
        if taken != len(data):
            rest = queue.sent(taken)
            self.chat.counters.bytes += len(rest)
            self.writer.finish(rest)
            return False
        queue.clear()
        return True

    # -- what the log says

    def entered(self, member: Member) -> None:
        """The member is in the room: greet it."""
        chat, room = self.chat, self.room
        log.info(
            "Connection {connection}, {name!r}, joined #{room}",
            event="room_joined",
            connection=self.origin,
            name=self.user.name,
            room=room.name,
        )
        if not self.passing:
            chat.announcer(room).entered(member)
        if not self._welcomed and not (self.passing and self.user.account):
            # From here on they are found by their name: nothing is shown them before the greeting.
            chat.people[names.fold(self.user.name)] = self
        # Who has only stepped aside is where they were.
        if not self.closed and self._former is not room:
            first, self._welcomed = not self._welcomed, True
            self.handler.entered(self, room, first=first)
        self._former = None
        self.gate.open(Reason.ENTERING)
        # The greeting comes before what else happens in the room in this turn.
        self.flush_queue()

    def left(self, member: Member, event: Left) -> None:
        """The member is out of its room."""
        former = self.room if member is self.member else self._former
        log.info(
            "Connection {connection}, {name!r}, left #{room}",
            event="room_left",
            connection=self.origin,
            name=event.name,
            room=former.name if former is not None else "",
        )
        if member is self.member:
            self.flush_queue()
            self._finish()
        elif self._former is not None and not self.passing:
            key, last = self._former.key, self._former.last_shown(member)
            if self.user.read_markers is not None:
                self.user.read_markers[key] = last
            if self.unread is None:
                self.unread = Unread()
            self.unread.leave(key, self.first_shown, last)

    def renamed(self, event: Renamed) -> None:
        """The name changed."""
        self.handler.renamed(self, event)

    # -- what the log refuses

    def join_failed(self, why: str) -> None:
        """There is no place in the room: go back to the one before, or give up."""
        failed, former = self.room, self._former
        self.refuse(f"#{failed.name} cannot be entered: {why}.")
        self._former = None
        chat = self.chat
        if self.user.submitted != self.user.name:
            # The new name was asked for in the room in which they are not.
            self.handler.rename_failed(self, self.user.submitted, why)
        # Who has just come may have tried the room in which they were last.
        tried = former is None and failed in (chat.lobby, chat.entrance)
        if self.over or tried:
            self._finish()
        else:
            # The former room may be gone by now, with its last member, or about to be.
            room = chat.rooms.get(former.key if former else "", chat.lobby)
            self.enter(chat.lobby if room.closing else room)

    def rename_failed(self, name: str, why: str) -> None:
        """The name stays what it was."""
        self.handler.rename_failed(self, name, why)

    def gone(self, room: str) -> None:
        """The ledger could not note that the member left *room*; it is out all the same."""
        if room == self.room.key:
            self._finish()

    def _finish(self) -> None:
        """Out of the last room: give the name back and say good-bye."""
        self.gate.close(Reason.OVER)
        chat = self.chat
        if chat.sessions.pop(self.origin, None) is not None:
            if self._pacer is not None:
                self._pacer.stop()
            if self.recall is not None:
                self.recall.close()
            # Whoever has gone is to be freed without the garbage collector, which looks seldom.
            self.recall = self._prompt = None
            self.member.owner = self.member.mentioned = None
            key = names.fold(self.user.name)
            if chat.people.get(key) is self:
                del chat.people[key]
            chat.claims.release(key, self.origin)
            chat.logins.logged_out(self)
            chat.moderation.left(self)
            chat.logins.throttle.give_up()
            if self.closed or self.writer.congested:
                # It could still be cut before it has taken them.
                self.queue.give_back()
            farewell = self.queue.contents()
            self.queue.clear()
            if not self.closed:
                chat.counters.bytes += len(farewell)
            self.connection.close(farewell)
            self.gate.end()
