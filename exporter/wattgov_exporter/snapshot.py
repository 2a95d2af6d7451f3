"""What one tick knows. A scrape renders it and changes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from wattgov_exporter.choice import Chosen
from wattgov_exporter.reading import Component, GpuState, Meter, Method, Reason


@dataclass(frozen=True, slots=True)
class MeterState:
    """A meter's unwrapped total, and its mean power over the last interval.

    *watts* is None until a first interval is over: that is unknown, and no 0 W.
    """

    meter: Meter
    joules: float
    watts: float | None


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source's health; *last_good* is Unix seconds, None before the first good read."""

    name: str
    reason: Reason
    detail: str
    read_seconds: float
    last_good: float | None


@dataclass(frozen=True, slots=True)
class Idle:
    """A component's idle power and where the figure comes from."""

    watts: float
    basis: str


@dataclass(frozen=True, slots=True)
class AppFigures:
    """By app: CPU seconds and Unix time of the last activity since the start, the rest now."""

    cpu_seconds: dict[str, float] = field(default_factory=dict)
    last_active: dict[str, float] = field(default_factory=dict)
    processes: dict[str, int] = field(default_factory=dict)
    memory_bytes: dict[str, float] = field(default_factory=dict)
    gpu_memory_bytes: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The node at one tick: joules are totals since the start, watts are now."""

    meters: tuple[MeterState, ...] = ()
    gpus: tuple[GpuState, ...] = ()
    gpu_sources: dict[str, str] = field(default_factory=dict)
    sources: tuple[SourceState, ...] = ()
    chosen: dict[Component, Chosen] = field(default_factory=dict)
    node_joules: dict[Component, float] = field(default_factory=dict)
    idle: dict[Component, Idle] = field(default_factory=dict)
    app_joules: dict[tuple[str, Component, str], float] = field(default_factory=dict)
    apps: AppFigures = field(default_factory=AppFigures)
    series_dropped: int = 0
    anomalies: dict[tuple[str, str], int] = field(default_factory=dict)
    own_joules: float = 0.0
    meter_ratio: float | None = None

    @property
    def parts_watts(self) -> float | None:
        """Power of the components that are metered one by one; None while one is unknown."""
        parts = [self._watts(one) for one in self.chosen if one is not Component.PLATFORM]
        return _sum(parts)

    @property
    def total(self) -> tuple[str, float] | None:
        """Power of the node, each joule once, and how that is composed; None where unknown.

        `platform`: a BMC's; `psys`: the processor's figure for the whole board; `sum`: all parts
        metered; `model`: a part is estimated. A platform that shows less than its parts is wrong.
        """
        parts = self.parts_watts
        platform = self.chosen.get(Component.PLATFORM)
        watts = self._watts(Component.PLATFORM) if platform is not None else None
        if platform is not None and watts is not None and watts >= max(parts or 0.0, 1.0):
            is_psys = any(platform.counts(one.meter) and one.meter.is_psys for one in self.meters)
            return "psys" if is_psys else "platform", watts
        methods = {
            method
            for key, one in self.chosen.items()
            for _, method in one.sources
            if key is not Component.PLATFORM
        }
        if parts is None or not methods:
            return None
        return "model" if Method.ESTIMATED in methods else "sum", parts

    def _watts(self, component: Component) -> float | None:
        chosen = self.chosen[component]
        return _sum(
            state.watts
            for state in self.meters
            if state.meter.component is component and chosen.counts(state.meter)
        )


def _sum(parts: Iterable[float | None]) -> float | None:
    """Return the sum; one that lacks a part would be no sum."""
    known = list(parts)
    return sum(one for one in known if one is not None) if known and None not in known else None
