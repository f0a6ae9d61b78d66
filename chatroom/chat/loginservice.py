"""The registry: who is logged in, and what all sessions share about accounts.

The rule: an account is in use by one connection, the one that logged in last; who passes for one
command takes it from nobody. What is kept of it is written when it leaves, and every minute before
that; that it cannot be is logged, and costs nobody anything else.
"""

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from chatroom.accounts import passwords
from chatroom.accounts.throttle import LoginThrottle
from chatroom.backends.interfaces import AccountStore
from chatroom.model.accounts import Account, AccountState
from chatroom.model.clock import Clock
from chatroom.model.limits import RateLimit
from chatroom.model.refused import TooMany
from chatroom.text.times import DAY

if TYPE_CHECKING:
    from chatroom.chat.session import Session

log = Logger()

#: Calls a function that takes long, with these arguments, where that holds up nobody.
RunInThread = Callable[..., "Deferred[Any]"]

#: For how long, in seconds, a code is good, and how many wrong ones a source may try in an hour.
CODE_SECONDS = 120.0
WRONG_CODES_PER_HOUR = 5

#: What codes consist of: nothing that is taken for something else. They begin with a digit, as no
#: name does.
DIGITS = "23456789"
LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ" + DIGITS
CODE_LENGTH = 8

#: How often a connection may be turned away before that counts as failing.
FREE_REJECTIONS = 5

#: How many private lines one source may leave in an hour for people who are not here.
MESSAGES_PER_HOUR = 100


class LoginSubject(Protocol):
    """Who tries passwords: a session, or somebody who has none yet.

    origin, address: the number of their connection, and what the network has as its other end.
    source: whom it counts for, see limits.source_of. opened: when it came, by
    `Clock.seconds`. failures: how many wrong passwords came from it. turned_away: how often one was
    not looked at, because too many waited.
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
        """Nobody waits for the answer any more."""


def log_fields(subject: LoginSubject) -> dict[str, Any]:
    """What the log says of each step of a login: whose it is, and where they are."""
    return {
        "connection": subject.origin,
        "address": subject.address,
        "source": subject.source,
    }


class PairingCode(NamedTuple):
    """What somebody asked for with /pair.

    account: as whom it logs in. place: where they were, in words. until: when it ends, by
    `Clock.seconds`.
    """

    account: Account
    place: str
    until: float


class LoginService:
    """The accounts of one server.

    run: for making and comparing passwords. width: how many of these at a time. keep_days: after
    how many days without a visit an account lapses, 0 for never. per_day: how many accounts one
    source may make in a day, 0 for no limit.
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
        #: See above; it may change, and so may `created.count`.
        self.keep_days = keep_days
        self.throttle = LoginThrottle(clock, width)
        #: How many accounts each source has made, how many wrong codes it has tried, and how many
        #: lines it has left for people who are not here.
        self.created = RateLimit(per_day, DAY, seconds)
        self.wrong_codes = RateLimit(WRONG_CODES_PER_HOUR, 3600, seconds)
        self.messages_left = RateLimit(MESSAGES_PER_HOUR, 3600, seconds)
        #: Who is logged in, by the id of their account.
        self.online: dict[int, Session] = {}
        #: All connections that are logged in, by the id of their account and by origin.
        self.sessions: dict[int, dict[int, Session]] = {}
        #: The ids of the accounts that were given up in this run.
        self.removed: set[int] = set()
        self._clock = clock
        self._run = run
        # By what is to be typed.
        self._codes: dict[str, PairingCode] = {}
        self._failing = False
        self._closed = False

    # -- passwords

    def check_password(
        self, subject: LoginSubject, account: Account, password: str
    ) -> Deferred[bool]:
        """Whether *password* is that of *account*, found out in its turn; fails with TooMany."""
        return self._attempt(
            subject, account.key, lambda: self._run(passwords.matches, password, account.password)
        )

    def hash_password(self, session: "Session", password: str) -> Deferred[str]:
        """What is kept in place of *password*, made in its turn; fails with TooMany."""
        made: list[str] = []

        def keep(stored: str) -> bool:
            made.append(stored)
            return True

        done = self._attempt(
            session, "", lambda: self._run(passwords.make, password).addCallback(keep)
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
            # A closed connection's lines still count: it ends when they are done.
            lambda: subject.over,
        )

        def turned_away(failure: Any) -> Any:
            # Who was unlucky tries again as who has never failed, who hammers does not.
            if failure.check(TooMany) is not None:
                subject.turned_away += 1
                subject.failures += subject.turned_away > FREE_REJECTIONS
            return failure

        return attempt.addErrback(turned_away)

    # -- who is here

    def present(self, session: "Session") -> "Session":
        """Who is here as whoever *session* is: itself, but for who passes while they are here."""
        if session.account is None:
            return session
        return self.online.get(session.account.id, session)

    def logged_in(
        self, session: "Session", account: Account, *, paired: bool = False
    ) -> "Session | None":
        """*session* is logged in; returns who was until now, and what was to be kept of them is.

        paired: whether all that they had for it is a code of /pair.
        """
        former = self.online.get(account.id)
        if former is not None:
            self.logged_out(former)
        self.online[account.id] = session
        self.assign(session, account)
        session.paired = paired
        return former

    def logged_out(self, session: "Session", *, keep: bool = True) -> None:
        """*session* is not logged in any more. keep: whether its account is still there."""
        account = session.account
        if account is None:
            return
        if keep and not self._closed:
            self.save_sessions([session])
        if self.online.get(account.id) is session:
            # What it has read stays with it, for who comes in its place.
            session.places = session.read_so_far()
            del self.online[account.id]
            self._drop_codes(account)
        self.assign(session, None)

    def assign(self, session: "Session", account: Account | None) -> None:
        """Have *session* be logged in with *account*, or with none."""
        if session.account is not None and (same := self.sessions.get(session.account.id)):
            same.pop(session.origin, None)
            if not same:
                del self.sessions[session.account.id]
        session.account = account
        if account is not None:
            self.sessions.setdefault(account.id, {})[session.origin] = session

    def save_sessions(self, sessions: "list[Session] | None" = None) -> None:
        """Keep what is to be kept of these people, or of all who are logged in."""
        here = list(self.online.values()) if sessions is None else sessions
        self.save([state for session in here if (state := session.account_state()) is not None])

    def save(self, states: list[AccountState]) -> Deferred[bool]:
        """Keep these; returns a Deferred that fires with whether they are."""

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
        """Remove the accounts that nobody has used for too long by *now*; each name is *told*."""
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

        # Who is here uses theirs, whether or not that could be written.
        self.save_sessions()
        before = now - self.keep_days * DAY
        self.accounts.expire(before).addCallbacks(lapsed, failed)

    def expiry_notice(self, name: str) -> tuple[str, ...]:
        """When *name* lapses that nobody uses, as sentences."""
        if not (self.keep_days and self.accounts.lasting):
            return ()
        days = f"{self.keep_days:g} day{'' if self.keep_days == 1 else 's'}"
        return (f"{name} lapses after {days} without a visit.",)

    def lifetime_notice(self) -> tuple[str, ...]:
        """For how long a name stays registered, as sentences."""
        if not self.accounts.lasting:
            return ("This server keeps names only as long as it runs.",)
        return self.expiry_notice("It")

    # -- codes

    def pair(self, session: "Session") -> str:
        """A code that logs another connection in once as who *session* is; their last one ends.

        It ends when they leave, but not with whoever is only passing.
        """
        account = session.account
        assert account is not None
        self._drop_codes(account)
        text = secrets.choice(DIGITS)
        text += "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH - 1))
        until = self._clock.seconds() + CODE_SECONDS
        self._codes[text] = PairingCode(account, session.connection.place, until)
        return text

    def redeem(self, text: str) -> PairingCode | None:
        """What was asked for with /pair, None if it is not good; it is not good a second time."""
        code = self._codes.pop(text, None)
        return code if code is not None and code.until > self._clock.seconds() else None

    def _drop_codes(self, account: Account) -> None:
        """The codes of *account*, and those whose time is up, are good no more."""
        now = self._clock.seconds()
        self._codes = {
            text: code
            for text, code in self._codes.items()
            if code.account.id != account.id and code.until > now
        }

    def close(self) -> None:
        """The server stops: keep what there is to keep, and begin nothing more."""
        self.throttle.close()
        self.save_sessions()
        self._closed = True


def as_code(text: str) -> str | None:
    """*text* as a code, None if it does not look like one; its case and a - do not count."""
    code = text.upper().replace("-", "")
    plausible = len(code) == CODE_LENGTH and code[0] in DIGITS and set(code) <= set(LETTERS)
    return code if plausible else None
