"""The ancestor: sixty lines around ``select``, as chat servers began.

Every line goes to everybody except its sender, with a blocking ``sendall``. So it waits for clients
that do not read, and ``select`` takes at most 1,024 descriptors.

usage: select_ancestor.py PORT [GREETING]
"""

from __future__ import annotations

import select
import socket
import sys


def serve(port: int, greeting: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    unfinished: dict[socket.socket, bytes] = {}

    def leave(client: socket.socket) -> None:
        if unfinished.pop(client, None) is not None:
            client.close()

    def tell_others(sender: socket.socket, line: bytes) -> None:
        for client in list(unfinished):
            if client is not sender:
                try:
                    client.sendall(line)
                except OSError:
                    leave(client)

    while True:
        readable, _, _ = select.select([listener, *unfinished], [], [])
        for source in readable:
            if source is listener:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                unfinished[client] = b""
                if greeting:
                    client.sendall(greeting + b"\n")
                continue
            if source not in unfinished:
                continue
            try:
                data = source.recv(8192)
            except OSError:
                data = b""
            if not data:
                leave(source)
                continue
            *lines, rest = (unfinished[source] + data).split(b"\n")
            unfinished[source] = rest
            for line in lines:
                tell_others(source, line + b"\n")


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2].encode() if len(sys.argv) > 2 else b"")
