"""The files that options name: the configuration, the message of the day, who may connect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.options import parsed, refusal

# The message of the day


def test_motd_is_the_text_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "motd"
    file.write_bytes("\ufeffBe kind.\nСпасибо\n".encode())
    assert parsed("--port", "0", "--motd", str(file))["motd"] == "Be kind.\nСпасибо\n"


def test_motd_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "motd"
    file.write_bytes(b"caf\xe9")
    assert refusal("--motd", str(file)) == f"chatroom: motd: {file} is not UTF-8 text"


def test_motd_that_would_fill_everybodys_screen_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "motd"
    file.write_bytes(b"x" * (64 * 1024 + 1))
    assert refusal("--motd", str(file)).endswith("has more than 65536 bytes")


# Operators, and who may connect


@pytest.mark.parametrize("name", ["admin", "root", "guest7", "a b", ""])
def test_a_name_that_nobody_can_register_is_kept_for_nobody(name: str) -> None:
    assert refusal("--operator", name).startswith(f"chatroom: --operator: {name!r}: ")


def test_several_names_are_kept_for_operators() -> None:
    assert parsed("--port", "0", "--operator", "olga", "--operator", "王")["operator"] == [
        "olga",
        "王",
    ]


def test_the_list_of_who_may_connect_is_read(tmp_path: Path) -> None:
    file = tmp_path / "allow"
    file.write_bytes("\ufeff192.0.2.0/24\n\n# home\n2001:db8::1\n".encode())
    options = parsed("--port", "0", "--allow", str(file))
    assert options.allowed is not None
    assert sorted(map(str, options.allowed.networks())) == ["192.0.2.0/24", "2001:db8::1/128"]
    assert options.allowed_fault == ""
    assert parsed("--port", "0").allowed is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        (b"", "it is empty"),
        (b"# nobody yet\n", "it is empty"),
        (b"192.0.2.7\nhome\n", "line 2: 'home' is neither an address nor a network"),
        (b"192.0.2.7\ncaf\xe9\n", "it is not UTF-8 text"),
    ],
)
def test_a_list_that_says_nothing_lets_nobody_in(
    tmp_path: Path, content: bytes | None, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "allow"
    if content is not None:
        file.write_bytes(content)
    options = parsed("--port", "0", "--allow", str(file))
    assert options.allowed is not None
    assert options.allowed.networks() == []
    assert options.allowed_fault == f"{file} allows no connections: {why}"
    with pytest.raises(SystemExit):
        parsed("--port", "0", "--allow", str(file), "--check")
    assert f"# {file} allows no connections: {why}\n" in capsys.readouterr().out


# The configuration file


@pytest.mark.usefixtures("unprobed", "dual_stack")
def test_the_file_takes_the_same_names_as_the_command_line(config: Path) -> None:
    config.write_text('port = 9\nline-length = 100\nstall-timeout = 5\nlisten = ["tcp:1"]\n')
    options = parsed("--config", "chat.toml")
    assert options["line-length"] == 100
    assert options["stall-timeout"] == 5.0
    assert options.endpoints["listen"] == ["tcp6:9:backlog=4096", "tcp:1:backlog=4096"]


@pytest.mark.usefixtures("unprobed")
def test_the_command_line_wins_over_the_file(config: Path) -> None:
    config.write_text("scrollback = 9\nline-length = 100\n")
    options = parsed("--scrollback", "20", "--config", "chat.toml")
    assert (options["scrollback"], options["line-length"]) == (20, 100)


@pytest.mark.usefixtures("unprobed")
def test_a_list_on_the_command_line_replaces_the_one_in_the_file(config: Path) -> None:
    config.write_text('listen = ["tcp:1", "tcp:2"]\n')
    options = parsed("--config", "chat.toml", "--listen", "tcp:3")
    assert options.endpoints["listen"] == ["tcp:3:backlog=4096"]


def test_file_names_in_the_file_are_seen_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "motd.txt").write_text("Hello")
    (tmp_path / "chat.toml").write_text('port = 0\nmotd = "motd.txt"\n')
    assert parsed("--config", str(tmp_path / "chat.toml"))["motd"] == "Hello"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("prot = 1", "unknown key 'prot'; did you mean port?"),
        ("line_length = 100", "unknown key 'line_length'; did you mean line-length?"),
        ("xyzzy = 1", "unknown key 'xyzzy'"),
        ("[port]", "port: expected a whole number from 0 to 65535, not {}"),
        ("port = true", "port: expected a whole number from 0 to 65535, not True"),
        ("port = '1'", "port: expected a whole number from 0 to 65535, not '1'"),
        ("port = 65536", "port: expected a whole number from 0 to 65535, not 65536"),
        (
            "line-length = 63",
            "line-length: expected a whole number from 64 to 65536 (bytes), not 63",
        ),
        (
            "stall-timeout = inf",
            "stall-timeout: expected a number from 0 to 86400 (seconds), not inf",
        ),
        ("name = 5", "name: expected a text of 1 to 60 printable characters, not 5"),
        (
            "listen = 'tcp:1'",
            "listen: expected a list of texts, each an endpoint such as tcp:8009, not 'tcp:1'",
        ),
        ("relay = ['']", "relay: expected an endpoint such as tcp:8009, not ''"),
        ("lobby = 'a b'", "lobby: 'a b': A room's name consists of letters, digits, _ and -."),
    ],
)
def test_what_is_wrong_in_the_file_is_named(config: Path, text: str, complaint: str) -> None:
    config.write_text(text + "\n")
    assert refusal("--config", "chat.toml") == f"chatroom: chat.toml: {complaint}"


def test_an_integer_too_large_for_any_number_is_out_of_range(config: Path) -> None:
    config.write_text(f"stall-timeout = 1{'0' * 400}\n")
    assert "expected a number from 0 to 86400" in refusal("--config", "chat.toml")


def test_a_file_that_is_not_toml_is_refused(config: Path) -> None:
    config.write_text("port: 1\n")
    assert refusal("--config", "chat.toml").startswith("chatroom: chat.toml is not TOML: expected")


def test_a_file_that_is_not_utf8_is_refused(config: Path) -> None:
    config.write_bytes(b'name = "caf\xe9"\n')
    assert refusal("--config", "chat.toml") == "chatroom: chat.toml is not UTF-8 text"
