"""Commands for reports, and for the audit: what operators have done.

They are in the group of moderation.
"""

import re
from time import gmtime, strftime
from typing import TYPE_CHECKING

from chatroom.actions import reporting
from chatroom.actions.steps import required, run_step
from chatroom.commands import command
from chatroom.model.refused import Code, Refused
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

#: How many reports /reports lists, and how many actions /audit lists without a number.
LISTED = 20


@command("report", usage="NAME [REASON]", group="moderation")
def report(connection: "Connection", rest: str) -> None:
    """tell those who keep order about somebody

    They get the last lines of this room with it. They are told who you are. It
    may be somebody who has just left.
    """
    name, _, why = rest.partition(" ")
    run_step(connection, _report(connection, name, why.strip()))


async def _report(connection: "Connection", name: str, why: str) -> None:
    kept, told = await reporting.report(connection, name, why)
    if not kept:
        connection.answer(
            "Those who keep order and are here are told. Your report is not kept."
            if told
            else "Your report is not kept, and nobody who keeps order is here. Try again later."
        )
    elif told:
        connection.answer("Thank you. Those who keep order are told.")
    elif reporting.has_operators(connection.chat):
        connection.answer("Thank you. Nobody who keeps order is here; they find it in /reports.")
    else:
        connection.answer("Your report is kept, but nobody keeps order here yet.")


@command("reports", usage="[NUMBER]", operator=True, group="moderation")
def reports(connection: "Connection", rest: str) -> None:
    """what was reported, or one report with the lines that were said before it"""
    records = connection.chat.moderation.records

    async def listed() -> None:
        found = await required(connection, records.reports(LISTED))
        lines = [f"{_utc(report.time)} {reporting.summary(report)}" for report in found]
        connection.notice("\n".join(lines) or "Nothing was reported.")

    async def shown() -> None:
        found = await required(connection, records.find_report(int(rest)))
        if found is None:
            raise Refused(
                Code.NOTHING_FOUND, f"There is no report {rest[:20]}. /reports lists the last ones."
            )
        connection.notice(f"{_utc(found.time)} {reporting.summary(found)}")
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
