"""NVIDIA GPUs through NVML (`pynvml`, the module of the distribution nvidia-ml-py)."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pynvml

from wattgov_exporter.integral import Integral
from wattgov_exporter.reading import (
    Clock,
    Component,
    Energy,
    GpuState,
    GpuUse,
    Meter,
    Method,
    NoMeter,
    Readings,
    Reason,
)

MAX_WATTS = 1500.0
"""A card's plausible power where its driver states no maximum limit."""

BRIDGE_SECONDS = 60.0
"""Between two readings of a gauge further apart than this nobody knows what was drawn."""

REASONS = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: Reason.ABSENT,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: Reason.ABSENT,
    pynvml.NVML_ERROR_NO_PERMISSION: Reason.PERMISSION,
    pynvml.NVML_ERROR_NOT_SUPPORTED: Reason.UNSUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: Reason.UNSUPPORTED,
    pynvml.NVML_ERROR_TIMEOUT: Reason.TIMEOUT,
}

THROTTLE_FIELDS = {
    "power_cap": pynvml.NVML_FI_DEV_PERF_POLICY_POWER,
    "thermal": pynvml.NVML_FI_DEV_PERF_POLICY_THERMAL,
    "sync": pynvml.NVML_FI_DEV_PERF_POLICY_SYNC_BOOST,
    "power_brake": pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN,
}
"""Nanoseconds spent throttled, as counters of the driver."""


class Nvml:
    """Every GPU that the driver shows; a lost one is left out until it is back."""

    name = "nvml"
    interval_seconds = 0.0
    expected_error = (
        "-6 to +11 % by model of card against an external meter (Yang et al., SC24); "
        "A100 and H100 look at their power a quarter of the time"
    )

    def __init__(self, monotonic: Clock, wall: Clock) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._handles: list[tuple[int, Any]] | None = None
        self._seen_us: dict[str, int] = {}
        self._integrals: dict[str, Integral] = {}

    def read(self) -> Readings:
        """Read all cards; NoMeter when there is no driver, or when no card answers."""
        try:
            handles = self._open()
        except pynvml.NVMLError as error:
            self._handles = None
            raise _no_meter(error) from error
        energies: list[Energy] = []
        gpus: list[GpuState] = []
        uses: list[GpuUse] = []
        failure: pynvml.NVMLError | None = None
        for index, handle in handles:
            try:
                state = _state(index, handle)
            except pynvml.NVMLError as error:
                # Lost or in reset: enumerate afresh next time, keep the other cards now.
                failure, self._handles = error, None
                continue
            gpus.append(state)
            energies += self._energy(state, handle)
            uses += self._uses(state, handle)
        if failure is not None and not gpus:
            raise _no_meter(failure) from failure
        return Readings(tuple(energies), tuple(gpus), tuple(uses))

    def _open(self) -> list[tuple[int, Any]]:
        """Return the cards that answer; enumerate again each time until all of them do."""
        if self._handles is not None:
            return self._handles
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        if count == 0:
            raise NoMeter(Reason.ABSENT, "the NVIDIA driver is loaded but shows no GPU")
        handles = []
        failure: pynvml.NVMLError | None = None
        for index in range(count):
            try:
                handles.append((index, pynvml.nvmlDeviceGetHandleByIndex(index)))
            except pynvml.NVMLError as error:
                failure = error
        if failure is None:
            self._handles = handles
        elif not handles:
            raise failure
        return handles

    def _energy(self, state: GpuState, handle: object) -> list[Energy]:
        """Return the card's energy: its own counter, else the trapezoid over its power."""
        now = self._monotonic()
        millijoules = _try(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle)
        if millijoules is not None:
            joules, method = millijoules / 1e3, Method.MEASURED
        elif state.power_watts is not None:
            integral = self._integrals.setdefault(state.uuid, Integral(BRIDGE_SECONDS))
            joules, method = integral.add(state.power_watts, now), Method.DERIVED
        else:
            return []
        meter = Meter(
            source=self.name,
            component=Component.GPU,
            package=state.gpu,
            zone=state.uuid,
            method=method,
            max_watts=dict(state.limits_watts).get("max", MAX_WATTS),
        )
        return [Energy(meter, joules, now)]

    def _uses(self, state: GpuState, handle: object) -> list[GpuUse]:
        """Return what each process did since the last read; only samples newer than that.

        NotFound means no sample; with none and success the binding raises code 0. Both are empty.
        """
        held = {
            process.pid: float(process.usedGpuMemory or 0)
            for process in _try(pynvml.nvmlDeviceGetComputeRunningProcesses, handle) or ()
        }
        since = self._seen_us.get(state.uuid, int(self._wall() * 1e6))
        samples = _try(pynvml.nvmlDeviceGetProcessUtilization, handle, since) or ()
        activity: dict[int, float] = defaultdict(float)
        for sample in samples:
            activity[sample.pid] += sample.smUtil
        self._seen_us[state.uuid] = max([since, *(sample.timeStamp for sample in samples)])
        return [
            GpuUse(state.uuid, pid, activity.get(pid, 0.0), held.get(pid, 0.0))
            for pid in {*held, *activity}
        ]


def _state(index: int, handle: object) -> GpuState:
    memory = _try(pynvml.nvmlDeviceGetMemoryInfo, handle)
    rates = _try(pynvml.nvmlDeviceGetUtilizationRates, handle)
    return GpuState(
        gpu=str(index),
        uuid=pynvml.nvmlDeviceGetUUID(handle),
        name=pynvml.nvmlDeviceGetName(handle),
        power_watts=_scaled(_try(pynvml.nvmlDeviceGetPowerUsage, handle), 1e-3),
        temperature_celsius=_scaled(
            _try(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU), 1.0
        ),
        utilization_percent=None if rates is None else float(rates.gpu),
        memory_used_bytes=None if memory is None else float(memory.used),
        limits_watts=_limits(handle),
        clocks_hertz=_clocks(handle),
        throttle_seconds=_throttle(handle),
    )


def _limits(handle: object) -> tuple[tuple[str, float], ...]:
    low, high = _try(pynvml.nvmlDeviceGetPowerManagementLimitConstraints, handle) or (None, None)
    milliwatts = {
        "current": _try(pynvml.nvmlDeviceGetPowerManagementLimit, handle),
        "enforced": _try(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle),
        "default": _try(pynvml.nvmlDeviceGetPowerManagementDefaultLimit, handle),
        "min": low,
        "max": high,
    }
    return tuple((key, value / 1e3) for key, value in milliwatts.items() if value is not None)


def _clocks(handle: object) -> tuple[tuple[str, float], ...]:
    clocks = {"sm": pynvml.NVML_CLOCK_SM, "memory": pynvml.NVML_CLOCK_MEM}
    megahertz = {
        key: _try(pynvml.nvmlDeviceGetClockInfo, handle, kind) for key, kind in clocks.items()
    }
    return tuple((key, value * 1e6) for key, value in megahertz.items() if value is not None)


def _throttle(handle: object) -> tuple[tuple[str, float], ...]:
    values = _try(pynvml.nvmlDeviceGetFieldValues, handle, list(THROTTLE_FIELDS.values())) or ()
    return tuple(
        (reason, value.value.ullVal / 1e9)
        for reason, value in zip(THROTTLE_FIELDS, values, strict=False)
        if value.nvmlReturn == pynvml.NVML_SUCCESS
    )


def _scaled(value: int | None, factor: float) -> float | None:
    return None if value is None else value * factor


ABSENT_HERE = frozenset(
    {
        pynvml.NVML_SUCCESS,
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_NO_DATA,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    }
)
"""Answers that mean "this card does not offer that": the field stays empty, the rest is read."""


def _try(call: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401  NVML is untyped
    """Call NVML; None where this card, driver or user does not get that field."""
    try:
        return call(*arguments)
    except pynvml.NVMLError as error:
        if error.value in ABSENT_HERE:
            return None
        raise


def _no_meter(error: pynvml.NVMLError) -> NoMeter:
    reason = REASONS.get(error.value, Reason.INVALID)
    hint = (
        ": no NVIDIA driver on this machine, or its library is not visible in this container"
        if reason is Reason.ABSENT
        else ""
    )
    return NoMeter(reason, f"NVML: {error}{hint}")
