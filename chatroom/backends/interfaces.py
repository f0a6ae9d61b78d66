"""The interfaces of the backends: one protocol for each thing that is stored or shared.

No method blocks. What takes time returns a Deferred, which may fire late, never, or fail. What is
submitted to a ledger comes back through the ledger's receiver.
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
from chatroom.model.sanctions import AuditEntry, Report, Rule, RuleKey, RuleKind
from chatroom.text.words import Phrase


class AccountStore(Protocol):
    """Stores the accounts.

    A name belongs to at most one account, by its folded form (`names.fold`, called its key here),
    and so does a public key, by its fingerprint.
    """

    #: Whether the accounts outlast the server.
    lasting: bool

    def find(self, key: str) -> Deferred[Account | None]:
        """Return the account whose folded name is *key*, or None."""

    def resembling(self, name: str) -> Deferred[Account | None]:
        """Return the account called *name*, or one that looks like it (`names.alike`)."""

    def present(self, ids: Sequence[int]) -> Deferred[Mapping[int, Account]]:
        """Return those of the accounts that exist after all earlier requests."""

    def add(self, name: str, password: str, time: float) -> Deferred[Account | None]:
        """Add an account and return it, or None if `resembling` would find one.

        password: its hash.
        time: now, in seconds since the epoch.
        """

    def set_password(self, id: int, password: str) -> Deferred[bool]:
        """Replace the password's hash. Returns whether the account exists."""

    def remove(self, id: int) -> Deferred[bool]:
        """Remove the account with all that belongs to it. Returns whether it existed."""

    def save(self, visits: Sequence[AccountState]) -> Deferred[None]:
        """Save the states of accounts, all or none; skips accounts that do not exist any more.

        The read position in a room never goes back. Of more than MAX_PLACES rooms, those with the
        greatest positions are kept.
        """

    def places(self, id: int) -> Deferred[dict[str, int]]:
        """Return up to where the account has read each room, see AccountState."""

    def leave(self, id: int, message: OfflineMessage) -> Deferred[int]:
        """Store *message*, under a new id, until it is shown.

        Returns how many messages wait now, or 0 if too many waited or the account does not exist.
        """

    def messages(self, id: int) -> Deferred[list[OfflineMessage]]:
        """Return the messages that wait for the account, oldest first."""

    def shown(self, id: int, last: int) -> Deferred[None]:
        """Delete the account's messages up to the id *last*, which were shown."""

    def add_key(self, id: int, key: PublicKey, time: float, proven: bool) -> Deferred[Binding]:
        """Add *key* to the account, see BoundKey.

        A key that was proven once stays so. A proven key is taken away from another account that
        has it unproven.
        """

    def prove_key(self, id: int, fingerprint: str) -> Deferred[bool]:
        """Mark the account's key as proven. Returns whether the account has it."""

    def keys(self, id: int) -> Deferred[list[BoundKey]]:
        """Return the account's keys in the order in which they were added."""

    def remove_key(self, id: int, fingerprint: str) -> Deferred[bool]:
        """Remove the key from the account. Returns whether the account had it."""

    def keyholder(self, fingerprint: str) -> Deferred[KeyOwner | None]:
        """Return the owner of the key, or None."""

    def expire(self, before: float) -> Deferred[list[str]]:
        """Remove the accounts that were last used before *before*, and return their names."""


class HistoryStore(Protocol):
    """Looks up messages of the past. Results are in the order of the log, oldest first.

    Cancelling a Deferred ends the lookup.
    """

    def before(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        """Return the last *count* lines of the room with ids below *id*."""

    def after(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        """Return the first *count* lines of the room with ids above *id*."""

    def place(self, room: str, time: float) -> Deferred[int]:
        """Return 1 + the id of the room's latest line before *time*, or 0 if there is none.

        time: in seconds since the epoch. An id cannot be computed from a time, since ids run ahead
        of the clock if the clock was once ahead.
        """

    def search(self, query: Query, count: int) -> Deferred[list[Entry]]:
        """Return the last *count* lines that match *query*."""

    def missed(
        self, gaps: Sequence[tuple[str, Gap]], name: Phrase, own: str
    ) -> Deferred[list[UnreadSummary]]:
        """Return a summary for each room in which there are unread lines.

        gaps: pairs of a room's key and a range of ids in it that the user was not shown.
        name: the user's name as words of a line, to count the lines that mention the user.
        own: the folded name of the user, whose own lines do not count.
        """


class LedgerReceiver(Protocol):
    """The object that a ledger calls with its decisions."""

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
    """Decides which connection has which name: the first claim wins.

    key: the folded name.
    origin: the number of the connection.
    """

    def claim(self, key: str, origin: int) -> Deferred[bool]:
        """Claim the name if it is free. Returns whether *origin* has it now."""

    def take(self, key: str, origin: int) -> Deferred[int]:
        """Assign the name to *origin* unconditionally, as the owner of its account may ask.

        Returns the origin that had it before, SERVER if it was free.
        """

    def release(self, key: str, origin: int) -> None:
        """Give the name up, if *origin* has it."""


class ModerationReceiver(Protocol):
    """The object that is called with rules that were decided elsewhere, and are stored."""

    def changed(self, kind: RuleKind, key: RuleKey, rule: Rule) -> None:
        """Have the rule take effect, in place of the one of this key if there was one."""

    def removed(self, kind: RuleKind, key: RuleKey) -> None:
        """Have the rule of this key end."""


class ModerationStore(Protocol):
    """Stores the rules, the audit and the reports."""

    #: Whether they outlast the server.
    lasting: bool

    def set(self, kind: RuleKind, key: RuleKey, rule: Rule | None) -> Deferred[None]:
        """Store the rule, None to delete it."""

    def record(self, action: AuditEntry) -> Deferred[None]:
        """Keep *action*."""

    def actions(self, count: int) -> Deferred[Sequence[AuditEntry]]:
        """The last *count* actions, oldest first."""

    def report(self, report: Report) -> Deferred[int]:
        """Keep *report*; fires with its id."""

    def reports(self, count: int) -> Deferred[Sequence[Report]]:
        """The last *count* reports, oldest first."""

    def find_report(self, id: int) -> Deferred[Report | None]:
        """The report with this id."""
