"""The slash commands: one decorated function each, whose docstring is its help.

The rule: a command takes the session and the rest of the line, which is clean text without
blanks around it, and raises Refused with whole sentences for what cannot be.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from inspect import cleandoc
from typing import TYPE_CHECKING

from chatroom import names
from chatroom.chat import Refused
from chatroom.usage import parse

if TYPE_CHECKING:
    from chatroom.session import Session

Function = Callable[["Session", str], None]


@dataclass(frozen=True, slots=True)
class Command:
    """One slash command.

    usage: its arguments as help shows them, see usage.py. help: its docstring, the first line of
    which is what `/help GROUP` lists. group: what `/help` lists it under, which is the name of the
    module it is in. operator: whether it is for those alone who keep order.
    """

    name: str
    aliases: tuple[str, ...]
    usage: str
    help: str
    function: Function
    group: str
    operator: bool = False

    @property
    def synopsis(self) -> str:
        """How it is typed: '/msg NAME TEXT'."""
        return f"/{self.name} {self.usage}".rstrip()


#: All commands by name and by alias, in the order in which `/help` lists them.
COMMANDS: dict[str, Command] = {}


def command(
    name: str,
    *aliases: str,
    usage: str = "",
    operator: bool = False,
    into: dict[str, Command] = COMMANDS,
    group: str = "",
) -> Callable[[Function], Function]:
    """Make the decorated function a slash command.

    A *usage* that does not begin with a bracket means that there must be an argument; the words
    that stand for arguments are those that completion.py knows. A door that has commands of its own
    gives the mapping they belong *into*, and the *group* if it is not the name of the module. One
    that is for an *operator* is refused, and not listed, to everybody else.
    """

    parse(usage)

    def decorate(function: Function) -> Function:
        help = cleandoc(function.__doc__ or "")
        listed = group or function.__module__.rpartition(".")[2]
        made = Command(name, aliases, usage, help, function, listed, operator)
        for word in (name, *aliases):
            if word in into:
                raise ValueError(f"there are two commands /{word}")
            into[word] = made
        return function

    return decorate


def look_up(session: "Session", word: str) -> Command:
    """The command called *word*. Raises Refused, with a suggestion where one is near."""
    found = session.commands.get(word.lower())
    if found is None:
        shown = word[: names.MAX_NAME]
        near = names.suggest(word.lower()[: names.MAX_NAME], session.commands)
        hint = f"Did you mean /{near}?" if near else "/help lists them."
        raise Refused(f"No command /{shown}. {hint}")
    return found


def run(session: "Session", line: str) -> None:
    """Run the command in *line*, which is without its slash. Raises Refused."""
    word, _, rest = line.partition(" ")
    if not word:
        raise Refused("A command's name follows the slash at once. /help lists them.")
    found = look_up(session, word)
    rest = rest.strip()
    if found.operator and not session.chat.moderation.keeps_order(session):
        raise Refused(f"/{found.name} is for operators. /ops lists them.")
    if not rest and found.usage and not found.usage.startswith("["):
        raise Refused(f"Usage: {found.synopsis}")
    found.function(session, rest)


# Imported for their commands, which stand in /help in this order.
for _module in (
    "talking",
    "people",
    "rooms",
    "past",
    "accounts",
    "preferences",
    "operators",
    "moderation",
    "reports",
    "server",
):
    import_module(f"{__name__}.{_module}")
