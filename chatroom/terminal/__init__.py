"""One user's terminal, without the connection that it is at.

Bytes become keys, keys edit a line, and a screen shows that line below what arrives.
"""
