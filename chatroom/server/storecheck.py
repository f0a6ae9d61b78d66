"""Look for damage in the database of a store."""

import sqlite3
from collections.abc import Iterator

from chatroom.backends import codec
from chatroom.text import names

_INDEXED = (
    "SELECT id FROM events WHERE kind < 2 AND id <= (SELECT value FROM state WHERE key = 'indexed')"
)

#: Descriptions of damage, each with a query for what is damaged, and how often. FTS5 checks its
#: index only by an INSERT, which a reader cannot do, but the list of indexed rows is an ordinary
#: table.
CHECKS = (
    (
        "events of room {}, which is not there",
        "SELECT room, count(*) FROM events WHERE room NOT IN (SELECT id FROM rooms) GROUP BY room",
    ),
    (
        "events of kind {}, which is not known",
        f"SELECT kind, count(*) FROM events WHERE kind NOT BETWEEN 0 AND {len(codec.KINDS) - 1} "
        "GROUP BY kind",
    ),
    (
        "lines that are missing in the search index",
        f"SELECT '', count(*) FROM ({_INDEXED} EXCEPT SELECT id FROM words_docsize)",
    ),
    (
        "lines that are in the search index only",
        f"SELECT '', count(*) FROM (SELECT id FROM words_docsize EXCEPT {_INDEXED})",
    ),
    *(
        (
            f"{table} of account {{}}, which is not there",
            f"SELECT account, count(*) FROM {table} "
            "WHERE account NOT IN (SELECT id FROM accounts) GROUP BY account",
        )
        for table in ("messages", "places", "keys")
    ),
    (
        "accounts with the key {}, which is one account's",
        # Without the index, which may be what is damaged.
        "SELECT key, count(*) FROM accounts NOT INDEXED GROUP BY key HAVING count(*) > 1",
    ),
)


def problems(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield what is damaged in a store, each in one line."""
    try:
        for (text,) in connection.execute("PRAGMA integrity_check"):
            # SQLite 3.44 reports this for every FTS5 index that is opened read-only.
            if text != "ok" and "readonly database" not in text:
                yield from (line for line in text.splitlines() if not line.startswith("***"))
        for fault, query in CHECKS:
            for which, count in connection.execute(query):
                if count:
                    yield f"{fault.format(which)}: {count:,}"
        for key, name in connection.execute("SELECT key, name FROM accounts ORDER BY id"):
            if key != names.fold(name):
                yield f"an account with the key {key}, which is not that of its name: {name}"
    except sqlite3.Error as error:
        yield str(error)
