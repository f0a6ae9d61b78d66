"""What a user can do beside talking: log in, change their name, look things up, ignore others.

An action takes the session that asks, and raises Refused for what cannot be.
"""
