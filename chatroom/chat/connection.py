"""Connections: one way by which a user is here, whatever the door.

A connection knows no bytes and no sockets. Its door hands it one line of text at a time, never
while the `gate` is closed, and is told through `Client` when input may go on or is over. It shows
one room of those that its user is in, or none. Its life:

    UNAUTHENTICATED --(it is known who the user is)--> ENTERING --(a room is shown)--> OPEN
           |                                              |                             |
           +--------(end)------> LEAVING <-----(end)------+-----------(end)-------------+
                                    |
                         (all is decided that was asked for)
                                    v
                                  CLOSED

`end` may be called at any time, and counts once. What was submitted until then is committed or
rejected before the connection is closed.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import Logger

from chatroom.chat import ignores
from chatroom.chat.chat import Chat
from chatroom.chat.client import Client, Closeable
from chatroom.chat.gate import InputGate, LinePacer, Reason
from chatroom.chat.prompt import Prompt
from chatroom.chat.reader import Reader
from chatroom.chat.room import Room
from chatroom.chat.sendqueue import MAX_BYTES, Letter, SendQueue
from chatroom.chat.unread import Unread
from chatroom.chat.user import User
from chatroom.formats.format import encode
from chatroom.formats.plain import BELL, transcript
from chatroom.model.accounts import Change
from chatroom.model.events import SERVER, Emoted, Event, Mentioned, Noticed, Renamed, Said
from chatroom.model.limits import LOCAL
from chatroom.model.output import Writer
from chatroom.model.preferences import Preferences
from chatroom.model.publickeys import PublicKey
from chatroom.model.refused import Code, Refused
from chatroom.text import names

log = Logger()


class State(Enum):
    """Where a connection is in its life, see the module's docstring."""

    UNAUTHENTICATED = auto()
    ENTERING = auto()
    OPEN = auto()
    LEAVING = auto()
    CLOSED = auto()


#: What each state may become.
TRANSITIONS: Final = {
    State.UNAUTHENTICATED: {State.ENTERING, State.LEAVING},
    State.ENTERING: {State.OPEN, State.LEAVING},
    State.OPEN: {State.LEAVING},
    State.LEAVING: {State.CLOSED},
    State.CLOSED: set[State](),
}


class Handler(Protocol):
    """What a connection tells when something has happened to its user."""

    def shown(self, connection: "Connection", room: Room | None, *, first: bool) -> None:
        """Greet the user, who is shown *room*, or none; *first*: they have just come."""

    def renamed(self, connection: "Connection", event: Renamed) -> None:
        """Act on a new name of the user."""

    def rename_failed(self, connection: "Connection", name: str, why: str) -> None:
        """Act on the refusal of *name*; *why*: half a sentence."""


class Connection:
    """One way by which a user is here. The door calls `open` once, then what is listed under it.

    source: the network that limits count the connection for, see limits.source_of.
    origin: its id, by `Chat.next_origin`.
    user: whose connection it is; they may have several.
    format: how events are shown, as the user prefers.
    commands: the slash commands of its door by name and by alias, see commands.Command.
    handler: what it tells when something has happened to its user.
    gate: whether a further line may be handed in, and when.
    room: the room that it shows, or that what it says is for; None for none.
    reader: its place in the log of that room; None if it shows none.
    one_shot: whether it is here for one command alone: it shows nothing but what answers that,
        and its user is in no room by it.
    replaces: whether a login ends the user's other connections for which this is so, too: a
        terminal is where its user is.
    paired: whether the account was logged in to by nothing but a code that /pair gave.
    closed: whether the transport is gone.
    opened, active: when the connection came and when it last said something, by
        `Clock.seconds`.
    recall: what the user looked up last on it; None for nothing.
    first_shown, live_from: the id of the first line of the room that was shown since it is
        shown, and the id from which on lines were shown as they were said.
    unread: what this connection was not shown of the rooms that its user reads; None for
        nothing.
    key: the public key that the user has proved to have; None for none.
    submitted: the last event that this connection has submitted; None for none.
    failures: how many wrong passwords came from here.
    turned_away: how many passwords were not checked, because too many attempts waited.
    spoken: how many lines were said to a room from here.
    refusals: how often something that was asked for here was refused.
    why: why the user has not got the name that they came for, in whole sentences; empty if
        they have.
    """

    __slots__ = (
        "_pacer",
        "_prompt",
        "active",
        "chat",
        "client",
        "closed",
        "commands",
        "failures",
        "first_shown",
        "format",
        "gate",
        "handler",
        "key",
        "live_from",
        "one_shot",
        "opened",
        "origin",
        "paired",
        "queue",
        "reader",
        "recall",
        "refusals",
        "replaces",
        "room",
        "source",
        "spoken",
        "state",
        "submitted",
        "turned_away",
        "unread",
        "user",
        "why",
        "writer",
    )

    def __init__(
        self,
        chat: Chat,
        client: Client,
        writer: Writer,
        handler: Handler,
        commands: Mapping[str, Any],
        source: str = LOCAL,
        origin: int | None = None,
    ) -> None:
        self.chat = chat
        self.client = client
        self.writer = writer
        self.origin = chat.next_origin() if origin is None else origin
        self.user = User(self.origin, chat.next_guest())
        self.format = client.format_for(self.user.preferences)
        self.source = source
        self.commands = commands
        self.handler = handler
        # Made with the first line: most connections of a large room never send one.
        self._prompt: Prompt | None = None
        self._pacer: LinePacer | None = None
        self.queue = SendQueue()
        self.gate = InputGate(chat, self.origin)
        self.state = State.UNAUTHENTICATED
        self.room: Room | None = None
        self.reader: Reader | None = None
        self.one_shot = False
        self.replaces = True
        self.paired = False
        self.closed = False
        self.opened = self.active = chat.clock.seconds()
        self.recall: Closeable | None = None
        self.first_shown = self.live_from = 0
        self.unread: Unread | None = None
        self.key: PublicKey | None = None
        self.submitted: Event | None = None
        self.failures = 0
        self.turned_away = 0
        self.spoken = 0
        self.refusals = 0
        self.why = ""

    # -- its life

    def _become(self, state: State) -> None:
        assert state in TRANSITIONS[self.state], f"{self.state} cannot become {state}"
        self.state = state

    def open(self) -> None:
        """Give the user of the new connection a guest's name and a place in the lobby."""
        self._register()
        self.enter_first_room()

    def open_pending(self, key: PublicKey | None) -> None:
        """Begin with no place, while it is found out which name and room the user gets.

        Until `enter_first_room` input waits, and the user is seen nowhere.

        :param key: the public key that the user has proved to have.
        """
        self._register()
        self.key = key
        self.gate.close(Reason.ENTERING)

    def _register(self) -> None:
        self.chat.connections[self.origin] = self
        self.user.connections = (self,)

    def enter_first_room(self, room: Room | None = None, *, why: str = "") -> None:
        """Enter *room*, or where guests come in: it is known who the user is.

        why: why they have not got the name that they came for, in whole sentences.
        """
        self._become(State.ENTERING)
        self.why = why
        room = room or self.chat.first_room
        if room is not None and not self.one_shot:
            self.join(room)
            return
        self.room = room
        self._opened()
        if not self.one_shot:
            self.handler.shown(self, None, first=True)
        self.gate.open(Reason.ENTERING)

    def _opened(self) -> None:
        """Let the user be found by their name: nothing is shown them before the greeting."""
        self._become(State.OPEN)
        if not (self.one_shot and self.user.account):
            self.chat.people[names.fold(self.user.name)] = self.user

    def drained(self) -> bool:
        """The writer can take more. Returns whether nothing is left to send."""
        self.queue.finished()
        read = self.reader is None or self.room is None or self.room.delivery.catch_up(self.reader)
        done = read and self._write_queue()
        if done:
            self.gate.open(Reason.OUTPUT)
        return done

    def end(self, reason: str = "") -> None:
        """Leave when what was said is said: no more input will come."""
        if self.over:
            return
        unseen = self.state is State.UNAUTHENTICATED
        self._become(State.LEAVING)
        self.gate.close(Reason.OVER)
        if unseen:
            self._finish()
            return
        # The rooms learn first what is on its way, so that nothing of it is left.
        settled = succeed(True)
        if self.user.submitted != self.user.name:
            settled = self.gate.opened(Reason.NAMING)
        settled.addCallback(lambda _: self.gate.opened(Reason.ENTERING))
        settled.addCallback(lambda _: self._leave(reason))

    def _leave(self, reason: str) -> None:
        """Have the user be out of all rooms, unless they are here by another connection, and end.

        What this connection has submitted is decided by then.
        """
        user, chat = self.user, self.chat
        waits = [] if self.submitted is None else [self.submitted]
        if not (self.one_shot or user.leaving or user.here):
            user.leaving = True
            waits += [chat.leave(room, user, reason) for room in chat.rooms_with(user)]
        receipts = [chat.receipt(event) for event in waits if chat.is_undecided(event)]
        if receipts:
            decided = DeferredList(receipts, consumeErrors=True)
            decided.addCallback(lambda _: self._finish())
        else:
            self._finish()

    def _finish(self) -> None:
        """Say good-bye: nothing of this connection is on its way any more."""
        self._become(State.CLOSED)
        chat = self.chat
        self._hide()
        self.flush_queue()
        del chat.connections[self.origin]
        if self._pacer is not None:
            self._pacer.stop()
        if self.recall is not None:
            self.recall.close()
        # What is closed is to be freed without the garbage collector, which looks seldom.
        self.recall = self._prompt = None
        chat.disconnected(self)
        chat.logins.throttle.give_up()
        if self.closed or self.writer.congested:
            # It could still be cut before it has taken them.
            self.queue.give_back()
        farewell = self.queue.contents()
        self.queue.clear()
        if not self.closed:
            chat.counters.bytes += len(farewell)
        self.client.close(farewell)
        self.gate.end()

    def disconnected(self) -> None:
        """Nothing that is sent arrives any more: the transport is gone. What came in counts."""
        self.closed = True
        self.drop_queue()
        self.gate.open(Reason.OUTPUT)

    def lost(self, reason: str = "") -> None:
        """The transport is gone, and nothing that came in counts any more."""
        self.disconnected()
        self.end(reason)

    # -- rooms

    def join(self, room: Room) -> None:
        """Show *room*, which the user enters if they are not in it; input waits until then."""
        if self.user.origin in room.members:
            if self.room is not room:
                self.show(room)
        else:
            self.gate.close(Reason.ENTERING)
            self.chat.enter(room, self.user, self)

    def go(self, room: Room) -> "Deferred[bool]":
        """Show *room*, as `join`; fires when it is known whether the user is in it."""
        self.join(room)
        return self.gate.opened(Reason.ENTERING)

    def joined(self, room: Room) -> None:
        """The room: the user is a member."""
        log.info(
            "Connection {connection}, {name!r}, joined #{room}",
            event="room_joined",
            connection=self.origin,
            name=self.user.name,
            room=room.name,
        )
        if self.user.here:
            self.chat.people[names.fold(self.user.name)] = self.user
        if not self.over and self.room is not room:
            self.show(room)
        self.gate.open(Reason.ENTERING)
        # The greeting comes before what else happens in the room in this turn.
        self.flush_queue()
        self.chat.recheck_access(self.user)

    def join_failed(self, room: Room, why: str) -> None:
        """The room: the user is no member, for what half a sentence says."""
        self.refuse(f"#{room.name} cannot be entered: {why}.")
        if self.state is State.ENTERING and room is not self.chat.lobby:
            # They have just come, and tried the room in which they were last.
            self.join(self.chat.lobby)
            return
        first = self.state is State.ENTERING
        self.gate.open(Reason.ENTERING)
        if first:
            self.end()
        elif self.room is room and not self.over:
            # It was shown to the guest who they were before they logged in.
            self._hide()
            self.chat.place(self)

    def show(self, room: Room) -> None:
        """Show *room*, in which the user is, in place of what was shown until now."""
        self._hide()
        self.room = room
        self.reader = Reader(self.origin, self.format, self.writer, self.user)
        self.live_from = room.log.last_id + 1
        self._apply_preferences()
        room.attach(self.reader)
        if first := self.state is State.ENTERING:
            self._opened()
        if not self.closed:
            self.handler.shown(self, room, first=first)
        if first:
            self.gate.open(Reason.ENTERING)

    def left(self, room: Room) -> None:
        """The room: the user is no member any more."""
        log.info(
            "Connection {connection}, {name!r}, left #{room}",
            event="room_left",
            connection=self.origin,
            name=self.user.name,
            room=room.name,
        )
        if self.room is room and not self.one_shot:
            self._hide()
            if not self.over:
                self.chat.place(self)
        if self.unread is not None and not self.user.leaving:
            self.unread.drop(room.key)

    def _hide(self) -> None:
        """Show the room no longer: what is said there from here on is unread."""
        room, reader = self.room, self.reader
        if room is None or reader is None:
            return
        self.reader = None
        last = room.detach(reader)
        if self.user.read_markers is not None:
            self.user.read_markers[room.key] = max(last, self.user.read_markers.get(room.key, 0))
        if not self.over:
            if self.unread is None:
                self.unread = Unread()
            self.unread.leave(room.key, self.first_shown, last)

    def mentioned(self, room: str, id: int, event: Event) -> None:
        """Show a line that names the user in a room that this connection does not show.

        room: the name of the room.
        id: that of the line.
        """
        if self.unread is None:
            self.unread = Unread()
        key = names.fold(room)
        if id <= (self.unread.mark(key) or 0):
            # The room was shown until after that line.
            return
        self.unread.mention(key)
        if not self.queue.full:
            line = Mentioned(event.time, event.origin, event, user=event.user)
            piece = encode(self.format, line, room, id)
            self.post(self.format.highlighted(piece, self.user.name))

    # -- input

    def sure(self, command: str) -> bool:
        """Return whether *command* is confirmed: typed twice, or by a one-shot connection."""
        return self.one_shot or self.prompt.confirms(command, self.chat.clock.seconds())

    @property
    def address(self) -> str:
        """What the network has as the address of the other end."""
        return self.client.address

    @property
    def limited_as(self) -> str:
        """Whom a RateLimit counts where all who come from this machine must not share it."""
        return f"connection {self.origin}" if self.source == LOCAL else self.source

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
        """Whether nothing that is typed counts any more."""
        return self.state in (State.LEAVING, State.CLOSED)

    @property
    def reachable(self) -> bool:
        """Whether the user has been greeted, and takes what they are sent."""
        return self.state is State.OPEN and not (self.closed or self.writer.congested)

    def ask(self, text: str, answered: Callable[[str, bool], None]) -> bool:
        """Ask for a line that the client does not show, which may be empty.

        It is given to *answered*, without blanks around it, with whether it was not shown. Returns
        False, and does not ask, if the client cannot be told not to show it.
        """
        if not self.client.hide_input():
            return False
        self.prompt.answer = answered
        self.notice(text)
        return True

    def resume(self) -> None:
        """The turn has ended and input may go on."""
        if not self.gate.is_open:
            return
        try:
            self.client.resume()
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

    def here(self) -> Room:
        """Return the room that the user is speaking in. Raises Refused if there is none."""
        room = self.room
        if room is None:
            raise Refused(Code.NOT_IN_ROOM, "Only registered people enter just now: /login NAME.")
        if self.one_shot and not self.chat.may_be_in(self.user, room):
            # No member has had to leave: it was chosen when the command began.
            room = self.room = self.chat.lobby
        return room

    def say(self, text: str, *, emote: bool = False) -> None:
        """Say *text*, which is clean, to the room. Raises Refused."""
        chat, user = self.chat, self.user
        if (why := chat.moderation.why_muted(self)) is not None:
            raise Refused(Code.MUTED, why)
        room = self.here()
        member = room.members.get(user.origin)
        if member is not None and not member.announced:
            chat.announcer(room).spoke(member)
        now = chat.clock.time()
        if user.said is None:
            user.said = {}
        user.said[room.key] = now
        self.spoken += 1
        kind = Emoted if emote else Said
        self.submit(room, kind(now, self.origin, user.name, text, user=user.id))

    def submit(self, room: Room, event: Event) -> None:
        """Ask for *event*, by the user, to happen in *room*."""
        self.submitted = event
        self.chat.submit(room, event)

    def expel(self, told: str, what: str, why: str = "") -> None:
        """An operator ends this connection, whose user is *told* so.

        what: 'kicked', 'banned' or the like, for the log and, with *why*, for the room.
        """
        if not self.over:
            self.client.expelled(what)
            self.refuse(told)
            self.end(f"{what}: {why}" if why else what)

    def replaced(self, place: str) -> None:
        """End: the user has logged in at *place*, and is there now."""
        self.notice(f"You are logged in at {place} now. This connection ends.")
        self.end("logged in elsewhere")

    def write_to(self, writer: Writer) -> None:
        """Send everything to *writer* from here on, which leads to where the present one does."""
        self.writer = writer
        if self.reader is not None:
            self.reader.writer = writer

    def set_preferences(self, change: Change) -> "Deferred[bool]":
        """Make this *change* to what the user prefers, and keep it if they are logged in.

        What else they prefer they may have changed meanwhile, elsewhere. The Deferred fires with
        whether all that is to be kept is written.
        """
        user = self.user
        preferences = change(user.preferences)
        for one in self.chat.connections_by(user):
            one.use_preferences(preferences)
        state = self.chat.account_state(user)
        if state is None:
            return succeed(True)

        def noted(kept: bool) -> bool:
            user.unsaved = not kept
            return kept

        kept = self.chat.logins.save([state, state._replace(change=change)])
        return kept.addCallback(noted)

    def use_preferences(self, preferences: Preferences) -> None:
        """Show things as *preferences* say, which are not to be kept."""
        self.user.preferences = preferences
        self.format = self.client.format_for(preferences)
        self._apply_preferences()

    def _apply_preferences(self) -> None:
        room, reader = self.room, self.reader
        if room is None or reader is None:
            return
        reader.format = self.format
        reader.echo = self.client.echo
        reader.ignores = self.user.ignores
        reader.bell = self._ring if self.user.preferences.bell == "mentions" else None
        room.listen(self.user)

    def refresh_ignores(self) -> None:
        """Leave out the events of the users whom this one ignores now."""
        if self.reader is not None:
            self.reader.ignores = self.user.ignores

    def _ring(self) -> None:
        """Ring the bell: a line that names the user is on its way."""
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

    def hider(self) -> Callable[[Event], bool]:
        """Return a function that tells whether an event is from a user whom this one ignores."""
        known = [*self.user.ignored.values(), *self.user.preferences.ignores.values()]
        return ignores.hider(self.user.ignores or (), known)

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
