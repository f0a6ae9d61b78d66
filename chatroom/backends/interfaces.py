"""What a backend is asked: one protocol for each thing that is kept or shared.

The rule: nobody waits. What takes time is a Deferred that may fire late, or fail; what is submitted
to a ledger comes back through its receiver.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from chatroom.model.accounts import (
    Account,
    AccountState,
    Binding,
    BoundKey,
    KeyOwner,
    OfflineMessage,
)
from chatroom.model.entry import Entry
from chatroom.model.events import Event
from chatroom.model.history import Gap, Query, UnreadSummary
from chatroom.model.publickeys import PublicKey
from chatroom.model.sanctions import Action, Report
from chatroom.text.words import Phrase


class AccountStore(Protocol):
    """The book of accounts. Names are unique by their keys (names.fold), public keys by their
    fingerprints: a public key is one account's at most.
    """

    #: Whether the accounts outlast the server.
    lasting: bool

    def find(self, key: str) -> Deferred[Account | None]:
        """The account with this key, None if there is none."""

    def resembling(self, name: str) -> Deferred[Account | None]:
        """The account called *name*, or else one for which it may be taken (names.alike)."""

    def present(self, ids: Sequence[int]) -> Deferred[Mapping[int, Account]]:
        """Those accounts with these ids that there are, after all that was asked for before."""

    def add(self, name: str, password: str, time: float) -> Deferred[Account | None]:
        """A new account called *name*; None if there is one that it resembles, see above."""

    def set_password(self, id: int, password: str) -> Deferred[bool]:
        """Another password for the account; whether it is still there."""

    def remove(self, id: int) -> Deferred[bool]:
        """The account, and all that is kept for it, is gone; whether it was there."""

    def save(self, visits: Sequence[AccountState]) -> Deferred[None]:
        """Keep all these; of accounts that are gone nothing is kept.

        Of a room the greatest id counts, and of more than MAX_PLACES rooms those with the
        greatest ids.
        """

    def places(self, id: int) -> Deferred[dict[str, int]]:
        """Up to where the account has read each room, see Visit."""

    def leave(self, id: int, message: OfflineMessage) -> Deferred[int]:
        """Keep *message* (its id does not count) until it is shown.

        Fires with how many wait now, 0 if there was no place for it or the account is gone.
        """

    def messages(self, id: int) -> Deferred[list[OfflineMessage]]:
        """The messages that wait for the account, oldest first."""

    def shown(self, id: int, last: int) -> Deferred[None]:
        """The messages of the account up to the id *last* were shown, and are forgotten."""

    def add_key(self, id: int, key: PublicKey, time: float, proven: bool) -> Deferred[Binding]:
        """Bind *key* to the account, see BoundKey.

        One that is proven is so from then on, and is taken from an account for which it is not.
        """

    def prove_key(self, id: int, fingerprint: str) -> Deferred[bool]:
        """The key of the account is proven; whether it is the account's."""

    def keys(self, id: int) -> Deferred[list[BoundKey]]:
        """The keys of the account, in the order in which they were added."""

    def remove_key(self, id: int, fingerprint: str) -> Deferred[bool]:
        """The key is the account's no more; whether it was."""

    def keyholder(self, fingerprint: str) -> Deferred[KeyOwner | None]:
        """Whose the key is, None if it is nobody's."""

    def expire(self, before: float) -> Deferred[list[str]]:
        """Remove the accounts that were last used before *before*; fires with their names."""


class HistoryStore(Protocol):
    """Looks up lines; the answers are in the order of the log, oldest first.

    Cancelling an answer ends the work for it.
    """

    def before(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        """The last *count* lines of the room with smaller ids than *id*."""

    def after(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        """The first *count* lines of the room with greater ids than *id*."""

    def place(self, room: str, time: float) -> Deferred[int]:
        """The id after that of the room's latest line from before *time*; 0 if there is none.

        time: in seconds since the epoch. Ids say no time: they are greater where the clock was
        once ahead.
        """

    def search(self, query: Query, count: int) -> Deferred[list[Entry]]:
        """The last *count* lines that *query* looks for."""

    def missed(
        self, gaps: Sequence[tuple[str, Gap]], name: Phrase, own: str
    ) -> Deferred[list[UnreadSummary]]:
        """What was said in *gaps*, each in the room with its key, in rooms where it was something.

        name: what a line has in it that names whoever asks. own: the key of their name: what was
        said under it they have not missed.
        """


class LedgerReceiver(Protocol):
    """Who hears what the ledger decided."""

    def committed(self, batch: Sequence[Entry]) -> None:
        """These events have happened, in this order."""

    def rejected(self, room: str, event: Event, why: str) -> None:
        """This event will not happen; *why* is half a sentence for people."""


class Ledger(Protocol):
    """Orders events. What one origin submits stays in its order."""

    @property
    def lagging(self) -> bool:
        """Whether events are delivered that the disk does not have yet: it is away."""

    def attach(self, receiver: LedgerReceiver) -> None:
        """Name the receiver, once and before anything is submitted."""

    def submit(self, room: str, event: Event) -> None:
        """Take *event* for the log of *room*; the receiver hears of it later."""

    def end_turn(self) -> None:
        """The turn is over: what was submitted in it may be committed as one batch."""

    def close(self) -> Deferred[None]:
        """Commit what is pending; fires when all of it was committed or rejected."""


class NameClaims(Protocol):
    """Names are claimed, not ordered: the first claim wins."""

    def claim(self, key: str, origin: int) -> Deferred[bool]:
        """Whether the name with this key is from now on that of *origin*."""

    def take(self, key: str, origin: int) -> Deferred[int]:
        """The name is that of *origin* from now on, whoever had it: it belongs to them.

        Fires with the origin that had it until now, SERVER if nobody had.
        """

    def release(self, key: str, origin: int) -> None:
        """The name is free again, if it was that of *origin*."""


class ModerationStore(Protocol):
    """Keeps orders, actions and reports."""

    #: Whether they outlast the server.
    lasting: bool

    def put(self, kind: str, key: str, value: str | None) -> Deferred[None]:
        """Keep the order, None to forget it."""

    def note(self, action: Action) -> Deferred[None]:
        """Keep *action*."""

    def actions(self, count: int) -> Deferred[Sequence[Action]]:
        """The last *count* actions, oldest first."""

    def report(self, report: Report) -> Deferred[int]:
        """Keep *report*; fires with its id."""

    def reports(self, count: int) -> Deferred[Sequence[Report]]:
        """The last *count* reports, oldest first."""

    def find_report(self, id: int) -> Deferred[Report | None]:
        """The report with this id."""
