"""The state of the chat: rooms, who is in them, who is called what, and the end of a turn.

It has no reactor, no sockets and no clock of its own: time comes in, bytes go out to an `Writer`.
"""
