"""Formats: encoders from events to bytes.

A format has no state, and encodes equal events as equal bytes. So all connections with the same
format are sent the same bytes object.
"""
