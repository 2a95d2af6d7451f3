"""The search law: the value of the knob at which an expression is least, such as joules per token.

The search itself is in `search`; here is what it may measure. A sample counts when the value is in
force and settled, the constraint is known to hold, and the load is that of the search's beginning.
Having found the best value the law holds it, and looks on: it moves a step back up when the
constraint breaks, and searches again when the energy or the load has drifted for long, each time
after a longer rest.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from wattgov_actuator.document.strict import Fields, Quantity
from wattgov_actuator.laws.search import (
    CRAWL,
    Limits,
    Phase,
    Place,
    Sample,
    Search,
    sampled,
    turned_back,
)
from wattgov_actuator.rules import (
    UNMEASURED,
    Bounds,
    Kind,
    Law,
    LawForm,
    Look,
    Measure,
    Strategy,
    Traits,
    Want,
)

LARGEST = 10.0  # percent of the highest value; a cliff is seldom wider
STEP = Quantity(5, "percent")  # measured curves rise by at most 4 % within half of it
SAME_LOAD = 0.15  # relative; energy per unit of work follows the load
DRIFT = 0.05  # of the energy found, beyond its noise
DRIFTS = 3  # measurements in a row that have drifted
LONGEST_REST = 16  # times `rest`
AWAY = 1.9  # intervals and `hold` since it was asked last: its claim ended for want of data
MOST_SAMPLES = 100  # of a place, at least; more take too long


@dataclass(frozen=True, slots=True)
class Course:
    """What the law remembers."""

    search: Search
    since: float | None = None  # steady seconds: since when the value wished for is in force
    arrived: bool = False  # it was in force once
    load: float | None = None  # of the first place
    found: Place | None = None  # the best, as first measured while held
    drifts: int = 0
    rested: float = 0.0  # steady seconds: when it came to rest
    rests: int = 1  # the rest before the next search, in units of `rest`
    looked: float = 0.0  # steady seconds: when it was asked last
    blind_since: float | None = None  # likewise: since when nobody tells whether its limit holds


@dataclass(frozen=True, slots=True)
class Minimise:
    """Find the least of *expr*, and stay there."""

    expr: str
    subject_to: str | None = None
    work: str | None = None
    load: str | None = None
    slowdown: float = 0.05
    step: Quantity = STEP
    settle_seconds: float = 30.0
    samples: int = 4
    rest_seconds: float = 1800.0
    traits: ClassVar[Traits] = Traits(measures=True, paced=True, judges=True)

    @property
    def asks(self) -> tuple[str, ...]:
        """The objective, and what bounds it."""
        return tuple(each for each in (self.expr, self.subject_to, self.work, self.load) if each)

    def wish(self, look: Look) -> Want:
        """Claim the value that is to be measured, or the best."""
        current = look.reading.current
        if not look.true or current is None:
            return Want(look.claim, memory=look.memory)
        if look.reading.conflict:  # what is measured at somebody else's value tells nothing of ours
            return Want(None)
        top, course = _top(current, look), look.memory
        if not isinstance(course, Course) or _below(course.search, top, look):
            course = _start(top, look)
        now, unknown = look.now.steady, self._unknown(look)
        since = course.blind_since if unknown and course.blind_since is not None else now
        if unknown and look.claim is not None and now - since >= look.hold_seconds:
            return Want(None, detail=f"its limit is not known for {now - since:.0f} s: {unknown}")
        course = self._next(course, current, look)
        course = replace(course, looked=now, blind_since=since if unknown else None)
        search = course.search
        detail = f"{search.phase} at {search.at:g}; {len(search.measured)} values measured"
        detail = f"{detail}; its limit is not known: {unknown}" if unknown else detail
        return Want(search.at, memory=course, detail=detail)

    def _unknown(self, look: Look) -> str:
        """Say why nobody tells whether its limit holds; empty while somebody does."""
        holds, work = self._asked(look, self.subject_to), self._asked(look, self.work)
        if self.subject_to and not holds.known:
            return holds.why
        return work.why if self.work and work.value is None else ""

    def _next(self, course: Course, current: float, look: Look) -> Course:
        search, now = course.search, look.now.steady
        if not look.reading.target.same(current, search.at):
            return _moving(course, current, look)
        if course.since is None:
            course = replace(course, since=now, arrived=True)
        holds = self._asked(look, self.subject_to)
        if self.subject_to and holds.known and holds.value is None:
            return self._moved(course, turned_back(search, self._limits(look)), look)
        settled = course.since is not None and now - course.since >= self.settle_seconds
        if not settled or (self.subject_to and not holds.known):
            return course
        return self._measured(course, look)

    def _measured(self, course: Course, look: Look) -> Course:
        """Take a sample, if all that belongs to it is known and the load is comparable."""
        energy, work = self._asked(look, self.expr).value, self._asked(look, self.work).value
        load = self._asked(look, self.load).value
        if energy is None or (self.work and work is None) or (self.load and load is None):
            return course
        if course.load is None:
            course = replace(course, load=load)
        if load is not None and not _same_load(course.load, load):
            return self._drifted(course, look)
        limits = self._limits(look)
        resting = course.search.phase is Phase.HOLD
        search, point = sampled(course.search, Sample(energy, work), limits)
        course = self._moved(course, search, look)
        return self._held(course, point, look) if resting and point is not None else course

    def _moved(self, course: Course, search: Search, look: Look) -> Course:
        """Note a new place; coming to rest starts the rest."""
        if search.at == course.search.at and search.phase is course.search.phase:
            return replace(course, search=search)
        rested = look.now.steady if search.phase is Phase.HOLD else course.rested
        if search.at == course.search.at:
            return replace(course, search=search, rested=rested)
        found = course.found if course.search.phase is Phase.HOLD else None
        return replace(
            course, search=search, since=None, arrived=False, found=found, drifts=0, rested=rested
        )

    def _held(self, course: Course, point: Place, look: Look) -> Course:
        """Compare what is measured at rest with what was found."""
        if course.found is None:
            return replace(course, found=point)
        search, found = course.search, course.found
        if not search.worse(found, point, DRIFT) and not search.worse(point, found, DRIFT):
            return replace(course, drifts=0)
        return self._drifted(course, look)

    def _drifted(self, course: Course, look: Look) -> Course:
        """Count what is not as it was found; search again after enough of it and of rest."""
        course = replace(course, drifts=course.drifts + 1)
        search, now = course.search, look.now.steady
        if search.phase is not Phase.HOLD:
            many = course.drifts >= DRIFTS * self.samples
            return _start(_top(search.at, look), look) if many else course
        if course.drifts < DRIFTS or now - course.rested < course.rests * self.rest_seconds:
            return course
        again = _start(_top(search.at, look), look)
        return replace(again, rests=min(2 * course.rests, LONGEST_REST))

    def _limits(self, look: Look) -> Limits:
        resolution = look.reading.target.resolution
        step = max(self.step.of(look.reading.target.high), resolution)
        smallest = max(CRAWL * step, resolution)
        slowdown = self.slowdown if self.work else None
        return Limits(look.low, step, smallest, slowdown, self.samples)

    @staticmethod
    def _asked(look: Look, expr: str | None) -> Measure:
        return look.asked.get(expr, UNMEASURED) if expr else UNMEASURED


def _start(at: float, look: Look, wall: float | None = None) -> Course:
    """Begin at a value, which is the measure of what is lost later."""
    return Course(Search(min(max(at, look.low), look.high), wall=wall), rested=look.now.steady)


def _top(current: float, look: Look) -> float:
    """Return what would be in force without us: what others leave, and never a value of ours.

    Ours may be in force still, after new rules or where it could not be put back; what the search
    costs would be measured against it.
    """
    base = current if look.reading.base is None else look.reading.base
    return base if look.others is None else min(base, look.others)


def _below(search: Search, top: float, look: Look) -> bool:
    """Tell whether it began below: another rule held the knob then, and has let go."""
    step = look.reading.target.resolution
    return bool(search.places) and min(top, look.high) - search.places[0].at >= max(step, 1e-9)


def _moving(course: Course, current: float, look: Look) -> Course:
    """Wait until the value wished for is in force; start anew after a guard has put it back.

    That is the value's fault, unless nothing was known for a while, or nothing was claimed.
    """
    search, target = course.search, look.reading.target
    if course.arrived and look.claim is None:
        away, top = look.hold_seconds + AWAY * look.interval_seconds, _top(current, look)
        first = search.places[0].at if search.places else search.at
        if look.now.steady - course.looked > away or search.at >= first:
            return _start(top, look)
        wall = search.at if search.wall is None else max(search.wall, search.at)
        return _start(top, look, wall=min(wall, top - target.resolution))
    return replace(course, since=None, search=replace(search, resting=None))


def _same_load(before: float | None, now: float) -> bool:
    return before is None or abs(now - before) <= SAME_LOAD * abs(before)


def parse(fields: Fields, knob: str, kind: Kind, strategy: Strategy, _bounds: Bounds) -> Law | None:
    """Read `minimise` of a rule."""
    block = fields.block("minimise")
    if block is None:
        return None
    texts = {name: block.expression(name, "") or None for name in ("subject_to", "work", "load")}
    expr = block.expression("expr")
    slowdown = block.quantity("slowdown", ("percent",), "slowdown", strategy.slowdown)
    step = block.quantity("step", kind.accepts, knob, STEP) or STEP
    samples = block.count("samples", 4, at_least=2)
    settle, rest = block.seconds("settle", 30.0), block.seconds("rest", 1800.0, at_least=60.0)
    if texts["subject_to"] is None and texts["work"] is None:
        block.say(None, "a search needs a limit: give subject_to, or work (the throughput)")
    if "slowdown" in block and texts["work"] is None:
        block.say("slowdown", "slowdown is of the throughput; give it as work")
    if step.value <= 0 or (step.unit == "percent" and step.value > LARGEST):
        block.say("step", f"step must be above 0 and at most {LARGEST:g}%, found {step}")
    if samples > MOST_SAMPLES:
        block.say("samples", f"samples must be at most {MOST_SAMPLES}, found {samples}")
    block.end()
    part = (slowdown or strategy.slowdown).value / 100
    return Minimise(
        expr, texts["subject_to"], texts["work"], texts["load"], part, step, settle, samples, rest
    )


FORM = LawForm(keys=("minimise",), parse=parse, sizes=("minimise",))
