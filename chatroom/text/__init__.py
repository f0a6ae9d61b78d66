"""Pure functions on strings and times.

What a name may be, how text is made safe to show, how it is found, measured and wrapped, and how
times are read and written.
"""
