"""`chatroom-data`: reads and changes stores, whether or not a server uses them.

A command is one function and one row of COMMANDS. It opens the store without its lock, and reads it
in one transaction, as it was at one moment; only `accounts` changes anything, as a server does: in
one transaction of `AccountTables`. ToolError, and errors of the system and of SQLite, become one
line on standard error.
"""

import argparse
import io
import json
import math
import os
import secrets
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chatroom import __version__
from chatroom.accounts import passwords
from chatroom.backends import codec
from chatroom.backends.sqlite.accounts import AccountTables
from chatroom.formats.plain import PLAIN
from chatroom.model.accounts import Account
from chatroom.model.events import CrowdMoved, TookBack
from chatroom.server.files import reason
from chatroom.server.storecheck import problems
from chatroom.server.storecopy import copy, sync
from chatroom.server.storefile import ToolError, reading, writing
from chatroom.text import names, times

PROGRAM = "chatroom-data"

#: The keys of existing rooms are greater than this, those of removed rooms are less
#: (database.REMOVED_PREFIX).
MIN_KEY = "!"

#: The suffixes of SQLite's files beside a database, which it would use for a new one of that name.
COMPANIONS = ("-wal", "-shm", "-journal")

#: Printed after a change of an account.
SEEN = "a server that is running sees this within a minute, at once with SIGHUP"

#: The characters of a random password, without any that look alike, and how many it has.
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
PASSWORD_LENGTH = 16


def rooms(arguments: argparse.Namespace) -> int:
    """list the rooms: how many lines, when something was last said (UTC), the topic"""
    with reading(arguments.store) as (_, connection):
        print(f"{'lines':>12}  {'last said (UTC)':19}  room")
        for name, topic, count, last in connection.execute(
            "SELECT name, topic, (SELECT count(*) FROM events WHERE room = rooms.id AND kind < 2), "
            "(SELECT time FROM events WHERE room = rooms.id AND kind < 2 ORDER BY id DESC LIMIT 1) "
            "FROM rooms WHERE key >= ? ORDER BY key",
            (MIN_KEY,),
        ):
            when = "never" if last is None else _utc(last).strftime("%Y-%m-%d %H:%M:%S")
            print(f"{count:12,}  {when:19}  {names.clean(f'#{name}  {topic}').rstrip()}")
    return 0


def export(arguments: argparse.Namespace) -> int:
    """write what was said in a room, oldest first, to the standard output in UTF-8"""
    with reading(arguments.store) as (_, connection):
        found = connection.execute("SELECT key, id, name FROM rooms WHERE key >= ?", (MIN_KEY,))
        kept = {key: row for key, *row in found}
        key = names.fold(arguments.room.removeprefix("#"))
        if key not in kept:
            near = names.suggest(key, kept)
            hint = f"; did you mean #{names.clean(near)}?" if near else ""
            raise ToolError(f"there is no room #{names.clean(key)}{hint}")
        room, name = kept[key]
        lines = "" if arguments.all else "AND kind < 2"
        show = _json if arguments.json else _plain
        for id, *row in connection.execute(
            "SELECT id, kind, time, name, text FROM events "
            f"WHERE room = ? {lines} AND time >= ? AND time < ? ORDER BY id",
            (room, arguments.since, arguments.until),
        ):
            try:
                print(show(id, name, *row))
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                raise ToolError(f"event {id} of #{names.clean(name)} is damaged") from error
    return 0


def _plain(id: int, room: str, kind: int, time: float, name: str, text: str) -> str:
    """Return an event as one line of text that is safe for a terminal."""
    return names.clean(f"{_utc(time):%Y-%m-%d %H:%M:%S} {_shown(kind, time, name, text)}")


def _json(id: int, room: str, kind: int, time: float, name: str, text: str) -> str:
    """Return an event as one line of JSON."""
    if isinstance(codec.decode(kind, time, name, text), CrowdMoved | TookBack):
        text = _shown(kind, time, name, text).removeprefix("-- ")
    fields = {
        "id": id,
        "time": _utc(time).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "room": names.clean(room),
        "kind": codec.KINDS[kind],
        "name": names.clean(name),
        "text": names.clean(text),
    }
    return json.dumps(fields, ensure_ascii=False)


def _shown(kind: int, time: float, name: str, text: str) -> str:
    """Return the line that users in the room were shown."""
    return PLAIN.encode(codec.decode(kind, time, name, text)).decode().rstrip("\r\n")


def accounts(arguments: argparse.Namespace) -> int:
    """list the accounts: when made and last used (UTC), how many messages wait, how many public
    keys they have; or the keys of one; or change one
    """
    if arguments.rename:
        _rename(arguments.store, *arguments.rename)
    elif arguments.reset is not None:
        _reset(arguments.store, arguments.reset)
    elif arguments.keys is not None:
        _list_keys(arguments.store, arguments.keys)
    elif arguments.forget_keys is not None:
        with writing(arguments.store) as book:
            book.forget_keys(_account(book, arguments.forget_keys).id)
    elif arguments.remove is not None:
        with writing(arguments.store) as book:
            account = _account(book, arguments.remove)
            if not book.remove(account.id):
                raise _no_account(account.name)
    else:
        _list(arguments.store)
        return 0
    if arguments.keys is None and arguments.forget_keys is None:
        print(f"{PROGRAM}: {SEEN}", file=sys.stderr)
    return 0


def _list(place: str) -> None:
    with reading(place) as (_, connection):
        print(f"{'created (UTC)':19}  {'last used (UTC)':19}  {'waiting':>7}  {'keys':>4}  name")
        for name, created, seen, count, keys in connection.execute(
            "SELECT name, created, seen, "
            "(SELECT count(*) FROM messages WHERE account = accounts.id), "
            "(SELECT count(*) FROM keys WHERE account = accounts.id) "
            "FROM accounts ORDER BY key"
        ):
            try:
                made, used = (f"{_utc(when):%Y-%m-%d %H:%M:%S}" for when in (created, seen))
            except (ArithmeticError, TypeError, ValueError, OSError) as error:
                raise ToolError(f"the account {names.clean(name)} is damaged") from error
            print(f"{made}  {used}  {count:7,}  {keys:4}  {names.clean(name)}")


def _list_keys(place: str, name: str) -> None:
    with reading(place) as (_, connection):
        book = AccountTables(connection)
        account = _account(book, name)
        print(f"{'added (UTC)':19}  {'fingerprint':50}  type, comment")
        for key in book.keys(account.id):
            try:
                added = f"{_utc(key.added):%Y-%m-%d %H:%M:%S}"
            except (ArithmeticError, TypeError, ValueError, OSError) as error:
                raise ToolError(f"the key {key.fingerprint} is damaged") from error
            about = f"{key.type} {key.comment}".rstrip()
            print(
                f"{added}  {key.fingerprint:50}  {about}{'' if key.proven else ' (not used yet)'}"
            )


def _rename(place: str, old: str, new: str) -> None:
    """Give the account *old* the name *new*, by the rules for users."""
    try:
        name = names.check_name(new)
    except names.NameRefused as refused:
        why = str(refused).removesuffix(".")
        raise ToolError(f"{names.clean(new)!r} is no name: {why[:1].lower()}{why[1:]}") from refused
    if names.is_reserved(name):
        raise ToolError(f"the name {name} is reserved")
    with writing(place) as book:
        account = _account(book, old)
        other = book.resembling(name, but=account.id)
        if other is not None and other.key != names.fold(name):
            raise ToolError(f"the name {name} looks like that of the account {other.name}")
        renamed = book.rename(account.id, name)
        if renamed is None:
            raise ToolError(f"the name {name} is another account's already")
        if not renamed:
            raise _no_account(account.name)


def _reset(place: str, name: str) -> None:
    """Give the account a random password, and print it; it is stored nowhere else."""
    with writing(place) as book:
        account = _account(book, name)
        password = "".join(secrets.choice(LETTERS) for _ in range(PASSWORD_LENGTH))
        if not book.set_password(account.id, passwords.make(password)):
            raise _no_account(account.name)
    print(password)


def _account(book: AccountTables, name: str) -> Account:
    account = book.find(names.fold(name))
    if account is None:
        raise _no_account(name)
    return account


def _no_account(name: str) -> ToolError:
    return ToolError(f"there is no account {names.clean(name)}")


def backup(arguments: argparse.Namespace) -> int:
    """copy the store, as it is at this moment, into one file of mode 0600"""
    target = Path(arguments.file)
    part = target.with_name(f"{target.name}.part")
    if target.is_dir():
        raise ToolError(f"{target} is a folder")
    if target.exists() and not arguments.force:
        raise ToolError(f"{target} is there already; --force replaces it")
    with reading(arguments.store, older=True) as (path, connection):
        if target.exists() and target.samefile(path):
            raise ToolError(f"{target} is what is to be copied")
        for companion in COMPANIONS:
            if target.with_name(target.name + companion).exists():
                raise ToolError(f"{target}{companion} is there: {target} is in use, or was")
        try:
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError as error:
            raise ToolError(
                f"{part} is there already: of a backup that runs, or of one that was killed; "
                "then remove it"
            ) from error
        try:
            copy(connection, part)
            part.replace(target)
            sync(target.absolute().parent)
        except (sqlite3.Error, OSError) as error:
            why = reason(error) if isinstance(error, OSError) else error
            raise ToolError(f"cannot copy {path} to {target}: {why}") from error
        finally:
            for suffix in ("", *COMPANIONS):
                part.with_name(part.name + suffix).unlink(missing_ok=True)
    return 0


def check(arguments: argparse.Namespace) -> int:
    """look for damage: one line for each problem and exit status 1, or that there is none"""
    with reading(arguments.store) as (path, connection):
        sound = True
        for problem in problems(connection):
            sound = False
            print(names.clean(f"{path}: {problem}"))
        if sound:
            count = "SELECT (SELECT count(*) FROM rooms), count(*) FROM events WHERE kind < 2"
            rooms, lines = connection.execute(count).fetchone()
            counts = f"{_count(rooms, 'room')}, {_count(lines, 'line')}"
            print(names.clean(f"{path} is sound: {counts}."))
    return 0 if sound else 1


def _utc(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC)


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _moment(text: str) -> float:
    """Parse a TIME of the command line, into seconds since the epoch."""
    with suppress(ValueError):
        moment = times.moment(text, time.time())
        if moment is not None:
            return moment
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a time such as '2026-11-24 12:03', 'yesterday', '12:03' or '2h' ago"
    )


TIME: dict[str, Any] = {"type": _moment, "metavar": "TIME"}

#: The commands, each with its arguments besides the store (for `ArgumentParser.add_argument`). The
#: function has the name of the command, and its docstring is the help.
COMMANDS: dict[Callable[[argparse.Namespace], int], dict[str, dict[str, Any]]] = {
    rooms: {},
    export: {
        "room": {"metavar": "ROOM", "help": "the room, with or without its #"},
        "--json": {"action": "store_true", "help": "one JSON object a line"},
        "--since": {**TIME, "default": -math.inf, "help": "only what was said from then on"},
        "--until": {**TIME, "default": math.inf, "help": "only what was said before then"},
        "--all": {"action": "store_true", "help": "joins, leaves, topics and so on, too"},
    },
    backup: {
        "file": {"metavar": "FILE", "help": "the copy"},
        "--force": {"action": "store_true", "help": "replace FILE if it is there"},
    },
    check: {},
    accounts: {
        "--rename": {"nargs": 2, "metavar": ("OLD", "NEW"), "help": "call the account OLD NEW"},
        "--reset": {"metavar": "NAME", "help": "give it a random password, and print that"},
        "--keys": {"metavar": "NAME", "help": "list its public keys"},
        "--forget-keys": {"metavar": "NAME", "help": "remove all its public keys"},
        "--remove": {"metavar": "NAME", "help": "remove it; what it said in rooms stays"},
    },
}

#: A command takes at most one of these options.
EXCLUSIVE = frozenset({"--rename", "--reset", "--keys", "--forget-keys", "--remove"})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(PROGRAM, description="Read, copy or change a chatroom's data.")
    parser.add_argument("--version", action="version", version=f"chatroom {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for function, arguments in COMMANDS.items():
        help = function.__doc__
        command = commands.add_parser(function.__name__, help=help, description=help)
        command.set_defaults(command=function)
        command.add_argument(
            "store", metavar="DIR", help="the folder of --data, or a file such as a backup"
        )
        one = command.add_mutually_exclusive_group() if EXCLUSIVE & arguments.keys() else command
        for flag, options in arguments.items():
            (one if flag in EXCLUSIVE else command).add_argument(flag, **options)
    return parser


def main() -> int:
    """Run the command, and return the exit status; argparse itself exits with 2."""
    arguments = _parser().parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    try:
        status: int = arguments.command(arguments)
        sys.stdout.flush()
        return status
    except ToolError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        # The reader has gone or the disk is full. Python must not flush the output again at exit.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            where = error.filename or "the output"
            print(f"{PROGRAM}: cannot write {where}: {reason(error)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
