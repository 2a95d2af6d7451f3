"""A guarded descent on a noisy curve: down from the value in force while it pays, then the best.

A power cap's energy per unit of work is U-shaped with a cliff: flat while the cap lies above the
draw, falling, then rising steeply while the throughput breaks down. So the search walks down in
small steps, smaller ones the nearer the throughput comes to its budget, never jumps into what it
has not approached, and turns back at the first sign of a cliff. A lone bump does not stop it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from math import hypot
from statistics import fmean, stdev

STEEPENS = 3.0  # how much steeper the throughput may fall in the next step than in the last one
LEVER = 3  # points that tell how steeply it falls; two alone would mostly tell of noise
STRIDE = 0.25  # of a step: at least so far while half of the throughput's budget is left
CRAWL = 0.1  # of a step: smaller ones are not worth a probe
WORSE = 0.03  # above the best: so many such probes in a row end the descent
BUMP = 6  # measured curves have bumps up to five steps wide
MUCH_WORSE = 0.2  # above the best: one ends it
EQUAL = 0.005  # as good: the higher value of two wins, since it costs less throughput
PRECISE = 0.0035  # relative standard error of a mean; noisier ones get more samples
FIRST = 0.5  # of that for the first point: its error is in all comparisons
PATIENCE = 6  # times as many samples at most
SURE = 2.0  # standard errors


class Phase(StrEnum):
    """What the search is doing."""

    DOWN = "walking down"
    REFINE = "looking closer"
    HOLD = "holding the best"


@dataclass(frozen=True, slots=True)
class Sample:
    """What one tick measured."""

    energy: float  # per unit of work, whatever the unit
    work: float | None = None  # throughput


@dataclass(frozen=True, slots=True)
class Point:
    """A value of the knob, measured."""

    at: float
    energy: float
    error: float  # standard error of the energy
    work: float | None = None
    doubt: float = 0.0  # standard error of the work

    @property
    def noise(self) -> float:
        """The larger of the relative errors."""
        work = self.doubt / self.work if self.work else 0.0
        return max(self.error / self.energy if self.energy else 0.0, work)

    def worse(self, best: "Point", by: float) -> bool:
        """Tell whether it is worse than *best* by a part, noise aside."""
        noise = SURE * hypot(self.error, best.error)
        return self.energy > best.energy * (1 + by) + noise


@dataclass(frozen=True, slots=True)
class Limits:
    """How the search may move."""

    low: float
    step: float  # the largest; in the unit of the knob
    slowdown: float | None  # the part of the throughput that it may cost; None: not measured


@dataclass(frozen=True, slots=True)
class Search:
    """Where the search is; each value is a state of its own."""

    at: float  # where the knob is to be
    phase: Phase = Phase.DOWN
    points: tuple[Point, ...] = ()
    samples: tuple[Sample, ...] = ()
    wall: float | None = None  # at this value and below a constraint broke

    @property
    def best(self) -> Point:
        """The best point above the wall, of equals the highest."""
        allowed = [each for each in self.points if self.wall is None or each.at > self.wall]
        least = min((each.energy for each in allowed), default=0.0)
        good = [each for each in allowed if each.energy <= least * (1 + EQUAL)]
        return max(good or self.points[:1], key=lambda each: each.at)

    def sampled(self, sample: Sample, wanted: int) -> tuple["Search", Point | None]:
        """Take a sample; return the point, once there are enough of them for its noise."""
        samples = (*self.samples, sample)
        point = _point(self.at, samples) if len(samples) >= wanted else None
        bar = PRECISE if self.points else FIRST * PRECISE
        if point is None or (point.noise > bar and len(samples) < PATIENCE * wanted):
            return replace(self, samples=samples), None
        return replace(self, samples=()), point

    def costs(self, work: float | None) -> float:
        """Return the part of the first point's throughput that is lost at *work*."""
        first = self.points[0].work if self.points else None
        return 0.0 if not first or work is None else 1 - work / first


def _point(at: float, samples: tuple[Sample, ...]) -> Point:
    energy, error = _mean([each.energy for each in samples])
    works = [each.work for each in samples if each.work is not None]
    work, doubt = _mean(works) if works else (None, 0.0)
    return Point(at, energy, error, work, doubt)


def _mean(values: list[float]) -> tuple[float, float]:
    """Return the mean and its standard error."""
    error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return fmean(values), error


def measured(search: Search, point: Point, limits: Limits) -> Search:
    """Return where to go after a point was measured."""
    others = tuple(each for each in search.points if each.at != point.at)
    search = replace(search, points=(*others, point), samples=())
    doubt = point.doubt / point.work if point.work else 0.0
    if limits.slowdown is not None and search.costs(point.work) + doubt > limits.slowdown:
        return turned_back(search, limits)
    if search.phase is Phase.DOWN and (lower := _lower(search, point, limits)) is not None:
        return replace(search, at=lower)
    return _closer(replace(search, phase=Phase.REFINE), limits)


def turned_back(search: Search, limits: Limits) -> Search:
    """Return where to go when a constraint breaks here."""
    if not search.points:  # it breaks without us
        return replace(search, samples=())
    wall = search.at if search.wall is None else max(search.wall, search.at)
    search = replace(search, wall=wall, samples=())
    if search.phase is Phase.HOLD:
        top = search.points[0].at
        return replace(search, at=min(wall + limits.step, top))
    return _closer(replace(search, phase=Phase.REFINE), limits)


def _lower(search: Search, point: Point, limits: Limits) -> float | None:
    """Return the next value below, None when it is time to turn back."""
    best = search.best
    trail = search.points[-BUMP:]
    rising = len(trail) == BUMP and all(each.worse(best, WORSE) for each in trail)
    if rising or point.worse(best, MUCH_WORSE):
        return None
    size = min(limits.step, _allowed(search, limits))
    end = limits.low if search.wall is None else max(limits.low, search.wall + limits.step / 2)
    lower = max(point.at - size, end)
    return lower if point.at - lower >= CRAWL * limits.step else None


def _allowed(search: Search, limits: Limits) -> float:
    """Return how far the throughput lets us go, if it falls STEEPENS times as fast from here on."""
    if limits.slowdown is None or len(search.points) < 2:  # noqa: PLR2004 (a slope needs two)
        return limits.step
    before, here = search.points[-LEVER:][0], search.points[-1]
    lost, lately = search.costs(here.work), search.costs(here.work) - search.costs(before.work)
    if lately <= 0:
        return limits.step
    size = (limits.slowdown - lost) / (STEEPENS * lately / (before.at - here.at))
    return size if lost > limits.slowdown / 2 else max(size, STRIDE * limits.step)


def _closer(search: Search, limits: Limits) -> Search:
    """Look half way to both neighbours of the best; then hold it."""
    best = search.best
    ordered = sorted({each.at for each in search.points})
    for low, high in pairwise(ordered):
        middle = (low + high) / 2
        near = best.at in {low, high} and high - low > limits.step / 2
        if near and (search.wall is None or low > search.wall):
            return replace(search, at=middle)
    return replace(search, at=best.at, phase=Phase.HOLD)
