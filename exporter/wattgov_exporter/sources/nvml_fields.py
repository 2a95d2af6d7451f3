"""NVML's field values: joules, watts and throttled time of a card in one call."""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pynvml

from wattgov_exporter.sources.nvml_calls import ALL_ONES, attempt, attempt_part

Field = tuple[int, int]
"""An id and a scope of power: the GPU with its memory, the module around it, the memory alone."""

ENERGY: Field = pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, pynvml.NVML_POWER_SCOPE_GPU
INSTANT: Field = pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_POWER_SCOPE_GPU
AVERAGE: Field = pynvml.NVML_FI_DEV_POWER_AVERAGE, pynvml.NVML_POWER_SCOPE_GPU

SENSORS: Mapping[str, Field] = {
    "module": (pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_POWER_SCOPE_MODULE),
    "memory": (pynvml.NVML_FI_DEV_POWER_AVERAGE, pynvml.NVML_POWER_SCOPE_MEMORY),
}
"""Meters of other things than the card: a superchip's module holds the CPU too, the memory is
inside the card's own figure. (Zeus reads the memory as average, which more cards offer.)"""

THROTTLE: Mapping[str, Field] = {
    reason: (field, pynvml.NVML_POWER_SCOPE_GPU)
    for reason, field in {
        "power_cap": pynvml.NVML_FI_DEV_PERF_POLICY_POWER,
        "thermal": pynvml.NVML_FI_DEV_PERF_POLICY_THERMAL,
        "sync": pynvml.NVML_FI_DEV_PERF_POLICY_SYNC_BOOST,
        "power_brake": pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN,
    }.items()
}
"""Nanoseconds spent throttled, as counters of the driver."""

ALL = (ENERGY, INSTANT, AVERAGE, *SENSORS.values(), *THROTTLE.values())

MEMBERS: Mapping[int, struct.Struct] = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: struct.Struct("d"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: struct.Struct("I"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: struct.Struct("L"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: struct.Struct("Q"),
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: struct.Struct("q"),
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: struct.Struct("i"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: struct.Struct("H"),
}
"""Which member of the union holds a value of each type; the others hold nonsense."""

LAYOUT = struct.Struct("@IIqqII8s")
"""nvmlFieldValue_t: id, scope, time stamp, latency, type, code, the union. The binding's own
attributes cost more than the call."""


class Fields:
    """The fields that one card offers. The first read finds out which."""

    def __init__(self) -> None:
        self._offered: Sequence[Field] | None = None

    def forget(self) -> None:
        """Find out anew at the next read."""
        self._offered = None

    def read(self, handle: object) -> dict[Field, float]:
        """Return the values in NVML's units (mJ, mW, ns); a field without one is left out."""
        if self._offered is None:
            first = dict(_found(handle))
            self._offered = tuple(first)
            return {field: value for field, value in first.items() if value is not None}
        if not self._offered:
            return {}
        answers = attempt(pynvml.nvmlDeviceGetFieldValues, handle, self._offered)
        found = _values(answers) if answers else ()
        return {field: value for field, value in found if value is not None}


def _found(handle: object) -> Iterator[tuple[Field, float | None]]:
    """Yield the fields that the card knows, with a value if it has one just now.

    A driver that is too old for one field refuses the whole list; then each is asked for alone.
    """
    together = attempt_part(pynvml.nvmlDeviceGetFieldValues, handle, ALL)
    if together is not None:
        yield from _values(together)
        return
    for field in ALL:
        alone = attempt_part(pynvml.nvmlDeviceGetFieldValues, handle, [field])
        if alone is not None:
            yield from _values(alone)


def _values(answers: Any) -> Iterator[tuple[Field, float | None]]:  # noqa: ANN401  a ctypes array
    """Yield the fields that were answered, and the value unless it is a sentinel."""
    for field, scope, _, _, kind, code, union in LAYOUT.iter_unpack(answers):
        member = MEMBERS.get(kind)
        if code == pynvml.NVML_SUCCESS and member is not None:
            (value,) = member.unpack_from(union)
            usable = 0 <= value < math.inf and value not in ALL_ONES
            yield (field, scope), float(value) if usable else None
