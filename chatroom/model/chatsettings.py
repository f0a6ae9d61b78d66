"""The settings of the chat."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the chat that the administrator chooses.

    name: the server's name in its welcome.
    lobby: the name of the room that guests enter first.
    motd: the text after the welcome, its lines separated by LF.
    scrollback: how many earlier lines a user is shown on joining a room; 0 for none.
    join_quiet_above: in larger rooms only users who have spoken are announced; 0 for no limit.
    rooms_per_hour: how many rooms one source may create in an hour; 0 for no limit.
    rooms_per_person: how many rooms one user may be in at the same time; 0 for no limit.
    renames_per_hour: how often the guests of one source may change their names in an hour, not
        counting renames that no user was told of; 0 for no limit.
    keep_days: after how many days a line is deleted; 0 for never.
    keep_lines: after how many further lines in its room a line is deleted; 0 for never.
    keep_names: after how many days without a login an account expires; 0 for never.
    names_per_day: how many names one source may register in a day; 0 for no limit.
    log_chat: whether messages in rooms are logged.
    """

    name: str = "chatroom"
    lobby: str = "lobby"
    motd: str = ""
    scrollback: int = 20
    join_quiet_above: int = 50
    rooms_per_hour: int = 5
    rooms_per_person: int = 20
    renames_per_hour: int = 30
    keep_days: float = 0.0
    keep_lines: int = 0
    keep_names: float = 180.0
    names_per_day: int = 3
    log_chat: bool = False
