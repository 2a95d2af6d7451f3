"""What other exporters call their meters, and in which units.

Names and units: dcgm-exporter's default-counters.csv, node_exporter's rapl_linux.go, Kepler's
docs/user/metrics.md, scaphandre's exporters/mod.rs.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from wattgov_exporter.integral import wrong
from wattgov_exporter.reading import Anomaly, Component, GpuState, Method

ZONES = {"package": Component.CPU, "dram": Component.DRAM, "psys": Component.PLATFORM}
"""core and uncore are inside package: published, never added. psys holds them all."""

AMD_JOULES, MEMORY_JOULES, INTEL_JOULES = 65_532.610987, 65_712.999613, 262_143.32885
RANGES = (AMD_JOULES, MEMORY_JOULES, INTEL_JOULES)
"""Joules at which RAPL's counters wrap, as kernels state them; memory's is that of servers."""

MOST_SOCKETS = 8
SUM_RANGES = (
    2 * AMD_JOULES,  # AMD's machines have two sockets at most
    *(each * sockets for each in (MEMORY_JOULES, INTEL_JOULES) for sockets in (2, 3, 4, 8)),
)
"""Kepler adds up the packages of a node and lets the sum wrap at the sum of their ranges."""

RAPL_WATTS = 500.0
PSYS_WATTS = 2_000.0
GPU_WATTS = 1_500.0
"""Plausible power of a zone, of a machine by its psys zone, of a card that states no limit."""

BLANK = 0x7FFFFFF0
BLANK_MILLIJOULES = 2.0**62
"""From here on DCGM means "no value" (dcgm_structs.h, DCGM_INT32_BLANK and DCGM_INT64_BLANK)."""

DCGM_ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"


@dataclass(frozen=True, slots=True)
class Shown:
    """One meter as a peer shows it: its joules so far, or its watts now.

    *ranges* are where it may wrap; no peer tells which of them is true.
    """

    component: Component | None
    package: str
    zone: str
    method: Method
    max_watts: float
    joules: float | None = None
    watts: float | None = None
    ranges: tuple[float, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Return what tells it from others; a card's number is another when one is gone."""
        return "" if self.component is Component.GPU else self.package, self.zone


@dataclass(frozen=True, slots=True)
class Page:
    """All that is taken from one answer; *anomalies* are the values that are not."""

    meters: tuple[Shown, ...]
    gpus: tuple[GpuState, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """An exporter: the beginnings of the names that are taken, and how they are read.

    *missing* says what to do when it shows none of them, *expected_error* is for `Source`.
    """

    prefixes: tuple[str, ...]
    read: Callable[[Sequence[Sample]], Page]
    missing: str
    expected_error: str


def parse(text: str, prefixes: tuple[str, ...]) -> list[Sample]:
    """Return the samples whose names begin so, without `_total`; ValueError on a broken line.

    Other lines are not looked at: an exporter may show thousands for processes.
    """
    lines = "\n".join(line for line in text.splitlines() if line.startswith(prefixes))
    return [
        sample._replace(name=sample.name.removesuffix("_total"))
        for family in text_string_to_metric_families(lines)
        for sample in family.samples
    ]


def _rapl(zone: str, package: str, joules: float) -> Shown:
    """Return a zone of RAPL, named as the source `rapl` names it; its counter is the hardware's."""
    component = ZONES.get(zone)
    is_psys = component is Component.PLATFORM
    return Shown(
        component=component,
        package="" if is_psys else package,
        zone=zone,
        method=Method.MEASURED,
        max_watts=PSYS_WATTS if is_psys else RAPL_WATTS,
        joules=joules,
        ranges=RANGES,
    )


def _node(samples: Sequence[Sample]) -> Page:
    """Read node_exporter: joules, wrapping as the hardware's do.

    The path tells the twin of a zone that intel-rapl-mmio shows a second time.
    """
    meters = []
    for sample in samples:
        labels = sample.labels
        zone = labels.get("rapl_zone") or sample.name[len("node_rapl_") : -len("_joules")]
        package = labels.get("index", "")
        die = re.fullmatch(r"package[_-](\d+)[_-]die[_-](\d+)", zone)
        if die:
            zone, package = "package", f"{die[1]}-die-{die[2]}"
        if "mmio" not in labels.get("path", ""):
            meters.append(_rapl(zone, package, sample.value))
    return Page(tuple(meters))


def _kepler(samples: Sequence[Sample]) -> Page:
    """Read Kepler: joules of zones and cards.

    A card's are NVML's counter, and 0 where Kepler could not read it.
    """
    meters: list[Shown] = []
    for sample in samples:
        labels = sample.labels
        if sample.name == "kepler_node_cpu_joules" and "mmio" not in labels.get("path", ""):
            meters.append(_kepler_zone(labels, sample.value))
        elif sample.name == "kepler_node_gpu_joules" and sample.value > 0:
            card = GpuState(labels.get("gpu", ""), labels.get("gpu_uuid", ""), "")
            meters.append(_card(card, joules=sample.value))
    gauges = [sample for sample in samples if sample.name == "kepler_node_gpu_watts"]
    told = [wrong(sample.value, GPU_WATTS) for sample in gauges]
    cards = tuple(
        GpuState(
            gpu=sample.labels.get("gpu", ""),
            uuid=sample.labels.get("gpu_uuid", ""),
            name=sample.labels.get("gpu_name", ""),
            power_watts=None if anomaly else sample.value,
        )
        for sample, anomaly in zip(gauges, told, strict=True)
    )
    return Page(tuple(meters), cards, tuple(filter(None, told)))


def _kepler_zone(labels: Mapping[str, str], joules: float) -> Shown:
    """Return a zone; its path tells RAPL's counters from power that Kepler has integrated."""
    path = labels.get("path", "")
    socket = re.search(r"intel-rapl:(\d+)", path)
    zone = _rapl(labels.get("zone", ""), socket[1] if socket else "", joules)
    if path.startswith("aggregated-"):
        return replace(zone, ranges=SUM_RANGES, max_watts=MOST_SOCKETS * zone.max_watts)
    return zone if socket else replace(zone, method=Method.DERIVED, ranges=())


def _scaphandre(samples: Sequence[Sample]) -> Page:
    """Read Scaphandre: microjoules, wrapping as the hardware's do.

    The host's are the sum of the others, or psys, and not told which: published, never added.
    """
    meters: list[Shown] = []
    for sample in samples:
        labels, joules = sample.labels, sample.value / 1e6
        socket = labels.get("socket_id", "")
        if sample.name == "scaph_socket_energy_microjoules":
            meters.append(_rapl("package", socket, joules))
        elif sample.name == "scaph_domain_energy_microjoules":
            meters.append(_rapl(labels.get("domain_name", ""), socket, joules))
        elif sample.name == "scaph_host_rapl_psys_microjoules":
            meters.append(_rapl("psys", "", joules))
        elif sample.name == "scaph_host_energy_microjoules":
            watts = MOST_SOCKETS * RAPL_WATTS
            meters.append(Shown(None, "", "host", Method.MEASURED, watts, joules))
    return Page(tuple(meters))


def _dcgm(samples: Sequence[Sample]) -> Page:
    """Read dcgm-exporter: millijoules, watts, megahertz, mebibytes.

    It repeats a card's values for each MIG instance and each pod. Values that differ are of those
    parts, so the card's own is not known.
    """
    cards: dict[str, Mapping[str, str]] = {}
    values: dict[str, dict[str, set[float]]] = defaultdict(lambda: defaultdict(set))
    anomalies: list[Anomaly] = []
    for sample in samples:
        uuid = sample.labels.get("UUID", "")
        most = BLANK_MILLIJOULES if sample.name == DCGM_ENERGY else BLANK
        anomaly = wrong(sample.value, math.inf)
        if anomaly is not None:
            anomalies.append(anomaly)
        elif uuid and sample.value < most:
            cards.setdefault(uuid, sample.labels)
            values[uuid][sample.name].add(sample.value)
    meters: list[Shown] = []
    states: list[GpuState] = []
    for uuid, labels in cards.items():
        known = {name: max(each) for name, each in values[uuid].items() if len(each) == 1}
        # The energy is the card's alone; two values of it were read at two moments.
        energy = values[uuid].get(DCGM_ENERGY)
        state = _dcgm_state(labels, known)
        states.append(state)
        if energy:
            meters.append(_card(state, joules=max(energy) / 1e3))
        elif state.power_watts is not None:
            meters.append(_card(state, watts=state.power_watts))
    return Page(tuple(meters), tuple(states), tuple(anomalies))


def _dcgm_state(labels: Mapping[str, str], known: Mapping[str, float]) -> GpuState:
    def field(name: str, factor: float = 1.0) -> float | None:
        value = known.get(f"DCGM_FI_DEV_{name}")
        return None if value is None else value * factor

    def each(names: Mapping[str, str], factor: float) -> tuple[tuple[str, float], ...]:
        found = ((key, field(name, factor)) for key, name in names.items())
        return tuple((key, value) for key, value in found if value is not None)

    limits = {
        "current": "POWER_MGMT_LIMIT",
        "enforced": "ENFORCED_POWER_LIMIT",
        "default": "POWER_MGMT_LIMIT_DEF",
        "min": "POWER_MGMT_LIMIT_MIN",
        "max": "POWER_MGMT_LIMIT_MAX",
    }
    return GpuState(
        gpu=labels.get("gpu", ""),
        uuid=labels["UUID"],
        name=labels.get("modelName", ""),
        power_watts=field("POWER_USAGE"),
        temperature_celsius=field("GPU_TEMP"),
        utilization_percent=field("GPU_UTIL"),
        memory_used_bytes=field("FB_USED", 2.0**20),
        limits_watts=each(limits, 1.0),
        clocks_hertz=each({"sm": "SM_CLOCK", "memory": "MEM_CLOCK"}, 1e6),
    )


def _card(state: GpuState, joules: float | None = None, watts: float | None = None) -> Shown:
    """Return a card's meter; the counter is NVML's, which is the hardware's or the driver's."""
    return Shown(
        component=Component.GPU,
        package=state.gpu,
        zone=state.uuid,
        method=Method.DERIVED if joules is None else Method.MEASURED,
        max_watts=dict(state.limits_watts).get("max") or GPU_WATTS,
        joules=joules,
        watts=watts,
    )


RAPL_ERROR = "that of RAPL, for which there is no public figure, as the source rapl has it"

PEERS: Mapping[str, Peer] = {
    "dcgm": Peer(
        prefixes=("DCGM_FI_DEV_",),
        read=_dcgm,
        missing="its list of fields needs DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION or _POWER_USAGE",
        expected_error=(
            "that of NVML, which dcgm reads: -6 to +11 % by model of card (Yang et al., SC24); "
            "its values are up to its collection interval old, 30 s unless it is told otherwise"
        ),
    ),
    "node": Peer(
        prefixes=("node_rapl_",),
        read=_node,
        missing="it shows RAPL only as root, with its collector rapl on",
        expected_error=RAPL_ERROR,
    ),
    "kepler": Peer(
        prefixes=("kepler_node_cpu_joules_total", "kepler_node_gpu_"),
        read=_kepler,
        missing="it needs `node` among its metric levels; before 0.10 its names were others",
        expected_error=f"{RAPL_ERROR}; for cards that of NVML",
    ),
    "scaphandre": Peer(
        prefixes=(
            "scaph_socket_energy_microjoules",
            "scaph_domain_energy_microjoules",
            "scaph_host_energy_microjoules",
            "scaph_host_rapl_psys_microjoules",
        ),
        read=_scaphandre,
        missing="it shows energy only where it may read RAPL",
        expected_error=RAPL_ERROR,
    ),
}
"""By the word that `kind:` in the configuration gives."""
