"""The backends of a server without a store: their data end with the process."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred, succeed

from chatroom.backends.interfaces import LedgerReceiver
from chatroom.model.accounts import (
    MAX_KEYS,
    MAX_MESSAGES,
    MAX_PLACES,
    Account,
    AccountState,
    Binding,
    BoundKey,
    KeyOwner,
    OfflineMessage,
)
from chatroom.model.entry import Entry
from chatroom.model.events import SERVER, Event
from chatroom.model.publickeys import PublicKey
from chatroom.model.sanctions import REMEMBERED, AuditEntry, Report, Rule, RuleKey, RuleKind
from chatroom.text import names


class MemoryAccounts:
    """Accounts in memory; see interfaces.AccountStore. All Deferreds fire at once."""

    lasting = False

    def __init__(self) -> None:
        self._accounts: dict[int, Account] = {}
        self._ids: dict[str, int] = {}
        # The ids of accounts by the skeletons of their names, oldest first.
        self._alike: dict[str, list[int]] = {}
        self._places: dict[int, dict[str, int]] = {}
        self._messages: dict[int, list[OfflineMessage]] = {}
        # The public keys of each account by fingerprint, and the account of each fingerprint.
        self._keys: dict[int, dict[str, BoundKey]] = {}
        self._keyholders: dict[str, int] = {}
        self._last_id = 0
        self._last_message = 0

    def find(self, key: str) -> Deferred[Account | None]:
        return succeed(self._accounts.get(self._ids.get(key, 0)))

    def resembling(self, name: str) -> Deferred[Account | None]:
        return succeed(self._resembling(name))

    def _resembling(self, name: str) -> Account | None:
        if (id := self._ids.get(names.fold(name))) is not None:
            return self._accounts[id]
        near = [self._accounts[id] for id in self._alike.get(names.skeleton(name), ())]
        return next((account for account in near if names.alike(name, account.name)), None)

    def present(self, ids: Sequence[int]) -> Deferred[Mapping[int, Account]]:
        return succeed({id: self._accounts[id] for id in ids if id in self._accounts})

    def add(self, name: str, password: str, time: float) -> Deferred[Account | None]:
        if self._resembling(name) is not None:
            return succeed(None)
        self._last_id += 1
        account = Account(self._last_id, name, password, time, time)
        self._accounts[account.id] = account
        self._ids[account.key] = account.id
        self._alike.setdefault(names.skeleton(name), []).append(account.id)
        return succeed(account)

    def set_password(self, id: int, password: str) -> Deferred[bool]:
        account = self._accounts.get(id)
        if account is not None:
            self._accounts[id] = replace(account, password=password)
        return succeed(account is not None)

    def remove(self, id: int) -> Deferred[bool]:
        account = self._accounts.pop(id, None)
        if account is not None:
            del self._ids[account.key]
            alike = self._alike[names.skeleton(account.name)]
            alike.remove(id)
            if not alike:
                del self._alike[names.skeleton(account.name)]
            self._places.pop(id, None)
            self._messages.pop(id, None)
            for fingerprint in self._keys.pop(id, {}):
                del self._keyholders[fingerprint]
        return succeed(account is not None)

    def save(self, visits: Sequence[AccountState]) -> Deferred[None]:
        for id, time, change, places in visits:
            account = self._accounts.get(id)
            if account is not None:
                seen = max(time, account.seen)
                chosen = account.preferences if change is None else change(account.preferences)
                self._accounts[id] = replace(account, seen=seen, preferences=chosen)
                known = self._places.get(id, {})
                for room, last in places.items():
                    known[room] = max(last, known.get(room, 0))
                latest = sorted(known, key=known.__getitem__, reverse=True)[:MAX_PLACES]
                self._places[id] = {room: known[room] for room in latest}
        return succeed(None)

    def places(self, id: int) -> Deferred[dict[str, int]]:
        return succeed(dict(self._places.get(id, {})))

    def leave(self, id: int, message: OfflineMessage) -> Deferred[int]:
        waiting = self._messages.setdefault(id, []) if id in self._accounts else None
        if waiting is None or len(waiting) >= MAX_MESSAGES:
            return succeed(0)
        self._last_message += 1
        waiting.append(message._replace(id=self._last_message))
        return succeed(len(waiting))

    def messages(self, id: int) -> Deferred[list[OfflineMessage]]:
        return succeed(list(self._messages.get(id, ())))

    def shown(self, id: int, last: int) -> Deferred[None]:
        left = [message for message in self._messages.get(id, ()) if message.id > last]
        if left:
            self._messages[id] = left
        else:
            self._messages.pop(id, None)
        return succeed(None)

    def add_key(self, id: int, key: PublicKey, time: float, proven: bool) -> Deferred[Binding]:
        return succeed(self._bind(id, key, time, proven))

    def _bind(self, id: int, key: PublicKey, time: float, proven: bool) -> Binding:
        if id not in self._accounts:
            return Binding.GONE
        fingerprint = key.fingerprint
        keys = self._keys.get(id, {})
        if fingerprint in keys:
            if proven:
                self.prove_key(id, fingerprint)
            return Binding.OURS
        holder = self._keyholders.get(fingerprint)
        if holder is not None and (self._keys[holder][fingerprint].proven or not proven):
            return Binding.TAKEN
        if len(keys) >= MAX_KEYS:
            return Binding.FULL
        if holder is not None:
            self.remove_key(holder, fingerprint)
        bound = BoundKey(fingerprint, key.type, key.comment, time, proven)
        self._keys[id] = {**keys, fingerprint: bound}
        self._keyholders[fingerprint] = id
        return Binding.DONE

    def prove_key(self, id: int, fingerprint: str) -> Deferred[bool]:
        keys = self._keys.get(id, {})
        if fingerprint in keys:
            keys[fingerprint] = keys[fingerprint]._replace(proven=True)
        return succeed(fingerprint in keys)

    def keys(self, id: int) -> Deferred[list[BoundKey]]:
        return succeed(list(self._keys.get(id, {}).values()))

    def remove_key(self, id: int, fingerprint: str) -> Deferred[bool]:
        keys = self._keys.get(id, {})
        if fingerprint not in keys:
            return succeed(False)
        del keys[fingerprint], self._keyholders[fingerprint]
        if not keys:
            del self._keys[id]
        return succeed(True)

    def keyholder(self, fingerprint: str) -> Deferred[KeyOwner | None]:
        id = self._keyholders.get(fingerprint)
        if id is None:
            return succeed(None)
        return succeed(KeyOwner(self._accounts[id], self._keys[id][fingerprint].proven))

    def expire(self, before: float) -> Deferred[list[str]]:
        expired = [account for account in self._accounts.values() if account.seen < before]
        for account in expired:
            self.remove(account.id)
        return succeed([account.name for account in expired])


def number(pending: Iterable[tuple[str, Event]], last_id: int, now: float) -> list[Entry]:
    """Return the submitted events with ids, in their final order.

    pending: pairs of a room's key and an event.
    now: in seconds since the epoch.
    """
    first = max(last_id + 1, int(now * 1e6))
    return [Entry(room, id, event) for id, (room, event) in enumerate(pending, first)]


class MemoryLedger:
    """The ledger of a server without a store: commits when the turn ends."""

    lagging = False

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._pending: list[tuple[str, Event]] = []
        self._last_id = 0
        self._receiver: LedgerReceiver

    def attach(self, receiver: LedgerReceiver) -> None:
        self._receiver = receiver

    def submit(self, room: str, event: Event) -> None:
        self._pending.append((room, event))

    def end_turn(self) -> None:
        pending, self._pending = self._pending, []
        if pending:
            entries = number(pending, self._last_id, self._time())
            self._last_id = entries[-1].id
            self._receiver.committed(entries)

    def close(self) -> Deferred[None]:
        self.end_turn()
        return succeed(None)


class MemoryNameClaims:
    """The name claims of one process; see interfaces.NameClaims."""

    def __init__(self) -> None:
        self._holders: dict[str, int] = {}

    def claim(self, key: str, origin: int) -> Deferred[bool]:
        return succeed(self._holders.setdefault(key, origin) == origin)

    def take(self, key: str, origin: int) -> Deferred[int]:
        former = self._holders.get(key, SERVER)
        self._holders[key] = origin
        return succeed(former)

    def release(self, key: str, origin: int) -> None:
        if self._holders.get(key) == origin:
            del self._holders[key]


class MemoryModeration:
    """The audit and reports in memory; see interfaces.ModerationStore.

    Rules are not stored here: chat/rules.py has all of them in memory anyway.
    """

    lasting = False

    def __init__(self) -> None:
        self._actions: deque[AuditEntry] = deque(maxlen=REMEMBERED)
        self._reports: deque[Report] = deque(maxlen=REMEMBERED)
        self._last_id = 0

    def set(self, kind: RuleKind, key: RuleKey, rule: Rule | None) -> Deferred[None]:
        return succeed(None)

    def record(self, action: AuditEntry) -> Deferred[None]:
        self._actions.append(action)
        return succeed(None)

    def actions(self, count: int) -> Deferred[Sequence[AuditEntry]]:
        return succeed(list(self._actions)[-count:])

    def report(self, report: Report) -> Deferred[int]:
        self._last_id += 1
        self._reports.append(report._replace(id=self._last_id))
        return succeed(self._last_id)

    def reports(self, count: int) -> Deferred[Sequence[Report]]:
        return succeed(list(self._reports)[-count:])

    def find_report(self, id: int) -> Deferred[Report | None]:
        return succeed(next((report for report in self._reports if report.id == id), None))
