"""Moderation: who may connect, talk and keep order, as operators have decided.

The rule: nobody is asked and nothing is waited for; what is decided holds at once, and is kept
when it can be. Nobody who keeps order, no proxy and not this machine can be banned.
"""

import re
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from chatroom.backends.interfaces import ModerationStore
from chatroom.chat.loginservice import log_fields
from chatroom.model.accounts import Account
from chatroom.model.clock import Clock
from chatroom.model.limits import LOCAL, RateLimit, address_of
from chatroom.model.sanctions import (
    REMEMBERED,
    Access,
    AuditEntry,
    Network,
    Networks,
    Operator,
    Sanction,
    dump,
    load,
)
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.session import Session

log = Logger()

#: How many wrong claim codes one source may try in an hour, and of how many bytes of chance the
#: right one is made: it is not found by trying from many places either.
CLAIM_TRIES = 5
CLAIM_BYTES = 6

#: The shortest prefixes that may be banned: less would be whole countries, or everybody.
WIDEST = {4: 8, 6: 19}

#: The orders about accounts, by their ids.
OF_ACCOUNTS = ("operator", "ban account", "mute account")

#: This machine.
LOOPBACK = {4: "127.0.0.0/8", 6: "::1/128"}

#: For how long, in seconds, the source of somebody banned by name is banned.
SOURCE_BAN = 24 * 3600.0

#: How many reports one source may make in an hour.
REPORTS_PER_HOUR = 3


class Moderation:
    """All orders of one server.

    reserved: names that are kept for operators. allowed: who may connect, None for everybody.
    spared: networks that are never banned (proxies).
    """

    def __init__(
        self,
        clock: Clock,
        records: ModerationStore,
        *,
        reserved: Iterable[str] = (),
        allowed: Networks | None = None,
        spared: Networks | None = None,
    ) -> None:
        self._clock = clock
        self.records = records
        self.reserved = {names.fold(name): name for name in reserved}
        self.allowed = allowed
        self.spared = spared or Networks()
        self.reported = RateLimit(REPORTS_PER_HOUR, 3600, clock.seconds)
        #: The code that makes its claimant an operator, empty for none.
        self.code = ""
        #: How many wrong ones each source has tried.
        self.wrong_claims = RateLimit(CLAIM_TRIES, 3600, clock.seconds)
        self._orders: dict[tuple[str, str], Any] = {}
        # What has still to be kept.
        self._unkept: set[tuple[str, str]] = set()
        self._unnoted: deque[AuditEntry] = deque(maxlen=REMEMBERED)
        self._failing = False
        # How many orders and actions are being written, and what is told when none is any more.
        self._writing = 0
        self._waiting: list[Deferred[bool]] = []
        self._networks = Networks()
        # Guests who are muted, by origin, and whether anybody is muted at all.
        self._muted_guests: dict[int, Sanction] = {}
        self._quieted = False
        # When a guest of this machine was muted last, by the clock that connections go by.
        self._local_muted_at = 0.0

    # -- keeping

    def restore(self, kept: Iterable[tuple[str, str, str]]) -> None:
        """Begin with the orders that a store has kept."""
        for kind, key, value in kept:
            try:
                order = load(kind, value)
                if kind == "ban network":
                    self._networks.add(ip_network(key))
                elif kind in OF_ACCOUNTS:
                    int(key)
                self._orders[kind, key] = order
            except (AttributeError, KeyError, TypeError, ValueError):
                log.error(
                    "An order was not understood: {kind} {key}",
                    event="order_unknown",
                    kind=kind,
                    key=key,
                )
        self._look()

    def keep(self, now: float) -> None:
        """Forget what holds no more at *now*, and try again to keep what could not be kept."""
        for (kind, key), order in list(self._orders.items()):
            if isinstance(order, Sanction) and not order.holds(now):
                self.remove(kind, key)
        for kind, key in list(self._unkept):
            self._write(kind, key)
        unnoted, self._unnoted = self._unnoted, deque(maxlen=REMEMBERED)
        for action in unnoted:
            self._note(action)

    def get(self, kind: str, key: str) -> Any:
        """The order of this kind, None if there is none or it holds no more."""
        order = self._orders.get((kind, key))
        if isinstance(order, Sanction) and not order.holds(self._clock.time()):
            return None
        return order

    def all(self, *kinds: str) -> list[tuple[str, str, Any]]:
        """All orders of these kinds that hold: kind, key and order."""
        return [
            (kind, key, order)
            for (kind, key), order in self._orders.items()
            if kind in kinds and self.get(kind, key) is not None
        ]

    def set(self, kind: str, key: str, order: Any) -> None:
        """Give an order."""
        self._orders[kind, key] = order
        if kind == "ban network":
            self._networks.add(ip_network(key))
        self._look()
        self._write(kind, key)

    def remove(self, kind: str, key: str) -> bool:
        """Take an order back; returns whether there was one."""
        if self._orders.pop((kind, key), None) is None:
            return False
        if kind == "ban network":
            self._networks.discard(ip_network(key))
        self._look()
        self._write(kind, key)
        return True

    def _write(self, kind: str, key: str) -> None:
        order = self._orders.get((kind, key))
        self._unkept.add((kind, key))
        self._writing += 1

        def kept(_: object) -> None:
            # Unless it has changed meanwhile; then that is on its way.
            if self._orders.get((kind, key)) is order:
                self._unkept.discard((kind, key))
            self._failing = False

        value = None if order is None else dump(order)
        self.records.set(kind, key, value).addCallbacks(kept, self._failed).addBoth(self._written)

    def _written(self, _: object) -> None:
        self._writing -= 1
        if not self._writing:
            waiting, self._waiting = self._waiting, []
            for answer in waiting:
                answer.callback(not self._failing)

    def kept(self) -> Deferred[bool]:
        """Return a Deferred that fires when what was decided and done is written, or could not be.

        Its result is whether it is.
        """
        if not self._writing:
            return succeed(not self._failing)
        answer: Deferred[bool] = Deferred()
        self._waiting.append(answer)
        return answer

    def _failed(self, failure: Any) -> None:
        if not self._failing:
            log.warn(
                "What operators decide is not kept: {why}. Trying again.",
                event="order_not_kept",
                why=failure.value,
            )
        self._failing = True

    def _look(self) -> None:
        self._quieted = bool(self._muted_guests) or any(
            kind in ("mute account", "mute source", "lockdown") for kind, _ in self._orders
        )

    def record(self, session: "Session", what: str, target: str = "", why: str = "") -> None:
        """Somebody who keeps order has done something."""
        log.info(
            "{by!r} (connection {connection}, from {address}) {what} {target!r} {why!r}",
            event="order_given",
            by=session.user.name,
            what=what,
            target=target,
            why=why,
            **log_fields(session),
        )
        self._note(AuditEntry(self._clock.time(), session.user.name, what, target, why))

    def _note(self, action: AuditEntry) -> None:
        def noted(_: object) -> None:
            self._failing = False

        def failed(failure: Any) -> None:
            self._unnoted.append(action)
            self._failed(failure)

        self._writing += 1
        self.records.record(action).addCallbacks(noted, failed).addBoth(self._written)

    def forget(self, account: int, name: str) -> None:
        """The account, which was called *name*, is gone: what was decided about it is void.

        account: its id, 0 if only its name is known.
        """
        key = names.fold(name)

        def meant(id: int, called: str) -> bool:
            return id == account if account else names.fold(called) == key

        for kind, id, order in self.all(*OF_ACCOUNTS):
            called = order.name if isinstance(order, Operator) else order.target
            if meant(int(id), called):
                self.remove(kind, id)
        for kind, room, access in self.all("room"):
            left = tuple(one for one in access.invited if not meant(one[0], one[1]))
            if access.owner and meant(access.owner, access.name):
                self.set(kind, room, replace(access, owner=0, name="nobody", invited=left))
            elif left != access.invited:
                self.set(kind, room, replace(access, invited=left))

    def accounts(self) -> dict[int, str]:
        """The accounts about which something is decided: their names, by their ids."""
        known = {
            int(id): order.name if isinstance(order, Operator) else order.target
            for _, id, order in self.all(*OF_ACCOUNTS)
        }
        for _, _, access in self.all("room"):
            if access.owner:
                known[access.owner] = access.name
            known |= {id: name for id, name, _ in access.invited}
        return known

    def rename(self, present: Mapping[int, str]) -> None:
        """The accounts with these ids are called so now."""
        for kind, id, order in self.all(*OF_ACCOUNTS):
            field = "name" if isinstance(order, Operator) else "target"
            name = present.get(int(id))
            if name is not None and name != getattr(order, field):
                self.set(kind, id, replace(order, **{field: name}))
        for kind, room, access in self.all("room"):
            invited = tuple(
                (id, present.get(id, name), since) for id, name, since in access.invited
            )
            owner = present.get(access.owner, access.name)
            now = replace(access, name=owner, invited=invited)
            if now != access:
                self.set(kind, room, now)

    # -- who may connect

    def refusal(self, host: str | None) -> str | None:
        """Why nobody may connect from *host*, as a sentence; None if they may.

        What is not an address, such as a UNIX socket, is this machine.
        """
        address = address_of(host)
        if self.allowed is not None and (address is None or address not in self.allowed):
            return "Your address is not on the list of this server. Ask whoever runs it."
        return self.banned_from(host)

    def banned_from(self, host: str | None) -> str | None:
        """That whoever comes from *host* is banned, as a sentence; None if they are not."""
        address = address_of(host)
        if address is None or not self._networks:
            return None
        for network in self._networks.find(address):
            order = self.get("ban network", str(network))
            if order is not None:
                return f"You are banned{self.until(order)}."
        return None

    def banned(self, account: int) -> str | None:
        """Why the account may not log in, as a sentence; None if it may."""
        order = self.get("ban account", str(account))
        return f"{order.target} is banned{self.until(order)}." if order else None

    def until(self, order: Sanction) -> str:
        """For how long it holds, and why: ' until 2026-11-24 12:03 (UTC): spam'."""
        until = strftime("until %Y-%m-%d %H:%M (UTC)", gmtime(order.until))
        return f" {until if order.until else 'for good'}{order.why and f': {order.why}'}"

    def why_unbannable(self, network: Network, sessions: "Iterable[Session]") -> str | None:
        """Why *network* may not be banned, as a sentence; None if it may."""
        if network.prefixlen < WIDEST[network.version]:
            return f"{network} is too wide: nothing below /{WIDEST[network.version]} is banned."
        if network.overlaps(ip_network(LOOPBACK[network.version])):
            return f"{network} is this machine."
        if any(network.overlaps(proxy) for proxy in self.spared.networks()):
            return f"{network} has a proxy of this server in it."
        sources = [order.source for _, _, order in self.all("operator") if order.source]
        sources += [session.source for session in sessions if self.is_operator(session)]
        for source in sources:
            if source != LOCAL and network.overlaps(ip_network(source)):
                return f"{network} has an operator in it."
        return None

    # -- who may talk

    def why_muted(self, session: "Session") -> str | None:
        """Why *session* may not talk, as a sentence; None if they may."""
        if not self._quieted or self.is_operator(session):
            return None
        if session.user.account is None and self.locked:
            return "Only registered people may talk just now: /login NAME."
        order = self._muted_guests.get(session.origin)
        if order is not None and not order.holds(self._clock.time()):
            order = None
        if session.user.account is not None:
            order = order or self.get("mute account", str(session.user.account.id))
        else:
            order = order or self._muted_source(session)
        return f"You are muted{self.until(order)}." if order else None

    def _muted_source(self, session: "Session") -> Sanction | None:
        """The mute of guests who come from where *session* does.

        Who comes from this machine cannot be told apart once they come again: it is held against
        those who come after it, and not against those who were here beside whoever is muted.
        """
        if session.source == LOCAL and session.opened < self._local_muted_at:
            return None
        order: Sanction | None = self.get("mute source", session.source)
        return order

    @property
    def locked(self) -> bool:
        """Whether only registered people may enter and talk.

        Without an operator nobody could end it, nor register to become one.
        """
        return ("lockdown", "") in self._orders and bool(self.all("operator"))

    def mute(self, session: "Session | None", account: int, order: Sanction) -> None:
        """Have somebody muted: their account, their connection, and guests who come from there.

        Otherwise they would talk on as a guest.
        """
        if account:
            self.set("mute account", str(account), order)
        if session is not None:
            self._muted_guests[session.origin] = order
            source = session.source
            if source == LOCAL:
                self._local_muted_at = self._clock.seconds()
            known = self.get("mute source", source)
            # It is not to end earlier since somebody else there is muted for a while.
            if known is None or known.until < order.until:
                target = "who comes from this machine as a guest" if source == LOCAL else source
                self.set("mute source", source, replace(order, target=target, about=order.target))
        self._look()

    def muted_guests(self, sessions: "Iterable[Session]") -> list[Sanction]:
        """The mutes of guests who are here, under the names that they have now."""
        now = self._clock.time()
        return [
            replace(order, target=session.user.name)
            for session in sessions
            if session.user.account is None
            and (order := self._muted_guests.get(session.origin)) is not None
            and order.holds(now)
        ]

    def unmute(self, session: "Session | None", account: int, name: str) -> bool:
        """Let somebody talk again; returns whether they were muted."""
        found = bool(account) and self.remove("mute account", str(account))
        if session is not None:
            found |= self._muted_guests.pop(session.origin, None) is not None
            found |= self.remove("mute source", session.source)
        for _, key, order in self.all("mute source"):
            if names.fold(order.about) == names.fold(name):
                found |= self.remove("mute source", key)
        self._look()
        return found

    def left(self, session: "Session") -> None:
        """*session* is gone: of a guest nothing is left."""
        if self._muted_guests.pop(session.origin, None) is not None:
            self._look()

    # -- who keeps order

    def is_operator(self, session: "Session") -> bool:
        """Whether *session* is an operator's."""
        return (
            session.user.account is not None
            and ("operator", str(session.user.account.id)) in self._orders
        )

    def make_operator(self, session: "Session", account: Account) -> None:
        """The account, with which *session* is logged in, is an operator's."""
        source = "" if session.source == LOCAL else session.source
        self.set("operator", str(account.id), Operator(account.name, source))

    def operator(self, account: int) -> Operator | None:
        """Whether the account is an operator's, and which."""
        found: Operator | None = self._orders.get(("operator", str(account)))
        return found

    def came(self, session: "Session") -> None:
        """An operator may have logged in: where from is remembered, so that it is not banned."""
        account = session.user.account
        if account is not None and (known := self.operator(account.id)) is not None:
            # Who comes from this machine may come from there again.
            source = known.source if session.source == LOCAL else session.source
            now = Operator(account.name, source)
            if now != known:
                self.set("operator", str(account.id), now)

    def is_reserved(self, name: str) -> bool:
        """Whether *name* is, or resembles, one kept for an operator who has not registered yet."""
        registered = {names.fold(order.name) for _, _, order in self.all("operator")}
        return any(
            key not in registered and names.alike(name, kept) for key, kept in self.reserved.items()
        )

    def open_claim(self, random: Callable[[int], str] = secrets.token_hex) -> str:
        """A code that makes its claimant an operator; empty if nobody needs to claim anything."""
        unclaimed = any(self.is_reserved(name) for name in self.reserved.values())
        if self.all("operator") and not unclaimed:
            return ""
        digits = random(CLAIM_BYTES).upper()
        self.code = "-".join(digits[place : place + 4] for place in range(0, len(digits), 4))
        return self.code

    def is_code(self, text: str) -> bool:
        """Return whether *text* is the code that makes its claimant an operator."""
        given, code = (one.upper().replace("-", "").encode() for one in (text, self.code))
        return bool(code) and secrets.compare_digest(given, code)

    # -- rooms

    def access(self, room: str) -> Access | None:
        """Who may enter the room with this key; None if it is nobody's, and everybody's."""
        found: Access | None = self._orders.get(("room", room))
        return found

    def visible_from(self, session: "Session", room: str) -> int | None:
        """From which id on *session* may see what is said in the room; None for not at all."""
        access = self.access(room)
        if access is None or self.is_operator(session):
            return 0
        invited = session.invited.get(room)
        since = access.visible_from(session.user.account.id if session.user.account else 0)
        return since if since is not None else invited


def as_network(text: str) -> Network | None:
    """An address or network as people write it; None if it is none.

    As in limits.address_of, IPv4 that is written as IPv6 is IPv4, and zones do not count.
    """
    try:
        network = ip_network(re.sub("%[^/]*", "", text), strict=False)
    except ValueError:
        return None
    mapped = None
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
    return network if mapped is None else IPv4Network((mapped, network.prefixlen - 96))


def read_networks(lines: Sequence[str]) -> Networks:
    """The networks in *lines*, one in each, with comments from # on. Raises ValueError."""
    networks = Networks()
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            network = as_network(text)
            if network is None:
                raise ValueError(f"line {number}: {text!r} is neither an address nor a network")
            networks.add(network)
    return networks
