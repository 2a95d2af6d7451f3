"""Sleep by the freezer of cgroup v2, for real where this machine lets us; else skipped."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actuator.bench import Bench
from actuator.groups import DEADLINE_SECONDS, SPINNING, Group, own_group, until
from fakes.child import in_a_child
from wattgov_actuator.connection import Connection
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import InForce, Knob, KnobError

TICKS_SEEN = 5  # of the spinning process, 10 ms each


def open_knob_of(group: Group) -> Knob:
    """Return the real knob."""
    folder = str(group.folder).removeprefix("/sys/fs/cgroup")
    way = Connection("hibernate", "freezer", "chat", {"app": "chat"}, {"group": folder}, 10.0)
    return open_knob("hibernate", [way], Machine())


def busy_for(seconds: float) -> None:
    """Take CPU time ourselves, so that others had as long to take theirs."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.fixture
def group() -> Iterator[Group]:
    """Return a group of this test's own, with a process that spins."""
    with own_group(SPINNING) as made:
        yield made


def test_a_spinning_process_stops_and_goes_on(group: Group) -> None:
    """To no CPU at all, and back; the kernel says that it is done before we do."""
    knob = open_knob_of(group)
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
    knob = open_knob_of(group)
    knob.probe()
    knob.write("chat", 0.0)
    group.process.send_signal(signal.SIGKILL)

    assert -signal.SIGKILL == group.process.wait(DEADLINE_SECONDS)


def test_a_killed_actuator_thaws_at_its_next_start(group: Group, tmp_path: Path) -> None:
    """The journal knew before the kernel did."""

    def work() -> None:
        bench = Bench(tmp_path, "hibernate", lambda: open_knob_of(group))
        assert bench.act(0.0).reason is Reason.APPLIED
        os.kill(os.getpid(), signal.SIGKILL)

    assert -signal.SIGKILL == in_a_child(work)
    assert (group.folder / "cgroup.freeze").read_text().strip() == "1"
    bench = Bench(tmp_path, "hibernate", lambda: open_knob_of(group))
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
