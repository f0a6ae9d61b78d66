"""The tables of rules, one for each kind, and how their rules are saved.

A table answers at once. Saving may be late or fail, and is tried again then.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from chatroom.backends.interfaces import ModerationStore
from chatroom.model.networks import Address, Network, Networks
from chatroom.model.sanctions import REMEMBERED, AuditEntry, Rule, RuleKey, RuleKind, Sanction

log = Logger()

KeyT = TypeVar("KeyT", bound=RuleKey)
RuleT = TypeVar("RuleT", bound=Rule)

OnChange = Callable[[RuleKind, RuleKey, Rule | None], None]


@dataclass(eq=False, slots=True)
class _Write:
    """One attempt to save; rule: None if it is to be deleted."""

    rule: Rule | None


class RuleSaver:
    """Saves rules and audit entries, and tries again what could not be saved."""

    def __init__(self, store: ModerationStore) -> None:
        self._store = store
        #: The latest write of each rule that is not known to have succeeded.
        self.unsaved: dict[tuple[RuleKind, RuleKey], _Write] = {}
        self._unrecorded: deque[AuditEntry] = deque(maxlen=REMEMBERED)
        self._failing = False
        # How many writes are on their way, and what fires when there is none any more.
        self._writing = 0
        self._waiting: list[Deferred[bool]] = []

    def save(self, kind: RuleKind, key: RuleKey, rule: Rule | None) -> None:
        """Save the rule, None to delete it."""
        write = self.unsaved[kind, key] = _Write(rule)

        def saved(_: object) -> None:
            # A later write of the same rule is on its way itself.
            if self.unsaved.get((kind, key)) is write:
                del self.unsaved[kind, key]

        self._track(self._store.set(kind, key, rule).addCallback(saved))

    def record(self, entry: AuditEntry) -> None:
        """Save the audit entry."""

        def failed(failure: Any) -> Any:
            self._unrecorded.append(entry)
            return failure

        self._track(self._store.record(entry).addErrback(failed))

    def retry(self) -> None:
        """Try again to save what is not saved."""
        for (kind, key), write in list(self.unsaved.items()):
            self.save(kind, key, write.rule)
        unrecorded, self._unrecorded = self._unrecorded, deque(maxlen=REMEMBERED)
        for entry in unrecorded:
            self.record(entry)

    def finished(self) -> Deferred[bool]:
        """Return a Deferred that fires when no write is on its way.

        Its result is whether the last one succeeded.
        """
        if not self._writing:
            return succeed(not self._failing)
        answer: Deferred[bool] = Deferred()
        self._waiting.append(answer)
        return answer

    def _track(self, write: Deferred[None]) -> None:
        self._writing += 1
        write.addCallbacks(self._succeeded, self._failed).addBoth(self._ended)

    def _succeeded(self, _: object) -> None:
        self._failing = False

    def _failed(self, failure: Any) -> None:
        if not self._failing:
            log.warn(
                "What operators decide is not kept: {why}. Trying again.",
                event="order_not_kept",
                why=failure.value,
            )
        self._failing = True

    def _ended(self, _: object) -> None:
        self._writing -= 1
        if not self._writing:
            waiting, self._waiting = self._waiting, []
            for answer in waiting:
                answer.callback(not self._failing)


class RuleTable(Generic[KeyT, RuleT]):
    """The rules of one kind, by key. A sanction that has ended is not found any more.

    time: returns the seconds since the epoch.
    on_change: called after every change, with None for a rule that has ended.
    saver: saves the rules under *kind*; None for rules that end with the process.
    """

    def __init__(
        self,
        kind: RuleKind,
        time: Callable[[], float],
        on_change: OnChange,
        saver: RuleSaver | None,
    ) -> None:
        self.kind = kind
        self._time = time
        self._saver = saver
        self._on_change = on_change
        self._rules: dict[KeyT, RuleT] = {}

    def get(self, key: KeyT) -> RuleT | None:
        """Return the rule that holds, or None."""
        rule = self._rules.get(key)
        return rule if rule is not None and _holds(rule, self._time()) else None

    def items(self) -> list[tuple[KeyT, RuleT]]:
        """Return the keys and rules of those that hold."""
        now = self._time()
        return [(key, rule) for key, rule in self._rules.items() if _holds(rule, now)]

    def set(self, key: KeyT, rule: RuleT) -> None:
        """Decide the rule: apply and save it."""
        self.apply(key, rule)
        if self._saver is not None:
            self._saver.save(self.kind, key, rule)

    def remove(self, key: KeyT) -> bool:
        """Decide that the rule ends. Returns whether there was one."""
        if key not in self._rules:
            return False
        self.apply(key, None)
        if self._saver is not None:
            self._saver.save(self.kind, key, None)
        return True

    def apply(self, key: KeyT, rule: RuleT | None) -> None:
        """Have the rule hold, None to have it end, without saving that."""
        if rule is not None:
            self._rules[key] = rule
        else:
            self._rules.pop(key, None)
        self._on_change(self.kind, key, rule)

    def expire(self, now: float) -> None:
        """Remove the sanctions that have ended at *now*."""
        for key, rule in list(self._rules.items()):
            if not _holds(rule, now):
                self.remove(key)

    def __contains__(self, key: KeyT) -> bool:
        return key in self._rules

    def __len__(self) -> int:
        return len(self._rules)


class NetworkBans(RuleTable[Network, Sanction]):
    """The bans of networks, in which an address is found without looking at each of them."""

    def __init__(self, time: Callable[[], float], on_change: OnChange, saver: RuleSaver) -> None:
        super().__init__(RuleKind.NETWORK_BAN, time, on_change, saver)
        self._networks = Networks()

    def apply(self, key: Network, rule: Sanction | None) -> None:
        if rule is not None:
            self._networks.add(key)
        else:
            self._networks.discard(key)
        super().apply(key, rule)

    def find(self, address: Address) -> Sanction | None:
        """Return a ban that holds for *address*, or None."""
        found = map(self.get, self._networks.find(address))
        return next((ban for ban in found if ban is not None), None)


def _holds(rule: Rule, now: float) -> bool:
    return not isinstance(rule, Sanction) or rule.holds(now)
