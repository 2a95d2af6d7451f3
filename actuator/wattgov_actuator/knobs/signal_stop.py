"""Sleep by SIGSTOP, the last resort: a process and its children stop, and go on by SIGCONT.

It is for what has no control group of its own. A parent may notice, and a child that was handed
over to init is not found. A number may go to somebody else, so a process is known by its start
time, too, and held by a pidfd while it is told: nobody else is ever stopped.
"""

import json
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs import attribute
from wattgov_actuator.knobs.level import ASLEEP, AWAKE, came, is_asleep, sleeper
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe

LONGEST_SECONDS = 10.0  # a process in the kernel's hands stops when it comes back
SLACK_SECONDS = 2.0  # the boot time is told in whole seconds
STOPPED, DEAD = "T", "ZX"

Who = tuple[int, int]  # the number of a process, and the tick since boot at which it started


class Process(NamedTuple):
    """One process at one look."""

    who: Who
    parent: int
    state: str


class SignalStop:
    """The process that a file names, and all below it."""

    def __init__(self, machine: Machine, way: Connection) -> None:
        self._procfs, self._way = machine.procfs, way
        self._file = Path(way.text("pid_file"))

    def probe(self) -> Probe:
        """Return the one target."""
        self._root()
        return sleeper(self._way)

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return its level, as the first process has it: it stops first, and goes on last."""
        root = self._root()
        before = [each.who for each in self._tree(root.who) if each.state == STOPPED]
        text = json.dumps({"root": root.who, "stopped": before})
        return InForce(ASLEEP if root.state == STOPPED else AWAKE, text=text)

    def write(self, target: str, value: float) -> None:  # noqa: ARG002 (a Knob)
        """Stop them all, or let them all go on; raises KnobError, and then none is stopped."""
        root = self._root().who
        if not is_asleep(value):
            self._go_on(root, ())
            return
        before = [each.who for each in self._tree(root) if each.state == STOPPED]
        self._check(root)
        try:
            self._stop(root)
        except KnobError:
            self._go_on(root, before)
            raise

    def restore(self, target: str, value: float, text: str) -> None:
        """Let go on what ran before, and only those very processes."""
        if is_asleep(value):
            self.write(target, value)
            return
        found = json.loads(text)
        pid, start = found["root"]
        self._go_on((pid, start), {(pid, start) for pid, start in found["stopped"]})

    def close(self) -> None:
        """Nothing is open."""

    def _root(self) -> Process:
        pid = attribute.number(self._file)
        found = self._look(pid) if pid > 1 else None  # 0 and below are whole groups
        if found is None or found.state in DEAD:
            raise KnobError(Fault.LOST, f"{self._file} names {pid}, and there is no such process")
        return found

    def _check(self, root: Who) -> None:
        """Raise KnobError where the file may mean another process, or us."""
        with attribute.told(self._file, "read"):
            written = self._file.stat().st_mtime
        if self._started(root) > written + SLACK_SECONDS:
            detail = f"process {root[0]} started after {self._file} was written: it is another one"
            raise KnobError(Fault.REFUSED, detail)
        if os.getpid() in {each.who[0] for each in self._tree(root)}:
            raise KnobError(Fault.REFUSED, f"this program is below process {root[0]} itself")

    def _started(self, who: Who) -> float:
        """Return the unix seconds at which a process started."""
        lines = (self._procfs / "stat").read_text().splitlines()
        boot = next(line.split()[1] for line in lines if line.startswith("btime "))
        return int(boot) + who[1] / os.sysconf("SC_CLK_TCK")

    def _stop(self, root: Who) -> None:
        def stopped() -> bool:
            running = [each for each in self._tree(root) if each.state not in STOPPED + DEAD]
            _tell((each.who for each in running), signal.SIGSTOP, self._look)
            return not running  # with its parent stopped, none has children any more

        if not came(stopped, LONGEST_SECONDS):
            detail = f"process {root[0]} and those below do not all stop in {LONGEST_SECONDS:g} s"
            raise KnobError(Fault.REFUSED, detail)

    def _go_on(self, root: Who, but: Iterable[Who]) -> None:
        left = set(but)

        def going() -> bool:
            held = [
                each.who
                for each in reversed(self._tree(root))
                if each.state == STOPPED and each.who not in left
            ]
            _tell(held, signal.SIGCONT, self._look)
            return not held

        if not came(going, LONGEST_SECONDS):
            raise KnobError(Fault.REFUSED, f"process {root[0]} does not go on: is it traced?")

    def _tree(self, root: Who) -> list[Process]:
        """Return a process and all below it, parents first; nothing where it is gone."""
        children: dict[int, list[Process]] = {}
        for folder in self._procfs.iterdir():
            found = self._look(int(folder.name)) if folder.name.isdecimal() else None
            if found is not None:
                children.setdefault(found.parent, []).append(found)
        first = self._look(root[0])
        tree = [first] if first is not None and first.who == root else []
        for each in tree:  # it grows meanwhile
            tree += children.get(each.who[0], ())
        return tree

    def _look(self, pid: int) -> Process | None:
        try:
            text = (self._procfs / str(pid) / "stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = text.rpartition(")")[2].split()  # a name may hold anything
        return Process((pid, int(fields[19])), int(fields[1]), fields[0])


def _tell(
    whom: Iterable[Who], number: signal.Signals, look: Callable[[int], Process | None]
) -> None:
    """Send a signal to these very processes; those that have ended are left out."""
    for who in whom:
        try:
            file = os.pidfd_open(who[0])
        except ProcessLookupError:
            continue
        try:
            found = look(who[0])  # whoever it is now, `file` is nobody who comes later
            if found is not None and found.who == who:
                signal.pidfd_send_signal(file, number)
        except ProcessLookupError:
            continue
        except PermissionError:
            detail = f"process {who[0]} is another user's; run as that user, or as root"
            raise KnobError(Fault.REFUSED, detail) from None
        finally:
            os.close(file)


def open_knob(machine: Machine, way: Connection) -> SignalStop:
    """Return the knob."""
    return SignalStop(machine, way)
