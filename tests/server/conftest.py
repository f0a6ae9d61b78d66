"""What tests of the service, of the options and of the data tool need."""

import gc
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatroom.server import datatool, endpoints, probe
from tests.support.datatool import Call, Store


@pytest.fixture
def collector() -> Iterator[None]:
    """The service tunes the collector of its process, which is not ours here."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)


@pytest.fixture
def unprobed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parses without trying the endpoints, so that port 8008 need not be free."""
    monkeypatch.setattr(probe, "probe", lambda *descriptions, **where: None)


@pytest.fixture
def dual_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "kinds_here", lambda: ("tcp6",))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The name of a configuration file that a test may write; it is the current folder's."""
    monkeypatch.chdir(tmp_path)
    return Path("chat.toml")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with an empty lobby that a server has open."""
    store = Store(tmp_path / "da ta?#%20")
    store.has_room("Lobby", "all and sundry")
    yield store
    store.close()


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["chatroom-data", *map(str, arguments)])
        try:
            status = datatool.main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else -1
        return (status, *capsys.readouterr())

    return call
