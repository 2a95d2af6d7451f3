"""What one tick knows. A scrape renders it and changes nothing."""

from dataclasses import dataclass, field

from wattgov_exporter.reading import Component, GpuState, Meter, Method, Reason


@dataclass(frozen=True, slots=True)
class MeterState:
    """A meter's unwrapped total and its mean power over the last interval."""

    meter: Meter
    joules: float
    watts: float


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source's health; *last_good* is Unix seconds, None before the first good read."""

    name: str
    reason: Reason
    detail: str
    read_seconds: float
    last_good: float | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which source is a component's meter, and how it knows."""

    source: str
    method: Method


@dataclass(frozen=True, slots=True)
class Idle:
    """A component's idle power and where the figure comes from."""

    watts: float
    basis: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The node at one tick: joules are totals since the start, watts are now."""

    meters: tuple[MeterState, ...] = ()
    gpus: tuple[GpuState, ...] = ()
    sources: tuple[SourceState, ...] = ()
    chosen: dict[Component, Chosen] = field(default_factory=dict)
    node_joules: dict[Component, float] = field(default_factory=dict)
    idle: dict[Component, Idle] = field(default_factory=dict)
    app_joules: dict[tuple[str, Component, str], float] = field(default_factory=dict)
    app_cpu_seconds: dict[str, float] = field(default_factory=dict)
    app_processes: dict[str, int] = field(default_factory=dict)
    app_gpu_memory_bytes: dict[str, float] = field(default_factory=dict)
    app_last_active: dict[str, float] = field(default_factory=dict)
    anomalies: dict[tuple[str, str], int] = field(default_factory=dict)
    own_joules: float = 0.0

    @property
    def total_watts(self) -> float:
        """Power of the chosen meters together, each joule once."""
        return sum(
            state.watts
            for state in self.meters
            if state.meter.component in self.chosen
            and self.chosen[state.meter.component].source == state.meter.source
        )
