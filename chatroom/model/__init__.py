"""The values that all other packages use, and small protocols.

Events, accounts, preferences, limits, bans, the clock. Nothing here does input or output.
"""
