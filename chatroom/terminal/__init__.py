"""A user's terminal, without its connection.

Bytes become keys, keys edit a line, and a screen shows that line below the messages.
"""
