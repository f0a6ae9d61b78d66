"""The door for SSH.

`factory` takes clients in, and `connection` is one of them from its first byte on. Under it are
`transport` for packets, with `algorithms`; in it `auth` finds out who the client is, `service`
opens its `channel`, which is a transport again, and `session` is the conversation over that.
`conch` is what is taken of Twisted's Conch by private names.
"""
