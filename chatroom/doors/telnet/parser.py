"""The telnet protocol of one connection, without a transport.

Bytes come in through `Telnet.receive`, and what must go back is taken out of `Telnet.answers`.
Nothing is sent to a client that has not shown that it speaks telnet, and an answer is never
answered.

Why BINARY is asked for: in line mode inetutils' client looks for its control keys in the low
seven bits, so it takes bytes out of UTF-8 characters: silently (0x85), for a command (0x83 IP,
0x8F AO, 0x9A SUSP, 0x9C BRK), or with the rest of the line (0x9D, its escape key). The first
byte of a character is never one of these, so what arrives damaged is not valid UTF-8, provided
that the plain bytes on both sides of a command are still put together.

Clients take ECHO and SUPPRESS-GO-AHEAD together on this side for "character at a time", and their
absence for "line by line" (RFC 858, section 6); with one alone some do a bit of both, so the two
are said together. How one option is agreed on is in `negotiation`, and what a client tells of its
terminal in `subnegotiation`.

Line ends are not looked at. CR LF and CR NUL (RFC 854, "The NVT printer and keyboard") come
out as they came in; the NUL, too, is left to what splits lines.
"""

from __future__ import annotations

from typing import Final

from chatroom.doors.telnet.codes import (
    ALWAYS_WELCOME,
    CHARACTER_MODE,
    DO,
    IAC,
    OFF,
    ON,
    OUR_BINARY,
    OUR_ECHO,
    OUR_SUPPRESS_GO_AHEAD,
    SB,
    SE,
    THEIR_BINARY,
    THEIR_SUPPRESS_GO_AHEAD,
    TIMING_MARK,
    TOLD,
    WILL,
    Command,
)
from chatroom.doors.telnet.framing import Code, Framer, Request, Subnegotiation, Token
from chatroom.doors.telnet.negotiation import Negotiation
from chatroom.doors.telnet.subnegotiation import Description

_ACTED_ON: Final = {command.value: command for command in Command}


class Telnet:
    """The server's side of the telnet protocol on one connection.

    After `receive`, and after each call that asks the client for something, the caller must call
    `answers` and send what it returns. A chunk without an IAC need not be given to `receive` while
    `pending` is false. Only a client that has shown that it speaks telnet may be asked.

    spoken: whether the client has shown that it speaks telnet, so that it may be sent an IAC.
    binary: whether what the client sends is 8-bit clean: its WILL BINARY is agreed (RFC 856).
    pending: whether the bytes so far end within a telnet sequence.
    """

    __slots__ = (
        "_answers",
        "_description",
        "_framer",
        "_hiding",
        "_negotiations",
        "_taken_over",
        "binary",
        "pending",
        "spoken",
    )

    def __init__(self) -> None:
        self.spoken = False
        self.binary = False
        self._hiding = False
        self._taken_over = False
        self.pending = False
        # These are made when there is something for them: most connections are netcat or idle.
        self._framer: Framer | None = None
        self._answers: bytearray | None = None
        self._negotiations: dict[bytes, Negotiation] | None = None
        self._description: Description | None = None

    def receive(self, data: bytes) -> list[bytes | Command]:
        """Take the telnet commands out of *data*. Never raises.

        Return the plain bytes, in runs that are never empty and never adjacent, and between
        them, in order, the commands a door must act on. Sequences may be split over calls
        anywhere. Any command shows that the client speaks telnet, save a refusal.
        """
        if IAC not in data and not self.pending:
            return [data] if data else []
        received: list[bytes | Command] = []
        plain = bytearray()
        framer = self._framing()
        for token in framer.receive(data):
            if isinstance(token, bytes):
                plain += token
                continue
            command = self._obey(token)
            if command is not None:
                if plain:
                    received.append(bytes(plain))
                    plain.clear()
                received.append(command)
        if plain:
            received.append(bytes(plain))
        self.pending = framer.pending
        return received

    def _framing(self) -> Framer:
        """Return what tells commands and text apart."""
        if self._framer is None:
            self._framer = Framer()
        return self._framer

    def _obey(self, token: Token) -> Command | None:
        """Answer what the client has sent; return the command that the door must act on."""
        if isinstance(token, Code):
            self.evidence()
            return None if token.byte == SB else _ACTED_ON.get(token.byte)
        if isinstance(token, Request):
            binary = self.binary
            self._negotiate(token.verb, token.option)
            return _ACTED_ON[token.verb + token.option] if self.binary != binary else None
        if isinstance(token, Subnegotiation):
            resized = self._take_told(token.content)
            self.evidence()
            return Command.RESIZED if resized else None
        return Command.OVERLONG

    def answers(self) -> bytes:
        """Take out what must be sent now, whole commands.

        It is never more bytes than were received, and for what the server asks three for
        `evidence`, `hide` and `show`, 51 for `ask_kind`, 15 for `take_over`, and 12 for
        `give_back`.
        """
        if self._answers is None:
            return b""
        answers = bytes(self._answers)
        self._answers = None
        return answers

    def evidence(self) -> None:
        """Note that the client speaks telnet, and ask it for BINARY, once (RFC 856).

        A door calls this for what is no command and yet a sign, such as a line that is not
        ASCII and ends in CR LF.
        """
        if self.spoken:
            return
        self.spoken = True
        self._say(THEIR_BINARY, True)

    @property
    def hidden(self) -> bool:
        """Whether the client does not show what is typed."""
        echo = self._known(OUR_ECHO)
        return echo is not None and echo.agreed

    def hide(self) -> None:
        """Ask the client not to show what is typed, until `show` (RFC 857).

        The server says that it echoes, and does not.
        """
        self._hiding = True
        self._say(OUR_ECHO, True)

    def show(self) -> None:
        """Let the client show again what is typed, unless it is taken over."""
        self._hiding = False
        if not self._taken_over:
            self._say(OUR_ECHO, False)

    def take_over(self) -> None:
        """Ask the client to send each character as it is typed, and to show none of them.

        So it is until `give_back` (RFC 857; RFC 858, section 6), with all eight bits both ways
        (RFC 856). The answers may come late or not at all: see `character_mode`. Called once more,
        it asks again for what was refused.
        """
        self._taken_over = True
        self._say(OUR_ECHO, True)
        self._say(OUR_SUPPRESS_GO_AHEAD, True)
        self._say(THEIR_SUPPRESS_GO_AHEAD, True)
        self._say(OUR_BINARY, True)
        self._say(THEIR_BINARY, True)

    def give_back(self) -> None:
        """Ask the client to send lines again, and to show what is not hidden.

        BINARY stays on its side: without it stock telnet damages UTF-8 in lines.
        """
        if not self._taken_over:
            return
        self._taken_over = False
        if not self._hiding:
            self._say(OUR_ECHO, False)
        self._say(OUR_SUPPRESS_GO_AHEAD, False)
        self._say(THEIR_SUPPRESS_GO_AHEAD, False)
        binary = self._known(OUR_BINARY)
        if binary is not None and not binary.offered:
            self._say(OUR_BINARY, False)

    @property
    def character_mode(self) -> bool | None:
        """Whether the client sends each character as it is typed and shows none of them.

        True once it has agreed to both in `take_over`. False if it has refused or taken back
        either, and without `take_over`. None while an answer is missing.
        """
        if not self._taken_over or self._negotiations is None:
            return False
        both = [self._negotiations[key] for key in (OUR_ECHO, OUR_SUPPRESS_GO_AHEAD)]
        if not all(one.wanted for one in both):
            return False
        return True if all(one.agreed for one in both) else None

    def ask_kind(self) -> None:
        """Ask the client what it and its terminal are, once.

        It may never answer: the caller has to limit the time that it waits for `kind_known`.
        """
        if self._description is None:
            self._description = Description()
            self._framing().keeps = True
            for key in TOLD:
                self._say(key, True)

    @property
    def kind_known(self) -> bool:
        """Whether all that `ask_kind` asked is answered or refused."""
        return self._description is not None and self._description.known

    @property
    def kinds(self) -> list[str]:
        """The names of the client and its terminal, such as "XTERM-256COLOR".

        There are at most 3, each of 1 to 40 printable ASCII characters (RFC 1091).
        """
        return [] if self._description is None else self._description.kinds

    @property
    def mtts(self) -> int:
        """The bits of MTTS, by which the client says what it can do; 0 for nothing said."""
        return 0 if self._description is None else self._description.mtts

    @property
    def no_color(self) -> bool:
        """Whether the client has told that NO_COLOR is set and not empty (RFC 1572)."""
        return self._description is not None and self._description.no_color

    @property
    def size(self) -> tuple[int, int] | None:
        """The columns and rows as last told (RFC 1073), 0 for unknown; None for untold."""
        return None if self._description is None else self._description.size

    def _take_told(self, told: bytes | None) -> bool:
        """Take a whole subnegotiation; return whether the size has changed."""
        if told is None or self._description is None:
            return False
        if not self._wanted(DO + told[:1]):
            return False
        size = self._description.size
        self._ask(self._description.take(told))
        return self._description.size != size

    def _negotiate(self, verb: bytes, option: bytes) -> None:
        """Answer a request; take an answer."""
        on = verb in (DO, WILL)
        side = ON[verb]
        key = side + option
        negotiation = self._known(key)
        welcome = self._welcome(key)
        if on and welcome and negotiation is None:
            negotiation = self._negotiation(key)
        if negotiation is not None:
            if negotiation.hear(on, welcome):
                self._answer(side if negotiation.wanted else OFF[side], option)
            if key == THEIR_BINARY:
                self.binary = negotiation.agreed
            elif key in TOLD and self._description is not None:
                if negotiation.agreed:
                    self._ask(self._description.agree(option))
                elif not negotiation.wanted:
                    self._description.refuse(option)
        elif on:
            # RFC 860: a mark is asked for again each time, and clients show nothing until then.
            self._answer(WILL if verb + option == DO + TIMING_MARK else OFF[side], option)
        # Nothing was asked before, so a refusal is no telnet: UTF-16 text begins with FF FE.
        if on:
            # Only now, so that what the client says first is not taken for its answer.
            self.evidence()

    def _welcome(self, key: bytes) -> bool:
        """Return whether the server agrees if the client asks for this by itself."""
        if key in CHARACTER_MODE:
            return self._taken_over
        if key in TOLD:
            return self._description is not None
        return key in ALWAYS_WELCOME

    def _negotiation(self, key: bytes) -> Negotiation:
        if self._negotiations is None:
            self._negotiations = {}
        return self._negotiations.setdefault(key, Negotiation())

    def _known(self, key: bytes) -> Negotiation | None:
        return None if self._negotiations is None else self._negotiations.get(key)

    def _wanted(self, key: bytes) -> bool:
        negotiation = self._known(key)
        return negotiation is not None and negotiation.wanted

    def _say(self, key: bytes, wanted: bool) -> None:
        """Have an option on or off, and tell the client if that is new."""
        if wanted is not self._wanted(key):
            self._negotiation(key).say(wanted)
            self._answer(key[:1] if wanted else OFF[key[:1]], key[1:])

    def _ask(self, question: bytes) -> None:
        if question:
            self._put(IAC + SB + question + IAC + SE)

    def _answer(self, verb: bytes, option: bytes) -> None:
        self._put(IAC + verb + option)

    def _put(self, answer: bytes) -> None:
        if self._answers is None:
            self._answers = bytearray()
        self._answers += answer
