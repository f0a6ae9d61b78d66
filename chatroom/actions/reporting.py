"""Reporting: users tell the operators about somebody, with the last lines of their room.

A report is kept before anybody is told that it is.
"""

from typing import TYPE_CHECKING, NamedTuple

from twisted.logger import Logger

from chatroom.actions.addressing import known
from chatroom.actions.reasons import check_reason
from chatroom.actions.steps import outcome, with_timeout
from chatroom.formats.plain import PLAIN
from chatroom.model.refused import Code, Refused
from chatroom.model.sanctions import Report

if TYPE_CHECKING:
    from chatroom.chat.chat import Chat
    from chatroom.chat.connection import Connection

log = Logger()

#: How many of the last lines of a room a report keeps.
MAX_EVIDENCE = 20


class Reported(NamedTuple):
    """The outcome of a report.

    kept: whether it is kept.
    told: whether an operator is here, and was told.
    """

    kept: bool
    told: bool


async def report(connection: "Connection", name: str, why: str) -> Reported:
    """Report the user, present or not, or the account called *name*. Raises Refused."""
    _check_may_report(connection)
    check_reason(why)
    chat = connection.chat
    about = await known(connection, name)
    chat.moderation.reported.take(connection.source)
    room = connection.here()
    evidence = "".join(
        PLAIN.encode(event, live=False).decode() for event in room.log.recent(MAX_EVIDENCE)
    )
    made = Report(chat.clock.time(), connection.user.name, about, why, room.name, evidence)
    try:
        id = await outcome(with_timeout(chat.moderation.records.report(made), chat.clock))
    except Exception as error:
        log.warn(
            "A report is not kept: {why!r}.",
            event="report_not_kept",
            why=error.with_traceback(None),
        )
        # The operators are told all the same, whether or not its author is still here.
        told = _tell_operators(chat, f"Report that could not be kept: {summary(made)}")
        return Reported(kept=False, told=told)
    told = _tell_operators(chat, f"Report {summary(made._replace(id=id))}")
    return Reported(kept=True, told=told)


def summary(report: Report) -> str:
    """Return *report* in one line, without the time and the evidence."""
    why = report.why and f": {report.why}"
    number = f"{report.id} " if report.id else ""
    return f"{number}by {report.by} about {report.about} in #{report.room}{why}"


def has_operators(chat: "Chat") -> bool:
    """Return whether there is an operator, here or not."""
    moderation = chat.moderation
    return bool(moderation.operators.items()) or any(
        map(moderation.is_operator, chat.people.values())
    )


def _check_may_report(connection: "Connection") -> None:
    """Raise Refused if there were too many reports, or nobody would read one."""
    moderation = connection.chat.moderation
    if moderation.reported.spent(connection.source):
        raise Refused(
            Code.RATE_LIMITED,
            "Three reports an hour have to do. What you reported is kept; try again in an hour.",
        )
    if not (moderation.records.lasting or has_operators(connection.chat)):
        raise Refused(
            Code.UNAVAILABLE, "Nobody keeps order here. /ignore NAME spares you what somebody says."
        )


def _tell_operators(chat: "Chat", text: str) -> bool:
    """Tell the operators who are here; return whether there is any."""
    here = [user for user in chat.people.values() if chat.moderation.is_operator(user)]
    for user in here:
        user.notice(text)
    return bool(here)
