"""A scenario: what Prometheus would say, what happens to the machine, and what is expected.

Times are seconds since the scenario began. There is no PromQL engine: an expression is answered by
the series that it returns, or, where it is a bare selector, by the input series that it selects.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from math import floor

from wattgov_actuator.decision import Reason
from wattgov_actuator.naming import names_device
from wattgov_actuator.reading import Answer, Fault, Labels, QueryFailure, Sample
from wattgov_actuator.rules import RuleSet
from wattgov_actuator.scenarios.notation import Gap, Slot
from wattgov_actuator.scenarios.selector import selector
from wattgov_actuator.simulation import Place, Planted

LOOKBACK_SECONDS = 300.0  # Prometheus' own default; the edge is out, as in 3.x


@dataclass(frozen=True, slots=True)
class Line:
    """One series over time; a slot an interval."""

    labels: Labels
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which every query fails."""

    begins: float
    ends: float
    failure: QueryFailure

    def holds(self, elapsed: float) -> bool:
        """Tell whether it is on."""
        return self.begins <= elapsed < self.ends


@dataclass(frozen=True, slots=True)
class Event:
    """What happens to a device: somebody else sets it, or it has a fault, or none any more."""

    at: float
    place: Place
    value: float | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of one rule's decision; what is not said may be anything."""

    rule: str
    place: Place | None  # None: at every target that it decided about
    reason: Reason | None = None
    wanted: float | None = None
    detail: str = ""  # a part of the sentence


@dataclass(frozen=True, slots=True)
class Check:
    """What is expected at one time, after the tick that was then or last before."""

    at: float
    decisions: tuple[Expected, ...] = ()
    in_force: Mapping[Place, float] | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One test."""

    name: str
    start: float  # unix seconds
    interval_seconds: float
    planted: tuple[Planted, ...]
    inputs: tuple[Line, ...]  # raw series
    given: Mapping[str, tuple[Line, ...]]  # by expression, the series that it returns
    ages: tuple[Slot, ...]  # seconds since the exporters' last readings
    outages: tuple[Outage, ...]
    events: tuple[Event, ...]
    checks: tuple[Check, ...]
    after: Mapping[Place, float]  # what is in force once all is put back


@dataclass(frozen=True, slots=True)
class Suite:
    """A file of scenarios about some rules."""

    rules: RuleSet
    scenarios: tuple[Scenario, ...]


def answers(scenario: Scenario, rules: RuleSet, elapsed: float) -> dict[str, Answer]:
    """Return what Prometheus says to every expression of *rules* at *elapsed* seconds."""
    expressions = dict.fromkeys(each for group in rules.groups for each in group.expressions())
    outage = next((each for each in scenario.outages if each.holds(elapsed)), None)
    if outage is not None:
        return dict.fromkeys(expressions, _failed(outage.failure))
    return {expr: _answer(scenario, expr, elapsed) for expr in expressions}


def answered(scenario: Scenario, expr: str) -> bool:
    """Tell whether the scenario says what *expr* returns."""
    if expr in scenario.given:
        return True
    chosen = selector(expr)
    return chosen is not None and any(chosen.takes(line.labels) for line in scenario.inputs)


def _answer(scenario: Scenario, expr: str, elapsed: float) -> Answer:
    """Answer one expression; of which the scenario does not tell is how old the readings are."""
    interval = scenario.interval_seconds
    if expr in scenario.given:
        return _of_lines(scenario.given[expr], elapsed, interval)
    chosen = selector(expr)
    if chosen is None or not answered(scenario, expr):
        return _freshness(scenario, elapsed)
    meant = [line for line in scenario.inputs if chosen.takes(line.labels)]
    found = [(each.labels, _scraped(each, elapsed, interval)) for each in meant]
    samples = [Sample(labels, value) for labels, value in found if value is not None]
    return Answer(tuple(each for each in samples if chosen.keeps(each.value)))


def _of_lines(lines: Iterable[Line], elapsed: float, interval_seconds: float) -> Answer:
    samples = []
    for line in lines:
        slot = _slot(line.slots, elapsed, interval_seconds)
        if isinstance(slot, QueryFailure):
            return _failed(slot)
        if not isinstance(slot, Gap):
            samples.append(Sample(line.labels, slot))
    return Answer(tuple(samples))


def _slot(slots: tuple[Slot, ...], elapsed: float, interval_seconds: float) -> Slot:
    """Return the slot of that time; the last one lasts."""
    return slots[min(_index(elapsed, interval_seconds), len(slots) - 1)]


def _scraped(line: Line, elapsed: float, interval_seconds: float) -> float | None:
    """Return the sample that an instant query finds: the last one, unless too old or ended."""
    last = _index(elapsed, interval_seconds)
    for index in range(min(last, len(line.slots) - 1), -1, -1):
        slot = line.slots[index]
        if elapsed - index * interval_seconds >= LOOKBACK_SECONDS or slot is Gap.STALE:
            return None
        if not isinstance(slot, (Gap, QueryFailure)):
            return slot
    return None


def _index(elapsed: float, interval_seconds: float) -> int:
    return floor(elapsed / interval_seconds + 1e-9)  # 0.3 / 0.1 is a little less than 3


def _freshness(scenario: Scenario, elapsed: float) -> Answer:
    """Return the times of the last readings of the exporters whose series name devices."""
    age = _slot(scenario.ages, elapsed, scenario.interval_seconds)
    if isinstance(age, QueryFailure):
        return _failed(age)
    if isinstance(age, Gap):
        return Answer()
    lines = (*scenario.inputs, *chain.from_iterable(scenario.given.values()))
    named = [each.labels for each in lines if names_device(each.labels)]
    instances = sorted({labels["instance"] for labels in named if "instance" in labels})
    who: list[Labels] = [{"instance": each} for each in instances]
    return Answer(tuple(Sample(each, scenario.start + elapsed - age) for each in who or [{}]))


def _failed(failure: QueryFailure) -> Answer:
    return Answer(failure=failure, detail=f"the scenario answers: {failure}")
