"""On how many CPUs an app may run, through its control group's cpuset.cpus (cgroup v2).

Fewer CPUs leave others in deep sleep. They are taken node by node, from the node where the app has
most of its CPUs, so that its memory stays near. A group without a set of its own inherits its
parent's: its text is empty, and an empty line puts that back.
"""

from pathlib import Path

from wattgov_actuator.knobs import attribute, groups
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe, Target

NAME = "cpu_affinity"
ASKED, GRANTED = "cpuset.cpus", "cpuset.cpus.effective"
INHERIT = "\n"


class CpuAffinity:
    """The sets of all units and containers of this machine, by the path of their group."""

    def __init__(self, machine: Machine) -> None:
        self._root = groups.root(machine)
        self._nodes = machine.sysfs / "devices" / "system" / "node"

    def probe(self) -> Probe:
        """Return the groups that may have a set of their own."""
        if not groups.is_unified(self._root):
            return Probe((), f"{self._root} is not cgroup v2; boot with a unified hierarchy")
        targets, notes = [], []
        for path, app in groups.apps(self._root, ASKED):
            name = f"/{path.relative_to(self._root)}"
            try:
                high = float(len(_cpus(path.parent / GRANTED)))
            except KnobError as error:
                notes.append(error.detail)
                continue
            targets.append(Target(NAME, name, {"app": app}, 1.0, high, "cpus", 1.0))
        if targets or notes:
            return Probe(tuple(targets), "; ".join(notes))
        detail = f"no unit or container below {self._root} has a {ASKED}; systemd gives one to a"
        return Probe((), f"{detail} unit with AllowedCPUs=")

    def read(self, target: str) -> InForce:
        """Return how many CPUs were asked for, and how many are granted."""
        text, granted = attribute.read(self._file(target)), _cpus(self._file(target, GRANTED))
        value = len(numbers(text)) if text else len(granted)
        return InForce(float(value), float(len(granted)), text)

    def write(self, target: str, value: float) -> None:
        """Let the app run on so many CPUs."""
        inside = self._near(_cpus(self._file(target).parent.parent / GRANTED), target)
        chosen = sorted(inside[: max(round(value), 1)])
        attribute.write(self._file(target), ",".join(map(str, chosen)))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Write what was read; nothing means to inherit again."""
        attribute.write(self._file(target), text or INHERIT)

    def close(self) -> None:
        """Nothing is open."""

    def _file(self, target: str, name: str = ASKED) -> Path:
        return self._root / target.removeprefix("/") / name

    def _near(self, allowed: list[int], target: str) -> list[int]:
        """Return the allowed CPUs, those of the app's own node first; its present ones before."""
        now = set(_cpus(self._file(target, GRANTED)))
        node_of = {
            cpu: int(path.parent.name.removeprefix("node"))
            for path in self._nodes.glob("node[0-9]*/cpulist")
            for cpu in _cpus(path)
        }
        nodes = [node_of.get(cpu, 0) for cpu in now]
        home = max(sorted(set(nodes)), key=nodes.count, default=0)

        def distance(cpu: int) -> tuple[bool, int, bool, int]:
            node = node_of.get(cpu, 0)
            return node != home, node, cpu not in now, cpu

        return sorted(allowed, key=distance)


def numbers(text: str) -> list[int]:
    """Return the numbers of a list such as `0-3,8`; raises ValueError."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _cpus(path: Path) -> list[int]:
    text = attribute.read(path)
    try:
        return numbers(text)
    except ValueError:
        raise KnobError(Fault.LOST, f"{path} holds '{text}' and no list of CPUs") from None


def open_knob(machine: Machine) -> CpuAffinity:
    """Return the knob."""
    return CpuAffinity(machine)
