"""What a rule file may say, as values; `rulefile` reads it from YAML."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from wattgov_actuator.connection import Connection
from wattgov_actuator.document.strict import Fields, Mistake, Quantity
from wattgov_actuator.law import (
    UNMEASURED,
    Alone,
    Law,
    Look,
    Measure,
    Metering,
    Peer,
    Rank,
    Ranked,
    Sharing,
    Traits,
    Want,
)
from wattgov_actuator.reading import Labels
from wattgov_actuator.selection import Selection
from wattgov_actuator.windows import Windows

__all__ = [  # with what laws and guards need of `law`, too
    "FRESHNESS",
    "LEARNED",
    "STRATEGIES",
    "UNMEASURED",
    "Alone",
    "Backend",
    "Bounds",
    "Expectation",
    "Group",
    "Key",
    "Kind",
    "Law",
    "LawForm",
    "Look",
    "Measure",
    "Metering",
    "Peer",
    "Policy",
    "Protect",
    "Quorum",
    "Rank",
    "Ranked",
    "Rate",
    "Rule",
    "RuleSet",
    "Sensor",
    "Sharing",
    "Sla",
    "Strategy",
    "Thermal",
    "Traits",
    "Want",
]

FRESHNESS = "energy_source_last_sample_timestamp_seconds"


@dataclass(frozen=True, slots=True)
class Policy:
    """When something may sleep, and for how long; a rule file gives it a name."""

    idle_seconds: float = 1800.0  # unused for so long
    longest_seconds: float = 8 * 3600.0  # asleep; then it is woken
    awake_seconds: float = 600.0  # after it was woken, whatever happens
    cpu_below: float = 0.0  # what the rule's `cpu` gives
    keep_warm: int = 0  # of the rule's targets, so many stay awake
    priority: float = 0.0  # of several that may sleep, the one with the lowest goes first
    idle_watts: float | None = None  # what sleeping saves, where it is not measured: an estimate
    waking_seconds: float = 0.0  # likewise: from the order until it is awake; 0: nobody says
    waking_watts: float = 0.0  # likewise: what it draws meanwhile beyond being idle

    @property
    def waking_joules(self) -> float:
        """What waking takes, where it is not measured: an estimate."""
        return self.waking_seconds * self.waking_watts


@dataclass(frozen=True, slots=True)
class Strategy:
    """Defaults for what a rule leaves out."""

    step: Quantity  # of the device's highest value
    floor: Quantity
    cooldown_seconds: float
    slowdown: Quantity  # of the throughput without us; what a search may cost
    policies: Mapping[str, Policy] = field(default_factory=dict)  # of hibernation, by name


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


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a rule may go."""

    low: Quantity
    high: Quantity | None = None


USUAL_SECONDS = 15.0  # between two ticks


class Key(NamedTuple):
    """One key of a connection in a rule file."""

    form: str  # one of `connecting.FORMS`, or secret
    default: str | float | bool | None = None  # None: it must be given, unless it is optional
    choices: tuple[str, ...] = ()  # of a word
    optional: bool = False
    of: tuple[str, ...] = ()  # the knobs whose entries have it; none: all of its backend


@dataclass(frozen=True, slots=True)
class Backend:
    """A way to reach what is no part of this machine, or may be turned only by somebody else."""

    module: str  # has open_knob(machine, connection); loaded only when the knob is turned
    keys: Mapping[str, Key]  # what an entry of `knobs` in a rule file says beside the usual
    timeout_seconds: float = 5.0  # that a tick waits for an answer, unless the entry says
    shared: bool = False  # leads to what all machines have: with `--elect` one actuator turns it


@dataclass(frozen=True, slots=True)
class Kind:
    """What a rule file must know of a knob, without opening it."""

    accepts: tuple[str, ...]  # units, the usual one first
    module: str = ""  # has open_knob(machine); loaded only when the knob is turned
    backends: Mapping[str, Backend] = field(default_factory=dict)  # instead of *module*
    levels: Mapping[str, float] = field(default_factory=dict)  # words for values, the lowest first


@dataclass(frozen=True, slots=True)
class LawForm:
    """How a law is written in a rule: the keys it owns and their reader."""

    keys: tuple[str, ...]
    parse: Callable[[Fields, str, Kind, Strategy, Bounds], Law | None]
    sizes: tuple[str, ...] = ()  # those of its keys that mean nothing to a knob of words


@dataclass(frozen=True, slots=True)
class Sla:
    """While the expression returns a series, what it concerns is put back and left alone."""

    expr: str
    rearm_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Sensor:
    """The device's own thermometer, which needs no Prometheus: hot above, until it is below."""

    above_celsius: float
    clear_celsius: float


@dataclass(frozen=True, slots=True)
class Thermal:
    """From a series of `expr` until one of `clear`, the knob is held at its floor."""

    expr: str | None
    clear: str | None = None  # None: the absence of `expr`, known and fresh, clears
    device: Sensor | None = None  # looked at each second


@dataclass(frozen=True, slots=True)
class Quorum:
    """Nothing is tightened unless this part of the series of `expr` is above 0."""

    expr: str
    at_least: float = 0.7


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a knob of one target may be changed."""

    changes: int
    per_seconds: float


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a rule's steps must bring; each of its expressions gives one value at a target."""

    expr: str = ""  # energy per unit of work; less is better
    draw: str = ""  # what the device takes, in the unit of the knob
    latency: str = ""
    load: str = ""  # only samples at a like load are compared
    worse: float = 0.02  # of the energy: what noise and drift may make of it
    slower: float = 0.05  # of the latency
    settle_seconds: float = 60.0
    retry_seconds: float = 600.0  # doubled by each failure in a row

    @property
    def asks(self) -> tuple[str, ...]:
        """All its expressions."""
        return tuple(filter(None, (self.expr, self.draw, self.latency, self.load)))


@dataclass(frozen=True, slots=True)
class Protect:
    """The guards of a group."""

    sla: Sla | None = None
    thermal: Thermal | None = None
    freshness: str = FRESHNESS  # gives the unix seconds of each source's last raw sample
    max_age_seconds: float = 45.0
    hold_seconds: float = 120.0  # how long a claim outlives the data it was made on
    quorum: Quorum | None = None


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
    expect: Expectation | None = None
    instead_of: str = ""  # acts only where this rule was found to do nothing

    @property
    def asks(self) -> tuple[str, ...]:
        """Every expression of the rule."""
        more = () if self.expect is None else self.expect.asks
        return (self.expr, *self.law.asks, *more)

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
            self.protect.quorum.expr if self.protect.quorum else None,
        ]
        asked = [*guards, *(each for rule in self.rules for each in rule.asks)]
        return tuple(dict.fromkeys(expr for expr in asked if expr is not None))


@dataclass(frozen=True, slots=True)
class Document:
    """A rule document that lies in no file."""

    name: str  # where mistakes are reported
    text: str


@dataclass(frozen=True, slots=True)
class Policies:
    """What became of the EnergyPolicy objects of a cluster."""

    in_force: tuple[str, ...] = ()
    resting: tuple[str, ...] = ()  # they say that they are not enabled
    refused: tuple[Mistake, ...] = ()  # why an older version of one is in force, or none of it


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rule files of one actuator."""

    groups: tuple[Group, ...]
    enforce: bool = False  # every file says so
    sha256: str = ""  # of the files, so that two machines can be compared
    connections: tuple[Connection, ...] = ()
    leads: bool | None = None  # turns what all machines share; None: there is no election
    notes: tuple[Mistake, ...] = ()  # of what is allowed, and probably not meant
    policies: Policies | None = None  # of the cluster; None: none is watched

    @property
    def interval_seconds(self) -> float:
        """The shortest interval of any group."""
        return min((group.interval_seconds for group in self.groups), default=USUAL_SECONDS)

    @property
    def warm_knobs(self) -> tuple[str, ...]:
        """The knobs whose devices' own thermometers are asked for, each once."""
        asks = [
            group for group in self.groups if group.protect.thermal and group.protect.thermal.device
        ]
        return tuple(dict.fromkeys(rule.knob for group in asks for rule in group.rules))

    @property
    def knobs(self) -> tuple[str, ...]:
        """The knobs that any rule turns, each once."""
        return tuple(dict.fromkeys(rule.knob for group in self.groups for rule in group.rules))
