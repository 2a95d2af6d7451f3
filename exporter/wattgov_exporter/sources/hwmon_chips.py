"""What the chips under /sys/class/hwmon measure, as far as that is known."""

from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from wattgov_exporter.procfs import read_bytes
from wattgov_exporter.reading import Component

SOCKET_WATTS = 500.0
GPU_WATTS = 1500.0
NODE_WATTS = 20_000.0
OTHER_WATTS = 2_000.0
"""Plausible power; more is a sentinel or a fault."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """One energy counter or power gauge of a chip, and what else tells what it measures."""

    folder: Path
    chip: str
    device: str
    file: str
    label: str

    @property
    def path(self) -> Path:
        """The file to read."""
        return self.folder / self.file

    @property
    def is_counter(self) -> bool:
        """Tell a counter of joules from a gauge of watts."""
        return self.file.startswith("energy")

    def fact(self, name: str) -> str:
        """Return another file of the chip; empty when there is none."""
        return text_of(self.folder / name)


@dataclass(frozen=True, slots=True)
class Part:
    """What a sensor measures. Of the meters of one component those of the lowest *rank* count.

    *single*: of several it is not told which measures what, so none of them counts.
    """

    component: Component | None
    package: str
    zone: str
    max_watts: float
    rank: int = 0
    single: bool = False
    covers: frozenset[Component] = frozenset()


def _amd_socket(sensor: Sensor) -> Part | None:
    """Esocket0 is a socket; the driver counts in 64 bits, so nothing wraps (amd_energy.rst)."""
    _, found, number = sensor.label.partition("Esocket")
    if not (found and number.isdigit()):
        return None
    return Part(Component.CPU, str(int(number)), "package", SOCKET_WATTS)


def _amd_gpu(sensor: Sensor) -> Part | None:
    """Without a cap it is an APU, whose power includes the CPU's (amdgpu, thermal.rst)."""
    if not sensor.fact("power1_cap"):
        return None
    return Part(Component.GPU, "", sensor.device, GPU_WATTS)


def _intel_gpu(sensor: Sensor) -> Part | None:
    """energy1 is the card, energy2 of xe its package alone (sysfs-driver-intel-{i915,xe}-hwmon)."""
    if sensor.file != "energy1_input":
        return None
    return Part(Component.GPU, "", sensor.device, GPU_WATTS)


def _acpi_meter(sensor: Sensor) -> Part | None:
    """Without words it is the node; NVIDIA Grace has four a socket, and says which is which.

    "Grace Power" holds the CPU and its memory (Grace Performance Tuning Guide, power telemetry);
    "Module Power" adds the GPU, which its own driver counts, "CPU" and "SysIO" are inside.
    """
    words = sensor.fact("power1_oem_info")
    _, grace, socket = words.partition("Grace Power Socket ")
    if grace:
        covers = frozenset({Component.DRAM})
        return Part(Component.CPU, socket, "package", SOCKET_WATTS, covers=covers)
    if words.startswith(("Module Power", "CPU Power", "SysIO Power")):
        return None
    if sensor.fact("power1_is_battery") == "1":
        return None
    return Part(Component.PLATFORM, sensor.device, "meter", NODE_WATTS, single=True)


def _supply(sensor: Sensor) -> Part | None:
    """`pin` is what the supply takes from the wall (pmbus.rst); several share the node's load."""
    if sensor.label not in {"pin", "pin1"}:
        return None
    return Part(Component.PLATFORM, sensor.device, "supply", NODE_WATTS, rank=1)


def _corsair(sensor: Sensor) -> Part | None:
    """`power total` is the sum over its rails (corsair-psu.rst)."""
    if sensor.label != "power total":
        return None
    return Part(Component.PLATFORM, sensor.device, "supply", NODE_WATTS, rank=1)


CHIPS: Mapping[str, Callable[[Sensor], Part | None]] = {
    "amd_energy": _amd_socket,
    "zenergy": _amd_socket,  # amd_energy's successor outside the kernel, the same labels
    "amdgpu": _amd_gpu,
    "i915": _intel_gpu,  # i915_gt0 is a part of it
    "xe": _intel_gpu,
    "power_meter": _acpi_meter,
    "corsairpsu": _corsair,
    **dict.fromkeys(
        ("cffps", "cffps1", "cffps2", "dps920ab", "ipsps1", "pfe1100", "pfe3000", "ym2151e"),
        _supply,
    ),
}
"""Chips whose meter is a known part of the node.

Not here: `pmbus`, a name that any regulator on that bus may have; ina2xx and ina3221, which measure
whatever the board's maker put behind them.
"""


def told(sensors: list[Sensor]) -> Mapping[Sensor, Part]:
    """Return what each sensor measures."""
    parts: dict[Sensor, Part] = {}
    words = Counter((sensor.device, sensor.chip, sensor.label) for sensor in sensors)
    for sensor in sensors:
        tell = CHIPS.get(sensor.chip)
        number = sensor.file.partition("_")[0]
        shared = words[sensor.device, sensor.chip, sensor.label] > 1
        zone = f"{sensor.chip}:{sensor.label or number}"
        # Two counters under one name would be one meter that jumps between them.
        zone = f"{zone}:{number}" if sensor.label and shared else zone
        unknown = Part(None, sensor.device, zone, OTHER_WATTS)
        parts[sensor] = (tell(sensor) if tell else None) or unknown
    singles = [sensor for sensor, part in parts.items() if part.single]
    if len(singles) > 1:
        parts.update({one: replace(parts[one], component=None) for one in singles})
    return parts


def ranked(parts: Mapping[Sensor, Part], dead: Container[Sensor]) -> Mapping[Sensor, Part]:
    """Return the parts, each joule of a component in one meter; what is *dead* hides no other."""
    alive = [part for sensor, part in parts.items() if sensor not in dead]
    best = {
        component: min(part.rank for part in alive if part.component is component)
        for component in {part.component for part in alive}
    }
    return {
        sensor: part
        if part.rank == best.get(part.component, part.rank)
        else replace(part, component=None)
        for sensor, part in parts.items()
    }


def text_of(path: Path) -> str:
    """Return a describing file as one line; one that is missing says nothing."""
    return " ".join(lines_of(path)).strip()


def lines_of(path: Path) -> list[str]:
    """Return a describing file's lines; one that is missing says nothing."""
    try:
        return read_bytes(path).decode("ascii", "replace").split("\n")
    except OSError:
        return []
