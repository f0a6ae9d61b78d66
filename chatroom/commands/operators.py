"""Commands about who keeps order.

The rule: somebody always does. They are in the group of moderation.
"""

from typing import TYPE_CHECKING

from twisted.logger import Logger

from chatroom.actions.accounts import find
from chatroom.actions.steps import announce, carry_out
from chatroom.chat.registry import whom
from chatroom.commands import command
from chatroom.model.accounts import Account
from chatroom.model.refused import Code, Refused
from chatroom.model.sanctions import Operator
from chatroom.text import names
from chatroom.text.prose import paragraph

if TYPE_CHECKING:
    from chatroom.chat.session import Session

log = Logger()

#: How long, in seconds, whoever has tried a wrong claim code waits for the next line's turn.
CLAIM_PAUSE = 2.0

#: What somebody does whose name is to be registered for something.
FIRST = "They have to /register first."


@command("claim", usage="CODE", group="moderation", secret=True)
def claim(session: "Session", rest: str) -> None:
    """become an operator, with the code that is in the server's log"""
    moderation = session.chat.moderation
    account = session.account if moderation.records.lasting else None
    if account is None and session.passing:
        # The code would be used up for nothing.
        raise Refused(
            Code.WRONG_CONNECTION,
            "You would be one as long as this command lasts. Log in first, then /claim CODE.",
        )
    if moderation.wrong_claims.spent(session.limited_as):
        raise Refused(
            Code.RATE_LIMITED, "Too many wrong codes came from your address. Try again in an hour."
        )
    right = moderation.claim(rest)
    if right is None:
        raise Refused(Code.NOTHING_FOUND, "There is no code to claim. /ops lists who keeps order.")
    if not right:
        moderation.wrong_claims.take(session.limited_as)
        log.info(
            "A wrong claim code from {address} (connection {connection})",
            event="claim_wrong",
            **whom(session),
        )
        session.pacer.pause(CLAIM_PAUSE)
        raise Refused(
            Code.WRONG_PASSWORD,
            "That is not the code. It is in the log of the server's last start.",
        )
    session.guarded_until = 0.0
    if account is not None:
        moderation.make_operator(session, account)
        announce(session, f"{account.name} is an operator. /help moderation lists what you can do.")
    else:
        session.claimed = True
        told = ["You are an operator as long as this connection lasts."]
        if moderation.records.lasting:
            told.append("The name that you register on it is one for good: /register.")
        announce(session, paragraph(*told))
    moderation.note(session, "became an operator")
    session.reconsider()


@command("op", usage="NAME", operator=True, group="moderation", in_full=True)
def op(session: "Session", rest: str) -> None:
    """make somebody an operator, whose name is registered"""

    def found(account: Account) -> None:
        moderation = session.chat.moderation
        if moderation.operator(account.id):
            raise Refused(Code.ALREADY, f"{account.name} is an operator already. /ops lists them.")
        if moderation.banned(account.id):
            raise Refused(
                Code.BANNED, f"{account.name} is banned. /unban {account.name} comes first."
            )
        if account.id in session.chat.registry.removed:
            raise Refused(
                Code.NO_SUCH_ACCOUNT, f"{account.name} is not registered any more. {FIRST}"
            )
        moderation.put("operator", str(account.id), Operator(account.name))
        person = session.chat.registry.online.get(account.id)
        if person is not None:
            moderation.came(person)
            person.notice(f"{session.name} has made you an operator: /help moderation.")
        announce(session, f"{account.name} is an operator.")
        moderation.note(session, "made an operator of", account.name)

    carry_out(session, find(session, rest, FIRST).addCallback(found))


@command("deop", usage="NAME", operator=True, group="moderation", in_full=True)
def deop(session: "Session", rest: str) -> None:
    """let somebody be an operator no more"""
    moderation = session.chat.moderation
    key = names.fold(rest)
    operators = moderation.all("operator")
    ids = [(id, order.name) for _, id, order in operators if names.fold(order.name) == key]
    person = session.chat.people.get(key)
    claimed = [one for one in session.chat.sessions.values() if one.claimed]
    if not ids and person not in claimed:
        raise Refused(
            Code.NOTHING_FOUND, f"{rest[: names.MAX_NAME]} is no operator. /ops lists them."
        )
    if len(operators) == 1 if ids else not operators and len(claimed) == 1:
        raise Refused(
            Code.PROTECTED,
            "Somebody has to keep order: /op NAME makes somebody else an operator first.",
        )
    name = ids[0][1] if ids else rest
    people = [person] if person is not None and not ids else []
    for id, _ in ids:
        moderation.drop("operator", id)
        people += session.chat.sessions_of(int(id))
    moderation.note(session, "made no operator of", name)
    for one in people:
        one.claimed = False
        if one is not session:
            one.notice(f"{session.name} has ended that you are an operator.")
        one.reconsider()
    announce(session, f"{name} is no operator any more.")


@command("ops", group="moderation")
def ops(session: "Session", rest: str) -> None:
    """who keeps order, and who of them is here"""
    chat = session.chat
    listed = [
        f"{order.name} (here)" if int(id) in chat.registry.online else order.name
        for _, id, order in chat.moderation.all("operator")
    ]
    listed += [f"{person.name} (here)" for person in chat.sessions.values() if person.claimed]
    listed.sort(key=names.fold)
    session.notice(f"Operators: {', '.join(listed)}." if listed else "There is no operator.")
