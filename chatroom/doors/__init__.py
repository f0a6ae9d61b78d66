"""The ways in: each makes lines for a session of what a client sends, and sends what it is shown.

`factory` and `writer` are shared by all, `lines` by the doors for people: `telnet` (and netcat) and
`ssh`. `relay` is a whole door in one file. `proxy` stands before any of them.
"""
