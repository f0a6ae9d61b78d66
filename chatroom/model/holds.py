"""The reasons for which a connection's input waits."""

#: Why input waits: for a room, for a name, for the mailbox to be emptied, for the next line's
#: turn, for ever, for an answer from elsewhere, or for what this person asked for before.
ENTERING, NAMING, MAIL, PACE, OVER, READING, DECIDING = 1, 2, 4, 8, 16, 32, 64
