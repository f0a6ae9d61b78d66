"""Makes ``twistd chatroom`` known.

Every ``twistd`` command imports this file, so it holds one ServiceMaker and imports nothing else.
"""

from twisted.application.service import ServiceMaker

chatroom = ServiceMaker(
    "chatroom",
    "chatroom.server.service",
    "A chat room for everybody with telnet or netcat.",
    "chatroom",
)
