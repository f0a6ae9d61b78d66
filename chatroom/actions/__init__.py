"""What a user can do beside talking: log in, change their name, look things up, ignore others.

An action takes the connection that asks and parsed arguments, and decides whether the user may. It
returns the result, or raises Refused.
"""
