"""Refusals of what a user asked for."""

from enum import StrEnum


class Code(StrEnum):
    """The reasons for refusals, for clients with their own words or numbers for them."""

    # -- the request
    USAGE = "usage"
    BAD_VALUE = "bad-value"
    NO_SUCH_COMMAND = "no-such-command"
    #: The beginning of a name fits several names.
    AMBIGUOUS = "ambiguous"
    #: The object of the request does not exist: a mute, a report, a message, a key.
    NOTHING_FOUND = "nothing-found"
    #: The request would change nothing.
    ALREADY = "already"
    #: Users cannot do that to themselves.
    YOURSELF = "yourself"
    #: The line looks like a command or a password, and was not said.
    HELD_BACK = "held-back"
    #: Another connection of the same user may do it, this one may not.
    WRONG_CONNECTION = "wrong-connection"

    # -- names and people
    BAD_NAME = "bad-name"
    NAME_TAKEN = "name-taken"
    NO_SUCH_USER = "no-such-user"
    NO_SUCH_ACCOUNT = "no-such-account"
    #: The user has just left.
    GONE = "gone"
    #: The user is here, but the client has not read earlier messages yet.
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
    #: It cannot be done to an operator, the lobby and the like.
    PROTECTED = "protected"

    # -- limits
    #: The user may ask again later.
    RATE_LIMITED = "rate-limited"
    #: There are too many already, or it is too long.
    TOO_MANY = "too-many"
    #: The server cannot do it at present.
    UNAVAILABLE = "unavailable"


class TooMany(Exception):
    """An attempt is refused because too many are waiting."""


class Refused(Exception):
    """A request of a user is refused; the message is whole sentences for the user."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
