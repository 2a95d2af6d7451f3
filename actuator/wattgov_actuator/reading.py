"""What the actuator sees: samples from Prometheus, readings of knobs, and the moment."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

Labels = Mapping[str, str]
UUIDS = ("uuid", "UUID")  # ours, and dcgm-exporter's


def uuid_of(labels: Labels) -> str | None:
    """Return the uuid that a series carries."""
    return next((labels[key] for key in UUIDS if key in labels), None)


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, by two clocks, because the wall clock may jump."""

    unix: float  # seconds; what sample times are compared with
    steady: float  # seconds; what durations are measured with


Clock = Callable[[], Moment]


class QueryFailure(StrEnum):
    """Why a query gave nothing; the label of `query_failures_total`."""

    DOWN = "down"
    TIMEOUT = "timeout"
    DENIED = "denied"
    BAD_QUERY = "bad_query"
    HTTP_3XX = "http_3xx"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    BAD_JSON = "bad_json"
    TOO_LARGE = "too_large"
    NOT_A_VECTOR = "not_a_vector"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant vector."""

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What Prometheus said to one expression; with a failure there are no samples."""

    samples: tuple[Sample, ...] = ()
    failure: QueryFailure | None = None
    detail: str = ""
    seconds: float | None = field(default=None, compare=False)  # until the answer began to come
    # Made once, so that a tick looks a target up instead of reading all series for each of them.
    by_uuid: Mapping[str, tuple[Sample, ...]] = field(init=False, repr=False, compare=False)
    without: tuple[Sample, ...] = field(init=False, repr=False, compare=False)  # without a uuid
    instances: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sort the samples by the uuid that they carry."""
        by_uuid: dict[str | None, list[Sample]] = {}
        for sample in self.samples:
            by_uuid.setdefault(uuid_of(sample.labels), []).append(sample)
        without = by_uuid.pop(None, [])
        named = {uuid: tuple(found) for uuid, found in by_uuid.items() if uuid is not None}
        instances = (each.labels["instance"] for each in self.samples if "instance" in each.labels)
        object.__setattr__(self, "by_uuid", named)
        object.__setattr__(self, "without", tuple(without))
        object.__setattr__(self, "instances", frozenset(instances))

    def about(self, target: "Target") -> tuple[Sample, ...]:
        """Return the series that carry the uuid of *target*, or none."""
        return self.by_uuid.get(target.labels.get("uuid", ""), ()) + self.without


def amount(value: float, unit: str) -> str:
    """Return a knob's value as a person says it."""
    return f"{value / 1e6:g} MHz" if unit == "hertz" else f"{value:g} {unit}"


@dataclass(frozen=True, slots=True)
class Target:
    """One device that a knob can turn, and how far it goes."""

    knob: str
    name: str  # what the journal and the metrics call it: the uuid of a GPU
    labels: Labels  # how series name it
    low: float
    high: float
    unit: str  # watts
    resolution: float  # values nearer than this are the same value
    multiplicative: bool = False  # its steps are ratios, as of a batch or a clock
    both_ways: bool = False  # a rule's max may lie above the value from before us
    via: str = ""  # the connection that leads to it, as text; "": it is a part of this machine

    def same(self, one: float, other: float) -> bool:
        """Tell whether the device tells these two values apart."""
        return abs(one - other) < self.resolution


class Fault(StrEnum):
    """Why a knob did not move; each is a Reason too."""

    REFUSED = "refused"
    UNSUPPORTED = "unsupported"
    LOST = "lost"
    BUSY = "busy"
    IN_USE = "in_use"


class KnobError(Exception):
    """A knob could not be read or written; says why in a sentence."""

    def __init__(self, fault: Fault, detail: str) -> None:
        self.fault, self.detail = fault, detail
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Probe:
    """The targets a knob has on this machine, and what is to be said about the rest."""

    targets: tuple[Target, ...]
    note: str = ""

    def target(self, name: str) -> Target | None:
        """Return one of them, None when it is not there."""
        return next((each for each in self.targets if each.name == name), None)


@dataclass(frozen=True, slots=True)
class InForce:
    """A knob's own setting, and the lower limit that something else may enforce."""

    value: float
    enforced: float | None = None
    text: str = ""  # the setting as the kernel spells it, where the value alone does not hold it


@dataclass(frozen=True, slots=True)
class Hidden:
    """A setting that no driver reads back: what is in force is what the journal last wrote."""

    at_least: float  # what the device does right now; a tighter setting cannot be in force


class Knob(Protocol):
    """One way to change the machine; methods raise KnobError."""

    def probe(self) -> Probe:
        """Return the targets of this machine; no driver means none, and a note."""

    def read(self, target: str) -> InForce | Hidden:
        """Return what is set now."""

    def write(self, target: str, value: float) -> None:
        """Set *value*; only a read tells whether it took."""

    def restore(self, target: str, value: float, text: str) -> None:
        """Put back what a read gave before our first write, to the letter."""

    def close(self) -> None:
        """Let go of the driver."""


@runtime_checkable
class Warm(Protocol):
    """A knob whose devices have thermometers of their own."""

    def celsius(self, target: str) -> float:
        """Return the temperature now; raises KnobError."""


@runtime_checkable
class Slow(Protocol):
    """A knob whose devices may take longer than a tick waits."""

    @property
    def at_work(self) -> bool:
        """Whether an order is under way."""

    def target(self, name: str) -> Target | None:
        """Return one target, None when it is not there; no other device is asked."""

    def prepare(self, targets: Iterable[str]) -> None:
        """Begin to read these, so that they are waited for together."""

    def settle(self, seconds: float) -> None:
        """Wait for the orders under way, so long at most."""

    def failure(self, target: str) -> str:
        """Return why the last order that took longer has failed; empty where it has not."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The last failure at a target: a refused write, or a read that failed."""

    fault: Fault
    detail: str
    steady: float


@dataclass(frozen=True, slots=True)
class Reading:
    """One target at one moment, with what we hold on it."""

    target: Target
    current: float | None  # None: cannot be read, see trouble
    prior: float | None = None  # the value before our first write; None: nothing of ours holds
    changed: float | None = None  # steady seconds of our last change
    conflict: str = ""  # a sentence, when somebody else has changed the value since
    trouble: Trouble | None = None
    loosened_seconds: float | None = None  # that the last loosening took until it read back

    @property
    def base(self) -> float | None:
        """The value without us: claims never loosen a knob beyond it."""
        return self.current if self.prior is None else self.prior
