"""Counters that hold: unwrap, tell a wrap from a reset, add nothing implausible, lose nothing."""

from dataclasses import dataclass, replace

from wattgov_exporter.doubt import impossible
from wattgov_exporter.reading import Anomaly, Meter

MARGIN = 1.5
"""How far above the meter's maximum power one step may be before it is called implausible."""

SLACK_SECONDS = 1.0
"""Hardware updates its counter in steps, so a short interval may hold a longer one's joules."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A raw value and when it was read (monotonic seconds)."""

    joules: float
    at: float


@dataclass(frozen=True, slots=True)
class Counter:
    """Where a meter stood when it was last believed.

    *suspect* is an implausible value seen last. If the next reading continues from it, the
    hardware really started anew there; if it continues from *mark*, the suspect was a glitch and
    nothing is lost. *since* is when the step to *mark* began, None if this reading made none.
    """

    mark: Mark
    suspect: Mark | None = None
    since: float | None = None


def advance(
    counter: Counter, meter: Meter, joules: float, at: float
) -> tuple[Counter, float, Anomaly | None]:
    """Take one raw reading; return the next counter, the joules to add, and what was wrong."""
    wrong = impossible(joules, meter.range_joules)
    if wrong is not None:
        return replace(counter, since=None), 0.0, wrong
    now = Mark(joules, at)
    step = _step(counter.mark, now, meter)
    if step is not None:
        return Counter(now, since=counter.mark.at), step, _ambiguity(counter.mark, now, meter)
    if counter.suspect is not None:
        step = _step(counter.suspect, now, meter)
        if step is not None:
            return Counter(now, since=counter.suspect.at), step, None
    kind = Anomaly.RESET if joules < counter.mark.joules else Anomaly.SPIKE
    return Counter(counter.mark, suspect=now), 0.0, kind


def _plausible(since: Mark, now: Mark, meter: Meter) -> float:
    return meter.max_watts * MARGIN * (max(now.at - since.at, 0.0) + SLACK_SECONDS)


def _step(since: Mark, now: Mark, meter: Meter) -> float | None:
    """Return the joules from *since* to *now*, None when they cannot be true."""
    step = now.joules - since.joules
    if step < 0 and meter.range_joules is not None:
        step += meter.range_joules
    return step if 0 <= step <= _plausible(since, now, meter) else None


def _ambiguity(since: Mark, now: Mark, meter: Meter) -> Anomaly | None:
    """Say when a whole turn of the counter may have passed unseen."""
    if meter.range_joules is None or now.at - since.at <= 0:
        return None
    possible = meter.max_watts * (now.at - since.at)
    return Anomaly.WRAP_AMBIGUOUS if possible >= meter.range_joules else None
