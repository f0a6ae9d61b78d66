"""What people are sent at the doors, byte by byte: whatever is rebuilt, it stays.

`CHATROOM_RECORD=1 pytest tests/test_conversations.py` writes what is sent today into the files.
"""

import os
from pathlib import Path

import pytest

from tests.support.conversation import FOLDER, played, readable, sent

FILES = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_people_are_sent_what_they_were_sent_before(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    now = played(text)
    if os.environ.get("CHATROOM_RECORD"):
        path.write_text(now, encoding="utf-8")
    else:
        assert now.splitlines() == text.splitlines()


def test_there_are_conversations() -> None:
    assert len(FILES) >= 60


def test_a_difference_is_found() -> None:
    text = "# A greeting.\nalice = nc\nalice < -- Welcome to somewhere else.\n"
    assert "somewhere else" not in played(text)
    assert "alice < -- Welcome to chatroom." in played(text)


def test_all_bytes_can_be_written_down() -> None:
    data = bytes(range(250)) + "é你\u2028".encode()
    assert sent(readable(data)) == data
    assert readable(b"\xff\xfd\x00hi\xff\xfa\x18\x01\xff\xf0") == "<DO BINARY>hi<SB TTYPE 01>"
