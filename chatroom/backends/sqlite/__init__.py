"""The backend that keeps everything in one SQLite file.

`store` is what the server uses. `schema` has the tables, `writer` and `reader` the statements,
`worker` runs them in threads, and `ledger` commits events before they are delivered.
"""
