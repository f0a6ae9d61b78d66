"""Values that everything else speaks of, and small protocols.

Events, accounts, preferences, limits, bans, the clock. Nothing here does input or output.
"""
