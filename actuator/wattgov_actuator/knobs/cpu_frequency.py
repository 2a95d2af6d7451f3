"""The highest frequency of a CPU package's cores, in hertz, through cpufreq's scaling_max_freq.

A package has one or many policies, each with a ceiling of its own. The lowest of them stands for
the package: all are written, so until the last one is back where it was the lowest still is ours,
and a write that was cut short shows. Before us they may differ; they are put back one by one.
"""

import re
from pathlib import Path

from wattgov_actuator.knobs import attribute, thermometer
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe, Target

NAME = "cpu_frequency"
KILO = 1000  # cpufreq counts in kilohertz
RESOLUTION_HERTZ = 10e6
CEILING, FLOOR = "scaling_max_freq", "scaling_min_freq"
POLICY = re.compile(r"policy(\d+)")


class CpuFrequency:
    """The ceilings of all packages of this machine."""

    def __init__(self, machine: Machine) -> None:
        self._cpus = machine.sysfs / "devices" / "system" / "cpu"
        self._hwmon = machine.sysfs / "class" / "hwmon"

    def probe(self) -> Probe:
        """Return the packages whose cores have a ceiling."""
        try:
            packages = self._packages()
            targets = tuple(_target(name, packages[name]) for name in sorted(packages))
        except KnobError as error:
            return Probe((), error.detail)
        if targets:
            return Probe(targets)
        return Probe((), f"{self._cpus / 'cpufreq'} has no policy: no driver scales this CPU")

    def read(self, target: str) -> InForce:
        """Return the lowest ceiling, and every policy's own as text."""
        ceilings = {path.name: attribute.number(path / CEILING) for path in self._policies(target)}
        text = " ".join(f"{name}={kilohertz}" for name, kilohertz in ceilings.items())
        return InForce(min(ceilings.values()) * KILO, text=text)

    def write(self, target: str, value: float) -> None:
        """Set the ceiling of every policy in hertz."""
        for path in self._policies(target):
            attribute.write(path / CEILING, str(round(value / KILO)))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Give each policy its own ceiling back; one whose core was taken out has none."""
        before = dict(word.split("=") for word in text.split())
        for path in self._policies(target):
            if path.name in before:
                attribute.write(path / CEILING, before[path.name])

    def celsius(self, target: str) -> float:
        """Return the temperature of the package."""
        return thermometer.package(self._hwmon, target)

    def close(self) -> None:
        """Nothing is open."""

    def _policies(self, target: str) -> list[Path]:
        packages = self._packages()
        if target not in packages:
            detail = f"{self._cpus / 'cpufreq'} has no core of {target} any more"
            raise KnobError(Fault.LOST, detail)
        return packages[target]

    def _packages(self) -> dict[str, list[Path]]:
        """Return the policies by package, in the order of their numbers."""
        found: dict[str, list[Path]] = {}
        for path in sorted((self._cpus / "cpufreq").glob("policy*"), key=_number):
            if not (path / CEILING).exists():  # all its cores are offline
                continue
            cpu = attribute.read(path / "affected_cpus").split()[0]
            package = attribute.read(self._cpus / f"cpu{cpu}/topology/physical_package_id")
            found.setdefault(f"package-{package}", []).append(path)
        return found


def _target(name: str, policies: list[Path]) -> Target:
    """Return the range that every policy allows; a ceiling below a policy's floor is refused."""
    low = max(
        attribute.number(path / which) for path in policies for which in ("cpuinfo_min_freq", FLOOR)
    )
    high = min(attribute.number(path / "cpuinfo_max_freq") for path in policies)
    labels = {"package": name.removeprefix("package-")}
    return Target(NAME, name, labels, low * KILO, high * KILO, "hertz", RESOLUTION_HERTZ)


def _number(path: Path) -> int:
    match = POLICY.fullmatch(path.name)
    return int(match[1]) if match else -1


def open_knob(machine: Machine) -> CpuFrequency:
    """Return the knob."""
    return CpuFrequency(machine)
