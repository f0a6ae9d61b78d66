"""The interpreter of a text connection: a line is an answer, a command, or something to say.

A line that begins with `/` is a command, `//text` says `/text`, and all else is said to the room:

    /join tea       the command `join` with the argument `tea`
    //join          says "/join"
    hello           says "hello"
"""

from twisted.internet.defer import Deferred

from chatroom.actions import strays
from chatroom.chat.connection import Connection
from chatroom.chat.gate import Reason
from chatroom.commands import run
from chatroom.model.events import Event
from chatroom.model.refused import Refused
from chatroom.text import names


class Interpreter:
    """Interprets the lines of one connection; its door owns it."""

    __slots__ = ("_command", "_submitted", "connection")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        # The last event that this connection has submitted, and the command that waits until it is
        # decided, without its slash.
        self._submitted: Event | None = None
        self._command: str | None = None

    def received(self, text: str, *, blank: bool = False) -> None:
        """Interpret one line, without its end. Not to be called while the gate is closed.

        :param blank: whether it is said even if there is nothing in it.
        """
        connection = self.connection
        chat, prompt = connection.chat, connection.prompt
        now = chat.clock.seconds()
        chat.counters.input += 1
        if chat.pace.rate:
            connection.pacer.took(chat.pace, now)
        text = names.clean(text)
        if prompt.answer is not None:
            self._answer(text.strip())
            return
        if (not text or text.isspace()) and not blank:
            return
        connection.active = now
        try:
            doubled = text.startswith("//")
            if text.startswith("/") and not doubled:
                self._obey(text[1:])
                return
            if now < prompt.guarded_until or strays.suspect(text):
                strays.sift(connection, text)
            connection.say(text[1:] if doubled else text)
            self._submitted = chat.asked
        except Refused as refusal:
            connection.refuse(str(refusal))

    def resume(self) -> None:
        """Run the command that waits, if any, unless something else closes the gate."""
        if not self.connection.gate.is_open:
            return
        command, self._command = self._command, None
        if command is not None:
            try:
                self._obey(command)
            except Refused as refusal:
                self.connection.refuse(str(refusal))

    def _obey(self, command: str) -> None:
        """Run *command*, which is without its slash. Raises Refused.

        It is answered as if everything that came before it on this connection had taken full
        effect: while some of that is on its way to the ledger and back, it waits.
        """
        connection = self.connection
        chat = connection.chat
        if self._submitted is not None and chat.is_undecided(self._submitted):
            self._command = command
            connection.gate.close(Reason.DECIDING)
            receipt: Deferred[int] = chat.receipt(self._submitted)
            receipt.addBoth(lambda _: connection.gate.open(Reason.DECIDING))
            return
        before = chat.asked
        try:
            run(connection, command)
        finally:
            if chat.asked is not before:
                self._submitted = chat.asked

    def _answer(self, text: str) -> None:
        """Hand *text* to what has asked for it."""
        connection = self.connection
        prompt, client = connection.prompt, connection.client
        answer, prompt.answer = prompt.answer, None
        assert answer is not None
        # A user who gives up, or is refused, may type the password once more.
        strays.guard(connection)
        try:
            answer(text, client.hidden)
        except Refused as refusal:
            connection.refuse(str(refusal))
        finally:
            # Unless the next line is to be hidden as well.
            if prompt.answer is None:
                client.show_input()
