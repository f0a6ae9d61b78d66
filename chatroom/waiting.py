"""Private lines that wait for somebody who is not here.

The rule: who leaves one is told what became of it, and it is kept until it was shown, no longer.
"""

from sys import maxsize
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from chatroom.accounts import Account, Message
from chatroom.chat import Refused
from chatroom.events import SERVER, Whispered
from chatroom.flow import Flow, or_none, patiently, steps

if TYPE_CHECKING:
    from chatroom.session import Session

log = Logger()


@steps
def show_messages(session: "Session", account: Account) -> Flow:
    """Show what was left for the account, and forget it."""
    book = session.chat.registry.book
    messages = yield or_none(session, book.messages(account.id))
    if messages is None:
        session.notice("What was left for you cannot be shown just now; it waits.")
    elif messages:
        count = (
            "A private line was" if len(messages) == 1 else f"{len(messages)} private lines were"
        )
        session.notice(f"{count} left for you:")
        session.post(
            session.lines(
                (
                    Whispered(
                        message.time, SERVER, message.sender, account.name, message.text, False
                    )
                    for message in messages
                ),
                # They are forgotten, so that all of them have to be shown.
                maxsize,
            )
        )
        book.shown(account.id, messages[-1].id).addErrback(_not_kept)


@steps
def leave_message(session: "Session", account: Account, text: str) -> Flow:
    """Keep *text* for the owner of *account*, who is not here. Fails with Refused."""
    chat = session.chat
    registry = chat.registry
    why = chat.moderation.silence(session)
    if why is not None and not chat.moderation.operator(account.id):
        raise Refused(why)
    now = chat.clock.time()
    author = session.account.id if session.account else 0
    # Who is ignored is not told.
    waiting = 1
    if not author or author not in account.preferences.ignores:
        if not registry.left.take(session.source):
            raise Refused("Too many private lines were left from your address. Try again later.")
        message = Message(now, session.name, author, text)
        doubt = f"{account.name} is not here; it is not sure that your line waits for them."
        waiting = yield patiently(session, registry.book.leave(account.id, message), doubt)
    if not waiting:
        raise Refused(f"{account.name} is not here, and too many lines wait. Yours was not kept.")
    session.tell(Whispered(now, session.origin, session.name, account.name, text, outgoing=True))
    session.notice(f"{account.name} is not here. Your line waits, and is shown when they log in.")


def _not_kept(failure: Any) -> None:
    log.warn(
        "What was shown may be shown again: {error!r}",
        event="messages_not_forgotten",
        error=failure.value,
    )
