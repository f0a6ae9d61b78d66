"""The server: puts all parts together and runs them, on a reactor.

Options and settings, endpoints, TLS, logs, metrics, systemd, and `chatroom-data`.
"""
