"""The chat server of Twisted tutorials: a set of protocols and a loop over ``sendLine``.

It has nothing beyond the tutorial, except a backlog and TCP_NODELAY, so that these do not decide
the comparison.

usage: sendline.py PORT [GREETING]
"""

from __future__ import annotations

import sys
from typing import cast

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTCP, ITCPTransport
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineReceiver

clients: set[Chat] = set()
greeting = sys.argv[2].encode() if len(sys.argv) > 2 else None


class Chat(LineReceiver):
    delimiter = b"\n"

    def connectionMade(self) -> None:
        cast(ITCPTransport, self.transport).setTcpNoDelay(True)
        clients.add(self)
        if greeting is not None:
            self.sendLine(greeting)

    def connectionLost(self, reason: object = None) -> None:
        clients.discard(self)

    def lineReceived(self, line: bytes) -> None:
        for client in clients:
            if client is not self:
                client.sendLine(line)


if __name__ == "__main__":
    factory = ServerFactory()
    factory.protocol = Chat
    cast(IReactorTCP, reactor).listenTCP(int(sys.argv[1]), factory, 4096, "127.0.0.1")
    reactor.run()
