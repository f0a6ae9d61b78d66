"""The door for SSH.

`factory` takes clients in, and `connection` is one of them from its first byte on. Under it are
`transport` for packets, with `algorithms`; in it `auth` finds out who the user is, `service` opens
the one `channel`, which is a transport again, and `session` is the line protocol over that. `conch`
is what is taken of Twisted's Conch by private names.
"""
