"""Passwords and the login throttle.

How passwords are hashed and compared, and how guessing them is slowed down.
"""
