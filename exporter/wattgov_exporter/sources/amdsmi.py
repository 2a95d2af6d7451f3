"""AMD GPUs through AMD SMI (`amdsmi`, an optional package over ROCm's libamd_smi.so)."""

import importlib
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from math import inf
from typing import Any, Protocol, cast

from wattgov_exporter.cards import ADDRESS
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
    Refused,
)

MAX_WATTS = 1500.0
"""A card's plausible power where its driver states no maximum cap."""

BRIDGE_SECONDS = 30.0
"""A gap in the power's readings that the trapezoid still spans."""

REASONS: Mapping[int, Reason] = {
    2: Reason.UNSUPPORTED,  # NOT_SUPPORTED
    3: Reason.UNSUPPORTED,  # NOT_YET_IMPLEMENTED
    8: Reason.TIMEOUT,  # TIMEOUT
    10: Reason.PERMISSION,  # NO_PERM
    31: Reason.ABSENT,  # NOT_FOUND
    34: Reason.ABSENT,  # DRIVER_NOT_LOADED
    51: Reason.ABSENT,  # NO_DRV
}
"""amdsmi_status_t of amdsmi.h."""


ALL_ONES = frozenset({2**32 - 1, 2**64 - 1})
"""What a field shows that was never filled; the binding turns some of them into "N/A"."""


class Binding(Protocol):
    """The part of the module `amdsmi` that is used; handles are opaque.

    A call raises an exception with `err_code` when the library answers one. A value that a card
    does not offer is the text "N/A".
    """

    AmdSmiTemperatureType: Any
    AmdSmiTemperatureMetric: Any

    def amdsmi_init(self) -> None:
        """Open the library; the kernel's driver must be loaded."""

    def amdsmi_shut_down(self) -> None:
        """Close the library."""

    def amdsmi_get_processor_handles(self) -> Sequence[object]:
        """Return a handle for each die."""

    def amdsmi_get_gpu_device_uuid(self, handle: object) -> str:
        """Return the die's uuid."""

    def amdsmi_get_gpu_device_bdf(self, handle: object) -> str:
        """Return the die's PCI address, `0000:c3:00.0`."""

    def amdsmi_get_gpu_asic_info(self, handle: object) -> Mapping[str, Any]:
        """Return `market_name` and more."""

    def amdsmi_get_energy_count(self, handle: object) -> Mapping[str, Any]:
        """Return `energy_accumulator`, in steps of `counter_resolution` microjoules."""

    def amdsmi_get_power_info(self, handle: object) -> Mapping[str, Any]:
        """Return `current_socket_power` and `average_socket_power` in watts."""

    def amdsmi_get_power_cap_info(self, handle: object) -> Mapping[str, Any]:
        """Return `power_cap`, `default_power_cap`, `min_` and `max_power_cap` in microwatts."""

    def amdsmi_get_temp_metric(self, handle: object, kind: object, metric: object) -> int:
        """Return a temperature in degrees Celsius."""

    def amdsmi_get_gpu_activity(self, handle: object) -> Mapping[str, Any]:
        """Return `gfx_activity` in per cent."""

    def amdsmi_get_gpu_vram_usage(self, handle: object) -> Mapping[str, Any]:
        """Return `vram_used` in mebibytes."""

    def amdsmi_get_gpu_process_list(self, handle: object) -> Sequence[Mapping[str, Any]]:
        """Return of each process `pid`, `memory_usage` in bytes and `cu_occupancy`."""


def load() -> Binding:
    """Import the module; it raises KeyError, and prints, where its library is missing."""
    with redirect_stdout(io.StringIO()):
        return cast("Binding", importlib.import_module("amdsmi"))


class Amdsmi:
    """Every AMD GPU that the driver shows; one that does not answer is left out until it does.

    No GPU that runs draws 0 W. AMD's driver says so at the first poll of some, and always for the
    second die of an MI250, whose draw the first one's meter includes (ml-energy/zeus pull 203). A
    die has a meter from the first watt that it shows.
    """

    name = "amdsmi"
    interval_seconds = 0.0
    expected_error = (
        "no public figure; on some cards the energy counter is off by a constant factor "
        "(ROCm/amdsmi issue 38)"
    )

    def __init__(self, clock: Clock, load: Callable[[], Binding] = load) -> None:
        self._clock = clock
        self._load = load
        self._opened: tuple[Binding, Sequence[object]] | None = None
        self._integrals: dict[str, Integral] = {}
        self._counters: set[str] = set()
        self._had: dict[str, Meter] = {}

    def read(self) -> Readings:
        """Read all cards; NoMeter when there is no library, no driver, or no card answers."""
        smi, handles = self._open()
        energies: list[Energy] = []
        gpus: list[GpuState] = []
        uses: list[GpuUse] = []
        failure: Exception | None = None
        for index, handle in enumerate(handles):
            try:
                uuid = smi.amdsmi_get_gpu_device_uuid(handle)
            except Exception as error:
                if not hasattr(error, "err_code"):
                    raise
                failure = error
                continue
            state = _state(smi, str(index), uuid, handle)
            gpus.append(state)
            energies += self._energy(smi, state, handle)
            uses += _uses(smi, uuid, handle)
        if failure is not None:
            # Lost or in reset: enumerate afresh next time, keep the other cards now.
            _ask(smi.amdsmi_shut_down)
            self._opened = None
            if not gpus:
                raise _no_meter(failure) from failure
        self._had |= {one.meter.zone: one.meter for one in energies}
        told = {one.meter.zone for one in energies}
        return Readings(
            tuple(energies),
            tuple(gpus),
            tuple(uses),
            refused=tuple(
                Refused(meter, f"GPU {meter.package}, {uuid}: AMD SMI tells no energy or power")
                for uuid, meter in self._had.items()
                if uuid not in told
            ),
        )

    def _open(self) -> tuple[Binding, Sequence[object]]:
        if self._opened is not None:
            return self._opened
        try:
            smi = self._load()
        except ModuleNotFoundError as error:
            raise NoMeter(
                Reason.ABSENT,
                "the optional package is not installed: pip install 'wattgov[amdsmi]', "
                "and ROCm's amd-smi-lib; without it hwmon reads AMD's cards",
            ) from error
        except Exception as error:
            raise NoMeter(
                Reason.ABSENT,
                f"amdsmi is installed but finds no libamd_smi.so ({error!r}): "
                "install ROCm's amd-smi-lib, or set ROCM_PATH to where it is",
            ) from error
        try:
            smi.amdsmi_init()
            handles = smi.amdsmi_get_processor_handles()
        except Exception as error:
            if not hasattr(error, "err_code"):
                raise
            raise _no_meter(error) from error
        if not handles:
            raise NoMeter(Reason.ABSENT, "AMD SMI shows no GPU")
        self._opened = smi, handles
        return self._opened

    def _energy(self, smi: Binding, state: GpuState, handle: object) -> list[Energy]:
        """Return the card's energy: its own counter, else the trapezoid over its power."""
        now = self._clock()
        counter = _ask(smi.amdsmi_get_energy_count, handle) or {}
        steps = _number(counter.get("energy_accumulator"))
        resolution = _number(counter.get("counter_resolution"))
        watts, uuid = state.power_watts, state.uuid
        if watts is not None:
            self._integrals.setdefault(uuid, Integral(BRIDGE_SECONDS))
        if uuid not in self._integrals:
            return []
        is_start = False
        if steps and resolution:
            self._counters.add(uuid)
            joules, method = steps * resolution / 1e6, Method.MEASURED
        elif watts is not None and uuid not in self._counters:
            integral = self._integrals[uuid]
            joules, method = integral.add(watts, now), Method.DERIVED
            is_start = integral.is_start
        else:
            return []
        meter = Meter(
            source=self.name,
            component=Component.GPU,
            package=state.gpu,
            zone=state.uuid,
            method=method,
            max_watts=dict(state.limits_watts).get("max") or MAX_WATTS,
            pci=state.pci,
        )
        return [Energy(meter, joules, now, is_start)]


def _state(smi: Binding, gpu: str, uuid: str, handle: object) -> GpuState:
    power = _ask(smi.amdsmi_get_power_info, handle) or {}
    memory = _ask(smi.amdsmi_get_gpu_vram_usage, handle) or {}
    activity = _ask(smi.amdsmi_get_gpu_activity, handle) or {}
    asic = _ask(smi.amdsmi_get_gpu_asic_info, handle) or {}
    # MI300X has no average, MI210 no current power.
    watts = _number(power.get("current_socket_power")) or _number(power.get("average_socket_power"))
    return GpuState(
        gpu=gpu,
        uuid=uuid,
        name=str(asic.get("market_name", "AMD GPU")),
        pci=_address(smi, handle),
        power_watts=watts or None,
        temperature_celsius=_temperature(smi, handle),
        utilization_percent=_number(activity.get("gfx_activity")),
        memory_used_bytes=_number(memory.get("vram_used"), 2.0**20),
        limits_watts=_limits(smi, handle),
    )


def _address(smi: Binding, handle: object) -> str:
    """Return the PCI address, by which hwmon knows the same card; empty where it is not told."""
    told = str(_ask(smi.amdsmi_get_gpu_device_bdf, handle))
    return told if ADDRESS.fullmatch(told) else ""


def _limits(smi: Binding, handle: object) -> tuple[tuple[str, float], ...]:
    microwatts = _ask(smi.amdsmi_get_power_cap_info, handle) or {}
    names = {
        "current": "power_cap",
        "default": "default_power_cap",
        "min": "min_power_cap",
        "max": "max_power_cap",
    }
    watts = {key: _number(microwatts.get(name), 1e-6) for key, name in names.items()}
    return tuple((key, value) for key, value in watts.items() if value is not None)


def _temperature(smi: Binding, handle: object) -> float | None:
    """Return the edge's temperature; MI300 has none there, so its hottest spot's."""
    kinds, now = smi.AmdSmiTemperatureType, smi.AmdSmiTemperatureMetric.CURRENT
    edge = _number(_ask(smi.amdsmi_get_temp_metric, handle, kinds.EDGE, now))
    return edge or _number(_ask(smi.amdsmi_get_temp_metric, handle, kinds.HOTSPOT, now))


def _uses(smi: Binding, uuid: str, handle: object) -> list[GpuUse]:
    """Return who holds memory on the card, and how many compute units each has just now."""
    processes = _ask(smi.amdsmi_get_gpu_process_list, handle) or ()
    return [
        GpuUse(
            uuid,
            int(process["pid"]),
            _number(process.get("cu_occupancy")) or 0.0,
            _number(process.get("memory_usage", {}).get("vram_mem")) or 0.0,
        )
        for process in processes
    ]


def _number(value: object, factor: float = 1.0) -> float | None:
    """Return a number; None for "N/A" and for the all-ones of a 32- or 64-bit field."""
    if not isinstance(value, int | float) or value in ALL_ONES or not 0 <= value < inf:
        return None
    return float(value) * factor


def _ask(call: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401  the binding is untyped
    """Call the library; None where it answers that this card does not tell."""
    try:
        return call(*arguments)
    except Exception as error:
        if not hasattr(error, "err_code"):
            raise
        return None


def _no_meter(error: Exception) -> NoMeter:
    code = getattr(error, "err_code", 0)
    reason = REASONS.get(code, Reason.INVALID)
    words = str(getattr(error, "err_info", "")) or f"error {code}"
    hint = ": is the kernel's module amdgpu loaded, and /dev/kfd in this container?"
    return NoMeter(reason, f"AMD SMI: {words}{hint if reason is Reason.ABSENT else ''}")
