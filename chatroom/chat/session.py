"""A session is one connection's conversation: lines in, events out.

The rule: it knows no bytes and no sockets. A door hands it one line of text at a time, never
while its `gate` is closed, and is told through `Connection` when input may go on or is over.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from chatroom.actions import greeting, ignoring, login, naming, strays
from chatroom.actions.messages import PrivateLine
from chatroom.actions.pager import HistoryPager
from chatroom.chat.chat import Chat
from chatroom.chat.gate import InputGate, LinePacer, Reason
from chatroom.chat.room import Member, Room
from chatroom.chat.sendqueue import MAX_BYTES, Letter, Mailbox
from chatroom.chat.unread import Unread
from chatroom.commands import COMMANDS, Command, run
from chatroom.formats.format import Format, encode
from chatroom.formats.plain import BELL, transcript
from chatroom.model.accounts import Account, AccountState, Change
from chatroom.model.events import SERVER, Emoted, Event, Left, Noticed, Renamed, Said, Whispered
from chatroom.model.limits import LOCAL
from chatroom.model.output import Outlet
from chatroom.model.preferences import Preferences
from chatroom.model.publickeys import PublicKey
from chatroom.model.refused import Code, Refused
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.model.identity import Arrival

log = Logger()


#: For how long what was asked is confirmed by typing it once more.
CONFIRM_SECONDS = 60.0

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

    def adapt(self, preferences: Preferences) -> Format:
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


class Session:
    """One connection's conversation. The door calls `open` once, then what is listed under it.

    source: whom the connection counts for, see limits.source_of. origin: the number of the
    connection (Chat.next_origin), if it has one already.
    """

    __slots__ = (
        "_answering",
        "_asked",
        "_command",
        "_confirming",
        "_former",
        "_unkept",
        "_unsure",
        "_welcomed",
        "account",
        "active",
        "arriving",
        "away",
        "beside",
        "chat",
        "closed",
        "commands",
        "completed",
        "connection",
        "failures",
        "first_shown",
        "format",
        "gate",
        "guarded_until",
        "ignored",
        "ignored_by",
        "invited",
        "key",
        "mailbox",
        "member",
        "name",
        "naming",
        "opened",
        "origin",
        "outlet",
        "pacer",
        "paired",
        "passing",
        "places",
        "preferences",
        "recall",
        "refusals",
        "reminded",
        "room",
        "said",
        "source",
        "spoken",
        "submitted",
        "turned_away",
        "unread",
        "user_id",
        "whisperer",
        "why",
    )

    member: Member
    room: Room

    def __init__(
        self,
        chat: Chat,
        connection: Connection,
        outlet: Outlet,
        source: str = LOCAL,
        commands: Mapping[str, Command] = COMMANDS,
        origin: int | None = None,
    ) -> None:
        self.chat = chat
        self.connection = connection
        self.outlet = outlet
        #: How this person wants to be shown things, and what does.
        self.preferences = Preferences()
        self.format = connection.adapt(self.preferences)
        self.source = source
        #: What its slash commands are, by name and by alias.
        self.commands = commands
        self.mailbox = Mailbox()
        self.origin = chat.next_origin() if origin is None else origin
        self.name = chat.next_guest()
        #: Whether a further line may be handed in, and when.
        self.gate = InputGate(partial(chat.resume_input, self.origin))
        self.pacer = LinePacer(self.gate, chat.clock)
        #: The connection is gone.
        self.closed = False
        #: When the connection came and when it last said something, by `Clock.seconds`.
        self.opened = self.active = chat.clock.seconds()
        #: Why this person is away, None while here.
        self.away: str | None = None
        #: The id of the user: minus `origin` for a guest. It becomes that of the account with the
        #: name of the account, and ends with it: what was said before was said by the guest.
        self.user_id = -self.origin
        #: The names of the users who are ignored as long as this connection lasts, by id.
        self.ignored: Mapping[int, str] = {}
        #: The origins of those who have ignored this user by such an id; None for nobody.
        self.ignored_by: frozenset[int] | None = None
        #: What this person looked up last; None for nothing.
        self.recall: HistoryPager | None = None
        #: The id of the first line that this person was shown of the room where they are.
        self.first_shown = 0
        #: What this connection was not shown of the rooms that its user reads; None for nothing.
        self.unread: Unread | None = None
        #: When this person last said something, in seconds since the epoch, by the key of each
        #: listed room that they said it in; None for nothing.
        self.said: dict[str, float] | None = None
        #: The origin of whoever sent the last private line.
        self.whisperer = SERVER
        #: Whose this connection is, None for a guest.
        self.account: Account | None = None
        #: Whether all that they had for it is a code that /pair gave them.
        self.paired = False
        #: The public key that whoever is there has proved to have, None for none.
        self.key: PublicKey | None = None
        #: Whether they are nowhere yet, since it is still to be found out who they are.
        self.arriving = False
        #: Up to which id this account has read the rooms that it is not in, by their keys; None
        #: while they have still to be told what they missed.
        self.places: dict[str, int] | None = {}
        #: From which id on a guest may see the private rooms to which they were invited.
        self.invited: dict[str, int] = {}
        #: How many wrong passwords came from here.
        self.failures = 0
        #: How often one was not looked at, because too many waited.
        self.turned_away = 0
        #: Until then, by `Clock.seconds`, a line may be a password that nobody asked for.
        self.guarded_until = 0.0
        #: Of what they were reminded when a lone "help" or "quit" was held back, see strays.
        self.reminded: tuple[str, ...] = ()
        #: How many lines came from here that everybody in a room was to see.
        self.spoken = 0
        #: Somebody is here for one command alone: they read nothing but what answers it, the room
        #: is not told of them, and the account whose it is stays with who is here as it.
        self.passing = False
        #: Whether they have no terminal: whoever is here as the same person stays, and while
        #: there is somebody they only pass, but read.
        self.beside = False
        #: The state of the token bucket for completions, see limits.TokenBucket.
        self.completed = 0.0
        #: How often something that was asked for here was refused.
        self.refusals = 0
        # Who gets the next line, which is not shown; None for nobody.
        self._answering: Callable[[str, bool], None] | None = None
        #: The key that is being claimed, empty for none, and the last name that was asked for.
        self.naming = ""
        self.submitted = self.name
        # The last event that this connection asked for, and the command that waits until it is
        # decided, without its slash.
        self._asked: Event | None = None
        self._command: str | None = None
        # What this person was asked to type once more, and until when they may.
        self._confirming = ("", 0.0)
        # What is preferred could not be written: all of it is, as soon as that can be.
        self._unkept = False
        # Where to go back to when a move fails.
        self._former: Room | None = None
        self._welcomed = False
        #: Why they have not got the name that they came for, in whole sentences; empty for nothing.
        self.why = ""
        # Whether `reconsider` waits for a move or a change of the name.
        self._unsure = False

    # -- what the door calls

    def open(self, arrival: "Arrival | None" = None) -> None:
        """The connection is made: give it a name and a place in the lobby.

        arrival: who the door knows them to be. Until it is found out whether they get that name,
        and the room that goes with it, input waits, and nobody sees them.
        """
        chat = self.chat
        chat.sessions[self.origin] = self
        if arrival is None:
            chat.people[names.fold(self.name)] = self
            self.enter(chat.first_room)
            return
        self.key = arrival.key
        if arrival.asked:
            strays.beware(self)
        self.arriving = True
        self.gate.close(Reason.ENTERING)
        self.room = chat.doorstep
        self.member = Member(self.origin, self.name, self.format, self.outlet, self.mailbox)
        login.arrive(self, arrival)

    def come_in(self, room: Room | None = None, *, why: str = "") -> None:
        """It is known who this is: enter *room*, or where guests come in.

        why: why they have not got the name that they came for, in whole sentences.
        """
        self.arriving = False
        self.why = why
        self.enter(room or self.chat.first_room)

    def received(self, text: str, *, blank: bool = False) -> None:
        """One line came in, without its end. Not to be called while the gate is closed.

        blank: whether it is said even if there is nothing in it.
        """
        now = self.chat.clock.seconds()
        self.chat.counters.input += 1
        if self.chat.pace.rate:
            self.pacer.took(self.chat.pace, now)
        text = names.clean(text)
        if self._answering is not None:
            self._answer(text.strip())
            return
        if (not text or text.isspace()) and not blank:
            return
        self.active = now
        try:
            doubled = text.startswith("//")
            if text.startswith("/") and not doubled:
                self._obey(text[1:])
                return
            if now < self.guarded_until or strays.suspect(text):
                strays.sift(self, text)
            self.say(text[1:] if doubled else text)
        except Refused as refusal:
            self.refuse(str(refusal))

    def _obey(self, command: str) -> None:
        """Run *command*, which is without its slash. Raises Refused.

        It is answered as if everything that came before it on this connection had taken full
        effect: while some of that is on its way to the ledger and back, it waits.
        """
        chat = self.chat
        if self._asked is not None and chat.is_undecided(self._asked):
            self._command = command
            self.gate.close(Reason.DECIDING)
            chat.receipt(self._asked).addBoth(lambda _: self.gate.open(Reason.DECIDING))
            return
        before = chat.asked
        try:
            run(self, command)
        finally:
            if chat.asked is not before:
                self._asked = chat.asked

    def drained(self) -> bool:
        """The outlet can take more. Returns whether nothing is left to send."""
        self.mailbox.finished()
        # On the way to another room the former one is still to be read to its end.
        for room in (self._former, self.room):
            member = room and room.reader(self.origin)
            if room and member:
                done = room.catch_up(member)
                break
        else:
            done = self._send_mail()
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
        elif self.submitted != self.name:
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
            self.room, Left(now, self.origin, self.name, reason, shown, user=self.user_id)
        )

    def disconnected(self) -> None:
        """The connection is gone: nothing that is sent arrives any more. What came in counts."""
        self.closed = True
        self.drop_mail()
        self.gate.open(Reason.OUTPUT)

    def lost(self, reason: str = "") -> None:
        """The connection is gone, and nothing that came in counts any more."""
        self.disconnected()
        self.end(reason)

    # -- input

    def sure(self, command: str) -> bool:
        """Whether *command* is typed for the second time, or nobody could type it again.

        The first time, whoever asks has to tell them to type it once more.
        """
        now = self.chat.clock.seconds()
        asked, until = self._confirming
        if self.passing or (asked == command and now < until):
            self._confirming = ("", 0.0)
            return True
        self._confirming = (command, now + CONFIRM_SECONDS)
        return False

    @property
    def address(self) -> str:
        """What the network has as the address of the other end."""
        return self.connection.address

    @property
    def limited_as(self) -> str:
        """Whom a RateLimit counts where all who come from this machine must not share it."""
        return f"connection {self.origin}" if self.source == LOCAL else self.source

    @property
    def asking(self) -> bool:
        """Whether the next line is an answer that is not to be shown."""
        return self._answering is not None

    @property
    def over(self) -> bool:
        """Nothing that is typed counts any more."""
        return bool(self.gate.reasons & Reason.OVER)

    @property
    def reachable(self) -> bool:
        """Whether they are here, were greeted, and take what they are sent."""
        return self._welcomed and not (self.closed or self.over or self.outlet.congested)

    def ask(self, text: str, answered: Callable[[str, bool], None]) -> bool:
        """Ask for a line that the client does not show, which may be empty.

        It is given to *answered*, without blanks around it, with whether it was not shown. Returns
        False, and does not ask, if the client cannot be told not to show it.
        """
        if not self.connection.hide_input():
            return False
        self._answering = answered
        self.notice(text)
        return True

    def _answer(self, text: str) -> None:
        answering, self._answering = self._answering, None
        assert answering is not None
        # Whoever gives up, or is refused, may type it once more.
        strays.beware(self)
        try:
            answering(text, self.connection.hidden)
        except Refused as refusal:
            self.refuse(str(refusal))
        finally:
            # Unless the next line is to be hidden as well.
            if self._answering is None:
                self.connection.show_input()

    def resume(self) -> None:
        """The turn has ended and input may go on."""
        if not self.gate.is_open:
            return
        try:
            command, self._command = self._command, None
            if command is not None:
                try:
                    self._obey(command)
                except Refused as refusal:
                    self.refuse(str(refusal))
            if self.gate.is_open:
                self.connection.resume()
        except Exception:
            log.failure(
                "Input of connection {connection} failed",
                event="input_failed",
                connection=self.origin,
            )
            self.outlet.abort()

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
        if (why := chat.moderation.silence(self)) is not None:
            raise Refused(Code.MUTED, why)
        if not member.announced and not self.passing:
            chat.announcer(room).spoke(member)
        now = chat.clock.time()
        if room.listed:
            if self.said is None:
                self.said = {}
            self.said[room.key] = now
        self.spoken += 1
        kind = Emoted if emote else Said
        self._asked = event = kind(now, self.origin, self.name, text, user=self.user_id)
        chat.submit(room, event)

    def move(self, room: Room, why: str = "") -> None:
        """Leave the room for another; *why* is what the one that is left is told."""
        self._former = self.room
        self.member.moves = True
        shown = self.chat.announcer(self.room).leaving(self.member)
        access = self.chat.moderation.access(room.key)
        # Where a private room is, is for those in it to say.
        told = room.listed and not (access and access.private)
        reason = why or (f"to #{room.name}" if told else "")
        now = self.chat.clock.time()
        self.chat.submit(
            self.room, Left(now, self.origin, self.name, reason, shown, user=self.user_id)
        )
        self.enter(room)

    def reconsider(self) -> None:
        """What this person may do has changed: they go to the lobby if they may not stay.

        Who is just moving or being renamed does so first.
        """
        moving = self.gate.reasons & Reason.ENTERING
        if moving or (self.gate.reasons & Reason.NAMING and not self.naming):
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
        self.reconsider()

    def enter(self, room: Room) -> None:
        """Ask for a place in *room*; input waits until there is an answer."""
        self.gate.close(Reason.ENTERING)
        self.room = room
        self.member = Member(
            self.origin, self.name, self.format, self.outlet, self.mailbox, owner=self
        )
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
        if self.account is None or self.account.name != self.name:
            return None
        present = self.chat.logins.present(self)
        if present is not self:
            return present.account_state()
        now = self.chat.clock.time()
        if self.account.id not in self.chat.logins.online:
            return AccountState(self.account.id, now, None, {})
        kept = self.room.listed and self.room is not self.chat.lobby
        room = self.room.key if kept else ""
        mine = self.preferences if self._unkept else None
        return AccountState(
            self.account.id, now, lambda kept: replace(mine or kept, room=room), self.read_so_far()
        )

    def read_so_far(self) -> dict[str, int]:
        """Up to which id this person has read each room, by their keys; who passes reads none."""
        if self.places is None:
            return {}
        if not self.member.joined or not self._welcomed or self.passing:
            return self.places
        return {**self.places, self.room.key: self.room.last_shown(self.member)}

    def write_to(self, outlet: Outlet) -> None:
        """Send everything to *outlet* from here on, which leads to where the present one does."""
        self.outlet = outlet
        if self.origin in self.chat.sessions:
            self.member.outlet = outlet
            former = self._former and self._former.members.get(self.origin)
            if former:
                former.outlet = outlet

    def prefer(self, change: Change) -> "Deferred[bool]":
        """Make this *change* to what is preferred, and keep it for who is logged in.

        What else they prefer they may have changed meanwhile, elsewhere. The Deferred fires with
        whether all that is to be kept is written.
        """
        logins = self.chat.logins
        present = logins.present(self)
        for person in {self, present}:
            person.show_like(change(person.preferences))
        visit = self.account_state()
        if visit is None:
            return succeed(True)

        def noted(kept: bool) -> bool:
            present._unkept = not kept
            return kept

        kept = logins.save([visit, visit._replace(change=change)])
        return kept.addCallback(noted)

    def show_like(self, preferences: Preferences) -> None:
        """The same, where nothing is to be kept."""
        self.preferences = preferences
        self.format = self.connection.adapt(preferences)
        self._apply_preferences()

    def _apply_preferences(self) -> None:
        self.member.format = self.format
        self.member.echo = self.connection.echo
        ignoring.refresh_ignores(self)
        self.member.mentioned = self._mentioned if self.preferences.bell == "mentions" else None
        self.room.listen(self.member)

    def _mentioned(self) -> None:
        """A line that names this person is on its way: the bell comes after it."""
        # Who is not reading has one bell waiting, not a mailbox full of them.
        if self.mailbox.last != BELL and not self.mailbox.full:
            self.post(BELL)

    # -- output to this person alone

    def tell(self, event: Event, letter: Letter | None = None) -> None:
        """Put *event* in the mailbox."""
        self.post(encode(self.format, event), letter)

    def post(self, data: bytes, letter: Letter | None = None) -> None:
        """Put whole encoded lines, or a bell, in the mailbox; input waits while that is full."""
        mailbox = self.mailbox
        if self.closed or not data:
            if letter is not None:
                (letter.returned if self.closed else letter.taken)()
            return
        if not mailbox.size:
            self.chat.has_mail(self)
        mailbox.post(data, letter)
        if mailbox.full:
            self.gate.close(Reason.OUTPUT)

    def drop_mail(self) -> None:
        """Nothing of what is in the mailbox is sent."""
        self.mailbox.give_back()
        self.mailbox.clear()

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

    def whisper(self, recipient: "Session", text: str) -> None:
        """Say *text*, which is clean, to one person alone. Raises Refused."""
        moderation = self.chat.moderation
        # Those who keep order can be asked why.
        why = moderation.silence(self)
        if why is not None and not moderation.keeps_order(recipient):
            raise Refused(Code.MUTED, why)
        if recipient.over:
            raise Refused(
                Code.GONE,
                f"{recipient.name} has just left; your line was not delivered. Try again.",
            )
        if recipient.mailbox.full:
            raise Refused(
                Code.NOT_READING,
                f"{recipient.name} is not reading; your line was not delivered. Try again later.",
            )
        sent = (self.name, recipient.name, text)
        now = self.chat.clock.time()
        if self.user_id not in (recipient.member.ignores or ()):
            arriving = Whispered(now, self.origin, *sent, outgoing=False, user=self.user_id)
            recipient.tell(arriving, PrivateLine(self, recipient, text))
            sender = self.chat.logins.present(self)
            if sender is not recipient:
                recipient.whisperer = sender.origin
        self.tell(Whispered(now, self.origin, *sent, outgoing=True, user=self.user_id))
        if recipient.away is not None:
            self.notice(f"{recipient.name} is away{recipient.away and f': {recipient.away}'}.")

    def shown(self, event: Event, room: str = "", id: int = 0) -> bytes:
        """Return *event*, which has happened, as this person is shown it; see Format.encode."""
        format = self.format
        piece = encode(format, event, room, id, live=False)
        return format.highlighted(piece, self.name) if format.highlights else piece

    def lines(
        self, said: Iterable[tuple[int, Event]], room: str = "", most: int = MAX_BYTES
    ) -> bytes:
        """Return what was *said* in the room of this name as this person is shown it.

        said: events, oldest first, each after its id.
        Those whom they ignore are left out, and the oldest if all would be more than *most* bytes.
        """
        hides = ignoring.hider(self)
        kept = [(id, event) for id, event in said if not hides(event)]
        shown = transcript(kept, self.chat.clock.time(), self.format.zone)
        pieces = [self.shown(event, room, id) for id, event in shown]
        size = sum(map(len, pieces))
        first = 0
        while size > most:
            size -= len(pieces[first])
            first += 1
        return b"".join(pieces[first:])

    def deliver_mail(self) -> None:
        """The turn ends: send the mailbox, unless delivery to the room did."""
        try:
            if not self.outlet.congested and (not self.mailbox.size or self._send_mail()):
                self.gate.open(Reason.OUTPUT)
        except Exception:
            # Others have mail too.
            log.failure(
                "Mail to connection {connection} failed",
                event="mail_failed",
                connection=self.origin,
            )
            self.outlet.abort()

    def _send_mail(self) -> bool:
        mailbox = self.mailbox
        data = mailbox.contents()
        taken = self.outlet.write(data) if data else 0
        self.chat.counters.bytes += taken
        if taken != len(data):
            rest = mailbox.sent(taken)
            self.chat.counters.bytes += len(rest)
            self.outlet.finish(rest)
            return False
        mailbox.clear()
        return True

    # -- what the log says

    def entered(self, member: Member, room: Room) -> None:
        """The member is in the room: greet it."""
        chat = self.chat
        log.info(
            "Connection {connection}, {name!r}, joined #{room}",
            event="room_joined",
            connection=self.origin,
            name=self.name,
            room=room.name,
        )
        if not self.passing:
            chat.announcer(room).entered(member)
        if not self._welcomed and not (self.passing and self.account):
            # From here on they are found by their name: nothing is shown them before the greeting.
            chat.people[names.fold(self.name)] = self
        # Who has only stepped aside is where they were.
        if not self.closed and self._former is not room:
            first, self._welcomed = not self._welcomed, True
            greeting.greet(self, room, first=first)
        self._former = None
        self.gate.open(Reason.ENTERING)

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
            self._finish()
        elif self._former is not None and not self.passing:
            key, last = self._former.key, self._former.last_shown(member)
            if self.places is not None:
                self.places[key] = last
            if self.unread is None:
                self.unread = Unread()
            self.unread.leave(key, self.first_shown, last)

    def renamed(self, event: Renamed) -> None:
        """The name changed."""
        naming.renamed(self, event)

    # -- what the log refuses

    def join_failed(self, why: str) -> None:
        """There is no place in the room: go back to the one before, or give up."""
        failed, former = self.room, self._former
        self.refuse(f"#{failed.name} cannot be entered: {why}.")
        self._former = None
        chat = self.chat
        if self.submitted != self.name:
            # The new name was asked for in the room in which they are not.
            naming.failed(self, self.submitted, why)
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
        naming.failed(self, name, why)

    def gone(self, room: str) -> None:
        """The ledger could not note that the member left *room*; it is out all the same."""
        if room == self.room.key:
            self._finish()

    def _finish(self) -> None:
        """Out of the last room: give the name back and say good-bye."""
        self.gate.close(Reason.OVER)
        chat = self.chat
        if chat.sessions.pop(self.origin, None) is not None:
            self.pacer.stop()
            if self.recall is not None:
                self.recall.close()
            # Whoever has gone is to be freed without the garbage collector, which looks seldom.
            self.recall = self._answering = self._asked = None
            self.member.owner = self.member.mentioned = None
            key = names.fold(self.name)
            if chat.people.get(key) is self:
                del chat.people[key]
            chat.claims.release(key, self.origin)
            chat.logins.logged_out(self)
            chat.moderation.left(self)
            chat.logins.throttle.give_up()
            if self.closed or self.outlet.congested:
                # It could still be cut before it has taken them.
                self.mailbox.give_back()
            farewell = self.mailbox.contents()
            self.mailbox.clear()
            if not self.closed:
                chat.counters.bytes += len(farewell)
            self.connection.close(farewell)
            self.gate.end()
