"""A guarded descent on a noisy curve: down from the value in force while it pays, then the best.

A power cap's energy per unit of work is U-shaped with a cliff: flat while the cap lies above the
draw, falling, then rising steeply while the throughput breaks down. So the search measures a point
every `step`, and goes from one to the next in moves that are small against what is left of the
throughput's budget. After each it looks, by a single sample where that tells enough, before it goes
on, and turns back at the first sign of a cliff. A lone bump does not stop it.

What holds: a value that costs more than the budget lies one move below one that was seen not to,
and the move is no longer than the budget left there / STEEP, or than the smallest. So past the
budget it loses what the throughput falls within that move; a vertical cliff cannot be foreseen.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from math import hypot
from statistics import fmean

# A card whose clock follows its cap, at a voltage that falls no further, loses one part in (cap
# less idle draw) per part of cap: 3.3 at half the cap, where a fifth is drawn idle; less above.
STEEP = 3.0  # parts of throughput per part of the value, where nothing is known
STEEPENS = 3.0  # how much steeper the throughput may fall in the next move than lately
CRAWL = 0.05  # of a step: the smallest move, where the knob can make it
WORSE = 0.03  # above the best: so many such points in a row end the descent
BUMP = 6  # measured curves have bumps up to five steps wide
MUCH_WORSE = 0.2  # above the best: one ends it
EQUAL = 0.005  # as good: the higher value of two wins, since it costs less throughput
PRECISE = 0.0035  # relative standard error of a point; noisier ones get more samples
FIRST = 0.5  # of that for the first point: its error is in all comparisons
TWICE = 2  # as many samples for it: it tells how noisy they are
PATIENCE = 12  # times as many samples at most
SURE = 2.0  # standard errors, to go on
CERTAIN = 3.0  # standard errors, to turn back before a point is measured
PLUNGE = 0.05  # throughput lost beyond the budget at rest, where it also follows the load


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
    doubt: float = 0.0  # relative standard error of the work

    @property
    def noise(self) -> float:
        """The larger of the relative errors."""
        return max(self.error / self.energy if self.energy else 0.0, self.doubt)

    def worse(self, best: "Point", by: float) -> bool:
        """Tell whether it is worse than *best* by a part, noise aside."""
        noise = SURE * hypot(self.error, best.error)
        return self.energy > best.energy * (1 + by) + noise


@dataclass(frozen=True, slots=True)
class Noise:
    """How far samples lie from the mean of their place, relative to it; of all places so far."""

    freedom: int = 0
    energy: float = 0.0  # sum of squares
    work: float = 0.0

    def plus(self, samples: tuple[Sample, ...]) -> "Noise":
        """Learn from one more place."""
        energies = _squares([each.energy for each in samples])
        works = _squares([each.work for each in samples if each.work is not None])
        more = max(len(samples) - 1, 0)
        return Noise(self.freedom + more, self.energy + energies, self.work + works)

    def point(self, at: float, samples: tuple[Sample, ...]) -> Point:
        """Return the mean of samples, with its errors."""
        energy = fmean(each.energy for each in samples)
        works = [each.work for each in samples if each.work is not None]
        degrees = max(self.freedom, 1) * len(samples)
        error, doubt = (self.energy / degrees) ** 0.5, (self.work / degrees) ** 0.5
        return Point(at, energy, abs(energy) * error, fmean(works) if works else None, doubt)


def _squares(values: list[float]) -> float:
    mean = fmean(values) if values else 0.0
    return sum((each / mean - 1) ** 2 for each in values) if mean else 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How the search may move; in the unit of the knob."""

    low: float
    step: float  # from point to point
    smallest: float  # move
    slowdown: float | None  # the part of the throughput that it may cost; None: not measured
    samples: int  # of a point, at least


@dataclass(frozen=True, slots=True)
class Search:
    """Where the search is; each value is a state of its own."""

    at: float  # where the knob is to be
    phase: Phase = Phase.DOWN
    points: tuple[Point, ...] = ()
    samples: tuple[Sample, ...] = ()
    noise: Noise = field(default_factory=Noise)
    passed: float | None = None  # the lowest value seen to cost no more than the budget
    wall: float | None = None  # at this value and below a constraint broke

    @property
    def best(self) -> Point:
        """The best point above the wall, of equals the highest."""
        allowed = [each for each in self.points if self.wall is None or each.at > self.wall]
        least = min((each.energy for each in allowed), default=0.0)
        good = [each for each in allowed if each.energy <= least * (1 + EQUAL)]
        return max(good or self.points[:1], key=lambda each: each.at)

    def costs(self, work: float | None) -> float:
        """Return the part of the first point's throughput that is lost at *work*."""
        first = self.points[0].work if self.points else None
        return 0.0 if not first or work is None else 1 - work / first

    def left(self, here: Point, limits: Limits, errors: float) -> float:
        """Return what is left of the budget, after so many standard errors of what is lost."""
        first = self.points[0] if self.points else here
        if limits.slowdown is None or here.at == first.at:
            return 1.0 if limits.slowdown is None else limits.slowdown
        return limits.slowdown - self.costs(here.work) - errors * hypot(here.doubt, first.doubt)


def sampled(search: Search, sample: Sample, limits: Limits) -> tuple[Search, Point | None]:
    """Take a sample; return where to be then, and the point if it is measured now."""
    search = replace(search, samples=(*search.samples, sample))
    noise = search.noise.plus(search.samples)
    here = noise.point(search.at, search.samples)
    spare = PLUNGE if search.phase is Phase.HOLD else 0.0
    if search.left(here, limits, -CERTAIN) < -spare:
        return turned_back(search, limits), None
    if _enough(search, here, limits):
        search = replace(search, noise=noise, samples=())
        return search if search.phase is Phase.HOLD else _measured(search, here, limits), here
    if search.phase is Phase.DOWN and (lower := _passing(search, here, limits)) is not None:
        return replace(search, at=lower, samples=(), noise=noise, passed=search.at), None
    return search, None


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


def _enough(search: Search, here: Point, limits: Limits) -> bool:
    """Tell whether the samples make a point: no more of them would tell where to go."""
    first = not search.points
    count, least = len(search.samples), limits.samples * (TWICE if first else 1)
    precise = here.noise <= PRECISE * (FIRST if first else 1.0)
    return count >= PATIENCE * least or (
        count >= least and precise and not _torn(search, here, limits)
    )


def _torn(search: Search, here: Point, limits: Limits) -> bool:
    """Tell whether the throughput's noise alone forbids what its mean allows."""
    if not search.points or search.phase is Phase.HOLD:
        return False
    if search.left(here, limits, 0) >= 0 > search.left(here, limits, SURE):
        return True
    able = search.phase is Phase.DOWN and _lower(search, here, limits, 0) is not None
    return able and _lower(search, here, limits, SURE) is None


def _measured(search: Search, point: Point, limits: Limits) -> Search:
    """Return where to go after a point was measured."""
    others = tuple(each for each in search.points if each.at != point.at)
    search = replace(search, points=(*others, point))
    if search.left(point, limits, SURE) < 0:
        return turned_back(search, limits)
    passed = point.at if search.passed is None else min(search.passed, point.at)
    search = replace(search, passed=passed)
    if search.phase is Phase.DOWN and (lower := _lower(search, point, limits, SURE)) is not None:
        return replace(search, at=lower)
    return _closer(replace(search, phase=Phase.REFINE), limits)


def _passing(search: Search, here: Point, limits: Limits) -> float | None:
    """Return the next value below, if this one need not be measured; None: stay."""
    if not search.points:
        return None
    due = search.points[-1].at - limits.step
    lower = _lower(search, here, limits, SURE)
    return None if lower is None or here.at - due < limits.smallest else max(lower, due)


def _lower(search: Search, here: Point, limits: Limits, errors: float) -> float | None:
    """Return the next value below, None when it is time to turn back."""
    best, lowest = search.best, search.points[-1].at
    trail = [each for each in search.points if each.at < lowest + (BUMP - 0.5) * limits.step]
    rising = len(trail) >= BUMP and all(each.worse(best, WORSE) for each in trail)
    if rising or here.worse(best, MUCH_WORSE):
        return None
    size = _allowed(search, here, limits, errors)
    end = limits.low if search.wall is None else max(limits.low, search.wall + limits.step / 2)
    lower = max(here.at - size, end)
    return lower if here.at - lower >= limits.smallest else None


def _allowed(search: Search, here: Point, limits: Limits, errors: float) -> float:
    """Return how far the throughput lets us go."""
    if limits.slowdown is None:
        return limits.step
    left, first = search.left(here, limits, errors), search.points[0]
    if left <= 0:
        return 0.0
    blind = left / STEEP * first.at
    size = min(max(blind, limits.smallest), limits.step)
    above = [each for each in search.points if each.at >= here.at + limits.step / 2] or [first]
    fallen = search.costs(here.work) - search.costs(above[-1].work)
    if fallen <= 0:
        return size
    seen = left / STEEPENS * (above[-1].at - here.at) / fallen
    return min(size, max(seen, limits.smallest) if blind >= limits.smallest else seen)


def _closer(search: Search, limits: Limits) -> Search:
    """Measure the lowest value passed; look half way to what is beside the best; then hold it."""
    best, wall, passed = search.best, search.wall, search.passed
    places = sorted({each.at for each in search.points if wall is None or each.at > wall})
    if (
        passed is not None
        and (wall is None or passed > wall)
        and passed < min(places, default=passed)
    ):
        return replace(search, at=passed)
    for low, high in pairwise(places if wall is None else [wall, *places]):
        budget_ended = low == wall and limits.slowdown is not None
        near = max(limits.step / (4 if budget_ended else 2), 2 * limits.smallest)
        if best.at in {low, high} and high - low > near:
            return replace(search, at=(low + high) / 2)
    return replace(search, at=best.at, phase=Phase.HOLD)
