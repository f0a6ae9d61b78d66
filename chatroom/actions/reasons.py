"""Reasons: the short texts that users give for what they do, and that other users are shown."""

from chatroom.model.refused import Code, Refused

#: How long a reason, an away text or a last word may be, in characters.
MAX_REASON = 200


def check_reason(text: str) -> None:
    """Raise Refused if *text* is too long for a reason."""
    if len(text) > MAX_REASON:
        raise Refused(
            Code.TOO_MANY,
            f"At most {MAX_REASON} characters, please: these are {len(text):,}. Nothing was done.",
        )
