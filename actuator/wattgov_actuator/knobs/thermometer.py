"""The temperature of a CPU package, from its driver's hwmon files (coretemp, k10temp)."""

import re
from pathlib import Path

from wattgov_actuator.knobs import attribute
from wattgov_actuator.reading import Fault, KnobError

MILLI = 1000  # hwmon counts in thousandths of a degree
PACKAGE = re.compile(r"Package id (\d+)")  # coretemp's label
CONTROL = "Tctl"  # k10temp's label of the whole package; its numbers follow the packages'


def package(hwmon: Path, target: str) -> float:
    """Return the degrees Celsius of the package with this number; raises KnobError."""
    number = int(re.sub(r"\D", "", target) or 0)
    found: dict[int, Path] = {}
    for label in sorted(hwmon.glob("hwmon*/temp*_label"), key=_address):
        text = attribute.read(label)
        match = PACKAGE.fullmatch(text)
        if match:
            found[int(match[1])] = label
        elif text == CONTROL:
            found[len(found)] = label
    if number not in found:
        raise KnobError(Fault.UNSUPPORTED, f"{hwmon} has no thermometer of {target}")
    label = found[number]
    return attribute.number(label.with_name(label.name.replace("_label", "_input"))) / MILLI


def _address(label: Path) -> str:
    """Return where the chip is: its number in hwmon is by the order of loading."""
    return str((label.parent / "device").resolve())
