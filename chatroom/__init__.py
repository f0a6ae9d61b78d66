"""A chat room for everybody with a terminal: ``twistd chatroom`` and ``telnet``.

The version stands here and nowhere else: the packaging reads it from this file.
"""

__version__ = "0.1.0"
