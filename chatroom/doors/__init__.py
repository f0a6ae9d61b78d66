"""The ways in: each speaks a protocol to clients, and makes a connection of each.

`factory` and `writer` are shared by all, `lines` by the doors for people: `telnet` (and netcat) and
`ssh`. `relay` is a whole door in one file. `proxy` stands before any of them.
"""
