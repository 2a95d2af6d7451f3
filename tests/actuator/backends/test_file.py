"""A number in a file of somebody's configuration."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import Fault, InForce, KnobError

CONFIG = """\
# max_batch = 99 was too many
max_batch = 032
"""


def way(path: Path, **more: Setting) -> Connection:
    """Return a connection to the number after `max_batch =` at the start of a line."""
    given: dict[str, Setting] = {
        "path": str(path),
        "pattern": r"(?m)^max_batch = (\d+)$",
        "low": 1.0,
        "high": 64.0,
    }
    return Connection("batch_size", "file", "chat", {"app": "chat"}, {**given, **more})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a file with a number in it."""
    path = tmp_path / "server.conf"
    path.write_text(CONFIG)
    path.chmod(0o640)
    return path


@pytest.fixture
def hangups() -> Iterator["SimpleQueue[int]"]:
    """Return the SIGHUPs that this process gets."""
    found = SimpleQueue[int]()
    before = signal.signal(signal.SIGHUP, lambda number, _: found.put(number))
    yield found
    signal.signal(signal.SIGHUP, before)


def test_only_the_number_changes_and_comes_back_to_the_letter(config: Path) -> None:
    """Leading zeros, comments and permissions stay."""
    knob = open_knob("batch_size", [way(config)])
    (target,) = knob.probe().targets
    found = knob.read(target.name)
    knob.write(target.name, 8.0)

    assert found == InForce(32.0, text="032")
    assert config.read_text() == CONFIG.replace("032", "8")
    assert config.stat().st_mode & 0o777 == 0o640

    assert isinstance(found, InForce)
    knob.restore(target.name, found.value, found.text)
    assert (config.read_text(), list(config.parent.iterdir())) == (CONFIG, [config])


def test_the_reader_is_told(config: Path, tmp_path: Path, hangups: "SimpleQueue[int]") -> None:
    """After the file is whole."""
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    told = way(config, pid_file=str(tmp_path / "pid"), signal="HUP")
    knob = open_knob("batch_size", [told])
    knob.probe()
    knob.write("chat", 4.0)

    assert (signal.SIGHUP, "4") == (hangups.get(timeout=10), config.read_text().split()[-1])


@pytest.mark.parametrize("text", ["0", "-1", "1", "nobody"])
def test_a_wrong_pid_tells_nobody(config: Path, tmp_path: Path, text: str) -> None:
    """0 would be this group of processes, and -1 all of them."""
    (tmp_path / "pid").write_text(text)
    knob = open_knob("batch_size", [way(config, pid_file=str(tmp_path / "pid"), signal="HUP")])
    knob.probe()

    with pytest.raises(KnobError, match=r"nobody to be told|no number") as raised:
        knob.write("chat", 4.0)
    assert raised.value.fault is Fault.LOST


def test_a_file_without_the_number_is_no_target(config: Path) -> None:
    """The note says what was looked for, and where."""
    config.write_text("max_batch = many\n")
    probe = open_knob("batch_size", [way(config)]).probe()

    assert probe.targets == ()
    assert f"chat: {config} has no whole number where the pattern" in probe.note
