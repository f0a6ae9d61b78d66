"""The store: what was said, in one SQLite file in a folder of its own."""
