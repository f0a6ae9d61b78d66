"""Whatever people do, a restart changes nothing of what anybody can see.

People do things at random over a store. When all have gone the file is copied, and a second server
starts with the copy: whoever looks around in both is shown the same.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from random import Random

import pytest

from chatroom.model.chatsettings import Settings
from tests.support.accounts import WORD
from tests.support.fuzzing import seeds
from tests.support.stores import memory_folder, store_in
from tests.support.world import Person, World

OWNERS = ["alice", "bob", "olga"]
NAMES = [*OWNERS, "zoe"]
ROOMS = ["lobby", "den", "tea", "entrance"]
SAYINGS = ["hello", "hello alice", "green tea", "\u4f60\u597d bob", "Ca va, Z\u00f6e?"]

#: What is typed; {name}, {room}, {text} and {time} become something.
TYPED = [
    *["{text}", "/join {room}", "/join #{room}"] * 4,
    *("/part", "/me {text}", "/topic {text}", "/topic", "/msg {name} {text}", "/away {text}"),
    *("/room private", "/room public", "/room invite {name}", "/room uninvite {name}"),
    *("/room give {name}", "/ignore {name}", "/unignore {name}", "/nick {name}", "/quit"),
    *("/timestamps on", "/bell mentions", "/tz Europe/Berlin", "/colour off", "/pair", "/logout"),
    *("/forget", "/forget 2", "/report {name} {text}", "/missed", f"/login {{name}} {WORD}"),
    *("/ban {name} {time} {text}", "/unban {name}", "/mute {name} {time}", "/unmute {name}"),
    *("/kick {name}", "/forget {name}", "/close {room}", "/op {name}", "/deop {name}"),
    *("/lockdown on", "/lockdown off", "/quiet on", "/announce {text}", "/unregister {name}"),
]

#: What is looked at, in each room and at the end.
LOOKS = ["/who", "/topic", "/history 40", "/room"]
LAST_LOOKS = [
    *("/rooms", "/missed", "/search hello", "/search tea from bob", "/search hello in den"),
    *("/bans", "/ops", "/audit 30", "/reports 30", "/ignore", "/timestamps", "/bell", "/tz"),
    *("/whois alice", "/whois bob", "/whois olga", "/whois zoe"),
]

SETTINGS = Settings(rooms_per_hour=0, renames_per_hour=0, names_per_day=0)


class Crowd:
    """People in a world, each of whom comes again when they have gone."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.people: dict[str, Person] = {}

    def comes(self, name: str) -> list[str]:
        """What somebody is shown who comes and, if they have an account, logs in."""
        number = NAMES.index(name) + 1
        person = self.people[name] = Person(self.world, address=f"192.0.2.{number}")
        self.world.settle()
        told = person.sees
        if name in OWNERS:
            told += person.asks(f"/login {name} {WORD}")
        return told

    def types(self, name: str, line: str) -> None:
        if name not in self.people or self.people[name].gone:
            self.comes(name)
        self.people[name].says(line)


def settled(world: World) -> Crowd:
    """The crowd of a new chat: three who have registered, one of whom is an operator."""
    crowd = Crowd(world)
    for name in OWNERS:
        crowd.comes(name)
        for line in (f"/nick {name}", f"/register {WORD}"):
            crowd.types(name, line)
    olga = crowd.people["olga"].connection
    assert olga.user.account is not None
    world.chat.moderation.make_operator(olga, olga.user.account)
    return crowd


def lives(crowd: Crowd, random: Random, steps: int) -> None:
    for _ in range(steps):
        line = random.choice(TYPED).format(
            name=random.choice(NAMES),
            room=random.choice(ROOMS),
            text=random.choice(SAYINGS),
            time=random.choice(["1h", "2d", ""]),
        )
        crowd.types(random.choice(NAMES), line)
        crowd.world.wait(random.choice([0.1, 0.1, 3]))


def looks(world: World) -> dict[tuple[str, str], list[str]]:
    """What everybody is shown who looks around, by who and what they typed."""
    crowd = Crowd(world)
    shown: dict[tuple[str, str], list[str]] = {}
    for name in NAMES:
        shown[name, "comes"] = crowd.comes(name)
        for room in ROOMS:
            for line in (f"/join {room}", *LOOKS):
                crowd.types(name, line)
                shown[name, f"{room}: {line}"] = crowd.people[name].sees
        for line in LAST_LOOKS:
            crowd.types(name, line)
            shown[name, line] = crowd.people[name].sees
        crowd.types(name, "/quit")
        world.wait(5)
    # Which guests there were is of the run.
    return {
        key: [re.sub(r"\bguest\d+", "guest", line) for line in lines]
        for key, lines in shown.items()
    }


def stops(world: World) -> None:
    """All that a server does about what is to be kept, when it stops."""
    for person in world.came:
        person.hangs_up()
    world.wait(10)
    world.chat.logins.save_users()
    world.chat.moderation.keep(world.clock.time())
    world.wait(2)


@pytest.mark.parametrize("seed", seeds(10, 150))
def test_after_a_restart_everybody_is_shown_the_same(seed: int) -> None:
    with memory_folder() as folder:
        first = World(store_in(folder / "one"), SETTINGS, lasting=True)
        lives(settled(first), Random(seed), steps=40)
        stops(first)
        copied(folder / "one", folder / "two")
        second = World(store_in(folder / "two"), SETTINGS, lasting=True, now=first.clock.seconds())
        second.wait(2)
        first.wait(2)
        before, after = looks(first), looks(second)
        different = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
        assert not different
        for world in (first, second):
            world.end()


def copied(source: Path, target: Path) -> None:
    target.mkdir()
    for path in source.glob("chatroom.sqlite*"):
        shutil.copy(path, target)
