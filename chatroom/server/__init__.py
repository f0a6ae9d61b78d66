"""What puts the server together and runs it: the only package that knows a reactor.

Options and settings, endpoints, TLS, logs, metrics, systemd, and `chatroom-data`.
"""
