"""What a rule file may say, as values; `rulefile` reads it from YAML."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from wattgov_actuator.reading import Labels, Moment, Reading
from wattgov_actuator.selection import Selection
from wattgov_actuator.strict import Fields, Mistake, Quantity
from wattgov_actuator.windows import Windows

FRESHNESS = "energy_source_last_sample_timestamp_seconds"


@dataclass(frozen=True, slots=True)
class Strategy:
    """Defaults for what a rule leaves out."""

    step: Quantity  # of the device's highest value
    floor: Quantity
    cooldown_seconds: float
    slowdown: Quantity  # of the throughput without us; what a search may cost


def _percent(step: float, floor: float, cooldown_seconds: float, slowdown: float) -> Strategy:
    size, lowest, cost = (Quantity(each, "percent") for each in (step, floor, slowdown))
    return Strategy(size, lowest, cooldown_seconds, cost)


# Measured power-cap sweeps put the least energy per unit of work at 45-77 % of the highest cap and
# a cliff below: on an A40 half the cap still saved 9 %, 42 % cost 20 % more than no cap at all.
STRATEGIES = {
    "conservative": _percent(3, 75, 180, 3),
    "balanced": _percent(5, 60, 60, 5),
    "aggressive": _percent(10, 50, 30, 10),
}
LEARNED = {
    "learned": "is no strategy: a law adapts to the workload; write a rule with minimise: {expr: "
    "energy:app_joules_per_token, subject_to: energy:app_p95_latency_seconds < 0.2}",
}


class Rank(IntEnum):
    """Whose claims a loosening rule may lift: those of its own class and below."""

    COST = 0
    CARBON = 1
    BUDGET = 2


class Measure(NamedTuple):
    """What an expression gave at one target."""

    known: bool
    value: float | None = None  # None, and known: there is no series
    why: str = ""


UNMEASURED = Measure(known=False, why="it was not asked")


class Peer(NamedTuple):
    """One of the devices that share a budget."""

    name: str
    current: float  # what is in force
    low: float
    high: float
    need: float | None  # the value of the expression; None: not known


@dataclass(frozen=True, slots=True)
class Look:
    """What a law may look at: one target at one tick."""

    reading: Reading
    now: Moment
    claim: float | None = None  # what the rule holds so far
    true: bool = False
    value: float | None = None  # of the rule's expression
    low: float = 0.0  # how far the rule may go here: policy, hardware, and the value before us
    high: float = 0.0
    slack: float = 0.0  # differences smaller than this are not written
    interval_seconds: float = 15.0
    asked: Mapping[str, Measure] = field(default_factory=dict)  # by the law's own expressions
    shared: object = None  # what the law's own `share` made of all its devices at this tick
    memory: object = None  # what the law returned to be remembered


class Want(NamedTuple):
    """What a law asks for: hold a claim, or loosen the claims that others hold."""

    claim: float | None  # None: no claim
    lift: float | None = None  # claims of the same class and below rise to at least this
    memory: object = None  # comes back in the next look
    detail: str = ""  # a sentence, where the law has more to say than the condition


class Traits(NamedTuple):
    """What a law needs of the tick, beside its wish."""

    measures: bool = False  # the value itself: no series is unknown then, not false
    rests: bool = False  # wants nothing, and remembers nothing, while false and without a claim
    keeps: bool = False  # `keep` means something to it
    paced: bool = False  # it keeps its own pace: no cooldown unless the rule gives one
    rank: Rank = Rank.COST


class Law(Protocol):
    """One rule's control law with its settings; pure."""

    traits: ClassVar[Traits]

    @property
    def asks(self) -> tuple[str, ...]:
        """The expressions that the law wants answered besides the rule's own."""

    def wish(self, look: Look) -> Want:
        """Return what to ask for."""


@runtime_checkable
class Sharing(Protocol):
    """A law whose devices share something, such as watts."""

    def share(self, peers: Sequence[Peer]) -> object:
        """Return what each look of this tick gets to see; asked once, not once a device."""


class Alone:
    """A law with no expressions besides the rule's own."""

    __slots__ = ()

    @property
    def asks(self) -> tuple[str, ...]:
        """Nothing more."""
        return ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a rule may go."""

    low: Quantity
    high: Quantity | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """What a rule file must know of a knob, without opening it."""

    accepts: tuple[str, ...]  # units, the usual one first
    module: str  # has open_knob(); loaded only when the knob is turned


@dataclass(frozen=True, slots=True)
class LawForm:
    """How a law is written in a rule: the keys it owns and their reader."""

    keys: tuple[str, ...]
    parse: Callable[[Fields, str, Kind, Strategy, Bounds], Law | None]


@dataclass(frozen=True, slots=True)
class Sla:
    """While the expression returns a series, what it concerns is put back and left alone."""

    expr: str
    rearm_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Thermal:
    """From a series of `expr` until one of `clear`, the knob is held at its floor."""

    expr: str
    clear: str | None = None  # None: the absence of `expr`, known and fresh, clears


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a knob of one target may be changed."""

    changes: int
    per_seconds: float


@dataclass(frozen=True, slots=True)
class Protect:
    """The guards of a group."""

    sla: Sla | None = None
    thermal: Thermal | None = None
    freshness: str = FRESHNESS  # gives the unix seconds of each source's last raw sample
    max_age_seconds: float = 45.0
    hold_seconds: float = 120.0  # how long a claim outlives the data it was made on


@dataclass(frozen=True, slots=True)
class Rule:
    """When to turn which knob."""

    action: str
    expr: str
    knob: str
    law: Law
    bounds: Bounds
    for_seconds: float
    cooldown_seconds: float
    rank: Rank = Rank.COST
    keep_seconds: float = 0.0  # how long the condition counts as true after it was
    active: Windows | None = None  # None: always
    deadband: Quantity | None = None  # smaller changes are not worth a write
    slew: Quantity | None = None  # the most that one tick tightens
    rate: Rate | None = None
    targets: tuple[Selection, ...] = ()  # of the group, and its own; none: all targets

    def takes(self, labels: Labels) -> bool:
        """Tell whether the rule is about a target with these labels."""
        return all(each.takes(labels) for each in self.targets)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that share an interval and guards."""

    name: str
    interval_seconds: float
    protect: Protect
    rules: tuple[Rule, ...]

    def expressions(self) -> tuple[str, ...]:
        """Return every query of the group, each once, in the order of the file."""
        sla, thermal = self.protect.sla, self.protect.thermal
        guards = [
            self.protect.freshness,
            sla.expr if sla else None,
            thermal.expr if thermal else None,
            thermal.clear if thermal else None,
        ]
        asked = [*guards, *(each for rule in self.rules for each in (rule.expr, *rule.law.asks))]
        return tuple(dict.fromkeys(expr for expr in asked if expr is not None))


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rule files of one actuator."""

    groups: tuple[Group, ...]
    enforce: bool = False  # every file says so
    sha256: str = ""  # of the files, so that two machines can be compared
    notes: tuple[Mistake, ...] = ()  # of what is allowed, and probably not meant

    @property
    def interval_seconds(self) -> float:
        """The shortest interval of any group."""
        return min(group.interval_seconds for group in self.groups)

    @property
    def knobs(self) -> tuple[str, ...]:
        """The knobs that any rule turns, each once."""
        return tuple(dict.fromkeys(rule.knob for group in self.groups for rule in group.rules))
