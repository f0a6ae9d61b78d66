"""Commands about what is to be looked at, and about what operators have done.

The rule: it is kept before anybody is told that it is. They are in the group of moderation.
"""

import re
from collections.abc import Iterator
from time import gmtime, strftime
from typing import TYPE_CHECKING

from twisted.logger import Logger

from chatroom.actions.addressing import known
from chatroom.actions.steps import outcome, required, run_step, with_timeout
from chatroom.commands import command
from chatroom.commands.people import checked_reason
from chatroom.formats.plain import PLAIN
from chatroom.model.refused import Code, Refused
from chatroom.model.sanctions import Report
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

log = Logger()

#: How many of the last lines of a room a report keeps, actions and reports are listed.
EVIDENCE = 20
LISTED = 20


@command("report", usage="NAME [REASON]", group="moderation")
def report(connection: "Connection", rest: str) -> None:
    """tell those who keep order about somebody

    They get the last lines of this room with it. They are told who you are. It
    may be somebody who has just left.
    """
    name, _, why = rest.partition(" ")
    chat = connection.chat
    if chat.moderation.reported.spent(connection.source):
        raise Refused(
            Code.RATE_LIMITED,
            "Three reports an hour have to do. What you reported is kept; try again in an hour.",
        )
    if not (chat.moderation.records.lasting or any(_operators(connection))):
        raise Refused(
            Code.UNAVAILABLE, "Nobody keeps order here. /ignore NAME spares you what somebody says."
        )
    run_step(connection, _report(connection, name, checked_reason(why)))


async def _report(connection: "Connection", name: str, why: str) -> None:
    chat = connection.chat
    about = await known(connection, name)
    chat.moderation.reported.take(connection.source)
    room = connection.here()
    evidence = "".join(
        PLAIN.encode(event, live=False).decode() for event in room.log.recent(EVIDENCE)
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
        # Those who are here are told all the same, whether or not its author still is.
        told = _tell(connection, f"Report that could not be kept: {_shown_report(made)}")
        connection.answer(
            "Those who keep order and are here are told. Your report is not kept."
            if told
            else "Your report is not kept, and nobody who keeps order is here. Try again later."
        )
        return
    if _tell(connection, f"Report {_shown_report(made._replace(id=id))}"):
        connection.answer("Thank you. Those who keep order are told.")
    elif any(_operators(connection)):
        connection.answer("Thank you. Nobody who keeps order is here; they find it in /reports.")
    else:
        connection.answer("Your report is kept, but nobody keeps order here yet.")


def _operators(connection: "Connection") -> Iterator[object]:
    """Those who keep order, whether or not they are here."""
    chat = connection.chat
    yield from chat.moderation.operators.items()
    yield from (one for one in chat.people.values() if chat.moderation.is_operator(one))


def _tell(connection: "Connection", text: str) -> bool:
    """Tell those who keep order and are here; returns whether there is any."""
    chat = connection.chat
    here = [one for one in chat.people.values() if chat.moderation.is_operator(one)]
    for person in here:
        person.notice(text)
    return bool(here)


@command("reports", usage="[NUMBER]", operator=True, group="moderation")
def reports(connection: "Connection", rest: str) -> None:
    """what was reported, or one report with the lines that were said before it"""
    records = connection.chat.moderation.records

    async def listed() -> None:
        found = await required(connection, records.reports(LISTED))
        lines = [f"{_utc(report.time)} {_shown_report(report)}" for report in found]
        connection.notice("\n".join(lines) or "Nothing was reported.")

    async def shown() -> None:
        found = await required(connection, records.find_report(int(rest)))
        if found is None:
            raise Refused(
                Code.NOTHING_FOUND, f"There is no report {rest[:20]}. /reports lists the last ones."
            )
        connection.notice(f"{_utc(found.time)} {_shown_report(found)}")
        for line in found.evidence.splitlines():
            connection.post(f"{names.clean(line)}\r\n".encode(errors="replace"))

    if not rest:
        run_step(connection, listed())
    elif not re.fullmatch("[0-9]{1,15}", rest):
        raise Refused(Code.USAGE, "Usage: /reports [NUMBER]. Alone, it lists the last ones.")
    else:
        run_step(connection, shown())


@command("audit", usage="[NUMBER]", operator=True, group="moderation")
def audit(connection: "Connection", rest: str) -> None:
    """who did what to whom, when and why: the last 20 actions, or so many"""
    if rest and not re.fullmatch("[0-9]{1,3}", rest):
        raise Refused(Code.USAGE, "Usage: /audit [NUMBER], at most 999.")

    async def listed() -> None:
        records = connection.chat.moderation.records
        found = await required(connection, records.actions(int(rest or LISTED) or LISTED))
        lines = [
            f"{_utc(action.time)} {action.by} {action.what} {action.target}".rstrip()
            + (action.why and f" ({action.why})")
            for action in found
        ]
        connection.notice("\n".join(lines) or "Nothing has been done yet.")

    run_step(connection, listed())


def _utc(time: float) -> str:
    return strftime("%Y-%m-%d %H:%M", gmtime(time))


def _shown_report(report: Report) -> str:
    why = report.why and f": {report.why}"
    number = f"{report.id} " if report.id else ""
    return f"{number}by {report.by} about {report.about} in #{report.room}{why}"
