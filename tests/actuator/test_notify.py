"""Words to systemd, on a socket like its own."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from wattgov_actuator.notify import ALIVE, READY, Notify

OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Return a manager's socket, and how its name is given."""
    given = str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(given.replace("@", "\0", 1) if request.param == "abstract" else given)
        end.setblocking(False)
        yield given, end


def test_words_arrive_one_by_one(manager: tuple[str, socket.socket]) -> None:
    """At a path, or at a name without a file."""
    given, end = manager
    notify = Notify({"NOTIFY_SOCKET": given})
    notify(READY)
    notify(ALIVE)

    assert [b"READY=1", b"WATCHDOG=1"] == [end.recv(100), end.recv(100)]


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_nobody_to_tell_is_no_trouble(environment: dict[str, str]) -> None:
    """Without systemd, and without its socket: nothing is raised, and nothing is left behind."""
    before = len(list(OPEN_FILES.iterdir()))

    Notify(environment)(ALIVE)

    assert before == len(list(OPEN_FILES.iterdir()))


def test_a_manager_that_does_not_read_is_not_waited_for(
    manager: tuple[str, socket.socket],
) -> None:
    """A full socket must not stop the loop."""
    given, end = manager
    notify = Notify({"NOTIFY_SOCKET": given})
    for _ in range(10_000):
        notify(ALIVE)

    assert b"WATCHDOG=1" == end.recv(100)
