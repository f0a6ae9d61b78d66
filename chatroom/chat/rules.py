"""Moderation: who may connect, talk and enter rooms, by the decisions of operators.

Decisions hold at once, and are saved when the store can take them. Operators, proxies and this
machine cannot be banned.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_network
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from chatroom.backends.interfaces import ModerationStore
from chatroom.chat.loginservice import log_fields
from chatroom.chat.ruletables import NetworkBans, OnChange, RuleSaver, RuleTable
from chatroom.chat.user import User
from chatroom.model.accounts import Account
from chatroom.model.clock import Clock
from chatroom.model.limits import LOCAL, RateLimit, address_of
from chatroom.model.networks import Network, Networks
from chatroom.model.sanctions import (
    AuditEntry,
    Operator,
    RoomAccess,
    Rule,
    RuleKey,
    RuleKind,
    Sanction,
)
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

log = Logger()

#: How many wrong claim codes one source may try in an hour, and of how many bytes of chance the
#: right one is made: it is not found by trying from many places either.
CLAIM_TRIES = 5
CLAIM_BYTES = 6

#: The shortest prefixes that may be banned: less would be whole countries, or everybody.
WIDEST = {4: 8, 6: 19}

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
        self.saver = RuleSaver(records)
        #: Called with every rule that has changed, None for one that has ended.
        self.on_change: OnChange = lambda kind, key, rule: None
        common = (clock.time, self._apply, self.saver)
        self.account_bans = RuleTable[int, Sanction](RuleKind.ACCOUNT_BAN, *common)
        self.network_bans = NetworkBans(*common)
        self.account_mutes = RuleTable[int, Sanction](RuleKind.ACCOUNT_MUTE, *common)
        self.source_mutes = RuleTable[str, Sanction](RuleKind.SOURCE_MUTE, *common)
        #: Of guests, who have no account.
        self.connection_mutes = RuleTable[int, Sanction](
            RuleKind.CONNECTION_MUTE, clock.time, self._apply, None
        )
        self.operators = RuleTable[int, Operator](RuleKind.OPERATOR, *common)
        self.rooms = RuleTable[str, RoomAccess](RuleKind.ROOM, *common)
        self.lockdown = RuleTable[str, Sanction](RuleKind.LOCKDOWN, *common)
        tables: list[RuleTable[Any, Any]] = [
            *(self.account_bans, self.network_bans, self.operators, self.rooms, self.lockdown),
            *(self.account_mutes, self.source_mutes, self.connection_mutes),
        ]
        self._tables = {table.kind: table for table in tables}
        # Whether anybody may be muted at all.
        self._quieted = False
        # The connections of guests who were invited to rooms.
        self._invited_guests: set[int] = set()
        # When a guest of this machine was muted last, by the clock that connections go by.
        self._local_muted_at = 0.0

    # -- keeping

    def restore(self, kept: Iterable[tuple[RuleKind, RuleKey, Rule]]) -> None:
        """Begin with the rules that a store has kept."""
        for kind, key, rule in kept:
            self.changed(kind, key, rule)

    def changed(self, kind: RuleKind, key: RuleKey, rule: Rule) -> None:
        """See interfaces.ModerationReceiver."""
        self._tables[kind].apply(key, rule)

    def removed(self, kind: RuleKind, key: RuleKey) -> None:
        """See interfaces.ModerationReceiver."""
        self._tables[kind].apply(key, None)

    def keep(self, now: float) -> None:
        """Remove what has ended at *now*, and try again to save what could not be saved."""
        self.saver.retry()
        for table in self._tables.values():
            table.expire(now)

    def _apply(self, kind: RuleKind, key: RuleKey, rule: Rule | None) -> None:
        """Update what is derived from the rules: this one has changed."""
        mutes = (self.account_mutes, self.source_mutes, self.connection_mutes)
        self._quieted = any(mutes) or bool(self.lockdown)
        if isinstance(rule, RoomAccess):
            self._invited_guests.update(rule.guests)
        self.on_change(kind, key, rule)

    def record(self, connection: "Connection", what: str, target: str = "", why: str = "") -> None:
        """Somebody who keeps order has done something."""
        log.info(
            "{by!r} (connection {connection}, from {address}) {what} {target!r} {why!r}",
            event="order_given",
            by=connection.user.name,
            what=what,
            target=target,
            why=why,
            **log_fields(connection),
        )
        self.saver.record(AuditEntry(self._clock.time(), connection.user.name, what, target, why))

    def forget(self, account: int, name: str) -> None:
        """Void what was decided about an account that is gone, and that was called *name*.

        account: its id, 0 if only its name is known.
        """
        key = names.fold(name)

        def meant(id: int, called: str) -> bool:
            return id == account if account else names.fold(called) == key

        for sanctions in (self.account_bans, self.account_mutes):
            for id, sanction in sanctions.items():
                if meant(id, sanction.target):
                    sanctions.remove(id)
        for id, operator in self.operators.items():
            if meant(id, operator.name):
                self.operators.remove(id)
        for room, access in self.rooms.items():
            left = tuple(one for one in access.invited if not meant(one[0], one[1]))
            if access.owner and meant(access.owner, access.name):
                self.rooms.set(room, replace(access, owner=0, name="nobody", invited=left))
            elif left != access.invited:
                self.rooms.set(room, replace(access, invited=left))

    def accounts(self) -> dict[int, str]:
        """Return the names of the accounts about which something is decided, by their ids."""
        known = {id: operator.name for id, operator in self.operators.items()}
        for sanctions in (self.account_bans, self.account_mutes):
            known |= {id: sanction.target for id, sanction in sanctions.items()}
        for _, access in self.rooms.items():
            if access.owner:
                known[access.owner] = access.name
            known |= {id: name for id, name, _ in access.invited}
        return known

    def rename(self, present: Mapping[int, str]) -> None:
        """Use the present names of the accounts with these ids."""
        for sanctions in (self.account_bans, self.account_mutes):
            for id, sanction in sanctions.items():
                if (name := present.get(id, sanction.target)) != sanction.target:
                    sanctions.set(id, replace(sanction, target=name))
        for id, operator in self.operators.items():
            if (name := present.get(id, operator.name)) != operator.name:
                self.operators.set(id, replace(operator, name=name))
        for room, access in self.rooms.items():
            invited = tuple(
                (id, present.get(id, name), first) for id, name, first in access.invited
            )
            owner = present.get(access.owner, access.name)
            now = replace(access, name=owner, invited=invited)
            if now != access:
                self.rooms.set(room, now)

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
        if address is None or not self.network_bans:
            return None
        ban = self.network_bans.find(address)
        return f"You are banned{self.until(ban)}." if ban is not None else None

    def banned(self, account: int) -> str | None:
        """Why the account may not log in, as a sentence; None if it may."""
        order = self.account_bans.get(account)
        return f"{order.target} is banned{self.until(order)}." if order else None

    def until(self, order: Sanction) -> str:
        """For how long it holds, and why: ' until 2026-11-24 12:03 (UTC): spam'."""
        until = strftime("until %Y-%m-%d %H:%M (UTC)", gmtime(order.until))
        return f" {until if order.until else 'for good'}{order.why and f': {order.why}'}"

    def why_unbannable(self, network: Network, connections: "Iterable[Connection]") -> str | None:
        """Why *network* may not be banned, as a sentence; None if it may."""
        if network.prefixlen < WIDEST[network.version]:
            return f"{network} is too wide: nothing below /{WIDEST[network.version]} is banned."
        if network.overlaps(ip_network(LOOPBACK[network.version])):
            return f"{network} is this machine."
        if any(network.overlaps(proxy) for proxy in self.spared.networks()):
            return f"{network} has a proxy of this server in it."
        sources = [operator.source for _, operator in self.operators.items() if operator.source]
        sources += [
            connection.source for connection in connections if self.is_operator(connection.user)
        ]
        for source in sources:
            if source != LOCAL and network.overlaps(ip_network(source)):
                return f"{network} has an operator in it."
        return None

    # -- who may talk

    def why_muted(self, connection: "Connection") -> str | None:
        """Why *connection* may not talk, as a sentence; None if they may."""
        user = connection.user
        if not self._quieted or self.is_operator(user):
            return None
        if user.account is None and self.locked:
            return "Only registered people may talk just now: /login NAME."
        order = self.connection_mutes.get(user.origin)
        if user.account is not None:
            order = order or self.account_mutes.get(user.account.id)
        else:
            order = order or self._muted_source(connection)
        return f"You are muted{self.until(order)}." if order else None

    def _muted_source(self, connection: "Connection") -> Sanction | None:
        """The mute of guests who come from where *connection* does.

        Who comes from this machine cannot be told apart once they come again: it is held against
        those who come after it, and not against those who were here beside whoever is muted.
        """
        if connection.source == LOCAL and connection.opened < self._local_muted_at:
            return None
        return self.source_mutes.get(connection.source)

    @property
    def locked(self) -> bool:
        """Whether only registered people may enter and talk.

        Without an operator nobody could end it, nor register to become one.
        """
        return "" in self.lockdown and bool(self.operators)

    def mute(self, user: User | None, account: int, order: Sanction) -> None:
        """Have somebody muted: their account, their connection, and guests who come from there.

        Otherwise they would talk on as a guest.
        """
        if account:
            self.account_mutes.set(account, order)
        if user is not None:
            self.connection_mutes.set(user.origin, order)
            source = user.source
            if source == LOCAL:
                self._local_muted_at = self._clock.seconds()
            known = self.source_mutes.get(source)
            # It is not to end earlier since somebody else there is muted for a while.
            if known is None or known.until < order.until:
                target = "who comes from this machine as a guest" if source == LOCAL else source
                self.source_mutes.set(source, replace(order, target=target, about=order.target))

    def muted_guests(self, users: Iterable[User]) -> list[Sanction]:
        """The mutes of guests who are here, under the names that they have now."""
        return [
            replace(order, target=user.name)
            for user in users
            if user.account is None
            and (order := self.connection_mutes.get(user.origin)) is not None
        ]

    def unmute(self, user: User | None, account: int, name: str) -> bool:
        """Let somebody talk again; returns whether they were muted."""
        found = bool(account) and self.account_mutes.remove(account)
        if user is not None:
            found |= self.connection_mutes.remove(user.origin)
            found |= self.source_mutes.remove(user.source)
        for source, order in self.source_mutes.items():
            if names.fold(order.about) == names.fold(name):
                found |= self.source_mutes.remove(source)
        return found

    def carry_over(self, guest: User, user: User) -> None:
        """Hold *user* to the mute of *guest*, who they turned out to be."""
        if (order := self.connection_mutes.get(guest.origin)) is not None:
            self.connection_mutes.set(user.origin, order)

    def left(self, user: User) -> None:
        """Forget what was decided about *user* as long as they are here."""
        self.connection_mutes.remove(user.origin)
        if user.origin in self._invited_guests:
            self._invited_guests.discard(user.origin)
            for _, access in self.rooms.items():
                access.guests.pop(user.origin, None)

    # -- who keeps order

    def is_operator(self, user: User) -> bool:
        """Return whether *user* is an operator."""
        return user.account is not None and user.account.id in self.operators

    def make_operator(self, connection: "Connection", account: Account) -> None:
        """The account, with which *connection* is logged in, is an operator's."""
        source = "" if connection.source == LOCAL else connection.source
        self.operators.set(account.id, Operator(account.name, source))

    def came(self, connection: "Connection") -> None:
        """An operator may have logged in: where from is remembered, so that it is not banned."""
        account = connection.user.account
        if account is not None and (known := self.operators.get(account.id)) is not None:
            # Who comes from this machine may come from there again.
            source = known.source if connection.source == LOCAL else connection.source
            now = Operator(account.name, source)
            if now != known:
                self.operators.set(account.id, now)

    def is_reserved(self, name: str) -> bool:
        """Whether *name* is, or resembles, one kept for an operator who has not registered yet."""
        registered = {names.fold(operator.name) for _, operator in self.operators.items()}
        return any(
            key not in registered and names.alike(name, kept) for key, kept in self.reserved.items()
        )

    def open_claim(self, random: Callable[[int], str] = secrets.token_hex) -> str:
        """A code that makes its claimant an operator; empty if nobody needs to claim anything."""
        unclaimed = any(self.is_reserved(name) for name in self.reserved.values())
        if self.operators and not unclaimed:
            return ""
        digits = random(CLAIM_BYTES).upper()
        self.code = "-".join(digits[place : place + 4] for place in range(0, len(digits), 4))
        return self.code

    def is_code(self, text: str) -> bool:
        """Return whether *text* is the code that makes its claimant an operator."""
        given, code = (one.upper().replace("-", "").encode() for one in (text, self.code))
        return bool(code) and secrets.compare_digest(given, code)

    # -- rooms

    def visible_from(self, user: User, room: str) -> int | None:
        """Return the first id in the room that *user* may see, None if they may see nothing."""
        access = self.rooms.get(room)
        if access is None or self.is_operator(user):
            return 0
        account = user.account
        return access.visible_from(account.id if account is not None else 0, user.origin)

    def invite_guests(self, room: str, guests: Mapping[int, int]) -> None:
        """Invite guests to the room as long as they are here.

        guests: for each connection id the first id that is visible to it.
        """
        access = self.rooms.get(room) or RoomAccess(0, "nobody")
        self.rooms.apply(room, replace(access, guests={**access.guests, **guests}))
