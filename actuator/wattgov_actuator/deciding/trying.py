"""Did it help? What an action must bring, measured before and after it at the same load.

A step is on trial from the moment it is in force. Samples count once it has settled, and only at a
load like the one before. It is taken back where a unit of work became dearer, or slower by more
than was allowed, and where it does nothing at all: a power limit above the draw. Each failure in a
row doubles the time until the next try.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import hypot
from statistics import fmean, stdev
from typing import NamedTuple

from wattgov_actuator.decision import ENOUGH, Reason, Sampled, Trial
from wattgov_actuator.reading import Moment, Reading
from wattgov_actuator.rules import Expectation, Measure

KEPT = 12  # samples at one value, the latest
SAME_LOAD = 0.15  # relative; energy per unit of work follows the load
SURE = 2.0  # standard errors
SPARE = 0.05  # of the limit: a draw that much below it is not held back by it
LONGEST_SETTLES = 20  # after so many times `settle` a trial without a verdict is over
LONGEST_RETRY_SECONDS = 86_400.0
NORMAL = 1.96  # standard errors of a 95 % interval


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule acts, as far as its trial needs to know."""

    reading: Reading
    claim: float | None  # of the rule
    at_end: bool  # the rule goes no further than what is in force
    now: Moment
    seconds: float  # since the last look


class Saving(NamedTuple):
    """Power that is not drawn, against the time before the rule's first step at the same load."""

    rule: str
    knob: str
    target: str
    watts: float
    low_watts: float | None  # a 95 % interval, where there is one
    high_watts: float | None
    slower: float | None  # by which part p95 rose; None: not asked
    seconds: float  # that it has lasted since the last look
    method: str = "measured"  # or estimated
    wake_joules: float = 0.0  # of it lost to waking


def tried(
    expect: Expectation, before: Trial, place: Place, measured: Callable[[str], Measure]
) -> Trial:
    """Return what is known now of a rule's last step at one target."""
    current, now = place.reading.current, place.now.steady
    if current is None or place.reading.conflict:
        return before
    same = place.reading.target.same
    if before.at is None or not same(current, before.at):
        return _moved(before, place, current)
    if before.verdict is not None or now - before.since < expect.settle_seconds:
        return before
    return _judged(expect, _sampled(expect, before, measured), place)


def _moved(before: Trial, place: Place, current: float) -> Trial:
    """Begin anew at another value; on trial, if it is a step of this rule away from the base."""
    claim, reading, now = place.claim, place.reading, place.now.steady
    fresh = Trial(
        at=current,
        since=now,
        failures=before.failures,
        until=before.until,
        last=before.last,
        why=before.why,
    )
    if claim is None or not reading.target.same(claim, current) or before.at is None:
        return fresh
    base = before.samples if before.base is None else before.base
    both_ways = reading.target.both_ways
    if before.verdict is not None or (current > before.at and not both_ways):
        return replace(fresh, base=before.base)  # taken back, or loosened by others
    if before.compared is not None:  # the last step has not been judged yet: both are one
        return replace(fresh, base=base, compared=before.compared, back_to=before.back_to)
    return replace(fresh, base=base, compared=before.samples, back_to=before.at)


def _sampled(expect: Expectation, before: Trial, measured: Callable[[str], Measure]) -> Trial:
    """Add what is measured now, if it is known, and taken at a load like the one before."""
    values: list[float | None] = []
    for expr in (expect.expr, expect.latency, expect.load, expect.draw):
        found = measured(expr) if expr else None
        if found is not None and (not found.known or found.value is None):
            return before
        values.append(None if found is None else found.value)
    sample = Sampled(*values)
    reference = before.compared if before.compared is not None else before.samples
    if _alike(sample, reference):
        return replace(before, samples=(*before.samples, sample)[-KEPT:])
    return before if before.compared is not None else replace(before, samples=(sample,))


def _judged(expect: Expectation, trial: Trial, place: Place) -> Trial:
    if place.claim is None:
        return trial
    if place.at_end and (why := _idle(trial, place.reading)):
        return _failed(expect, trial, place, Reason.INEFFECTIVE, why)
    if trial.compared is None:
        return trial
    if len(trial.samples) >= ENOUGH <= len(trial.compared):
        if why := _worse(expect, trial):
            return _failed(expect, trial, place, Reason.ROLLED_BACK, why)
        done = replace(trial, compared=None, back_to=None)
        gained = _gained(trial.compared, trial.samples)
        return replace(done, failures=0, last=None, why="") if gained else done
    late = place.now.steady - trial.since > LONGEST_SETTLES * expect.settle_seconds
    unknown = len(trial.compared) < ENOUGH  # it began before there was anything to compare with
    return replace(trial, compared=None, back_to=None) if late or unknown else trial


def _failed(expect: Expectation, trial: Trial, place: Place, verdict: Reason, why: str) -> Trial:
    wait = min(expect.retry_seconds * 2.0**trial.failures, LONGEST_RETRY_SECONDS)
    return replace(
        trial,
        verdict=verdict,
        last=verdict,
        why=why,
        failures=trial.failures + 1,
        until=place.now.steady + wait,
        back_to=trial.back_to if verdict is Reason.ROLLED_BACK else None,
    )


def _idle(trial: Trial, reading: Reading) -> str:
    """Say that a limit holds nothing back, if so: the draw has stayed below it."""
    draws = [each.draw for each in trial.samples if each.draw is not None]
    limit = reading.current or 0.0
    if len(draws) < ENOUGH or max(draws) > limit * (1 - SPARE):
        return ""
    unit = reading.target.unit
    return f"it draws {max(draws):.3g} {unit} at most and is not held back by {limit:g} {unit}"


def _worse(expect: Expectation, trial: Trial) -> str:
    """Say by how much a unit of work became dearer by the step, or slower by all steps so far."""
    before = trial.compared or ()
    old, new, more = _risen(before, trial.samples, "energy", expect.worse)
    if more:
        return f"a unit of work takes {more:.1%} more energy since the step, {old:.4g} -> {new:.4g}"
    old, new, more = _risen(trial.base or before, trial.samples, "latency", expect.slower)
    if more:
        return f"p95 rose by {more:.1%} since the first step, {old:.4g} -> {new:.4g}"
    return ""


def _risen(
    before: Sequence[Sampled], after: Sequence[Sampled], name: str, allowed: float
) -> tuple[float, float, float]:
    """Return both means, and by which part it rose if by more than is allowed, noise aside."""
    old, old_error = _mean(_column(before, name))
    new, new_error = _mean(_column(after, name))
    risen = old > 0 and new > old * (1 + allowed) + SURE * hypot(old_error, new_error)
    return old, new, new / old - 1 if risen else 0.0


def _gained(before: Sequence[Sampled], after: Sequence[Sampled]) -> bool:
    """Tell whether a unit of work takes less energy than before, noise aside."""
    old, old_error = _mean(_column(before, "energy"))
    new, new_error = _mean(_column(after, "energy"))
    return new < old - SURE * hypot(old_error, new_error)


def saving(rule: str, trial: Trial, place: Place) -> Saving | None:
    """Return what a claim saves now, by its measured energy per unit of work; None: not known.

    draw * (energy before / energy now - 1): what the same work would draw without the claim.
    """
    base, target = trial.base, place.reading.target
    known = base is not None and min(len(base), len(trial.samples)) >= ENOUGH
    if place.claim is None or base is None or not known or not _alike(trial.samples[-1], base):
        return None
    old, old_error = _mean(_column(base, "energy"))
    new, new_error = _mean(_column(trial.samples, "energy"))
    draw, _ = _mean(_column(trial.samples, "draw"))
    if min(old, new, draw) <= 0:
        return None
    ratio = old / new
    doubt = NORMAL * ratio * hypot(old_error / old, new_error / new)
    was, _ = _mean(_column(base, "latency"))
    latency, _ = _mean(_column(trial.samples, "latency"))
    slower = latency / was - 1 if was > 0 and latency > 0 else None
    watts, edge = draw * (ratio - 1), draw * doubt
    where = (rule, target.knob, target.name)
    return Saving(*where, watts, watts - edge, watts + edge, slower, place.seconds)


def _alike(sample: Sampled, others: Sequence[Sampled]) -> bool:
    """Tell whether a sample was taken at the load of the others, as far as loads are asked."""
    load, (usual, _) = sample.load, _mean(_column(others, "load"))
    return load is None or not others or abs(load - usual) <= SAME_LOAD * abs(usual)


def _column(samples: Sequence[Sampled], name: str) -> list[float]:
    found = (getattr(each, name) for each in samples)
    return [value for value in found if value is not None]


def _mean(values: list[float]) -> tuple[float, float]:
    """Return the mean and its standard error; zero of nothing."""
    if len(values) < 2:  # noqa: PLR2004 (one has no spread)
        return sum(values), 0.0
    return fmean(values), stdev(values) / len(values) ** 0.5
