"""Energy and power of the chips under /sys/class/hwmon.

Source: Documentation/hwmon/sysfs-interface.rst: `energy*_input` counts microjoules,
`power*_average` and `power*_input` show microwatts. What a chip measures is known for a few
(hwmon_chips.py); the others are published and never added to the node's total.
"""

import math
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from wattgov_exporter.doubt import Standing, impossible
from wattgov_exporter.integral import Integral, wrong
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
    Refused,
)
from wattgov_exporter.sources.hwmon_chips import Part, Sensor, lines_of, ranked, text_of, told
from wattgov_exporter.sysfs import read_millionths

ALL_ONES_MILLIWATTS = 2**32 - 1
"""What an ACPI meter says when it does not know."""

BRIDGE_SECONDS = 30.0
"""A gap in a power gauge's readings that the trapezoid still spans."""

SCAN_SECONDS = 30.0
"""How often chips are looked for anew; one that begins to fail is looked for at once.

A sensor that says nothing for so long, or never said anything, is dead: others take its place.
"""

Counted = tuple[float, float, bool]
"""Joules, when, and whether they start there, as `Energy` has them."""


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
        self._parts: Mapping[Sensor, Part] = {}
        self._ranked: Mapping[Sensor, Part] = {}
        self._looked: float | None = None
        self._heard: set[Sensor] = set()
        self._silent: dict[Sensor, float] = {}
        self._dead: frozenset[Sensor] = frozenset()
        self._integrals: dict[tuple[str, str], Integral] = {}
        self._numbers: dict[str, str] = {}
        self._standing = Standing()

    def read(self) -> Readings:
        """Read all chips; NoMeter tells why when none can be read."""
        now = self._clock()
        if self._looked is None or now - self._looked >= SCAN_SECONDS:
            self._look(now)
        values: dict[Sensor, Counted] = {}
        refused: dict[Sensor, NoMeter] = {}
        for sensor, part in self._parts.items():
            if part.component is Component.GPU and _asleep(sensor):
                continue
            try:
                values[sensor] = self._counted(sensor, part)
            except NoMeter as fault:
                refused[sensor] = fault
        if refused or self._silent:
            self._note(values, refused, now)
        self._heard.update(values)
        if values:
            return self._readings(values, refused)
        if refused:
            raise next(iter(refused.values()))
        raise NoMeter(
            Reason.ABSENT,
            f"no chip under {self._root} has an energy or power sensor, or all of them sleep",
        )

    def _look(self, now: float) -> None:
        self._parts, self._looked = self._numbered(told(list(_sensors(self._root)))), now
        self._heard &= self._parts.keys()
        self._silent = {one: since for one, since in self._silent.items() if one in self._parts}
        self._ranked = ranked(self._parts, self._dead)

    def _numbered(self, parts: Mapping[Sensor, Part]) -> Mapping[Sensor, Part]:
        """Return the parts, each card with the number that it had, whoever sleeps now."""
        numbers = self._numbers
        return {
            sensor: replace(part, package=numbers.setdefault(part.zone, str(len(numbers))))
            if part.component is Component.GPU
            else part
            for sensor, part in parts.items()
        }

    def _note(self, values: Container[Sensor], refused: Iterable[Sensor], now: float) -> None:
        """Keep who says nothing, and since when; what was never heard is dead at once."""
        self._silent = {one: at for one, at in self._silent.items() if one not in values}
        for sensor in refused:
            if sensor not in self._silent:
                self._silent[sensor] = now if sensor in self._heard else -math.inf
                self._looked = None  # perhaps its chip has another number by now
        dead = frozenset(one for one, at in self._silent.items() if now - at >= SCAN_SECONDS)
        if dead != self._dead:
            self._dead, self._ranked = dead, ranked(self._parts, dead)

    def _readings(
        self, values: Mapping[Sensor, Counted], refused: Mapping[Sensor, NoMeter]
    ) -> Readings:
        energies = tuple(
            Energy(self._meter(sensor), *counted) for sensor, counted in values.items()
        )
        cards = [one for one in values if self._ranked[one].component is Component.GPU]
        return Readings(
            energies,
            tuple(_state(sensor, self._ranked[sensor]) for sensor in cards),
            anomalies=tuple(fault.anomaly for fault in refused.values() if fault.anomaly),
            refused=tuple(
                Refused(self._meter(sensor), fault.detail) for sensor, fault in refused.items()
            ),
        )

    def _meter(self, sensor: Sensor) -> Meter:
        part = self._ranked[sensor]
        return Meter(
            source=self.name,
            component=part.component,
            package=part.package,
            zone=part.zone,
            method=Method.MEASURED if sensor.is_counter else Method.DERIVED,
            max_watts=part.max_watts,
            covers=part.covers,
        )

    def _counted(self, sensor: Sensor, part: Part) -> Counted:
        """Return a sensor's joules; NoMeter when it shows nothing that can be."""
        value = read_millionths(sensor.path)
        now = self._clock()
        if sensor.is_counter:
            anomaly, unit = impossible(value), "J"
        else:
            # ACPI's meter counts milliwatts: all ones of them stand for "unknown".
            unknown = round(value * 1e3) == ALL_ONES_MILLIWATTS
            anomaly, unit = Anomaly.SENTINEL if unknown else wrong(value, part.max_watts), "W"
        if anomaly is not None:
            words = f"{sensor.path} shows {value:g} {unit}, which cannot be"
            raise NoMeter(Reason.INVALID, words, anomaly)
        key = sensor.device, sensor.file
        if sensor.is_counter:
            rests = part.component is not Component.CPU  # a socket's is RAPL's, and never does
            since = now if rests else self._standing.moved(key, value, now, sensor.path)
            return value, since, False
        integral = self._integrals.setdefault(key, Integral(BRIDGE_SECONDS))
        return integral.add(value, now), now, integral.is_start


def _sensors(root: Path) -> Iterator[Sensor]:
    """Yield each chip's counters, or its gauges if it has none; a chip that sleeps has neither."""
    chips = sorted(root.glob("hwmon*"), key=lambda path: (len(path.name), path.name))
    places = {(chip / "device").resolve() for chip in chips}
    for chip in chips:
        if text_of(chip / "device/power/runtime_status") == "suspended":
            continue
        name = text_of(chip / "name") or text_of(chip / "device" / "name")
        device = _device(chip, places)
        for path in _files(chip):
            label = text_of(path.with_name(f"{path.name.partition('_')[0]}_label"))
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


def _device(chip: Path, places: Iterable[Path]) -> str:
    """Return a name that outlasts a reboot, unlike hwmon3: the PCI address, or the device's.

    A device's name is told once a bus, so that of two the names of their buses are told as well.
    """
    facts = (line.partition("=") for line in lines_of(chip / "device" / "uevent"))
    slots = [value for key, _, value in facts if key == "PCI_SLOT_NAME"]
    link = chip / "device"
    if slots:
        return slots[0]
    if not link.is_symlink():
        return chip.name
    parts = link.resolve().parts
    others = [one.parts for one in places if one.parts != parts]
    depths = range(1, len(parts))
    own = (depth for depth in depths if not any(one[-depth:] == parts[-depth:] for one in others))
    return "/".join(parts[-next(own, 1) :])


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
