"""The interfaces of the backends: one protocol for each kind of shared data.

No method blocks. Methods that take time return a Deferred, which may fire late, never, or fail.
Events that are submitted to a ledger come back through the ledger's receiver.
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
        """Return the accounts with these ids that exist after all earlier requests."""

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
        """Return the read position of the account in each room, see AccountState."""

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
        """Apply these events, which are committed, in this order."""

    def rejected(self, room: str, event: Event, why: str) -> None:
        """Undo what waits for *event*, which the ledger could not commit.

        why: the reason, as a sentence fragment to show to users.
        """


class Ledger(Protocol):
    """Decides the order of all events. The events of one origin stay in their order."""

    @property
    def lagging(self) -> bool:
        """Whether committed events are not stored yet, because the disk does not answer."""

    def attach(self, receiver: LedgerReceiver) -> None:
        """Set the receiver. Call it once, before anything is submitted."""

    def submit(self, room: str, event: Event) -> None:
        """Accept *event* for the log of *room*. Calls the receiver later, never at once."""

    def end_turn(self) -> None:
        """Commit the events that were submitted in this turn, perhaps later, as one batch."""

    def close(self) -> Deferred[None]:
        """Commit what is pending. Fires when all events are committed or rejected."""


class NameClaims(Protocol):
    """Decides which connection has which name; the first claim wins.

    The parameters of all methods:

    key: the folded name.
    origin: the id of the connection.
    """

    def claim(self, key: str, origin: int) -> Deferred[bool]:
        """Claim the name if it is free. Returns whether *origin* has it now."""

    def take(self, key: str, origin: int) -> Deferred[int]:
        """Assign the name to *origin* unconditionally, for the owner of the account.

        Fires with the connection that had it before, or SERVER.
        """

    def release(self, key: str, origin: int) -> None:
        """Free the name if *origin* has it."""


class ModerationReceiver(Protocol):
    """The object that is called when another node has stored or removed a rule."""

    def changed(self, kind: RuleKind, key: RuleKey, rule: Rule) -> None:
        """Apply the rule, in place of the former rule with this key if there was one."""

    def removed(self, kind: RuleKind, key: RuleKey) -> None:
        """End the rule with this key."""


class ModerationStore(Protocol):
    """Stores the rules, the audit and the reports."""

    #: Whether they outlast the server.
    lasting: bool

    def set(self, kind: RuleKind, key: RuleKey, rule: Rule | None) -> Deferred[None]:
        """Store the rule, or delete it if it is None."""

    def record(self, action: AuditEntry) -> Deferred[None]:
        """Add *action* to the audit."""

    def actions(self, count: int) -> Deferred[Sequence[AuditEntry]]:
        """Return the last *count* audit entries, oldest first."""

    def report(self, report: Report) -> Deferred[int]:
        """Store *report*. Fires with its id."""

    def reports(self, count: int) -> Deferred[Sequence[Report]]:
        """Return the last *count* reports, oldest first."""

    def find_report(self, id: int) -> Deferred[Report | None]:
        """Return the report with this id, or None."""
