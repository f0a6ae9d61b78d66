"""The tables of a store, and the migration of files of earlier versions.

A script in MIGRATIONS is never changed after its release; each change of the tables is one more
script. ``PRAGMA user_version`` is the number of scripts that a file has been through.
"""

import sqlite3

from chatroom.text import names

#: ``PRAGMA application_id``: "chat" in ASCII.
APPLICATION = 0x63686174

#: The kinds of events below this number are messages of users; see backends/codec.py.
LINES_BELOW = 2

MIGRATIONS = (
    """
    CREATE TABLE rooms (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,       -- names.fold(name); see database.REMOVED_PREFIX
        name TEXT NOT NULL,
        topic TEXT NOT NULL DEFAULT ''
    );
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,         -- ledger.Entry.id: about the time in microseconds
        room INTEGER NOT NULL REFERENCES rooms,
        kind INTEGER NOT NULL,          -- see codec.py; below 2 it is a line
        time REAL NOT NULL,             -- seconds since the epoch
        origin INTEGER NOT NULL,        -- the connection, in that run of the server
        name TEXT NOT NULL,
        text TEXT NOT NULL
    );
    CREATE INDEX lines ON events (room, id) WHERE kind < 2;
    CREATE INDEX notices ON events (room, id) WHERE kind >= 2;
    -- Contentless: the words of each line (words.py), found by rowid = events.id.
    CREATE VIRTUAL TABLE words USING fts5(room, name, text, content='', tokenize='ascii');
    -- indexed: the last id in `words`; unclean: 1 while traces of deleted lines may be left, 2
    -- while they are being cleaned away.
    CREATE TABLE state (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO state VALUES ('indexed', 0), ('unclean', 0);
    """,
    """
    -- AUTOINCREMENT: an id is never given twice, whatever was deleted.
    CREATE TABLE accounts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,       -- names.fold(name)
        name TEXT NOT NULL,
        password TEXT NOT NULL,         -- as passwords.make makes it; empty: no login by password
        created REAL NOT NULL,          -- seconds since the epoch
        seen REAL NOT NULL,             -- when it was last used
        preferences TEXT NOT NULL DEFAULT '{}'  -- accounts.Preferences.dump: JSON
    );
    -- Up to where an account has read each room.
    CREATE TABLE places (
        account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
        room TEXT NOT NULL,             -- rooms.key, though the room may be gone
        id INTEGER NOT NULL,            -- of the last event that was shown
        PRIMARY KEY (account, room)
    ) WITHOUT ROWID;
    -- Private lines that wait for somebody who is not there.
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
        time REAL NOT NULL,             -- when it was sent
        sender TEXT NOT NULL,           -- the name
        author INTEGER NOT NULL,        -- the sender's account, which may be gone; 0 for a guest
        text TEXT NOT NULL
    );
    CREATE INDEX waiting ON messages (account);
    """,
    """
    CREATE TABLE orders (
        kind TEXT NOT NULL,             -- see moderation.ROWS
        key TEXT NOT NULL,
        value TEXT NOT NULL,            -- JSON: the order
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
    CREATE TABLE actions (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,             -- seconds since the epoch
        operator TEXT NOT NULL,
        what TEXT NOT NULL,
        target TEXT NOT NULL,
        why TEXT NOT NULL
    );
    CREATE TABLE reports (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,             -- seconds since the epoch
        reporter TEXT NOT NULL,
        about TEXT NOT NULL,
        why TEXT NOT NULL,
        room TEXT NOT NULL,
        evidence TEXT NOT NULL          -- the last lines of the room, as they were shown
    );
    """,
    """
    -- The public keys that log somebody in.
    CREATE TABLE keys (
        id INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL UNIQUE,   -- publickeys.PublicKey.fingerprint
        account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
        type TEXT NOT NULL,
        comment TEXT NOT NULL,
        added REAL NOT NULL,            -- seconds since the epoch
        proven INTEGER NOT NULL         -- 1 when its owner has shown that it is theirs
    );
    CREATE INDEX bound ON keys (account);
    """,
    """
    -- What is found without optional signs is indexed anew (words.py).
    INSERT INTO words (words) VALUES ('delete-all');
    UPDATE state SET value = 0 WHERE key = 'indexed';
    -- Ids are greater than the time says where the clock was once ahead.
    CREATE INDEX times ON events (room, time);
    """,
    """
    -- names.skeleton(name), which `migrate` sees to.
    ALTER TABLE accounts ADD COLUMN skeleton TEXT NOT NULL DEFAULT '';
    CREATE INDEX skeletons ON accounts (skeleton);
    """,
    """
    -- What is found with or without a nukta is indexed anew (words.py).
    INSERT INTO words (words) VALUES ('delete-all');
    UPDATE state SET value = 0 WHERE key = 'indexed';
    """,
    """
    -- Event.user: an account, which may be gone; minus `origin` for a guest; 0 where it is unknown.
    ALTER TABLE events ADD COLUMN user INTEGER NOT NULL DEFAULT 0;
    -- Since an account was made nobody else was called so.
    UPDATE events SET user = accounts.id FROM accounts
        WHERE accounts.key = fold(events.name) AND accounts.created <= events.time;
    """,
)


#: The tables that a server needs from its start on. Damage to messages shows when they are read.
NEEDED = ("state", "rooms", "accounts", "orders", "keys", "messages")


class SchemaError(Exception):
    """The file is not a store, or this program cannot use it; the message says why."""


def version(connection: sqlite3.Connection) -> int:
    """Return how many migrations the file has been through, 0 if it is empty.

    Raises SchemaError.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (application or found or tables):
        raise SchemaError("it is not a file of chatroom's")
    if found > len(MIGRATIONS):
        raise SchemaError(
            f"it was written by a newer chatroom (version {found} of its tables; this one knows "
            f"{len(MIGRATIONS)})"
        )
    return int(found)


def damage(connection: sqlite3.Connection, *tables: str) -> str:
    """Return the first damage in these tables, or in the whole file, in one line; or ""."""
    for table in tables or ("",):
        # This reads the whole table or file.
        (found,) = connection.execute(f"PRAGMA quick_check({table or 1})").fetchone()
        if found != "ok":
            return str(" ".join(found.split()))
    return ""


def migrate(connection: sqlite3.Connection) -> None:
    """Migrate the file to this version, each step in one transaction. Raises SchemaError."""
    connection.create_function("fold", 1, names.fold, deterministic=True)
    for number, script in enumerate(MIGRATIONS[version(connection) :], version(connection) + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script} PRAGMA application_id = {APPLICATION}; "
            f"PRAGMA user_version = {number}; COMMIT;"
        )
    # The table of characters that look alike may have changed since an account was added.
    connection.create_function("skeleton", 1, names.skeleton, deterministic=True)
    connection.executescript(
        "UPDATE accounts SET skeleton = skeleton(name) WHERE skeleton <> skeleton(name)"
    )
