"""One NVIDIA card: what it is, its gauges, its joules and its users."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pynvml

from wattgov_exporter.integral import Integral
from wattgov_exporter.reading import (
    Anomaly,
    Component,
    Energy,
    GpuInstance,
    GpuState,
    GpuUse,
    Meter,
    Method,
)
from wattgov_exporter.sources import nvml_fields
from wattgov_exporter.sources.nvml_calls import ALL_ONES, attempt, watts
from wattgov_exporter.sources.nvml_fields import INSTANT, Field, Fields
from wattgov_exporter.sources.nvml_mig import Instances
from wattgov_exporter.sources.nvml_pace import Bus, Pace, asleep
from wattgov_exporter.sources.nvml_processes import Held, Known, Samples, held

MAX_WATTS = 1500.0
"""A card's plausible power where its driver states no maximum limit."""

MODULE_WATTS = 5000.0
"""Plausible power of a module of CPU and GPUs."""

BRIDGE_SECONDS = 60.0
"""Between two readings of a gauge further apart than this nobody knows what was drawn."""

MEAN_SECONDS = 0.9
"""Between readings so far apart the driver's mean of a second leaves nothing out."""

FACTS_SECONDS = 60.0
"""How often is asked anew what hardly ever changes: limits, MIG mode, which fields there are."""


@dataclass(frozen=True, slots=True)
class Looked:
    """All that one look at a card gave, and when."""

    state: GpuState
    energies: tuple[Energy, ...]
    uses: tuple[GpuUse, ...]
    anomalies: tuple[Anomaly, ...] = ()

    def again(self) -> "Looked":
        """Return it for a tick in which the card was left in peace: nothing new was used."""
        uses = tuple(replace(use, activity=0.0) for use in self.uses)
        return Looked(self.state, self.energies, uses)

    def asleep(self) -> "Looked":
        """Return what is still known of a card that is powered down: no power, no users."""
        known = self.state
        state = GpuState(known.gpu, known.uuid, known.name, known.pci)
        state = replace(state, limits_watts=known.limits_watts, utilization_percent=0.0)
        return Looked(replace(state, throttle_seconds=known.throttle_seconds), (), ())


class Card:
    """One card. It outlives its handle, which is new after each enumeration."""

    def __init__(self, source: str, uuid: str, known: Known, bus: Bus) -> None:
        self.uuid = uuid
        self.pace = Pace()
        self._pci = ""
        self._bus = bus
        self._status: Path | None = None
        self._source = source
        self._known = known
        self._index = 0
        self._handle: Any = None
        self._facts_at: float | None = None
        self._name = ""
        self._limits: dict[str, float] = {}
        self._instances: Instances | None = None
        self._fields = Fields()
        self._samples = Samples()
        self._method: Method | None = None
        self._integrals: dict[str, Integral] = {}

    def at(self, index: int, handle: object) -> "Card":
        """Take the handle of a new enumeration."""
        self._index, self._handle, self._facts_at = index, handle, None
        return self

    @property
    def asleep(self) -> bool:
        """Tell a card that is powered down; one that was never read has no address yet."""
        return self._status is not None and asleep(self._status)

    def close(self) -> None:
        """Free what the driver lent."""
        if self._instances is not None:
            self._instances.close()
            self._instances = None

    def look(self, now: float, wall: float, seconds: float) -> Looked:
        """Read the card, which took *seconds* since it was last read; NVMLError if it is gone."""
        self._learn(now)
        values = self._fields.read(self._handle)
        rates = attempt(pynvml.nvmlDeviceGetUtilizationRates, self._handle)
        percent = None if rates is None else float(rates.gpu)
        instances: tuple[GpuInstance, ...] = ()
        if self._instances is None:
            found = held(self._handle) or {}
            activity = self._samples.read(self._handle, int(wall * 1e6))
            uses = [
                GpuUse(self.uuid, pid, activity.get(pid, 0.0), _memory(found, pid))
                for pid in {*found, *activity}
            ]
        else:
            self._instances.look(self._handle, now)
            found = self._instances.held(self._handle)
            busy = self._instances.activity(self._handle)
            uses = self._instances.uses(self.uuid, found, busy, seconds)
            utilisation = self._instances.utilisation(busy)
            percent = None if utilisation is None else 100 * utilisation
            instances = self._instances.shown(busy)
        raw = attempt(pynvml.nvmlDeviceGetPowerUsage, self._handle)
        power = _drawn(values, seconds) or watts(raw)
        energies = (*self._energy(power, values, now), *self._sensors(values, now))
        works = bool(percent) or self._method is not Method.MEASURED
        works = works or any(one.works for one in found.values())
        state = self._state(
            values,
            power_watts=watts(raw),
            utilization_percent=percent,
            instances=instances,
            processes=self._known.count(self.uuid, found),
            read_interval_seconds=self.pace.seen(now, power, works=works),
        )
        wrong = (Anomaly.SENTINEL,) if raw is not None and state.power_watts is None else ()
        return Looked(state, energies, tuple(uses), wrong)

    def _learn(self, now: float) -> None:
        """Ask for what hardly ever changes, if it is time to."""
        if self._facts_at is not None and now - self._facts_at < FACTS_SECONDS:
            return
        handle = self._handle
        self._name = pynvml.nvmlDeviceGetName(handle)
        self._pci = address(pynvml.nvmlDeviceGetPciInfo(handle).busId)
        self._status = self._bus.status(self._pci)
        low, high = attempt(pynvml.nvmlDeviceGetPowerManagementLimitConstraints, handle) or (
            None,
            None,
        )
        default = attempt(pynvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)
        limits = {"default": default, "min": low, "max": high}
        self._limits = {key: found for key, value in limits.items() if (found := watts(value))}
        mode = attempt(pynvml.nvmlDeviceGetMigMode, handle)
        if mode is None or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
            self.close()
        elif self._instances is None:
            slices = attempt(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle)
            self._instances = Instances(slices) if slices else None
        self._fields.forget()
        self._facts_at = now

    def _state(self, values: Mapping[Field, float], **known: Any) -> GpuState:  # noqa: ANN401  GpuState's own types
        """Return the gauges; those that are *known* already as they are."""
        handle = self._handle
        memory = attempt(pynvml.nvmlDeviceGetMemoryInfo, handle)
        celsius = attempt(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU)
        now = {
            "current": watts(attempt(pynvml.nvmlDeviceGetPowerManagementLimit, handle)),
            "enforced": watts(attempt(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)),
        }
        limits = {**{key: value for key, value in now.items() if value}, **self._limits}
        return GpuState(
            gpu=str(self._index),
            uuid=self.uuid,
            name=self._name,
            pci=self._pci,
            power_instant_watts=watts(values.get(INSTANT)),
            power_average_watts=watts(values.get(nvml_fields.AVERAGE)),
            temperature_celsius=None if celsius is None else float(celsius),
            memory_used_bytes=None if memory is None else float(memory.used),
            limits_watts=tuple(limits.items()),
            clocks_hertz=_clocks(handle),
            throttle_seconds=tuple(
                (reason, values[field] / 1e9)
                for reason, field in nvml_fields.THROTTLE.items()
                if field in values
            ),
            **known,
        )

    def _energy(
        self, power: float | None, values: Mapping[Field, float], now: float
    ) -> tuple[Energy, ...]:
        """Return the card's energy: its own counter, else the trapezoid over its power.

        A counter that is silent for once is waited for: the two do not go on from each other.
        """
        millijoules = values.get(nvml_fields.ENERGY)
        if millijoules is None and self._method is not Method.DERIVED:
            millijoules = attempt(pynvml.nvmlDeviceGetTotalEnergyConsumption, self._handle)
        if self._method is None:
            self._method = Method.DERIVED if millijoules is None else Method.MEASURED
        is_start = False
        if self._method is Method.DERIVED:
            integral = self._integral("")
            joules = None if power is None else integral.add(power, now)
            is_start = integral.is_start
        else:
            silent = millijoules is None or millijoules in ALL_ONES
            joules = None if silent else cast("float", millijoules) / 1e3
        if joules is None:
            return ()
        meter = Meter(
            source=self._source,
            component=Component.GPU,
            package=str(self._index),
            zone=self.uuid,
            method=self._method,
            max_watts=self._limits.get("max", MAX_WATTS),
            pci=self._pci,
        )
        return (Energy(meter, joules, now, is_start),)

    def _sensors(self, values: Mapping[Field, float], now: float) -> list[Energy]:
        """Return the meters of other things than the card: published, and in no sum."""
        energies = []
        for zone, field in nvml_fields.SENSORS.items():
            power = watts(values.get(field))
            if power is not None:
                integral = self._integral(zone)
                joules = integral.add(power, now)
                derived = Method.DERIVED
                meter = Meter(self._source, None, self.uuid, zone, derived, MODULE_WATTS)
                energies.append(Energy(meter, joules, now, integral.is_start))
        return energies

    def _integral(self, name: str) -> Integral:
        return self._integrals.setdefault(name, Integral(BRIDGE_SECONDS))


def address(bus_id: str) -> str:
    """Return a PCI address as the kernel writes it: NVML has capitals and a longer domain."""
    domain, _, rest = bus_id.lower().partition(":")
    return f"{domain[-4:]}:{rest}"


def _drawn(values: Mapping[Field, float], seconds: float) -> float | None:
    """Return the power that the trapezoid wants.

    Readings a second apart see all of it in the driver's means of a second; between them an instant
    misses what was short (`make bench`: 0.2 against 1.1 % at p95). Closer ones want the instant.
    """
    average = watts(values.get(nvml_fields.AVERAGE))
    return average if average and seconds >= MEAN_SECONDS else watts(values.get(INSTANT))


def _memory(found: Mapping[int, Held], pid: int) -> float:
    one = found.get(pid)
    return one.memory_bytes if one else 0.0


def _clocks(handle: object) -> tuple[tuple[str, float], ...]:
    clocks = {"sm": pynvml.NVML_CLOCK_SM, "memory": pynvml.NVML_CLOCK_MEM}
    megahertz = {
        key: attempt(pynvml.nvmlDeviceGetClockInfo, handle, kind) for key, kind in clocks.items()
    }
    return tuple((key, value * 1e6) for key, value in megahertz.items() if value is not None)
