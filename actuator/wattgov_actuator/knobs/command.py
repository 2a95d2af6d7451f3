"""A device that a command turns, one that an administrator allows, so that we need no root.

The commands are in a file of root's. We fill in two things: which target, by a strict pattern, and
a number that we write ourselves; there is no shell.
"""

import re
from pathlib import Path
from typing import NamedTuple

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.commandfile import Commands, load
from wattgov_actuator.knobs.running import run, said
from wattgov_actuator.knobs.web import plain
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, Hidden, InForce, KnobError, Probe, Target

TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")  # no option: it begins with no dash
VALUE = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")


class Shape(NamedTuple):
    """How commands speak of a knob."""

    label: str  # that a target of `probe` has
    unit: str
    size: float  # of one, as commands count: watts, megahertz
    resolution: float
    hidden: bool = False  # `read` prints what the device does, not what was set


SHAPES = {
    "gpu_power_limit": Shape("uuid", "watts", 1.0, 1.0),
    "gpu_clock_lock": Shape("uuid", "hertz", 1e6, 15e6, hidden=True),
    "cpu_power_limit": Shape("package", "watts", 1.0, 1.0),
    "cpu_frequency": Shape("package", "hertz", 1e6, 10e6),
    "platform_power_limit": Shape("host", "watts", 1.0, 1.0),
}


class Command:
    """What the commands of one file turn."""

    def __init__(self, way: Connection) -> None:
        """Take the connection; the file is read by the first probe."""
        self._way, self._shape = way, SHAPES[way.knob]
        self._commands: Commands | None = None
        self._targets: tuple[Target, ...] = ()

    def probe(self) -> Probe:
        """Return the targets; their ranges are asked once."""
        self._targets = self._targets or tuple(self._find())
        return Probe(self._targets)

    def read(self, target: str) -> InForce | Hidden:
        """Return the number that `read` prints."""
        printed = self._run("read", target, fault=Fault.LOST)
        found = self._loaded().pattern.search(printed)
        if found is None or not VALUE.fullmatch(found[1] or ""):
            detail = f"read of {target} printed no number: '{plain(printed)}'"
            raise KnobError(Fault.LOST, detail)
        value = float(found[1]) * self._shape.size
        return Hidden(value) if self._shape.hidden else InForce(value, text=found[1])

    def write(self, target: str, value: float) -> None:
        """Have the whole watts or megahertz nearest to *value* set."""
        self._run("write", target, str(round(value / self._shape.size)))

    def restore(self, target: str, value: float, text: str) -> None:
        """Have put back what was read, as it was printed."""
        text = text or str(round(value / self._shape.size))
        if not VALUE.fullmatch(text):
            raise KnobError(Fault.REFUSED, f"'{plain(text)}' is no number to put back")
        self._run("restore" if "restore" in self._loaded().argvs else "write", target, text)

    def close(self) -> None:
        """Nothing is open."""

    def _loaded(self) -> Commands:
        if self._commands is None:
            self._commands = load(Path(self._way.text("file")), hidden=self._shape.hidden)
        return self._commands

    def _find(self) -> list[Target]:
        """Return what `probe` prints, else the one target that the entry gives the range of."""
        way = self._way
        if "probe" in self._loaded().argvs:
            lines = self._run("probe", fault=Fault.LOST).splitlines()
            return [self._target(line) for line in lines if line.strip()]
        given = [way.settings.get(key) for key in ("low", "high")]
        if None in given:
            detail = f"{way.text('file')} has no probe: give low and high in the entry"
            raise KnobError(Fault.UNSUPPORTED, detail)
        line = f"{way.name} {way.number('low'):g} {way.number('high'):g}"
        return [self._target(line, labelled=True)]

    def _target(self, line: str, *, labelled: bool = False) -> Target:
        """Return the target of a line: its name, the lowest and the highest value."""
        name, *numbers = line.split()
        if len(numbers) != 2 or not all(VALUE.fullmatch(each) for each in numbers):  # noqa: PLR2004 (low and high)
            raise KnobError(Fault.LOST, f"'{plain(line)}' is not a name, a lowest and a highest")
        low, high = (float(each) * self._shape.size for each in numbers)
        if not TARGET.fullmatch(name) or not 0 < low < high:
            raise KnobError(Fault.LOST, f"'{plain(line)}': no name of a target, or no range")
        labels = self._way.labels if labelled else {self._shape.label: name}
        shape = self._shape
        return Target(self._way.knob, name, labels, low, high, shape.unit, shape.resolution)

    def _run(
        self, operation: str, target: str = "", value: str = "", fault: Fault = Fault.REFUSED
    ) -> str:
        """Return what the command of an operation prints; raises KnobError with *fault*."""
        commands = self._loaded()
        if target and not TARGET.fullmatch(target):
            raise KnobError(Fault.REFUSED, f"'{plain(target)}' is no name of a target")
        # At most one of them holds braces, and neither value does.
        program, *words = commands.argvs[operation]
        filled = [w.replace("{target}", target).replace("{value}", value) for w in words]
        argv = [program, *filled]
        status, printed = run(argv, commands.timeout_seconds)
        errors = commands.error_pattern
        why = f"ended with {status}" if status else ""
        if not why and errors is not None and errors.search(printed):
            why = "ended with 0, and printed an error"
        if why:
            words_said = plain(printed)
            raise KnobError(
                fault, f"{said(argv)} {why}" + (f": {words_said}" if words_said else "")
            )
        return printed


def open_knob(_: Machine, way: Connection) -> Command:
    """Return the knob."""
    return Command(way)
