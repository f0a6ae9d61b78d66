"""The door for telnet and netcat, and the one that begins with a terminal.

`parser`, `negotiation` and `subnegotiation` are the protocol without a connection.
"""
