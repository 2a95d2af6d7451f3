"""Sleep by SIGSTOP, on real processes: all of a family, nobody else, and back as they were."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from actuator.groups import until
from actuator.processes import Family, own_family
from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError


@pytest.fixture
def family() -> Iterator[Family]:
    """Return three processes."""
    with own_family() as made:
        yield made


@pytest.fixture
def pid_file(family: Family, tmp_path: Path) -> Path:
    """Return the file that names the first."""
    path = tmp_path / "chat.pid"
    path.write_text(f"{family.pids[0]}\n")
    return path


def knob(pid_file: Path) -> Knob:
    """Return the knob."""
    settings = {"pid_file": str(pid_file)}
    way = Connection("hibernate", "signal_stop", "chat", {"app": "chat"}, settings, 15.0)
    opened = open_knob("hibernate", [way])
    opened.probe()
    return opened


def read(opened: Knob) -> InForce:
    """Return what it reads."""
    found = opened.read("chat")
    assert isinstance(found, InForce)
    return found


def test_all_of_them_stop_and_go_on(family: Family, pid_file: Path) -> None:
    """The children, too; nothing is left to wait for when the call is back."""
    opened = knob(pid_file)
    before = read(opened)
    opened.write("chat", 0.0)
    assert ([True] * 3, 0.0) == (family.stopped(), read(opened).value)
    opened.restore("chat", before.value, before.text)

    assert ([False] * 3, before) == (family.stopped(), read(opened))


def test_one_that_was_stopped_before_stays_so(family: Family, pid_file: Path) -> None:
    """Somebody else has stopped it, for a reason of theirs."""
    os.kill(family.pids[2], signal.SIGSTOP)
    until(lambda: family.stopped() == [False, False, True])
    opened = knob(pid_file)
    before = read(opened)
    opened.write("chat", 0.0)
    assert [True] * 3 == family.stopped()
    opened.restore("chat", before.value, before.text)

    assert (1.0, [False, False, True]) == (before.value, family.stopped())


def test_a_file_older_than_its_process_means_another(family: Family, pid_file: Path) -> None:
    """The number went to somebody else, who is not stopped."""
    os.utime(pid_file, (1e9, 1e9))
    with pytest.raises(KnobError, match="it is another one") as raised:
        knob(pid_file).write("chat", 0.0)

    assert (Fault.REFUSED, [False] * 3) == (raised.value.fault, family.stopped())


def test_only_the_very_process_is_let_go_on(family: Family, pid_file: Path) -> None:
    """The journal knows when it started; who has its number now is somebody else."""
    opened = knob(pid_file)
    found = json.loads(read(opened).text)
    opened.write("chat", 0.0)
    found["root"][1] -= 1
    opened.restore("chat", 1.0, json.dumps(found))

    assert [True] * 3 == family.stopped()


def test_we_do_not_stop_ourselves(tmp_path: Path) -> None:
    """Nobody would be left to let anybody go on."""
    (tmp_path / "chat.pid").write_text(str(os.getppid() if os.getppid() > 1 else os.getpid()))
    with pytest.raises(KnobError, match="this program is below process"):
        knob(tmp_path / "chat.pid").write("chat", 0.0)


@pytest.mark.parametrize("text", ["0", "1", "-1", "4194305", "chat"])
def test_what_is_no_process_is_no_target(tmp_path: Path, text: str) -> None:
    """Nor is a group of processes, nor init; the note says what the file has."""
    (tmp_path / "chat.pid").write_text(text)
    settings = {"pid_file": str(tmp_path / "chat.pid")}
    way = Connection("hibernate", "signal_stop", "chat", {"app": "chat"}, settings)
    found = open_knob("hibernate", [way]).probe()

    assert ((), True) == (found.targets, text in found.note)
