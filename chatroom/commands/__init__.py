"""The slash commands: one decorated function each, whose docstring is its help.

A command takes the connection and the rest of the line, which is clean text without blanks around
it. It parses that text, calls an action of `chatroom.actions`, which decides, and tells the user
the result. If the request is refused it raises Refused, whose message is whole sentences.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import cleandoc
from typing import TYPE_CHECKING

from chatroom.actions import strays
from chatroom.commands.usage import parse
from chatroom.model.refused import Code, Refused
from chatroom.text import names
from chatroom.text.prose import enumerate_names

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

Function = Callable[["Connection", str], None]


@dataclass(frozen=True, slots=True)
class Command:
    """One slash command.

    name: the word that runs it, without the slash.
    aliases: other words that run it.
    usage: its arguments as help shows them, see usage.py.
    help: its docstring, the first line of which is what `/help GROUP` lists.
    function: takes the connection and the rest of the line.
    group: the heading under which `/help` lists it.
    operator: whether only operators may run it.
    in_full: whether its name must be typed in full, since it is hard to undo, or a secret follows.
    secret: whether a secret follows. Until the command succeeds the next line may be one as well.
    """

    name: str
    aliases: tuple[str, ...]
    usage: str
    help: str
    function: Function
    group: str
    operator: bool = False
    in_full: bool = False
    secret: bool = False

    @property
    def synopsis(self) -> str:
        """How it is typed: '/msg NAME TEXT'."""
        return f"/{self.name} {self.usage}".rstrip()


#: All commands by name and by alias, in the order in which `/help` lists them.
COMMANDS: dict[str, Command] = {}


def command(
    name: str,
    *aliases: str,
    group: str,
    usage: str = "",
    operator: bool = False,
    in_full: bool = False,
    secret: bool = False,
    into: dict[str, Command] = COMMANDS,
) -> Callable[[Function], Function]:
    """Make the decorated function a slash command.

    group: the heading under which `/help` lists it.
    usage: its arguments. If it does not begin with a bracket, there must be one; the words that
        stand for arguments are those that completion.py knows.
    operator: whether it is refused, and not listed, to everybody but operators.
    in_full: whether its name must be typed in full, since it is hard to undo.
    secret: whether a secret follows it, for which it must be typed in full as well.
    into: the mapping to add it to, for a door that has commands of its own.
    """

    parse(usage)

    def decorate(function: Function) -> Function:
        help = cleandoc(function.__doc__ or "")
        whole = in_full or secret
        made = Command(name, aliases, usage, help, function, group, operator, whole, secret)
        for word in (name, *aliases):
            if word in into:
                raise ValueError(f"there are two commands /{word}")
            into[word] = made
        return function

    return decorate


def usable(connection: "Connection") -> dict[str, Command]:
    """Return the commands that *connection* may use, by name and by alias."""
    is_operator = connection.chat.moderation.is_operator(connection.user)
    return {
        word: found
        for word, found in connection.commands.items()
        if is_operator or not found.operator
    }


def beginning(words: Mapping[str, Command], word: str) -> list[str]:
    """Return the *words* that begin with *word*, one for each command.

    That is the name of the command, or an alias if the name does not begin so.
    """
    found = {
        words[name].name: name
        for name in sorted(words, key=lambda name: name == words[name].name)
        if name.startswith(word)
    }
    return sorted(found.values())


class Unknown(Refused):
    """There is no such command.

    meant: the commands that the user may have meant.
    """

    def __init__(self, code: Code, text: str, meant: Iterable[Command]) -> None:
        super().__init__(code, text)
        self.meant = tuple(meant)


def look_up(connection: "Connection", word: str) -> Command:
    """Return the command called *word*, or the only one that begins so.

    Raises Unknown. A beginning goes before a near miss: /hist means /history.
    """
    word = word.lower()
    commands: Mapping[str, Command] = connection.commands
    if word in commands:
        return commands[word]
    shown = word[: names.MAX_NAME]
    words = usable(connection)
    found = beginning(words, word)
    if len(found) == 1:
        return words[found[0]]
    if found:
        listed = enumerate_names([f"/{name}" for name in found], len(found))
        why = f"Several commands begin with /{shown}: {listed}."
        raise Unknown(Code.AMBIGUOUS, why, map(words.__getitem__, found))
    near = names.suggest(word[: names.MAX_NAME], words)
    hint = f"Did you mean /{near}?" if near else "/help lists them."
    raise Unknown(
        Code.NO_SUCH_COMMAND, f"No command /{shown}. {hint}", [words[near]] if near else []
    )


def run(connection: "Connection", line: str) -> None:
    """Run the command in *line*, which is without its slash. Raises Refused."""
    word, _, rest = line.partition(" ")
    if not word:
        raise Refused(Code.USAGE, "A command's name follows the slash at once. /help lists them.")
    try:
        found = look_up(connection, word)
    except Unknown as unknown:
        if any(command.secret for command in unknown.meant):
            strays.guard(connection)
        raise
    if found.secret:
        strays.guard(connection)
    rest = rest.strip()
    if found.operator and not connection.chat.moderation.is_operator(connection.user):
        raise Refused(Code.NOT_OPERATOR, f"/{found.name} is for operators. /ops lists them.")
    if found.in_full and word.lower() not in connection.commands:
        raise Refused(Code.USAGE, f"/{found.name} has to be typed in full: {found.synopsis}")
    if not rest and found.usage and not found.usage.startswith("["):
        raise Refused(Code.USAGE, f"Usage: {found.synopsis}")
    found.function(connection, rest)


# Imported for their commands, which stand in /help in this order.
for _module in (
    "talking",
    "people",
    "rooms",
    "history",
    "accounts",
    "preferences",
    "operators",
    "moderation",
    "reports",
    "server",
):
    import_module(f"{__name__}.{_module}")
