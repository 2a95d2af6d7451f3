"""The vocabulary: what a source says, and why it may say nothing.

Energy is in joules, power in watts, time in seconds. A source converts at its own edge.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Component(StrEnum):
    """A part of the node whose joules are counted once."""

    CPU = "cpu"
    DRAM = "dram"
    GPU = "gpu"
    PLATFORM = "platform"  # the whole node, as a BMC or PSU sees it
    REST = "rest"  # what the platform draws beside the parts that are metered one by one


class Method(StrEnum):
    """How a joule became known."""

    MEASURED = "measured"  # read from an energy counter of the hardware
    DERIVED = "derived"  # integrated here from a power gauge of the hardware
    ESTIMATED = "estimated"  # computed from a model


class Reason(StrEnum):
    """Why a source is up or not; PARTIAL: it reads, but a meter that should count is refused."""

    OK = "ok"
    PARTIAL = "partial"
    ABSENT = "absent"
    PERMISSION = "permission"
    UNSUPPORTED = "unsupported"
    INVALID = "invalid"
    TIMEOUT = "timeout"


class Anomaly(StrEnum):
    """What was wrong with a reading that was left out."""

    RESET = "reset"
    WRAP_AMBIGUOUS = "wrap_ambiguous"
    SPIKE = "spike"
    SENTINEL = "sentinel"
    NEGATIVE = "negative"
    NAN = "nan"


class NoMeter(Exception):
    """The machine has no such meter, or does not let us read it; quiet, not a failure.

    *anomaly* is given where the meter did answer, with something that cannot be.
    """

    def __init__(self, reason: Reason, detail: str, anomaly: Anomaly | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.anomaly = anomaly


@dataclass(frozen=True, slots=True)
class Meter:
    """One energy counter.

    *component* is None for a zone that overlaps others (core, uncore): it is published, never
    added to the node's total. *range_joules* is where the counter wraps, None if it does
    not. *max_watts* is what this meter can plausibly show. *idle_watts* is given by a source that
    knows it (a model). *pci* is the device's address, where known, by which two sources see that
    they meter one card. *covers* are other components whose joules are inside this meter's: an
    estimate of them is not added to it.
    """

    source: str
    component: Component | None
    package: str
    zone: str
    method: Method
    max_watts: float
    range_joules: float | None = None
    idle_watts: float | None = None
    pci: str = ""
    covers: frozenset[Component] = frozenset()

    @property
    def is_psys(self) -> bool:
        """Tell the processor's figure for the whole board, whoever reads it."""
        return self.component is Component.PLATFORM and self.zone == "psys"


@dataclass(frozen=True, slots=True)
class Energy:
    """What an energy counter showed at *at* (monotonic seconds).

    *is_start*: it counts from here on; nobody knows in which time it came to that.
    """

    meter: Meter
    joules: float
    at: float
    is_start: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A meter that is there and tells nothing that can be true, while others of its source do."""

    meter: Meter
    detail: str


@dataclass(frozen=True, slots=True)
class GpuInstance:
    """A part of a GPU that is cut up (MIG): the hardware keeps its users apart.

    *mig* is the ids of its GPU and its compute instance, `1/0`. *slice_ratio* is its part of the
    card's compute. *activity_ratio*, 0 to 1, is how busy its own part was; None if nobody counts.
    """

    mig: str
    uuid: str
    slice_ratio: float
    memory_bytes: float
    activity_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class GpuState:
    """The gauges of one GPU; a field is None where the driver does not offer it.

    *power_watts* is the driver's main figure, whatever its window; the instant and the mean of a
    second are apart. *processes* counts those on the card by whether /proc has them.
    """

    gpu: str
    uuid: str
    name: str
    pci: str = ""
    power_watts: float | None = None
    power_instant_watts: float | None = None
    power_average_watts: float | None = None
    temperature_celsius: float | None = None
    utilization_percent: float | None = None
    memory_used_bytes: float | None = None
    limits_watts: tuple[tuple[str, float], ...] = ()
    clocks_hertz: tuple[tuple[str, float], ...] = ()
    throttle_seconds: tuple[tuple[str, float], ...] = ()
    instances: tuple[GpuInstance, ...] = ()
    processes: tuple[tuple[str, float], ...] = ()
    read_interval_seconds: float | None = None


NOBODY_PID = 0
"""Nobody who can be named: an instance busy for unseen processes, a part that no one has."""


@dataclass(frozen=True, slots=True)
class GpuUse:
    """How much of one GPU a process used since the last reading.

    *activity* is proportional to time and to the part of the card: SM-seconds, for example. Idle
    energy goes by *idle_weight*, where it is None by *memory_bytes*.
    """

    uuid: str
    pid: int
    activity: float
    memory_bytes: float
    idle_weight: float | None = None


@dataclass(frozen=True, slots=True)
class Pods:
    """What Kubernetes calls what runs here.

    *pods* is namespace/name by the uid that stands in a cgroup's path, *containers* is
    namespace/pod/container by the container's id.
    """

    pods: Mapping[str, str] = field(default_factory=dict)
    containers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Readings:
    """All that one source said in one read; *anomalies* are the values that it left out.

    *refused* are the meters that are there and not among *energies*. Whether somebody misses one is
    not for the source to know: a sensor that never worked is nobody's loss.
    """

    energies: tuple[Energy, ...]
    gpus: tuple[GpuState, ...] = ()
    gpu_uses: tuple[GpuUse, ...] = field(default=())
    anomalies: tuple[Anomaly, ...] = ()
    pods: Pods | None = None
    refused: tuple[Refused, ...] = ()


class Source(Protocol):
    """A meter, or a family of them.

    *interval_seconds* is how often it is read; 0 means at every tick. A slow source (a BMC answers
    in seconds) sets its own, and its last answer serves the ticks between. *expected_error* is a
    sentence: how far off its joules may be, and who found that.
    """

    name: str
    interval_seconds: float
    expected_error: str

    def read(self) -> Readings:
        """Read all meters now; raise NoMeter with the reason when there is nothing to read."""
        ...


Clock = Callable[[], float]
