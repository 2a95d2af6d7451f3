"""Run a scenario on a simulated machine, and compare what was decided with what was expected."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor
from pathlib import Path

from wattgov_actuator.columns import aligned, value_text
from wattgov_actuator.decision import Decision
from wattgov_actuator.reading import Moment, Target
from wattgov_actuator.rules import RuleSet
from wattgov_actuator.scenarios.scenario import Check, Expected, Scenario, answers
from wattgov_actuator.simulation import Place, Planted, Simulation, simulated
from wattgov_actuator.when import exact_text

EARLY = 1e-6  # of a tick: sums of intervals are not exact


@dataclass(frozen=True, slots=True)
class Miss:
    """One thing that was not as expected."""

    when: str
    what: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one scenario."""

    name: str
    ticks: int
    misses: tuple[Miss, ...]


class _Trial:
    """One scenario on its way; the latest decision of each rule and target is kept."""

    def __init__(self, scenario: Scenario, simulation: Simulation) -> None:
        self._scenario, self._simulation = scenario, simulation
        self._targets = {each.place: each for each in scenario.planted}

    def checked(self, check: Check) -> Iterator[Miss]:
        """Yield what is not as *check* expects."""
        when = f"at {exact_text(check.at)}"
        latest = self._simulation.governor.snapshot.decisions
        for expected in check.decisions:
            mine = [each for each in latest if _about(expected, each)]
            if not mine:
                what = f"{expected.rule} at {_place_text(expected.place)}"
                yield Miss(when, what, self._words(expected), "no decision")
            for each in mine:
                if not self._fits(expected, each):
                    what = f"{each.rule} at {each.target or 'no target'}"
                    yield Miss(when, what, self._words(expected), _told(each))
        for place, value in (check.in_force or {}).items():
            yield from self._in_force(when, place, value)

    def put_back(self) -> Iterator[Miss]:
        """Yield what is not as before; somebody else's value is to stay where that is said."""
        for place, planted in self._targets.items():
            value = self._scenario.after.get(place, planted.value)
            yield from self._in_force("after the end", place, value)

    def _in_force(self, when: str, place: Place, value: float) -> Iterator[Miss]:
        target, found = self._targets[place].target, self._simulation.value(place)
        if not target.same(found, value):
            expected, got = (f"{value_text(each, target.unit)}" for each in (value, found))
            yield Miss(when, f"in force at {target.name}", expected, got)

    def _fits(self, expected: Expected, decision: Decision) -> bool:
        target = self._target(decision)
        return (
            (expected.reason is None or expected.reason is decision.reason)
            and (expected.wanted is None or _same(target, expected.wanted, decision.wanted))
            and expected.detail in decision.detail
        )

    def _target(self, decision: Decision) -> Target | None:
        planted: Planted | None = self._targets.get((decision.knob, decision.target))
        return None if planted is None else planted.target

    def _words(self, expected: Expected) -> str:
        units = {each.target.unit for each in self._targets.values()}
        if expected.place is not None:
            units = {self._targets[expected.place].target.unit}
        parts = [
            str(expected.reason or ""),
            "" if expected.wanted is None else f"wanted {value_text(expected.wanted, units.pop())}",
            f"'{expected.detail}'" if expected.detail else "",
        ]
        return ", ".join(filter(None, parts)) or "a decision"


def trial(scenario: Scenario, rules: RuleSet, folder: Path) -> Verdict:
    """Run one scenario to its last check, then put back; the journal is in *folder*."""
    checks = sorted(scenario.checks, key=lambda each: each.at)
    end = max((each.at for each in checks), default=0.0)
    interval = rules.interval_seconds
    misses: list[Miss] = []
    with simulated(rules, scenario.planted, folder) as simulation:
        running, ticks = _Trial(scenario, simulation), floor(end / interval + EARLY) + 1
        for number in range(ticks):
            elapsed, following = number * interval, (number + 1) * interval
            _happen(scenario, simulation, elapsed - interval, elapsed)
            moment = Moment(scenario.start + elapsed, elapsed)
            simulation.step(moment, answers(scenario, rules, elapsed))
            while checks and checks[0].at < following - EARLY:
                misses += running.checked(checks.pop(0))
        simulation.stop()
        misses += running.put_back()
    return Verdict(scenario.name, ticks, tuple(misses))


def report(verdict: Verdict) -> str:
    """Return what became of it, as promtool tells it."""
    if not verdict.misses:
        return f"  SUCCESS  {verdict.name}"
    lines = [f"  FAILED   {verdict.name}"]
    for miss in verdict.misses:
        rows = [("expected", miss.expected), ("got", miss.got)]
        lines += [f"    {miss.when}, {miss.what}:", *(f"      {line}" for line in aligned(rows))]
    return "\n".join(lines)


def _happen(scenario: Scenario, simulation: Simulation, after: float, until: float) -> None:
    """Let happen what happens since the last tick."""
    for event in scenario.events:
        if after < event.at <= until:
            if event.value is not None:
                simulation.turn(event.place, event.value)
            else:
                simulation.trouble(event.place, event.fault)


def _about(expected: Expected, decision: Decision) -> bool:
    place = (decision.knob, decision.target)
    return expected.rule == decision.rule and expected.place in {None, place}


def _same(target: Target | None, one: float, other: float | None) -> bool:
    return other is not None and (one == other if target is None else target.same(one, other))


def _told(decision: Decision) -> str:
    wanted = value_text(decision.wanted, decision.unit)
    return f"{decision.reason}, wanted {wanted}: {decision.detail}"


def _place_text(place: Place | None) -> str:
    return "any target" if place is None else place[1]
