"""Steps: parts of actions that wait for a store, a claim or a password check.

Steps are coroutines. They await an `outcome`, never a Deferred itself, and are started with
`run_step` for a connection, and with `start` otherwise. Input waits until a step has ended, every
wait has a time limit, and after each wait it is checked that the user is still here.
"""

from collections.abc import Coroutine, Generator
from types import coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger

from chatroom.model.clock import Clock
from chatroom.model.history import REMOVED_LATER
from chatroom.model.refused import Code, Refused, TooMany
from chatroom.text.prose import paragraph

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

log = Logger()


#: How long, in seconds, an answer may take.
PATIENCE = 5.0

UNKEPT = "It is not written down yet; it holds as long as the server runs."

T = TypeVar("T")

SORRY = "Accounts cannot be used just now. Please try again later."


class Gone(Exception):
    """The user whom the steps are for is not here any more."""


def bare(failure: Any) -> Any:
    """*failure* without the frames that it came through, but for where in the source these were.

    What was typed is in them, passwords too, and they know the failure: in such a circle it would
    all wait for the garbage collector, see LineProtocol.release.
    """
    # Twisted's cleanFailure does it as well, and nothing once twisted.trial was imported.
    failure.frames = failure.frames
    failure.tb = failure.value.__traceback__ = None
    return failure


@coroutine
def outcome(answer: "Deferred[T]") -> Generator["Deferred[T]", T, T]:
    """Return the result of *answer*, or raise its failure, which is `bare`.

    An awaited Deferred that has failed already raises it from a frame that knows the failure.
    """
    result: T = yield answer.addErrback(bare)
    return result


def start(steps: "Coroutine[Any, Any, T]") -> "Deferred[T]":
    """Begin *steps*. The Deferred fires with what they return; its failures are `bare`."""
    return _driven(steps).addErrback(bare)


@inlineCallbacks
def _driven(steps: "Coroutine[Any, Any, T]") -> "Generator[Deferred[Any], Any, T]":
    """Drive *steps*, and take the frames from what they have caught.

    From Python 3.12 on a frame that an error went through knows its callers' frames, and one of
    these knows the error: in such a circle it would all wait for the garbage collector.
    """
    try:
        waits = steps.send(None)
        while True:
            try:
                answer = yield waits
            except Exception as error:
                try:
                    waits = steps.throw(error)
                finally:
                    error.__traceback__ = None
            else:
                waits = steps.send(answer)
    except StopIteration as ended:
        result: T = ended.value
        return result


def with_timeout(answer: "Deferred[T]", clock: Clock, seconds: float = PATIENCE) -> "Deferred[T]":
    """Return *answer*, which fails with TimeoutError if it has not fired in so many seconds."""
    # mypy: a Clock and a reactor both can do what addTimeout wants, which asks for a whole reactor.
    return answer.addTimeout(seconds, clock).addErrback(bare)  # type: ignore[arg-type]


def shielded(answer: "Deferred[T]") -> "Deferred[T]":
    """Return a Deferred that fires as *answer* does, and can be cancelled without cancelling that.

    The callbacks that *answer* has already are called whenever it fires.
    """
    waits: Deferred[T] = Deferred()
    # Once it is given up it takes what comes too late in silence.
    answer.chainDeferred(waits)
    return waits


def run_step(connection: "Connection", steps: "Coroutine[Any, Any, object]") -> None:
    """Begin *steps*; input waits until they have ended. The user is told if they fail."""

    def failed(failure: Any) -> None:
        if failure.check(Gone) or connection.over:
            return
        if failure.check(Refused):
            connection.refuse(str(failure.value))
        elif failure.check(TooMany):
            connection.refuse(
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
                connection=connection.origin,
            )
            connection.refuse(SORRY)

    connection.gate.wait_for(start(steps).addErrback(failed))


def announce(connection: "Connection", text: str, kept: "Deferred[bool] | None" = None) -> None:
    """Tell *connection* that something holds once that is written, or cannot be just now.

    kept: fires with whether it is written; of what operators decide, if it is left out. Input waits
    until this is told.
    """

    def told(kept: bool) -> None:
        connection.answer(text)
        if not kept:
            connection.answer(UNKEPT)

    if kept is None:
        kept = connection.chat.moderation.saver.finished()
    # Whoever has left meanwhile need not be told; that it is written is not theirs to cancel.
    waits = with_timeout(shielded(kept), connection.chat.clock).addErrback(lambda _: False)
    connection.gate.wait_for(waits.addCallback(told))


async def required(connection: "Connection", answer: "Deferred[T]", sorry: str = SORRY) -> T:
    """Return the result of *answer*.

    Raises Refused with *sorry* if it fails or is late, and Gone.
    """
    try:
        result = await outcome(with_timeout(answer, connection.chat.clock))
    except Exception as error:
        log.warn(
            "Accounts could not be used: {error!r}",
            event="accounts_unavailable",
            connection=connection.origin,
            # Without the frames, as above: whatever logs it may keep it.
            error=error.with_traceback(None),
        )
        raise Refused(Code.UNAVAILABLE, sorry) from None
    _stay(connection)
    return result


async def default_none(connection: "Connection", answer: "Deferred[T]") -> T | None:
    """Return the result of *answer*, or None if there is none in time. Raises Gone."""
    try:
        return await required(connection, answer)
    except Refused:
        return None


async def while_here(connection: "Connection", answer: "Deferred[T]") -> T:
    """Return the result of *answer*, however long it takes. Raises Gone."""
    result = await outcome(answer)
    _stay(connection)
    return result


def _stay(connection: "Connection") -> None:
    if connection.over:
        raise Gone


def tell_if_later(connection: "Connection") -> None:
    """Tell *connection* if what was just removed is still in the file: the disk is away."""
    if connection.chat.ledger.lagging:
        connection.answer(REMOVED_LATER)
