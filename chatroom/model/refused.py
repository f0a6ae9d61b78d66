"""The refusal of what a user asked for."""


class TooMany(Exception):
    """So many attempts wait that this one is not made."""


class Refused(Exception):
    """What somebody asked for cannot be; the message is whole sentences for them."""
