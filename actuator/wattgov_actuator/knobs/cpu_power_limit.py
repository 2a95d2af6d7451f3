"""The long-term power limit of a CPU package, in watts, through powercap (intel-rapl).

The long-term limit is an average over its time window, so bursts up to the short-term limit stay
possible. The kernel does not compare a value with `constraint_N_max_power_uw`: the range is ours to
keep. AMD's zones show energy and mostly no limit: then there is no target, and a note.
"""

import re
from pathlib import Path

from wattgov_actuator.knobs import attribute, thermometer
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe, Target

NAME = "cpu_power_limit"
MICRO = 1_000_000  # powercap counts in microwatts
RESOLUTION_WATTS = 0.5  # registers keep steps of 1/8 W and, on a few, more
LOWEST_SHARE = 0.2  # powercap has no lower end; far below, a package only crawls
LONG_TERM = "long_term"
LIMIT = re.compile(r"constraint_(\d+)_name")


class CpuPowerLimit:
    """The limits of all packages of this machine."""

    def __init__(self, machine: Machine) -> None:
        self._root = machine.sysfs / "class" / "powercap"
        self._hwmon = machine.sysfs / "class" / "hwmon"
        self._highest: dict[str, float] = {}  # watts; for a package that states no maximum

    def probe(self) -> Probe:
        """Return the packages that have a long-term limit."""
        targets, notes = [], []
        for zone in self._zones():
            try:
                name = attribute.read(zone / "name")
                if name.startswith("package-"):  # psys and the MMIO twin of a package are none
                    targets.append(self._target(name, zone))
            except KnobError as error:
                notes.append(error.detail)
        if not targets and not notes:
            notes.append(f"{self._root} has no CPU package; load intel_rapl_msr, or this is no PC")
        return Probe(tuple(targets), "; ".join(notes))

    def read(self, target: str) -> InForce:
        """Return the limit set, and the lower one of the package's MMIO twin, which counts too."""
        text = str(attribute.number(_limit(self._zone(target))))
        twins = [int(text), *self._twins(target)]
        return InForce(int(text) / MICRO, min(twins) / MICRO, text)

    def write(self, target: str, value: float) -> None:
        """Set the limit in watts."""
        attribute.write(_limit(self._zone(target)), str(round(value * MICRO)))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Write what was read."""
        attribute.write(_limit(self._zone(target)), text)

    def celsius(self, target: str) -> float:
        """Return the temperature of the package."""
        return thermometer.package(self._hwmon, target)

    def close(self) -> None:
        """Nothing is open."""

    def _zones(self) -> list[Path]:
        return sorted(self._root.glob("intel-rapl:[0-9]*"), key=lambda path: path.name)

    def _zone(self, target: str) -> Path:
        for zone in self._zones():
            if attribute.read(zone / "name") == target:
                return zone
        raise KnobError(Fault.LOST, f"{self._root} has no {target} any more")

    def _target(self, name: str, zone: Path) -> Target:
        limit, enabled = _limit(zone), zone / "enabled"
        if enabled.exists() and attribute.read(enabled) == "0":
            detail = f"{name}: its limits are off, or locked by the firmware: {enabled} reads 0"
            raise KnobError(Fault.UNSUPPORTED, detail)
        maximum = limit.with_name(limit.name.replace("power_limit", "max_power"))
        seen = attribute.number(limit) / MICRO
        stated = attribute.number(maximum) / MICRO if maximum.exists() else 0.0
        self._highest[name] = high = stated or max(seen, self._highest.get(name, 0.0))
        labels = {"package": name.removeprefix("package-")}
        return Target(NAME, name, labels, high * LOWEST_SHARE, high, "watts", RESOLUTION_WATTS)

    def _twins(self, target: str) -> list[int]:
        """Return the limits of the same package by another interface, in microwatts."""
        found = []
        for zone in self._root.glob("intel-rapl-mmio:[0-9]*"):
            try:
                if attribute.read(zone / "name") == target:
                    found.append(attribute.number(_limit(zone)))
            except KnobError:  # it only informs; the zone that is written speaks for itself
                continue
        return found


def _limit(zone: Path) -> Path:
    """Return the file of the long-term limit, which is found by name: its number may be any."""
    for path in sorted(zone.glob("constraint_*_name")):
        match = LIMIT.fullmatch(path.name)
        if match is not None and attribute.read(path) == LONG_TERM:
            return zone / f"constraint_{match[1]}_power_limit_uw"
    raise KnobError(Fault.UNSUPPORTED, f"{zone.name} has no {LONG_TERM} limit, only energy")


def open_knob(machine: Machine) -> CpuPowerLimit:
    """Return the knob."""
    return CpuPowerLimit(machine)
