"""Commands about what is to be looked at, and about what operators have done.

The rule: it is kept before anybody is told that it is. They are in the group of moderation.
"""

import re
from collections.abc import Sequence
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from chatroom import names
from chatroom.chat import Refused
from chatroom.commands import command
from chatroom.commands.people import MAX_REASON
from chatroom.flow import carry_out, in_time, patiently
from chatroom.formats import PLAIN
from chatroom.orders import Action, Report

if TYPE_CHECKING:
    from chatroom.session import Session

log = Logger()

#: How many of the last lines of a room a report keeps, actions and reports are listed.
EVIDENCE = 20
LISTED = 20


@command("report", usage="NAME [REASON]", group="moderation")
def report(session: "Session", rest: str) -> None:
    """tell those who keep order about somebody

    They get the last lines of this room with it. They are told who you are.
    """
    name, _, why = rest.partition(" ")
    chat = session.chat
    if not chat.moderation.reported.take(session.source):
        raise Refused("Three reports an hour have to do. What you reported is kept.")
    evidence = "".join(
        PLAIN.encode(event, False).decode() for event in session.room.recent(EVIDENCE)
    )
    made = Report(
        chat.clock.time(),
        session.name,
        name[: names.MAX_NAME],
        why.strip()[:MAX_REASON],
        session.room.name,
        evidence,
    )

    def tell(shown: str) -> None:
        for person in list(chat.sessions.values()):
            if chat.moderation.keeps_order(person):
                person.notice(f"Report {shown}")

    def kept(id: int) -> None:
        tell(_shown_report(made._replace(id=id)))
        if not session.over:
            session.notice("Thank you. Those who keep order are told.")

    def failed(failure: Any) -> None:
        log.warn("A report is not kept: {why!r}.", event="report_not_kept", why=failure.value)
        # Those who are here are told all the same, whether or not its author still is.
        tell(f"that could not be kept: {_shown_report(made)}")
        if not session.over:
            session.notice("Those who keep order and are here are told. Your report is not kept.")

    answer = in_time(chat.moderation.records.report(made), chat.clock)
    carry_out(session, answer.addCallbacks(kept, failed))


@command("reports", usage="[NUMBER]", operator=True, group="moderation")
def reports(session: "Session", rest: str) -> None:
    """what was reported, or one report with the lines that were said before it"""
    records = session.chat.moderation.records

    def listed(found: Sequence[Report]) -> None:
        lines = [f"{_utc(report.time)} {_shown_report(report)}" for report in found]
        session.notice("\n".join(lines) or "Nothing was reported.")

    def shown(found: Report | None) -> None:
        if found is None:
            raise Refused(f"There is no report {rest[:20]}.")
        session.notice(f"{_utc(found.time)} {_shown_report(found)}")
        for line in found.evidence.splitlines():
            session.post(f"{names.clean(line)}\r\n".encode(errors="replace"))

    if not rest:
        carry_out(session, patiently(session, records.reports(LISTED)).addCallback(listed))
    elif not re.fullmatch("[0-9]{1,15}", rest):
        raise Refused("Usage: /reports [NUMBER]")
    else:
        carry_out(session, patiently(session, records.find_report(int(rest))).addCallback(shown))


@command("audit", usage="[NUMBER]", operator=True, group="moderation")
def audit(session: "Session", rest: str) -> None:
    """who did what to whom, when and why: the last 20 actions, or so many"""
    if rest and not re.fullmatch("[0-9]{1,3}", rest):
        raise Refused("Usage: /audit [NUMBER], at most 999.")

    def listed(found: Sequence[Action]) -> None:
        lines = [
            f"{_utc(action.time)} {action.by} {action.what} {action.target}".rstrip()
            + (action.why and f" ({action.why})")
            for action in found
        ]
        session.notice("\n".join(lines) or "Nothing has been done yet.")

    actions = session.chat.moderation.records.actions(int(rest or LISTED) or LISTED)
    carry_out(session, patiently(session, actions).addCallback(listed))


def _utc(time: float) -> str:
    return strftime("%Y-%m-%d %H:%M", gmtime(time))


def _shown_report(report: Report) -> str:
    why = report.why and f": {report.why}"
    number = f"{report.id} " if report.id else ""
    return f"{number}by {report.by} about {report.about} in #{report.room}{why}"
