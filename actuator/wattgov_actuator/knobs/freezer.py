"""Sleep by the freezer of cgroup v2: the processes of a group stop, and go on where they were.

It saves what they take of the CPU, and nothing else: memory stays, and so does the memory of a GPU,
which draws for it what it did before. A group that is frozen can still be killed.
"""

import os
from select import POLLPRI, poll

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs import attribute
from wattgov_actuator.knobs.level import ASLEEP, AWAKE, is_asleep, sleeper
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, Hidden, InForce, KnobError, Probe

FREEZE, EVENTS = "cgroup.freeze", "cgroup.events"
LONGEST_SECONDS = 30.0  # a task in the kernel's hands is frozen when it comes back


class Freezer:
    """One control group."""

    def __init__(self, machine: Machine, way: Connection) -> None:
        self._way = way
        self._folder = machine.sysfs / "fs" / "cgroup" / way.text("group").lstrip("/")

    def probe(self) -> Probe:
        """Return the one target; the root group cannot be frozen."""
        if not (self._folder / FREEZE).exists():
            raise KnobError(Fault.LOST, f"{self._folder} has no {FREEZE}: no group of cgroup v2")
        return sleeper(self._way)

    def read(self, target: str) -> InForce | Hidden:  # noqa: ARG002 (a Knob)
        """Return what was asked for, and what it is: an ancestor may hold it, too."""
        asked = ASLEEP if attribute.read(self._folder / FREEZE) == "1" else AWAKE
        return InForce(asked, ASLEEP if self._frozen() else AWAKE)

    def write(self, target: str, value: float) -> None:  # noqa: ARG002 (a Knob)
        """Freeze or thaw, and wait until it is so; raises KnobError when it does not come."""
        asleep = is_asleep(value)
        with attribute.told(self._folder / EVENTS, "read"):
            file = os.open(self._folder / EVENTS, os.O_RDONLY | os.O_CLOEXEC)
        try:
            changes = poll()
            changes.register(file, POLLPRI)
            attribute.write(self._folder / FREEZE, "1" if asleep else "0")
            self._await(file, changes, frozen=asleep)
        finally:
            os.close(file)

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Set what was read."""
        self.write(target, value)

    def close(self) -> None:
        """Nothing is open."""

    def _await(self, file: int, changes: poll, *, frozen: bool) -> None:
        """Wait for the kernel to say that it is done: freezing takes a task by task."""
        while True:
            os.lseek(file, 0, os.SEEK_SET)
            text = os.read(file, attribute.LONGEST).decode()
            if f"frozen {int(frozen)}" in text.splitlines():
                return
            if not changes.poll(LONGEST_SECONDS * 1000):
                word = "frozen" if frozen else "thawed"
                why = "a group above it is frozen" if not frozen else "a task is stuck in a driver"
                detail = f"{self._folder} is not {word} after {LONGEST_SECONDS:g} s: {why}"
                raise KnobError(Fault.REFUSED, detail)

    def _frozen(self) -> bool:
        return "frozen 1" in attribute.read(self._folder / EVENTS).splitlines()


def open_knob(machine: Machine, way: Connection) -> Freezer:
    """Return the knob."""
    return Freezer(machine, way)
