"""Accounts: names that belong to somebody, and what is kept for them.

The rule: a book of accounts is asked, never waited for. Every answer is a Deferred that may come
late, or fail; what the book has not confirmed has not happened.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import NamedTuple, Protocol

from twisted.internet.defer import Deferred, succeed

from chatroom import names
from chatroom.model.preferences import Preferences
from chatroom.publickeys import PublicKey

#: How many private lines wait for one account at most.
MAX_MESSAGES = 50

#: Of how many rooms it is kept up to where an account has read them.
MAX_PLACES = 100


#: How many public keys one account may have.
MAX_KEYS = 20


@dataclass(frozen=True, slots=True)
class Account:
    """A name and whose it is.

    id: never used for another account. password: as `passwords.make` makes it, empty if nobody
    can log in by password. created, seen: when it was made and last used, in seconds since the
    epoch.
    """

    id: int
    name: str
    password: str = field(repr=False)
    created: float
    seen: float
    preferences: Preferences = field(default_factory=Preferences)

    @property
    def key(self) -> str:
        """What its name is unique by."""
        return names.fold(self.name)


#: What somebody changes of what they prefer.
Change = Callable[[Preferences], Preferences]


class Visit(NamedTuple):
    """What is to be kept of somebody who is logged in, or was until now.

    account: its id. time: now, in seconds since the epoch. change: makes what they prefer of what
    is kept, in a thread of the book's, so that of two changes neither undoes the other; None if it
    stays as it is. places: the ids of the last events that they were shown, by the keys of the
    rooms; other rooms stay as they are.
    """

    account: int
    time: float
    change: "Change | None"
    places: Mapping[str, int]


class Message(NamedTuple):
    """A private line that waits for somebody who is not here.

    time: when it was sent, in seconds since the epoch. sender: the name of who sent it. author:
    the id of the sender's account, 0 for a guest. id: given by the book, growing.
    """

    time: float
    sender: str
    author: int
    text: str
    id: int = 0


class BoundKey(NamedTuple):
    """A public key that logs somebody in.

    fingerprint, type, comment: see publickeys.PublicKey; nothing else of it is kept. added: when,
    in seconds since the epoch. proven: whether whoever has the account has shown that the key is
    theirs; anybody may paste anybody's.
    """

    fingerprint: str
    type: str
    comment: str
    added: float
    proven: bool


class Holder(NamedTuple):
    """Whose a public key is. proven: see BoundKey."""

    account: Account
    proven: bool


class Binding(Enum):
    """What became of a key that was to be an account's."""

    #: It is the account's now.
    DONE = auto()
    #: It was the account's before.
    OURS = auto()
    #: It is another account's.
    TAKEN = auto()
    #: The account has MAX_KEYS.
    FULL = auto()
    #: There is no such account.
    GONE = auto()


class Accounts(Protocol):
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

    def save(self, visits: Sequence[Visit]) -> Deferred[None]:
        """Keep all these; of accounts that are gone nothing is kept.

        Of a room the greatest id counts, and of more than MAX_PLACES rooms those with the
        greatest ids.
        """

    def places(self, id: int) -> Deferred[dict[str, int]]:
        """Up to where the account has read each room, see Visit."""

    def leave(self, id: int, message: Message) -> Deferred[int]:
        """Keep *message* (its id does not count) until it is shown.

        Fires with how many wait now, 0 if there was no place for it or the account is gone.
        """

    def messages(self, id: int) -> Deferred[list[Message]]:
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

    def keyholder(self, fingerprint: str) -> Deferred[Holder | None]:
        """Whose the key is, None if it is nobody's."""

    def lapse(self, before: float) -> Deferred[list[str]]:
        """Remove the accounts that were last used before *before*; fires with their names."""


class MemoryAccounts:
    """Accounts that last as long as the process; answered at once."""

    lasting = False

    def __init__(self) -> None:
        self._accounts: dict[int, Account] = {}
        self._ids: dict[str, int] = {}
        # Those with one skeleton, oldest first.
        self._alike: dict[str, list[int]] = {}
        self._places: dict[int, dict[str, int]] = {}
        self._messages: dict[int, list[Message]] = {}
        # The keys of each account by their fingerprints, and whose each is.
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

    def save(self, visits: Sequence[Visit]) -> Deferred[None]:
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

    def leave(self, id: int, message: Message) -> Deferred[int]:
        waiting = self._messages.setdefault(id, []) if id in self._accounts else None
        if waiting is None or len(waiting) >= MAX_MESSAGES:
            return succeed(0)
        self._last_message += 1
        waiting.append(message._replace(id=self._last_message))
        return succeed(len(waiting))

    def messages(self, id: int) -> Deferred[list[Message]]:
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
        mark = key.fingerprint
        keys = self._keys.get(id, {})
        if mark in keys:
            if proven:
                self.prove_key(id, mark)
            return Binding.OURS
        holder = self._keyholders.get(mark)
        if holder is not None and (self._keys[holder][mark].proven or not proven):
            return Binding.TAKEN
        if len(keys) >= MAX_KEYS:
            return Binding.FULL
        if holder is not None:
            self.remove_key(holder, mark)
        self._keys[id] = {**keys, mark: BoundKey(mark, key.type, key.comment, time, proven)}
        self._keyholders[mark] = id
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

    def keyholder(self, fingerprint: str) -> Deferred[Holder | None]:
        id = self._keyholders.get(fingerprint)
        if id is None:
            return succeed(None)
        return succeed(Holder(self._accounts[id], self._keys[id][fingerprint].proven))

    def lapse(self, before: float) -> Deferred[list[str]]:
        lapsed = [account for account in self._accounts.values() if account.seen < before]
        for account in lapsed:
            self.remove(account.id)
        return succeed([account.name for account in lapsed])
