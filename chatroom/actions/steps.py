"""Steps that wait: for the book of accounts, for claims, for records, for a password's turn.

The rule: input waits until it is known how a step ended, nothing is waited for without end, and
after each step it is asked whether anybody is still there.
"""

from collections.abc import Callable, Generator
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger

from chatroom.model.clock import Clock
from chatroom.model.history import REMOVED_LATER
from chatroom.model.refused import Code, Refused, TooMany
from chatroom.text.prose import paragraph

if TYPE_CHECKING:
    from chatroom.chat.session import Session

log = Logger()


#: What waits for steps and yields what they are to wait for.
Flow = Generator["Deferred[Any]", Any, None]

#: How long, in seconds, an answer may take.
PATIENCE = 5.0

UNKEPT = "It is not written down yet; it holds as long as the server runs."

P = ParamSpec("P")
T = TypeVar("T")

SORRY = "Accounts cannot be used just now. Please try again later."


class Gone(Exception):
    """Nobody is here any more."""


def bare(failure: Any) -> Any:
    """*failure* without the frames that it came through, but for where in the source these were.

    What was typed is in them, passwords too, and they know the failure: in such a circle it would
    all wait for the garbage collector, see Conversation._let_go.
    """
    # Twisted's cleanFailure does it as well, and nothing once twisted.trial was imported.
    failure.frames = failure.frames
    failure.tb = failure.value.__traceback__ = None
    return failure


def steps(work: Callable[P, Generator["Deferred[Any]", Any, T]]) -> Callable[P, "Deferred[T]"]:
    """Twisted's `inlineCallbacks`; failures, its own and those it waits for, are `bare`."""

    @inlineCallbacks
    def begun(*args: P.args, **kwargs: P.kwargs) -> Generator["Deferred[Any]", Any, T]:
        flow = work(*args, **kwargs)
        try:
            waits = next(flow)
            while True:
                if isinstance(waits, Deferred):
                    # What is there at once may be yielded as well.
                    waits.addErrback(bare)
                try:
                    answer = yield waits
                except Exception as error:
                    waits = flow.throw(error)
                else:
                    waits = flow.send(answer)
        except StopIteration as ended:
            result: T = ended.value
            return result

    @wraps(work)
    def begin(*args: P.args, **kwargs: P.kwargs) -> "Deferred[T]":
        return begun(*args, **kwargs).addErrback(bare)

    return begin


def in_time(answer: "Deferred[Any]", clock: Clock, patience: float = PATIENCE) -> "Deferred[Any]":
    """*answer*, which fails with TimeoutError if it is not there in time, *patience* seconds."""
    # mypy: a Clock and a reactor both can do what addTimeout wants, which asks for a whole reactor.
    return answer.addTimeout(patience, clock).addErrback(bare)  # type: ignore[arg-type]


def apart(answer: "Deferred[Any]") -> "Deferred[Any]":
    """The same answer for somebody who may give up waiting for it.

    What else is to be done with *answer*, by callbacks that it has already, is done whenever it
    comes.
    """
    waits: Deferred[Any] = Deferred()
    # Once it is given up it takes what comes too late in silence.
    answer.chainDeferred(waits)
    return waits


def carry_out(session: "Session", flow: "Deferred[Any]") -> None:
    """Let input wait until *flow* has ended, and say what there is to say about how it did."""

    def failed(failure: Any) -> None:
        if failure.check(Gone) or session.over:
            return
        if failure.check(Refused):
            session.refuse(str(failure.value))
        elif failure.check(TooMany):
            session.refuse(
                paragraph(
                    "Too many are trying passwords just now.",
                    "Stay, and try again in a few seconds:",
                    "who has been connected for longer goes first.",
                )
            )
        else:
            log.failure(
                "A login of connection {connection} failed",
                failure,
                event="login_failed",
                connection=session.origin,
            )
            session.refuse(SORRY)

    session.gate.wait_for(flow.addErrback(bare).addErrback(failed))


def announce(session: "Session", text: str, kept: "Deferred[bool] | None" = None) -> None:
    """Tell *session* that something holds once that is written, or cannot be just now.

    kept: fires with whether it is written; of what operators decide, if it is left out. Input waits
    until this is told.
    """

    def told(kept: bool) -> None:
        session.answer(text)
        if not kept:
            session.answer(UNKEPT)

    if kept is None:
        kept = session.chat.moderation.kept()
    # Whoever has left meanwhile need not be told; that it is written is not theirs to cancel.
    waits = in_time(apart(kept), session.chat.clock).addErrback(lambda _: False)
    session.gate.wait_for(waits.addCallback(told))


def patiently(session: "Session", answer: "Deferred[Any]", sorry: str = SORRY) -> "Deferred[Any]":
    """*answer*, or Refused with *sorry* when there is none in time."""

    def failed(failure: Any) -> None:
        log.warn(
            "Accounts could not be used: {error!r}",
            event="accounts_unavailable",
            connection=session.origin,
            error=failure.value,
        )
        raise Refused(Code.UNAVAILABLE, sorry)

    return if_there(session, in_time(answer, session.chat.clock).addErrback(failed))


def or_none(session: "Session", answer: "Deferred[Any]") -> "Deferred[Any]":
    """*answer*, or None when there is none in time."""
    return patiently(session, answer).addErrback(lambda failure: failure.trap(Refused) and None)


def if_there(session: "Session", answer: "Deferred[Any]") -> "Deferred[Any]":
    """*answer*, if anybody is still there to hear it."""

    def check(result: Any) -> Any:
        if session.over:
            raise Gone
        return result

    return answer.addCallback(check).addErrback(bare)


def tell_if_later(session: "Session") -> None:
    """Tell *session* if what was just removed is still in the file: the disk is away."""
    if session.chat.ledger.lagging:
        session.answer(REMOVED_LATER)
