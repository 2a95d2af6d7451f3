"""How much of a busy CPU an app gets, through its control group's cpu.weight (cgroup v2).

The weight counts against the neighbours' of the same parent, 100 each until somebody says
otherwise; on a CPU with time to spare it changes nothing.
"""

from pathlib import Path

from wattgov_actuator.knobs import attribute, groups
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import InForce, KnobError, Probe, Target

NAME = "cpu_priority"
WEIGHT = "cpu.weight"
LOWEST, USUAL = 1.0, 100.0


class CpuPriority:
    """The weights of all units and containers of this machine, by the path of their group."""

    def __init__(self, machine: Machine) -> None:
        self._root = groups.root(machine)
        self._highest: dict[str, float] = {}

    def probe(self) -> Probe:
        """Return the groups that have a weight."""
        if not groups.is_unified(self._root):
            return Probe((), f"{self._root} is not cgroup v2; boot with a unified hierarchy")
        targets, notes = [], []
        for path, app in groups.apps(self._root, WEIGHT):
            try:
                targets.append(self._target(path, app))
            except KnobError as error:
                notes.append(error.detail)
        if targets or notes:
            return Probe(tuple(targets), "; ".join(notes))
        return Probe((), f"no unit or container below {self._root} has a {WEIGHT}")

    def read(self, target: str) -> InForce:
        """Return the weight."""
        text = str(attribute.number(self._file(target)))
        return InForce(float(text), text=text)

    def write(self, target: str, value: float) -> None:
        """Set the weight."""
        attribute.write(self._file(target), str(round(value)))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Write what was read."""
        attribute.write(self._file(target), text)

    def close(self) -> None:
        """Nothing is open."""

    def _file(self, target: str) -> Path:
        return self._root / target.removeprefix("/") / WEIGHT

    def _target(self, path: Path, app: str) -> Target:
        name = f"/{path.relative_to(self._root)}"
        seen = float(attribute.number(path / WEIGHT))
        self._highest[name] = high = max(USUAL, seen, self._highest.get(name, 0.0))
        return Target(NAME, name, {"app": app}, LOWEST, high, "weight", 1.0)


def open_knob(machine: Machine) -> CpuPriority:
    """Return the knob."""
    return CpuPriority(machine)
