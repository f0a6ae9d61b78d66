"""The backend that keeps everything in one SQLite file.

`store` is its face. `database` has the transactions, `schema` the tables, `ledger` commits what was
submitted before anybody is shown it, `worker` runs all of that in threads.
"""
