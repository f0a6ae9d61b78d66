"""What concerns accounts and needs no connection.

How passwords are hashed and compared, and how guesses at them are slowed down.
"""
