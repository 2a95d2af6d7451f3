"""What a rule file may say, as values; `rulefile` reads it from YAML."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from wattgov_actuator.reading import Reading
from wattgov_actuator.strict import Fields, Quantity

FRESHNESS = "energy_source_last_sample_timestamp_seconds"


@dataclass(frozen=True, slots=True)
class Strategy:
    """Defaults for what a rule leaves out."""

    step: Quantity  # of the device's highest value
    floor: Quantity
    cooldown_seconds: float


def _percent(step: float, floor: float, cooldown_seconds: float) -> Strategy:
    return Strategy(Quantity(step, "percent"), Quantity(floor, "percent"), cooldown_seconds)


# Measured power-cap sweeps put the least energy per unit of work at 45-77 % of the highest cap and
# a cliff below: on an A40 half the cap still saved 9 %, 42 % cost 20 % more than no cap at all.
STRATEGIES = {
    "conservative": _percent(3, 75, 180),
    "balanced": _percent(5, 60, 60),
    "aggressive": _percent(10, 50, 30),
}


class Want(NamedTuple):
    """What a law asks for: hold a claim, or loosen the claims that others hold."""

    claim: float | None  # None: no claim
    lift: float | None = None  # claims of the same class rise to at least this


class Law(Protocol):
    """One rule's control law with its settings; pure."""

    def wish(self, reading: Reading, claim: float | None, *, true: bool) -> Want:
        """Return what to ask for, given the claim held so far and whether the condition is true."""


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
        asked = [*guards, *(rule.expr for rule in self.rules)]
        return tuple(dict.fromkeys(expr for expr in asked if expr is not None))


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rule files of one actuator."""

    groups: tuple[Group, ...]
    enforce: bool = False  # every file says so

    @property
    def interval_seconds(self) -> float:
        """The shortest interval of any group."""
        return min(group.interval_seconds for group in self.groups)

    @property
    def knobs(self) -> tuple[str, ...]:
        """The knobs that any rule turns, each once."""
        return tuple(dict.fromkeys(rule.knob for group in self.groups for rule in group.rules))
