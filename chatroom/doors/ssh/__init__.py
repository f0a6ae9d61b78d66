"""The door for SSH.

`connection` is one client from its first byte on; `auth` finds out who it is, `channel` makes a
session's channel a transport, and `session` is the conversation over it. What is taken of Conch by
its private names is in `conch`.
"""
