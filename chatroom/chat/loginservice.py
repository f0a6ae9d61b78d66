"""The login service: who is logged in, password checks in their turn, and pairing codes.

An account is in use by one connection, the one that logged in last. (A connection for a single
command, such as `ssh host /who`, takes it over from none.) The state of an account is saved when
its user logs out or leaves, and every minute until then. A failure to save is logged, and nothing
else fails with it.
"""

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from chatroom.accounts import passwords
from chatroom.accounts.throttle import LoginThrottle
from chatroom.backends.interfaces import AccountStore
from chatroom.chat.user import User
from chatroom.model.accounts import Account, AccountState
from chatroom.model.clock import Clock
from chatroom.model.limits import RateLimit
from chatroom.model.refused import TooMany
from chatroom.text.times import DAY

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

log = Logger()

#: Calls a slow function with these arguments in another thread; fires with what it returns.
RunInThread = Callable[..., "Deferred[Any]"]

#: How long a pairing code is valid, and how many wrong ones a source may try in an hour.
CODE_SECONDS = 120.0
WRONG_CODES_PER_HOUR = 5

#: The characters of pairing codes, without those that look alike (0 and O, 1 and I). A code begins
#: with a digit, which no name does.
DIGITS = "23456789"
LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ" + DIGITS
CODE_LENGTH = 8

#: How often the throttle may reject a connection's attempts before that counts as a failure.
FREE_REJECTIONS = 5

#: How many messages one source may leave in an hour for users who are away.
MESSAGES_PER_HOUR = 100


class LoginSubject(Protocol):
    """A connection from which passwords are tried, with or without a connection.

    origin: the number of the connection.
    source: the network that limits count it for, see limits.source_of.
    opened: when the connection was opened, by `Clock.seconds`.
    failures: how many wrong passwords came from it.
    turned_away: how many passwords were not checked, because too many attempts waited.
    address: the IP address of the peer.
    """

    origin: int
    source: str
    opened: float
    failures: int
    turned_away: int

    @property
    def address(self) -> str: ...

    @property
    def over(self) -> bool:
        """Whether the connection is closed, so that no answer is needed."""


def log_fields(subject: LoginSubject) -> dict[str, Any]:
    """Return the fields by which log events name a connection."""
    return {
        "connection": subject.origin,
        "address": subject.address,
        "source": subject.source,
    }


class PairingCode(NamedTuple):
    """A code that /pair has issued.

    account: the account that the code logs in to.
    place: a description of the connection on which the user asked for it.
    until: when it expires, by `Clock.seconds`.
    """

    account: Account
    place: str
    until: float


class LoginService:
    """The logins of one server.

    run: runs the hashing of a password in a thread.
    width: how many passwords are hashed at the same time.
    keep_days: after how many days without a login an account expires, 0 for never.
    per_day: how many accounts one source may register in a day, 0 for no limit.
    """

    def __init__(
        self,
        clock: Clock,
        accounts: AccountStore,
        run: RunInThread,
        *,
        width: int = 1,
        keep_days: float = 0.0,
        per_day: int = 0,
    ) -> None:
        seconds = clock.seconds
        self.accounts = accounts
        #: It may change while the server runs, and so may `created.count`.
        self.keep_days = keep_days
        self.throttle = LoginThrottle(clock, width)
        #: Limits for each source: accounts registered, wrong codes tried, and messages left for
        #: users who are away.
        self.created = RateLimit(per_day, DAY, seconds)
        self.wrong_codes = RateLimit(WRONG_CODES_PER_HOUR, 3600, seconds)
        self.messages_left = RateLimit(MESSAGES_PER_HOUR, 3600, seconds)
        #: The users in the rooms that are logged in, by account id.
        self.online: dict[int, User] = {}
        #: Returns what is to be kept of a user's account; None for nothing.
        self.state_of: Callable[[User], AccountState | None] = lambda user: None
        #: All connections that are logged in, by account id and by origin.
        self.connections: dict[int, dict[int, Connection]] = {}
        #: The ids of the accounts that were removed since the server started.
        self.removed: set[int] = set()
        self._clock = clock
        self._run = run
        # The valid codes, by what the user types.
        self._codes: dict[str, PairingCode] = {}
        self._failing = False
        self._closed = False

    # -- passwords

    def check_password(
        self, subject: LoginSubject, account: Account, password: str
    ) -> Deferred[bool]:
        """Return whether *password* is that of *account*, checked in its turn.

        Fails with TooMany if too many attempts wait.
        """
        return self._attempt(
            subject, account.key, lambda: self._run(passwords.matches, password, account.password)
        )

    def hash_password(self, connection: "Connection", password: str) -> Deferred[str]:
        """Return the hash to store for *password*, made in its turn.

        Fails with TooMany if too many attempts wait.
        """
        made: list[str] = []

        def keep(stored: str) -> bool:
            made.append(stored)
            return True

        done = self._attempt(
            connection, "", lambda: self._run(passwords.make, password).addCallback(keep)
        )
        return done.addCallback(lambda _: made[0])

    def _attempt(
        self, subject: LoginSubject, name: str, work: Callable[[], Deferred[bool]]
    ) -> Deferred[bool]:
        attempt = self.throttle.add(
            name,
            subject.source,
            subject.failures,
            subject.opened,
            work,
            # Lines that came before a connection closed still count: it is over after them.
            lambda: subject.over,
        )

        def turned_away(failure: Any) -> Any:
            # A user may be rejected some times by bad luck and keeps their rank; a client that
            # floods the server does not.
            if failure.check(TooMany) is not None:
                subject.turned_away += 1
                subject.failures += subject.turned_away > FREE_REJECTIONS
            return failure

        return attempt.addErrback(turned_away)

    # -- who is here

    def logged_in(self, user: User, account: Account) -> None:
        """Note that *user* is logged in to *account*, and in the rooms as that."""
        self.online[account.id] = user
        user.account = account
        for one in cast("tuple[Connection, ...]", user.connections):
            self.connected(one)
        # Connections for one command, which were here before.
        for one in list(self.connections[account.id].values()):
            if one.one_shot and one.user is not user:
                one.user.connections = ()
                one.user = user
                user.connections = (*user.connections, one)

    def left(self, user: User, *, keep: bool = True) -> None:
        """Note that *user* is in no room any more.

        keep: False if the account was removed, so that there is no state to save.
        """
        account = user.account
        if account is None:
            return
        if keep and not self._closed:
            self.save_users([user])
        if self.online.get(account.id) is user:
            del self.online[account.id]
            self._drop_codes(account)

    def logged_out(self, user: User, *, keep: bool = True) -> None:
        """Note that *user* is a guest from here on; *keep*: see `left`.

        Their connections for one command go on as the owner of the account.
        """
        self.left(user, keep=keep)
        for one in cast("tuple[Connection, ...]", user.connections):
            if one.one_shot:
                one.user = user.copy(one)
            else:
                self.disconnected(one)
        user.connections = tuple(user.reading)
        user.account = None

    def connected(self, connection: "Connection") -> None:
        """Note that *connection*, whose user has an account, is a connection to that."""
        assert connection.user.account is not None
        self.connections.setdefault(connection.user.account.id, {})[connection.origin] = connection

    def disconnected(self, connection: "Connection") -> None:
        """Note that *connection* is no connection to an account any more."""
        account = connection.user.account
        if account is not None and (same := self.connections.get(account.id)) is not None:
            same.pop(connection.origin, None)
            if not same:
                del self.connections[account.id]

    def save_users(self, users: list[User] | None = None) -> None:
        """Save the account states of these users, by default of all that are logged in."""
        here = list(self.online.values()) if users is None else users
        self.save([state for user in here if (state := self.state_of(user)) is not None])

    def save(self, states: list[AccountState]) -> Deferred[bool]:
        """Save *states*. Fires with whether that succeeded; logs the first of several failures."""

        def failed(failure: Any) -> bool:
            if not self._failing:
                log.warn(
                    "What accounts have read is not kept: {why}.",
                    event="visits_not_kept",
                    why=failure.value,
                )
            self._failing = True
            return False

        def kept(_: object) -> bool:
            self._failing = False
            return True

        if not states:
            return succeed(True)
        return self.accounts.save(states).addCallbacks(kept, failed)

    def expire(self, now: float, told: Callable[[str], None]) -> None:
        """Remove the accounts that were not used for `keep_days`; call *told* with each name.

        now: in seconds since the epoch.
        """
        if not self.keep_days:
            return

        def lapsed(gone: list[str]) -> None:
            for name in gone:
                log.info("The name {name!r} has lapsed.", event="name_lapsed", name=name)
                told(name)

        def failed(failure: Any) -> None:
            log.warn(
                "Names could not lapse: {why}. Trying again later.",
                event="lapse_failed",
                why=failure.value,
            )

        # First, because accounts that are logged in are in use. It does not matter if it fails.
        self.save_users()
        before = now - self.keep_days * DAY
        self.accounts.expire(before).addCallbacks(lapsed, failed)

    def expiry_notice(self, name: str) -> tuple[str, ...]:
        """Return sentences that say when *name* expires if it is not used."""
        if not (self.keep_days and self.accounts.lasting):
            return ()
        days = f"{self.keep_days:g} day{'' if self.keep_days == 1 else 's'}"
        return (f"{name} lapses after {days} without a visit.",)

    def lifetime_notice(self) -> tuple[str, ...]:
        """Return sentences that say how long a name stays registered."""
        if not self.accounts.lasting:
            return ("This server keeps names only as long as it runs.",)
        return self.expiry_notice("It")

    # -- codes

    def pair(self, connection: "Connection") -> str:
        """Return a new code that logs in another connection of the same user, once.

        The user's previous code becomes invalid. The new one does so when the user leaves (but not
        when a connection for a single command ends).
        """
        account = connection.user.account
        assert account is not None
        self._drop_codes(account)
        text = secrets.choice(DIGITS)
        text += "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH - 1))
        until = self._clock.seconds() + CODE_SECONDS
        self._codes[text] = PairingCode(account, connection.client.place, until)
        return text

    def redeem(self, text: str) -> PairingCode | None:
        """Use up the code *text*. Returns None if it is not valid."""
        code = self._codes.pop(text, None)
        return code if code is not None and code.until > self._clock.seconds() else None

    def _drop_codes(self, account: Account) -> None:
        """Forget the codes of *account*, and those that have expired."""
        now = self._clock.seconds()
        self._codes = {
            text: code
            for text, code in self._codes.items()
            if code.account.id != account.id and code.until > now
        }

    def close(self) -> None:
        """Save all states and begin nothing more, as the server stops."""
        self.throttle.close()
        self.save_users()
        self._closed = True


def as_code(text: str) -> str | None:
    """Return *text* in the form of pairing codes, or None if it cannot be one.

    Case and hyphens do not matter: "2abc-defg" is 2ABCDEFG.
    """
    code = text.upper().replace("-", "")
    plausible = len(code) == CODE_LENGTH and code[0] in DIGITS and set(code) <= set(LETTERS)
    return code if plausible else None
