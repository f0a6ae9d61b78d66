"""Pure functions on strings and times."""
