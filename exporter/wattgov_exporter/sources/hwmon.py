"""Energy and power of the chips under /sys/class/hwmon.

Source: Documentation/hwmon/sysfs-interface.rst: `energy*_input` counts microjoules,
`power*_average` and `power*_input` show microwatts. What a chip measures is known for a few (see
CHIPS); the others are published and never added to the node's total.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from wattgov_exporter.integral import Integral, wrong
from wattgov_exporter.procfs import read_bytes
from wattgov_exporter.reading import (
    Anomaly,
    Clock,
    Component,
    Energy,
    GpuState,
    Meter,
    Method,
    NoMeter,
    Readings,
    Reason,
)

SOCKET_WATTS = 500.0
GPU_WATTS = 1500.0
NODE_WATTS = 20_000.0
OTHER_WATTS = 2_000.0
"""Plausible power; more is a sentinel or a fault."""

ALL_ONES_MILLIWATTS = 2**32 - 1
"""What an ACPI meter says when it does not know."""

BRIDGE_SECONDS = 30.0
"""A gap in a power gauge's readings that the trapezoid still spans."""

SCAN_SECONDS = 30.0
"""How often chips are looked for anew; one that fails to read is looked for at once."""


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
        return _text(self.folder / name)


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


class Hwmon:
    """Every energy counter, and every power gauge of a chip without one."""

    name = "hwmon"
    interval_seconds = 0.0
    expected_error = (
        "what each chip's own sensor errs by, and the trapezoid's where it has no counter; "
        "no public figure"
    )

    def __init__(self, sysfs: Path, clock: Clock) -> None:
        self._root = sysfs / "class" / "hwmon"
        self._clock = clock
        self._known: Mapping[Sensor, Part] = {}
        self._looked: float | None = None
        self._integrals: dict[tuple[str, str], Integral] = {}

    def read(self) -> Readings:
        """Read all chips; NoMeter tells why when none can be read."""
        now = self._clock()
        if self._looked is None or now - self._looked >= SCAN_SECONDS:
            self._known, self._looked = _told_apart(list(_sensors(self._root))), now
        energies: list[Energy] = []
        gpus: list[GpuState] = []
        refused: list[NoMeter] = []
        for sensor, part in self._known.items():
            try:
                is_gpu = part.component is Component.GPU
                if is_gpu and _asleep(sensor):
                    continue
                energies.append(self._energy(sensor, part))
                if is_gpu:
                    gpus.append(_state(sensor, part))
            except NoMeter as absent:
                refused.append(absent)
                self._looked = None
        if energies:
            anomalies = tuple(one.anomaly for one in refused if one.anomaly)
            return Readings(tuple(energies), tuple(gpus), anomalies=anomalies)
        if refused:
            raise refused[0]
        raise NoMeter(
            Reason.ABSENT,
            f"no chip under {self._root} has an energy or power sensor, or all of them sleep",
        )

    def _energy(self, sensor: Sensor, part: Part) -> Energy:
        """Return what a sensor counted; NoMeter when it shows nothing that can be."""
        value = _micro(sensor.path)
        now = self._clock()
        meter = Meter(
            source=self.name,
            component=part.component,
            package=part.package,
            zone=part.zone,
            method=Method.MEASURED if sensor.is_counter else Method.DERIVED,
            max_watts=part.max_watts,
            covers=part.covers,
        )
        if sensor.is_counter:
            return Energy(meter, value, now)
        # ACPI's meter counts milliwatts: all ones of them stand for "unknown".
        unknown = round(value * 1e3) == ALL_ONES_MILLIWATTS
        anomaly = Anomaly.SENTINEL if unknown else wrong(value, part.max_watts)
        if anomaly is not None:
            words = f"{sensor.path} shows {value:g} W, which cannot be"
            raise NoMeter(Reason.INVALID, words, anomaly)
        key = sensor.device, sensor.file
        integral = self._integrals.setdefault(key, Integral(BRIDGE_SECONDS))
        return Energy(meter, integral.add(value, now), now)


def _sensors(root: Path) -> Iterator[Sensor]:
    """Yield each chip's counters, or its gauges if it has none; a chip that sleeps has neither."""
    for chip in sorted(root.glob("hwmon*"), key=lambda path: (len(path.name), path.name)):
        if _text(chip / "device/power/runtime_status") == "suspended":
            continue
        name = _text(chip / "name") or _text(chip / "device" / "name")
        device = _device(chip)
        for path in _files(chip):
            label = _text(path.with_name(f"{path.name.partition('_')[0]}_label"))
            # A core's counter is inside its socket's, and reading it wakes the core.
            if not label.startswith("Ecore"):
                yield Sensor(path.parent, name, device, path.name, label)


def _files(chip: Path) -> list[Path]:
    # ACPI's meter has its files one floor below, as all drivers had before 2013.
    for pattern in ("energy*_input", "power*_average", "power*_input"):
        for folder in (chip, chip / "device"):
            files = sorted(folder.glob(pattern), key=lambda path: (len(path.name), path.name))
            if files:
                return files
    return []


def _device(chip: Path) -> str:
    """Return a name that outlasts a reboot, unlike hwmon3: the PCI address, or the device's."""
    facts = (line.partition("=") for line in _lines(chip / "device" / "uevent"))
    slots = [value for key, _, value in facts if key == "PCI_SLOT_NAME"]
    link = chip / "device"
    return slots[0] if slots else link.resolve().name if link.is_symlink() else chip.name


def _told_apart(sensors: list[Sensor]) -> Mapping[Sensor, Part]:
    """Return what each sensor measures, each joule of a component in one meter."""
    parts: dict[Sensor, Part] = {}
    cards = 0
    words = Counter((sensor.device, sensor.chip, sensor.label) for sensor in sensors)
    for sensor in sensors:
        tell = CHIPS.get(sensor.chip)
        number = sensor.file.partition("_")[0]
        shared = words[sensor.device, sensor.chip, sensor.label] > 1
        zone = f"{sensor.chip}:{sensor.label or number}"
        # Two counters under one name would be one meter that jumps between them.
        zone = f"{zone}:{number}" if sensor.label and shared else zone
        unknown = Part(None, sensor.device, zone, OTHER_WATTS)
        part = (tell(sensor) if tell else None) or unknown
        if part.component is Component.GPU:
            part, cards = replace(part, package=str(cards)), cards + 1
        parts[sensor] = part
    singles = [sensor for sensor, part in parts.items() if part.single]
    if len(singles) > 1:
        parts.update({one: replace(parts[one], component=None) for one in singles})
    best = {
        component: min(part.rank for part in parts.values() if part.component is component)
        for component in {part.component for part in parts.values()}
    }
    return {
        sensor: part if part.rank == best[part.component] else replace(part, component=None)
        for sensor, part in parts.items()
    }


def _asleep(sensor: Sensor) -> bool:
    """Tell a GPU at rest: reading its sensors would wake it, or fail (runtime power management)."""
    return sensor.fact("device/power/runtime_status") == "suspended"


def _state(sensor: Sensor, part: Part) -> GpuState:
    """Return a card's gauges (amdgpu, thermal.rst; a file that a card lacks says nothing)."""
    limits = {
        "current": "power1_cap",
        "default": "power1_cap_default",
        "min": "power1_cap_min",
        "max": "power1_cap_max",
    }
    clocks = {"sm": "freq1_input", "memory": "freq2_input"}
    return GpuState(
        gpu=part.package,
        uuid=part.zone,
        name=f"{sensor.chip} {sensor.device}",
        power_watts=None if sensor.is_counter else _scaled(sensor.fact(sensor.file), 1e-6),
        temperature_celsius=_scaled(sensor.fact("temp1_input"), 1e-3),
        utilization_percent=_scaled(sensor.fact("device/gpu_busy_percent"), 1.0),
        memory_used_bytes=_scaled(sensor.fact("device/mem_info_vram_used"), 1.0),
        limits_watts=_each(sensor, limits, 1e-6),
        clocks_hertz=_each(sensor, clocks, 1.0),
    )


def _each(sensor: Sensor, files: Mapping[str, str], factor: float) -> tuple[tuple[str, float], ...]:
    values = {key: _scaled(sensor.fact(file), factor) for key, file in files.items()}
    return tuple((key, value) for key, value in values.items() if value is not None)


def _scaled(text: str, factor: float) -> float | None:
    return int(text) * factor if text.isdigit() else None


def _micro(path: Path) -> float:
    """Return a file's value in joules or watts."""
    try:
        return int(read_bytes(path)) / 1e6
    except PermissionError as error:
        raise NoMeter(
            Reason.PERMISSION,
            f"{path} is readable by root only: run as root or grant CAP_DAC_READ_SEARCH",
        ) from error
    except (OSError, ValueError) as error:
        raise NoMeter(Reason.INVALID, f"{path}: {error}") from error


def _text(path: Path) -> str:
    return " ".join(_lines(path)).strip()


def _lines(path: Path) -> list[str]:
    """Return a describing file's lines; one that is missing says nothing."""
    try:
        return read_bytes(path).decode("ascii", "replace").split("\n")
    except OSError:
        return []
