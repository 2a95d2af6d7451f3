"""A guarded descent on a noisy curve: down from the value in force while it pays, then the best.

A power cap's energy per unit of work is U-shaped with a cliff: flat while the cap lies above the
draw, falling, then rising steeply while the throughput breaks down. So the search measures a place
every `step`, and goes from one to the next in moves that are small against what is left of the
throughput's budget. After each it looks, by a single sample where that tells enough, before it goes
on, and turns back at the first sign of a cliff. A lone bump does not stop it.

What holds: a value that costs more than the budget lies one move below one that was seen not to,
and the move is no longer than the budget left there / STEEP, or than the smallest. So past the
budget it loses what the throughput falls within that move; a vertical cliff cannot be foreseen.

Noise takes time, not safety: all samples of a place count, whenever they were taken, and all places
together tell how noisy a sample is. The search stays until the errors are small against what is
left of the budget, or until the place is known as well as the first one, which errs in all
comparisons. Then what is left counts only as far as the errors do not reach.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from math import inf

# A card whose clock follows its cap, at a voltage that falls no further, loses one part in (cap
# less idle draw) per part of cap: 3.3 at half the cap, where a fifth is drawn idle; less above.
STEEP = 3.0  # parts of throughput per part of the value, where nothing is known
STEEPENS = 2.0  # how much steeper the throughput may fall in the next move than within a step
CRAWL = 0.05  # of a step: the smallest move, where the knob can make it
WORSE = 0.03  # above the best: so many such places in a row end the descent
BUMP = 6  # measured curves have bumps up to five steps wide
MUCH_WORSE = 0.2  # above the best: one ends it
EQUAL = 0.005  # as good: the higher value of two wins, since it costs less throughput
HIDDEN = (
    0.03  # by which part a value between two measured ones may at most be better: the energy of
)
# a unit of work falls no faster than the value does
PRECISE = 0.005  # relative standard error of the energy of a measured place
FINE = 1 / 64  # of the budget: standard error of the first place's throughput
FINER = 0.001  # of the throughput: the same, where the budget is large
TWICE = 2  # as many samples for it at least: it tells how noisy they are
PATIENCE = 128  # times as many samples of a place at most
WINDOWS = 750  # times as many of a search
SURE = 2.5  # standard errors by which a loss is taken to be larger, and a difference smaller
WARY = 1.0  # beyond the budget by so many, a loss is taken for what it seems
CERTAIN = 3.5  # by so many already at the first samples, and a slope is taken for one
SPARE = 0.8  # of what is left of the budget: the errors are smaller when the search goes on
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
class Place:
    """A value of the knob, and the means of the samples taken there."""

    at: float
    count: int = 0
    energy: float = 0.0
    work: float = 0.0
    measured: bool = False  # well enough to be chosen

    def plus(self, sample: Sample) -> "Place":
        """Return it with one more sample."""
        count, work = self.count + 1, sample.work or 0.0
        energy = self.energy + (sample.energy - self.energy) / count
        work = self.work + (work - self.work) / count
        return replace(self, count=count, energy=energy, work=work)


@dataclass(frozen=True, slots=True)
class Noise:
    """How far samples lie from the mean of their place, relative to it; of all places so far."""

    freedom: int = 0
    energy: float = 0.0  # sums of squares
    work: float = 0.0

    def plus(self, before: Place, sample: Sample, after: Place) -> "Noise":
        """Learn from one more sample of a place (Welford's sums)."""
        energy = (sample.energy - before.energy) * (sample.energy - after.energy)
        value = sample.work or 0.0
        work = (value - before.work) * (value - after.work)
        return Noise(
            self.freedom + (after.count > 1),
            self.energy + (energy / after.energy**2 if after.energy else 0.0),
            self.work + (work / after.work**2 if after.work else 0.0),
        )

    def of(self, *places: Place) -> tuple[float, float]:
        """Return the relative standard errors of energy and work, when places are compared."""
        parts = sum(1 / each.count for each in places) / max(self.freedom, 1)
        return (self.energy * parts) ** 0.5, (self.work * parts) ** 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """How the search may move; in the unit of the knob."""

    low: float
    step: float  # from one measured place to the next
    smallest: float  # move
    slowdown: float | None  # the part of the throughput that it may cost; None: not measured
    samples: int  # of a measured place, at least


@dataclass(frozen=True, slots=True)
class Search:
    """Where the search is; each value is a state of its own."""

    at: float  # where the knob is to be
    phase: Phase = Phase.DOWN
    places: tuple[Place, ...] = ()  # as first visited; the first is the measure of what is lost
    noise: Noise = field(default_factory=Noise)
    resting: Place | None = None  # what is measured at rest, until it tells enough
    passed: float | None = None  # the lowest value seen to cost no more than the budget
    wall: float | None = None  # at this value and below a constraint broke

    @property
    def measured(self) -> list[Place]:
        """The places that can be chosen."""
        floor = -inf if self.wall is None else self.wall
        return [each for each in self.places if each.measured and each.at > floor]

    @property
    def best(self) -> Place:
        """The best of them, of equals the highest; each by what it may be in truth."""
        energies = {each: each.energy * (1 + self.noise.of(each)[0]) for each in self.measured}
        least = min(energies.values(), default=0.0)
        good = [each for each, energy in energies.items() if energy <= least * (1 + EQUAL)]
        return max(good or self.places[:1], key=lambda each: each.at)

    @property
    def here(self) -> Place:
        """What is known of the value where it is; at rest, what was measured lately."""
        if self.phase is Phase.HOLD:
            return self.resting or Place(self.at)
        return next((each for each in self.places if each.at == self.at), Place(self.at))

    def plus(self, sample: Sample) -> "Search":
        """Return it with one more sample of where it is."""
        before = self.here
        after = before.plus(sample)
        noise = self.noise.plus(before, sample, after)
        if self.phase is Phase.HOLD:
            return replace(self, noise=noise, resting=after)
        return replace(self, noise=noise, places=self.placing(after))

    def placing(self, here: Place) -> tuple[Place, ...]:
        """Return the places, with one of them as it is known now."""
        if any(each.at == here.at for each in self.places):
            return tuple(here if each.at == here.at else each for each in self.places)
        return (*self.places, here)

    def costs(self, here: Place) -> float:
        """Return the part of the first place's throughput that is lost."""
        first = self.places[0].work
        return 1 - here.work / first if first else 0.0

    def left(self, here: Place, limits: Limits, errors: float) -> float:
        """Return what is left of the budget, after so many standard errors of what is lost."""
        first = self.places[0]
        if limits.slowdown is None or here.at == first.at:
            return inf if limits.slowdown is None else limits.slowdown
        return limits.slowdown - self.costs(here) - errors * self.noise.of(here, first)[1]

    def worse(self, here: Place, best: Place, by: float) -> bool:
        """Tell whether a place is worse than another by a part, noise aside."""
        noise = SURE * self.noise.of(here, best)[0]
        return here.energy > best.energy * (1 + by + noise)

    def spent(self, limits: Limits) -> bool:
        """Tell whether it has taken as many samples as a search may."""
        taken = sum(each.count for each in self.places)
        return self.phase is not Phase.HOLD and taken >= WINDOWS * limits.samples


def sampled(search: Search, sample: Sample, limits: Limits) -> tuple[Search, Place | None]:
    """Take a sample; return where to be then, and the place if it is measured now."""
    search = search.plus(sample)
    here, resting = search.here, search.phase is Phase.HOLD
    if search.left(here, limits, -CERTAIN) < (-PLUNGE if resting else 0.0):
        return turned_back(search, limits), None
    if resting:
        enough = _enough(search, here, limits)
        return (replace(search, resting=None), here) if enough else (search, None)
    lower = _lower(search, here, limits, SURE) if search.phase is Phase.DOWN else None
    if _torn(search, here, limits, lower):
        if not _tired(search, here, limits):
            return search, None
        lower = None
    due = search.measured[-1].at - limits.step if search.measured else here.at
    if lower is not None and here.at - due >= limits.smallest / 2:
        return replace(search, at=max(lower, due), passed=here.at), None
    if not _enough(search, here, limits):
        return search, None
    return _measured(search, here, limits, lower), here


def turned_back(search: Search, limits: Limits) -> Search:
    """Return where to go when a constraint breaks here."""
    if not any(each.measured for each in search.places):  # it breaks without us
        return replace(search, places=())
    wall = search.at if search.wall is None else max(search.wall, search.at)
    search = replace(search, wall=wall, resting=None)
    if search.phase is Phase.HOLD:
        top = search.places[0].at
        return replace(search, at=min(wall + limits.step, top))
    return _closer(search, limits)


def _enough(search: Search, here: Place, limits: Limits) -> bool:
    """Tell whether a place is measured well enough, or for long enough."""
    first = len(search.places) == 1
    energy, work = search.noise.of(here)
    budget = limits.slowdown if first else None
    fine = budget is None or work <= min(FINE * budget, FINER)
    least = limits.samples * (TWICE if first else 1)
    precise = here.count >= least and energy <= PRECISE and fine
    return precise or _tired(search, here, limits)


def _tired(search: Search, here: Place, limits: Limits) -> bool:
    """Tell whether more samples are not worth their time."""
    first, most = search.places[0], PATIENCE * limits.samples
    if here.at != first.at:
        most = min(first.count, most)
    return here.count >= most or search.spent(limits)


def _torn(search: Search, here: Place, limits: Limits, lower: float | None) -> bool:
    """Tell whether it is noise alone that forbids, or allows, to stay or to go on."""
    if limits.slowdown is None or len(search.places) == 1:
        return False
    left, sure = search.left(here, limits, 0), search.left(here, limits, SURE)
    if search.left(here, limits, -WARY) >= 0 > sure:
        return True
    if search.phase is not Phase.DOWN or _lower(search, here, limits, 0) is None:
        return False
    return lower is None or left - sure > SPARE * left


def _measured(search: Search, here: Place, limits: Limits, lower: float | None) -> Search:
    """Return where to go after a place was measured."""
    if search.left(here, limits, SURE) < 0:
        return turned_back(search, limits)
    passed = here.at if search.passed is None else min(search.passed, here.at)
    places = search.placing(replace(here, measured=True))
    search = replace(search, places=places, passed=passed)
    return _closer(search, limits) if lower is None else replace(search, at=lower)


def _lower(search: Search, here: Place, limits: Limits, errors: float) -> float | None:
    """Return the next value below, None when it is time to turn back."""
    if search.spent(limits) or _rising(search, here, limits):
        return None
    size = _allowed(search, here, limits, errors)
    end = limits.low if search.wall is None else max(limits.low, search.wall + limits.step / 2)
    lower = max(here.at - size, end)
    return lower if here.at - lower >= limits.smallest else None


def _rising(search: Search, here: Place, limits: Limits) -> bool:
    """Tell whether the best lies clearly behind."""
    if not search.measured:
        return False
    best, lowest = search.best, search.measured[-1].at
    trail = [each for each in search.measured if each.at < lowest + (BUMP - 0.5) * limits.step]
    long = len(trail) >= BUMP and all(search.worse(each, best, WORSE) for each in trail)
    return long or search.worse(here, best, MUCH_WORSE)


def _allowed(search: Search, here: Place, limits: Limits, errors: float) -> float:
    """Return how far the throughput lets us go."""
    if limits.slowdown is None:
        return limits.step
    left, first = search.left(here, limits, errors), search.places[0]
    if left <= 0:
        return 0.0
    blind = left / STEEP * first.at
    size = min(max(blind, limits.smallest), limits.step)
    steepest = STEEPENS * max(_slopes(search, here, limits), default=0.0)
    return min(size, left / steepest) if steepest > 0 else size


def _slopes(search: Search, here: Place, limits: Limits) -> Iterator[float]:
    """Yield how fast the throughput has fallen from places up to a step above.

    Noise aside, but for measured places far enough away that it does not matter.
    """
    for each in search.places:
        way = each.at - here.at
        if 0 < way <= limits.step + limits.smallest:
            far = each.measured and way >= limits.step / 2
            noise = 0.0 if far else CERTAIN * search.noise.of(here, each)[1]
            yield (search.costs(here) - search.costs(each) - noise) / way


def _closer(search: Search, limits: Limits) -> Search:
    """Measure the lowest value passed; look half way to what is beside the best; then hold it."""
    search = replace(search, phase=Phase.REFINE)
    best, wall, passed = search.best, search.wall, search.passed
    places = sorted(each.at for each in search.measured)
    if (
        passed is not None
        and (wall is None or passed > wall)
        and passed < min(places, default=passed)
    ):
        return replace(search, at=passed)
    for low, high in pairwise(places if wall is None else [wall, *places]):
        near = limits.step / 2
        if low != wall:
            near = min(near, HIDDEN * high)
        elif limits.slowdown is not None:
            near /= 2
        near = max(near, 2 * limits.smallest)
        if best.at in {low, high} and high - low > near and not search.spent(limits):
            return replace(search, at=(low + high) / 2)
    return replace(search, at=best.at, phase=Phase.HOLD)
