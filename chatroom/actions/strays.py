"""Strays: lines that were meant for the server, and would be said to the room.

Any text can still be said, with /say. Since every line that is said is checked, `suspect` is one
match at its beginning that tries nothing twice; only the lines that it finds are examined closely.
"""

import re
from typing import TYPE_CHECKING

import regex

from chatroom.accounts.passwords import MIN_LENGTH
from chatroom.model.refused import Code, Refused
from chatroom.text.names import BLANKS

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

# What keyboards and input methods have for a slash, beside the slash itself.
_SLASH = "/\uff0f\u2044\u2215\u29f8"

# Letters that are drawn as nothing (Default_Ignorable_Code_Point, and two blanks of hieroglyphs).
_FILLERS = "\u115f\u1160\u3164\uffa0\U00013441\U00013442"

_SECRET_WORDS = r"log[io]n|signin|(?:un)?register|password|passwd|identify|nickserv"
_IRC_WORDS = r"oper|authenticate|privmsg|nick|user|cap"
_LEAVING = r"quit|exit|bye|logoff|logout|disconnect|:?q!?|:wq!?"
_HELP = r"help|\?|commands"

#: Whether a line that is no command may be a stray, by how it begins: with a word that one begins
#: with, whose first letter rules most lines out, or with a slash behind what may be invisible.
suspect = re.compile(
    rf"""
      [\W_{_FILLERS}]*+(?:\w{{1,2}}/)?+(?=[abcdehilnmopqrsuw])
      (?:{_SECRET_WORDS}|{_IRC_WORDS}|claim|pass|pwd?|ns|msg|{_LEAVING}|help|commands)(?!\w)
    | [\W{_FILLERS}]*?(?:[{_SLASH}]\w|\?\s*+$)
    | \s*+\ufffd
    """,
    re.IGNORECASE | re.VERBOSE,
).match

# A slash with nothing before it that is to be seen: blanks, what `names.clean` leaves of a control
# or format character, and what a key leaves that an editor would take (ECMA-48, 5.4).
_COMMAND = regex.compile(
    rf"(?:[\s\p{{DI}}\p{{M}}{BLANKS}]|\ufffd(?:\[[\d;]*+[A-Za-z~]|O[A-Z])?+)*+[{_SLASH}]\w"
)

# What a client of IRC says to a server (RFC 2812, section 3), and a person does not.
_IRC = re.compile(
    r"(?:NICK\s\S+|USER(?:\s+\S+){3}\s.*|PRIVMSG\s+\S+\s.*|CAP\s(?:LS|REQ|LIST|END)\b.*)"
)

# A word that goes before a password, with whatever was hit before it, and one or two more.
_SECRET = re.compile(
    rf"""
      [\W_]*+(?:\w{{1,2}}/)?+(?:{_SECRET_WORDS})[\s:=]++\S++(?:\s++\S++)?+\s*+
    | (?:(?:privmsg|msg)\s++)?+(?:nickserv|ns)\s++:?identify\s.*
    | (?:pass|pwd?)\s*+[:=]\s*+\S++\s*+
    | claim\s++(?=\S*\d)\w{{4}}(?:-?\w{{4}}){{2}}\s*+
    | (?-i:PASS\s++\S++|OPER\s++\S++\s++\S++|AUTHENTICATE\s++\S++)\s*+
    """,
    re.IGNORECASE | re.VERBOSE,
)

# Commands, by their beginnings, with a secret behind them; what follows /login alone is no secret,
# or good only once.
_TYPED = re.compile(
    r"/(?:reg\w*|pass\w*|unreg\w*|claim)\s+\S|/log\w*\s+\S+\s+\S",
    re.IGNORECASE,
)

_LONE = re.compile(rf"(?:(?P<leaving>{_LEAVING})|{_HELP})", re.IGNORECASE)


def typed_in(text: str) -> bool:
    """Whether there is a password, or what is as good as one, in the line *text*."""
    command = text.startswith("/") and not text.startswith("//")
    return bool(_TYPED.match(text) if command else _SECRET.fullmatch(text))


def guard(connection: "Connection") -> None:
    """What comes next may be a password, also if nobody asks for it."""
    connection.prompt.guard(connection.chat.clock.seconds())


def sift(connection: "Connection", text: str) -> None:
    """Hold back *text*, which is suspect or comes while passwords may, if it is a stray.

    Raises Refused, with how it can be said all the same.
    """
    bare = text.strip()
    if not text.startswith("//") and _COMMAND.match(text):
        raise Refused(
            Code.HELD_BACK,
            "Not said: a command begins the line with its /. If it is none, /say says it.",
        )
    if _IRC.fullmatch(bare):
        raise Refused(
            Code.HELD_BACK, "Not said: it looks like a command of IRC. Those of this chat: /help."
        )
    if _SECRET.fullmatch(bare):
        raise Refused(
            Code.HELD_BACK, "Not said: it looks like a password on its way to the wrong place."
        )
    lone = _LONE.fullmatch(bare)
    if lone is not None:
        hint = "/quit leaves" if lone["leaving"] else "/help lists the commands"
        if hint not in connection.prompt.reminded:
            connection.prompt.reminded += (hint,)
            raise Refused(Code.HELD_BACK, f"Not said: {hint}. To say it, send it again.")
    if connection.chat.clock.seconds() < connection.prompt.guarded_until:
        words = bare.split()
        # A password has no blanks; before it may stand the name that it is for.
        if len(words) == 1 or (len(words) == 2 and len(words[1]) >= MIN_LENGTH):
            raise Refused(
                Code.HELD_BACK, "Not said: it may be a password. If it is none, /say says it."
            )
        connection.prompt.guarded_until = 0.0
