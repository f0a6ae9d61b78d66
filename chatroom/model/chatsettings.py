"""What an operator may choose about the chat itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may choose about the chat itself.

    name: what the server calls itself. motd: text, its lines separated by LF.
    scrollback: how many lines somebody is shown on joining; 0 for none.
    join_quiet_above: in rooms of more people only those who spoke are announced; 0 for no limit.
    rooms_per_hour: how many rooms one source may create in an hour; 0 for no limit.
    renames_per_hour: how often the guests of one source may change their names in an hour, once
    somebody was told of them; 0 for no limit.
    keep_days, keep_lines: after how many days, and after how many more lines in its room, a line
    is forgotten; 0 for never.
    keep_names: after how many days without a visit an account lapses; 0 for never.
    names_per_day: how many names one source may register in a day; 0 for no limit.
    log_chat: whether what is said in rooms is in the log.
    """

    name: str = "chatroom"
    lobby: str = "lobby"
    motd: str = ""
    scrollback: int = 20
    join_quiet_above: int = 50
    rooms_per_hour: int = 5
    renames_per_hour: int = 30
    keep_days: float = 0.0
    keep_lines: int = 0
    keep_names: float = 180.0
    names_per_day: int = 3
    log_chat: bool = False
