"""Private lines: to users who are here, and to accounts whose owners are not.

The sender is told what became of a line. It is kept until a connection has taken it, and no longer.
"""

from sys import maxsize
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from chatroom.actions.addressing import with_person
from chatroom.actions.steps import default_none, required
from chatroom.backends.interfaces import AccountStore
from chatroom.chat.user import User
from chatroom.model.accounts import Account, OfflineMessage
from chatroom.model.events import SERVER, Whispered
from chatroom.model.refused import Code, Refused

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

log = Logger()


class PrivateLine:
    """A private line on its way to *recipient*, who is here; see sendqueue.Letter.

    If none of their connections takes it, it waits for their account; for a guest, its sender is
    told. copies: by how many connections it is on its way.
    """

    __slots__ = ("_account", "_arrived", "_chat", "_message", "_recipient", "_sender", "copies")

    def __init__(self, sender: "Connection", recipient: User, text: str) -> None:
        self._chat = sender.chat
        # By number: a line that waits for somebody keeps nobody else.
        self._sender = next(sender.user.reading, sender).origin
        self._recipient = recipient.name
        self._account = recipient.account
        self._arrived = False
        self.copies = 1
        author = sender.user.account.id if sender.user.account else 0
        self._message = OfflineMessage(sender.chat.clock.time(), sender.user.name, author, text)

    def taken(self) -> None:
        """It has arrived."""
        self._arrived = True

    def returned(self) -> None:
        """It has not arrived by one connection: they are gone, or the server stops."""
        self.copies -= 1
        if self.copies or self._arrived:
            return
        if self._account is None:
            self._not_delivered()
            return
        account, message = self._account, self._message
        present = self._chat.logins.online.get(account.id)
        for one in self._chat.reading_by(present) if present is not None else ():
            if one.reachable:
                # They have come by another connection meanwhile.
                self.copies = 1
                one.tell(_shown(message, account), self)
                return
        kept = self._chat.logins.accounts.leave(account.id, message)
        kept.addCallback(lambda waiting: None if waiting else self._not_delivered())
        kept.addErrback(self._not_kept)

    def _not_kept(self, failure: Any) -> None:
        log.warn(
            "A private line could not be kept: {error!r}",
            event="message_not_kept",
            error=failure.value,
        )
        self._not_delivered()

    def _not_delivered(self) -> None:
        sender = self._chat.connections.get(self._sender)
        if sender is not None:
            sender.notice(
                f"{self._recipient} has gone and did not read your last line. "
                f"It was not delivered: {self._message.text}"
            )


def message(connection: "Connection", name: str, text: str) -> None:
    """Say *text*, which is clean, to the user called *name*, or leave it for their account.

    Raises Refused, or refuses later.
    """

    def tell(user: User) -> None:
        if list(user.reading) == [connection]:
            raise Refused(
                Code.YOURSELF, "You cannot send yourself a private line. /say says it to the room."
            )
        _whisper(connection, user, text)

    async def leave(account: Account) -> None:
        await _leave(connection, account, text)

    with_person(connection, name, tell, absent=leave)


def reply(connection: "Connection", text: str) -> None:
    """Say *text*, which is clean, to the user who sent the last private line. Raises Refused."""
    last = connection.user.reply_to
    if not last:
        raise Refused(Code.NO_SUCH_USER, "Nobody has sent you a private line yet: /msg NAME TEXT.")
    user = connection.chat.user_of(last)
    if user is None:
        raise Refused(Code.GONE, "Whoever sent you the last private line has left: /msg NAME TEXT.")
    _whisper(connection, user, text)


def _whisper(sender: "Connection", recipient: User, text: str) -> None:
    """Say *text*, which is clean, to one user alone. Raises Refused."""
    moderation = sender.chat.moderation
    # Operators can be asked why.
    why = moderation.why_muted(sender)
    if why is not None and not moderation.is_operator(recipient):
        raise Refused(Code.MUTED, why)
    if not recipient.here:
        raise Refused(
            Code.GONE,
            f"{recipient.name} has just left; your line was not delivered. Try again.",
        )
    taking = [one for one in sender.chat.reading_by(recipient) if not one.queue.full]
    if not taking:
        raise Refused(
            Code.NOT_READING,
            f"{recipient.name} is not reading; your line was not delivered. Try again later.",
        )
    sent = (sender.user.name, recipient.name, text)
    now, user = sender.chat.clock.time(), sender.user.id
    if user not in (recipient.ignores or ()):
        arriving = Whispered(now, sender.origin, *sent, outgoing=False, user=user)
        line = PrivateLine(sender, recipient, text)
        line.copies = len(taking)
        for one in taking:
            one.tell(arriving, line)
        if sender.user is not recipient:
            recipient.reply_to = sender.user.id
    sender.tell(Whispered(now, sender.origin, *sent, outgoing=True, user=user))
    if recipient.away is not None:
        sender.notice(f"{recipient.name} is away{recipient.away and f': {recipient.away}'}.")


class LeftLines:
    """The lines that were left for an account, up to the id *last*, on their way; see Letter."""

    __slots__ = ("_account", "_book", "_last")

    def __init__(self, book: AccountStore, account: int, last: int) -> None:
        self._book = book
        self._account = account
        self._last = last

    def taken(self) -> None:
        """They have arrived, and wait no longer."""
        self._book.shown(self._account, self._last).addErrback(_not_forgotten)

    def returned(self) -> None:
        """They have not: they wait on."""


def _shown(message: OfflineMessage, account: Account) -> Whispered:
    """*message* as the owner of *account* is shown it."""
    sent = (message.sender, account.name, message.text)
    return Whispered(message.time, SERVER, *sent, outgoing=False, user=message.author)


async def show_messages(connection: "Connection", account: Account) -> None:
    """Show what was left for the account; what was taken is forgotten."""
    book = connection.chat.logins.accounts
    messages = await default_none(connection, book.messages(account.id))
    if messages is None:
        connection.notice("What was left for you cannot be shown just now; it waits.")
    elif messages:
        count = (
            "A private line was" if len(messages) == 1 else f"{len(messages)} private lines were"
        )
        connection.notice(f"{count} left for you:")
        # They are forgotten together, so that all of them have to be shown.
        shown = ((0, _shown(message, account)) for message in messages)
        lines = connection.lines(shown, most=maxsize)
        connection.post(lines, LeftLines(book, account.id, messages[-1].id))


async def _leave(connection: "Connection", account: Account, text: str) -> None:
    """Keep *text* for the owner of *account*, who is not here. Raises Refused."""
    chat = connection.chat
    logins = chat.logins
    why = chat.moderation.why_muted(connection)
    if why is not None and not chat.moderation.operators.get(account.id):
        raise Refused(Code.MUTED, why)
    now = chat.clock.time()
    author = connection.user.account.id if connection.user.account else 0
    # Who is ignored is not told.
    waiting = 1
    if not author or author not in account.preferences.ignores:
        if not logins.messages_left.take(connection.source):
            raise Refused(
                Code.RATE_LIMITED,
                "Too many private lines were left from your address. Try again later.",
            )
        message = OfflineMessage(now, connection.user.name, author, text)
        doubt = f"{account.name} is not here; it is not sure that your line waits for them."
        waiting = await required(connection, logins.accounts.leave(account.id, message), doubt)
    if not waiting:
        raise Refused(
            Code.TOO_MANY, f"{account.name} is not here, and too many lines wait. Try again later."
        )
    sent = (connection.user.name, account.name, text)
    connection.tell(
        Whispered(now, connection.origin, *sent, outgoing=True, user=connection.user.id)
    )
    connection.notice(
        f"{account.name} is not here. Your line waits, and is shown when they log in."
    )


def _not_forgotten(failure: Any) -> None:
    log.warn(
        "What was shown may be shown again: {error!r}",
        event="messages_not_forgotten",
        error=failure.value,
    )
