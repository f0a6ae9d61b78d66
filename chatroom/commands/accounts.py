"""Commands about the user's account, its password and its keys."""

from typing import TYPE_CHECKING

from chatroom.actions import accounts, keys
from chatroom.chat.loginservice import as_code
from chatroom.commands import command
from chatroom.model.refused import Code, Refused
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection


@command("register", usage="[PASSWORD]", secret=True, group="accounts")
def register(connection: "Connection", rest: str) -> None:
    """make your name your own

    Over telnet the password is asked for and not shown; elsewhere it is typed
    behind the command. It has 8 to 128 characters and no blanks.
    """
    accounts.register(connection, rest)


@command("login", usage="NAME [PASSWORD]", secret=True, group="accounts")
def log_in(connection: "Connection", rest: str) -> None:
    """have your name, wherever you come from

    Your other connection, if there is one, ends: a name is in one place at a
    time. You are shown what came for you, and are told what you missed. In
    place of a name it takes a code that /pair gave you: /login CODE.
    """
    name, _, password = rest.partition(" ")
    code = as_code(name)
    if code is not None and not password:
        accounts.log_in_by_code(connection, code)
    else:
        accounts.log_in(connection, name, password.strip())


@command("logout", in_full=True, group="accounts")
def log_out(connection: "Connection", rest: str) -> None:
    """be a guest again"""
    accounts.log_out(connection)


@command("password", "passwd", usage="[OLD NEW]", secret=True, group="accounts")
def password(connection: "Connection", rest: str) -> None:
    """change your password"""
    old, _, new = rest.partition(" ")
    new = new.strip()
    if bool(old) is not bool(new):
        raise Refused(Code.USAGE, "Usage: /password OLD NEW")
    accounts.change_password(connection, old, new)


@command("unregister", usage="[PASSWORD]", secret=True, group="accounts")
def unregister(connection: "Connection", rest: str) -> None:
    """give your name up, and all that is kept for you

    An operator gives up somebody else's, and is asked first: /unregister NAME,
    or their own where a password cannot be hidden: /unregister NAME PASSWORD.
    """
    if rest and connection.chat.moderation.is_operator(connection.user):
        name, _, rest = rest.partition(" ")
        if connection.user.account is None or names.fold(name) != connection.user.account.key:
            accounts.unregister_other(connection, name)
            return
    accounts.unregister(connection, rest.strip())


@command("pair", group="accounts")
def pair(connection: "Connection", rest: str) -> None:
    """get a code that logs in another connection

    Type it there within 2 minutes: /login CODE. It is good once, and moves you
    there. Never type here a code that somebody else gives you.
    """
    code = accounts.pair(connection)
    connection.notice(
        f"On the other connection, within 2 minutes: /login {code[:4]}-{code[4:]}\n"
        "Whoever types it is you. Give it to nobody."
    )


@command("key", "keys", usage="[list|add [KEY]|remove FINGERPRINT]", group="accounts")
def key(connection: "Connection", rest: str) -> None:
    """the public keys that log you in, where you come with one (SSH)

    /key add adds the one that you came with, /key add ssh-ed25519 AAAA... one
    that you paste from the file that ends in .pub. Of a FINGERPRINT a beginning
    is enough. Whoever has the private key to one of them is you.
    """
    word, _, what = rest.partition(" ")
    what = what.strip()
    match word.lower():
        case "" | "list" if not what:
            keys.show(connection)
        case "add":
            keys.add(connection, what)
        case "remove" if what:
            keys.remove(connection, what)
        case _:
            raise Refused(Code.USAGE, "Usage: /key list, /key add [KEY], /key remove FINGERPRINT")
