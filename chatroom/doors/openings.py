"""Openings: how programs begin that look for another kind of server.

What they send is not for people to read. These are pure functions of what a connection sent first,
and what they recognise is typed by no user by accident. A browser can be tricked into posting a
form to any port, and an IRC client begins with a password.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Opening(NamedTuple):
    """What a connection turned out to be.

    what: a phrase for the log.
    answer: what the client is told, in bytes.
    """

    what: str
    answer: bytes = b""


HTTP: Final = Opening("speaks HTTP")
TLS: Final = Opening("speaks TLS")
SSH: Final = Opening("speaks SSH")
#: RFC 2812, section 3.7.4.
IRC: Final = Opening(
    "speaks IRC", b"ERROR :This is no IRC port but a chat for telnet and nc. Nothing was said.\r\n"
)

#: RFC 5321, section 3.1.
SMTP: Final = Opening(
    "speaks SMTP", b"554 This is no mail server but a chat. Nothing was said.\r\n"
)
#: RFC 9051, section 7.1.5.
IMAP: Final = Opening("speaks IMAP", b"* BYE This is no mailbox but a chat. Nothing was said.\r\n")
#: RESP, the protocol of Redis: "Simple errors".
REDIS: Final = Opening("speaks Redis", b"-ERR This is no Redis but a chat. Nothing was said.\r\n")

#: How a TLS ClientHello begins: a handshake record of version 3 (RFC 8446, section 5.1).
_HELLO: Final = b"\x16\x03"

_LINES: Final = (
    # RFC 9112, section 3, and the preface of HTTP/2 (RFC 9113, section 3.4).
    (re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]|PRI \* HTTP/2\.0"), HTTP),
    # RFC 4253, section 4.2.
    (re.compile(rb"SSH-[12]\.\d+-[!-~].*"), SSH),
    # RFC 2812, section 3.1; IRCv3, "Capability Negotiation". NICK alone may be a person's.
    (re.compile(rb"PASS \S.*|CAP (?:LS|REQ|LIST|END)\b.*|USER(?: \S+){3} .+"), IRC),
    # RFC 5321, section 4.1.1. What greets a HELO has a dot or a number, unlike HELO EVERYBODY.
    (
        re.compile(
            rb"EHLO \S+|HELO (?:localhost|\S*[.:\d\[]\S*)|(?:MAIL FROM|RCPT TO): ?<[^>]*>.*"
        ),
        SMTP,
    ),
    # RFC 9051, section 6: a tag with a number in it, and a command.
    (
        re.compile(
            rb"[A-Za-z]+\d+ (?:CAPABILITY|NOOP|STARTTLS|LOGIN \S+ \S+|AUTHENTICATE \S.*|ID .+)"
        ),
        IMAP,
    ),
    # RESP, "Arrays" and "Bulk strings": how many words follow, and how long the first is.
    (re.compile(rb"\*\d+\n\$\d+"), REDIS),
)

_LONG_HTTP: Final = re.compile(rb"[A-Z]+ /")
_NICK: Final = re.compile(rb"NICK \S+\r?")


def recognised(line: bytes, following: bytes = b"") -> Opening | None:
    """Return what the first line of a connection, without its LF, shows it to be.

    following: the line after it, empty if that has not come.
    """
    if line.startswith(_HELLO):
        return TLS
    line = line.removesuffix(b"\r")
    if line.startswith(b"*"):
        line += b"\n" + following.removesuffix(b"\r")
    return next((opening for pattern, opening in _LINES if pattern.fullmatch(line)), None)


def recognised_early(beginning: bytes, *, long: bool = False) -> Opening | None:
    """Return what the *beginning* of the first line shows the connection to be.

    long: whether there will be no more than that, since the line is too long.
    """
    if beginning.startswith(_HELLO):
        return TLS
    return HTTP if long and _LONG_HTTP.match(beginning) else None


def goes_on(line: bytes) -> bool:
    """Return whether the next line is to be looked at after the first *line*."""
    return _NICK.fullmatch(line) is not None
