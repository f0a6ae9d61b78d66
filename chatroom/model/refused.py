"""The refusal of what a user asked for."""

from enum import StrEnum


class Code(StrEnum):
    """Why something is refused, for clients that have words or numbers of their own for it."""

    # -- the request
    USAGE = "usage"
    BAD_VALUE = "bad-value"
    NO_SUCH_COMMAND = "no-such-command"
    #: The beginning of a name fits several of them.
    AMBIGUOUS = "ambiguous"
    #: What it is to be done to is not there: a mute, a report, a line, a key.
    NOTHING_FOUND = "nothing-found"
    #: It is so already.
    ALREADY = "already"
    #: Nobody does that to themselves.
    YOURSELF = "yourself"
    #: The line looks like a command or a password, and was not said.
    HELD_BACK = "held-back"
    #: This connection cannot have it; another one of the same user may.
    WRONG_CONNECTION = "wrong-connection"

    # -- names and people
    BAD_NAME = "bad-name"
    NAME_TAKEN = "name-taken"
    NO_SUCH_USER = "no-such-user"
    NO_SUCH_ACCOUNT = "no-such-account"
    #: The user was here until just now.
    GONE = "gone"
    #: The user is here, and has not taken what was sent before.
    NOT_READING = "not-reading"

    # -- rooms
    NO_SUCH_ROOM = "no-such-room"
    NOT_IN_ROOM = "not-in-room"
    NOT_INVITED = "not-invited"

    # -- accounts
    NOT_LOGGED_IN = "not-logged-in"
    LOGGED_IN = "logged-in"
    WRONG_PASSWORD = "wrong-password"
    BAD_PASSWORD = "bad-password"

    # -- rights
    NOT_OPERATOR = "not-operator"
    NOT_OWNER = "not-owner"
    MUTED = "muted"
    BANNED = "banned"
    #: An operator, the lobby and the like: nobody does that to them.
    PROTECTED = "protected"

    # -- limits
    #: It was asked for too often; later it may be had.
    RATE_LIMITED = "rate-limited"
    #: There are as many as there may be, or it is too long.
    TOO_MANY = "too-many"
    #: The server cannot do it just now.
    UNAVAILABLE = "unavailable"


class TooMany(Exception):
    """So many attempts wait that this one is not made."""


class Refused(Exception):
    """Something that a user asked for cannot be; as a string, whole sentences for them."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
