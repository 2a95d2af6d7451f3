"""Sleep by the freezer of cgroup v2, for real where this machine lets us; else skipped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actuator.bench import Bench
from fakes.child import in_a_child
from wattgov_actuator.connection import Connection
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import InForce, Knob, KnobError

DEADLINE_SECONDS = 30
TICKS_SEEN = 5  # of the spinning process, 10 ms each
ROOTS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))


class Group:
    """A control group with a process that spins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        (folder / "cgroup.procs").write_text(str(self.process.pid))

    @property
    def way(self) -> Connection:
        """Return the connection that leads to it."""
        group = str(self.folder).removeprefix("/sys/fs/cgroup")
        return Connection("hibernate", "freezer", "chat", {"app": "chat"}, {"group": group}, 10.0)

    def open(self) -> Knob:
        """Return the real knob."""
        return open_knob("hibernate", [self.way], Machine())

    def ticks(self) -> int:
        """Return the CPU time of the process, in clock ticks."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text()
        return int(text.rpartition(")")[2].split()[11])

    def end(self) -> None:
        """Thaw, kill, remove: a group that is frozen can still be killed."""
        (self.folder / "cgroup.freeze").write_text("0")
        self.process.kill()
        self.process.wait()
        until(lambda: not (self.folder / "cgroup.procs").read_text())
        self.folder.rmdir()


def until(true: Callable[[], bool]) -> None:
    """Wait for a state of the machine."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert time.monotonic() < end, "it did not come"


def busy_for(seconds: float) -> None:
    """Take CPU time ourselves, so that others had as long to take theirs."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.fixture
def group() -> Iterator[Group]:
    """Return a group of this test's own."""
    root = next((each for each in ROOTS if (each / "cgroup.controllers").exists()), None)
    if root is None:
        pytest.skip("this machine has no cgroup v2, not even beside v1")
    folder = root / f"wattgov-test-{os.getpid()}"
    try:
        folder.mkdir()
        made = Group(folder)
    except OSError as error:
        pytest.skip(f"a control group cannot be made here: {error.strerror}; it takes root")
    yield made
    made.end()


def test_a_spinning_process_stops_and_goes_on(group: Group) -> None:
    """To no CPU at all, and back; the kernel says that it is done before we do."""
    knob = group.open()
    (target,) = knob.probe().targets
    until(lambda: group.ticks() > TICKS_SEEN)
    knob.write(target.name, 0.0)
    events = (group.folder / "cgroup.events").read_text()
    before = group.ticks()
    busy_for(0.3)
    after, seen = group.ticks(), knob.read(target.name)
    knob.write(target.name, 1.0)
    awake = knob.read(target.name)
    until(lambda: group.ticks() > after + TICKS_SEEN)

    assert "frozen 1" in events
    assert (before, InForce(0.0, 0.0)) == (after, seen)
    assert InForce(1.0, 1.0) == awake


def test_a_frozen_process_can_be_killed(group: Group) -> None:
    """Nobody is held for ever."""
    knob = group.open()
    knob.probe()
    knob.write("chat", 0.0)
    group.process.send_signal(signal.SIGKILL)

    assert -signal.SIGKILL == group.process.wait(DEADLINE_SECONDS)


def test_a_killed_actuator_thaws_at_its_next_start(group: Group, tmp_path: Path) -> None:
    """The journal knew before the kernel did."""

    def work() -> None:
        bench = Bench(tmp_path, "hibernate", group.open)
        assert bench.act(0.0).reason is Reason.APPLIED
        os.kill(os.getpid(), signal.SIGKILL)

    assert -signal.SIGKILL == in_a_child(work)
    assert (group.folder / "cgroup.freeze").read_text().strip() == "1"
    bench = Bench(tmp_path, "hibernate", group.open)
    bench.writer.restore()
    before = group.ticks()
    until(lambda: group.ticks() > before + TICKS_SEEN)

    assert (group.folder / "cgroup.freeze").read_text().strip() == "0"
    bench.close()


def test_what_is_no_group_is_no_target(tmp_path: Path) -> None:
    """The note says where it was looked for."""
    way = Connection("hibernate", "freezer", "chat", {"app": "chat"}, {"group": "/none.slice"})
    knob = open_knob("hibernate", [way], Machine(tmp_path / "sys"))

    assert knob.probe().targets == ()
    assert "none.slice has no cgroup.freeze: no group of cgroup v2" in knob.probe().note
    with pytest.raises(KnobError, match="no connection leads to chat"):
        knob.read("chat")
