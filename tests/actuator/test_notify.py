"""Words to systemd, on a socket like its own; and its unit."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from wattgov_actuator import cli
from wattgov_actuator.notify import ALIVE, READY, Notify

UNIT = Path(__file__).parents[2] / "deploy/systemd/wattgov-actuator.service"

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


def service() -> dict[str, str]:
    """Return the section [Service] of our unit."""
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    parser.read(UNIT)
    return dict(parser["Service"])


def test_the_unit_is_watched_and_puts_back_however_it_ends() -> None:
    """The watchdog kills what hangs, and what comes after a stop restores."""
    unit = service()

    assert ("notify", "60", "on-failure") == (unit["Type"], unit["WatchdogSec"], unit["Restart"])
    assert "restore --leave-conflicts" in unit["ExecStopPost"]


@pytest.mark.parametrize("key", ["ExecStart", "ExecStopPost"])
def test_the_unit_starts_what_there_is(key: str) -> None:
    """Its commands and options are those of the program."""
    program, command, *options = service()[key].split()
    said = CliRunner().invoke(cli.main, [command, "--help"])

    assert ("wattgov-actuator", 0) == (program, said.exit_code)
    assert all(word in said.output for word in options if word.startswith("--"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """An unknown key would be left out without a word at the start."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("=wattgov-actuator", "=/bin/true"))
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )

    assert [] == [line for line in said.stderr.splitlines() if UNIT.name in line]
