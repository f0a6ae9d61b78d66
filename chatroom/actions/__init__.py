"""What a user can do beside talking: log in, change their name, look things up, ignore others.

An action takes the connection that asks, and raises Refused for what cannot be.
"""
