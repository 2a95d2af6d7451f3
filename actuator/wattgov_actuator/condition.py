"""Three-valued conditions: true, false or unknown, for one target, from samples of a known age."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import isfinite

from wattgov_actuator.naming import NO_SERIES, Named, Series, named, ordered
from wattgov_actuator.reading import Answer, Moment, Sample, Target, uuid_of
from wattgov_actuator.record import record

AHEAD_SECONDS = 5.0  # two clocks kept by NTP differ by less


class State(StrEnum):
    """What is known of a condition; the last two are unknown."""

    TRUE = "true"
    FALSE = "false"
    STALE = "stale"
    NO_DATA = "no_data"


TRUE, FALSE, STALE, NO_DATA = State  # Python 3.11 takes longer from an enum to its member than to
# judge with it


@record
class Judged:
    """A condition at one target, with what it was judged on."""

    state: State
    why: str
    value: float | None = None
    sampled: float | None = None  # unix seconds of the oldest raw sample behind it
    instance: str | None = None  # whose series it was

    @property
    def true(self) -> bool:
        """Known to be true."""
        return self.state is TRUE

    @property
    def false(self) -> bool:
        """Known to be false."""
        return self.state is FALSE

    @property
    def unknown(self) -> bool:
        """Neither true nor false."""
        return self.state is STALE or self.state is NO_DATA


@dataclass(frozen=True, slots=True)
class Heard:
    """What one group's freshness says of targets that it does not name one by one."""

    ages: dict[str | None, Judged] = field(default_factory=dict)  # by instance
    silences: dict[tuple[str, str | None], Judged] = field(default_factory=dict)  # likewise


@dataclass(frozen=True, slots=True)
class Known:
    """What holds for many targets of one tick, found once for all that have the same labels."""

    named: dict[str, Named] = field(default_factory=dict)  # by expression
    wide: dict[tuple[str, str, str | None], Series] = field(default_factory=dict)
    heard: dict[tuple[str, float], Heard] = field(default_factory=dict)

    def by(self, freshness: str, max_age_seconds: float) -> Heard:
        """Return what is heard by one measure of age."""
        found = self.heard.get((freshness, max_age_seconds))
        if found is None:
            found = self.heard[freshness, max_age_seconds] = Heard()
        return found


@record
class View:
    """One target, and all that its conditions are judged on."""

    target: Target
    seen: str | None  # the instance whose series named the target before
    answers: Mapping[str, Answer]
    freshness: str  # the expression that tells when raw samples were taken
    max_age_seconds: float
    now: Moment
    known: Known = field(default_factory=Known, compare=False)  # shared by all of these labels
    heard: Heard = field(default_factory=Heard, compare=False)  # unless its age is its own, too

    @property
    def exporters(self) -> AbstractSet[str]:
        """The instances that tell when they last read their devices."""
        return self.answers[self.freshness].instances

    def named(self, expr: str) -> Named:
        """Return the series of an expression by what they name."""
        found = self.known.named.get(expr)
        if found is None:
            found = self.known.named[expr] = named(self.answers[expr], self.target.labels)
        return found

    def wide(self, expr: str, instance: str | None, *, engines: bool) -> Series:
        """Return the series that name no device and may be of *instance*; None: of any.

        With *engines*, those of an instance that is no exporter's too.
        """
        key = (expr, self.freshness if engines else "", instance)
        found = self.known.wide.get(key)
        if found is None:
            found = self._of(self.named(expr).wide, instance, engines=engines)
            self.known.wide[key] = found
        return found

    def about(self, expr: str, instance: str | None, *, engines: bool = False) -> Series:
        """Return the series that name the target or no device, and may be of *instance*."""
        naming = self._of(self.named(expr).of(self.target), instance, engines=engines)
        wide = self.wide(expr, instance, engines=engines)
        if naming and wide:
            return ordered(naming + wide)
        return naming or wide

    def _of(self, found: Series, instance: str | None, *, engines: bool) -> Series:
        if instance is None or not found:
            return found
        others = self.exporters if engines else None
        return tuple([each for each in found if _may_be(each, instance, others)])


def _may_be(sample: Sample, instance: str, exporters: AbstractSet[str] | None) -> bool:
    """Tell whether a series may be of *instance*; an engine's may, where *exporters* are given."""
    whose = sample.labels.get("instance", instance)
    return whose == instance or (exporters is not None and whose not in exporters)


def viewed(view: View) -> View:
    """Return *view* with what it shares, unless the age of its target is the target's own."""
    if not view.named(view.freshness).of(view.target):
        return view
    return replace(view, heard=Heard())


def age(view: View, instance: str | None) -> Judged:
    """Judge the age of the raw samples behind a target by the exporter's own clock.

    Not by the time of the query's samples: recording rules stamp anew, and VictoriaMetrics stamps
    a value of 30 s ago with now. The oldest source that may be behind the target decides.
    """
    found = view.heard.ages.get(instance)
    if found is None:
        found = view.heard.ages[instance] = _age(view, instance)
    return found


def _age(view: View, instance: str | None) -> Judged:
    answer, now = view.answers[view.freshness], view.now.unix
    if answer.failure is not None:
        why = f"freshness is unknown: {answer.detail}"
        return Judged(NO_DATA, why, None, None, instance)
    found = view.about(view.freshness, instance)
    times = [sample.value for sample in found]
    whose = f" of {instance}" if instance else ""
    if not times:
        why = f"no exporter{whose} tells when it last read this device"
        return Judged(NO_DATA, why, None, None, instance)
    if not all(map(isfinite, times)):
        why = f"an exporter{whose} tells no time for its last reading"
        return Judged(NO_DATA, why, None, None, instance)
    oldest, newest, limit = min(times), max(times), view.max_age_seconds
    if newest > now + AHEAD_SECONDS:
        why = f"the exporter's clock{whose} is {newest - now:.0f} s ahead of ours"
        return Judged(STALE, why, None, oldest, instance)
    if now - oldest > limit:
        source = next(each.labels.get("source", "") for each in found if each.value == oldest)
        by = f" by {source}" if source else ""
        why = f"the last reading{by}{whose} is {now - oldest:.0f} s old, allowed are {limit:g} s"
        return Judged(STALE, why, None, oldest, instance)
    return Judged(TRUE, f"read {max(now - oldest, 0):.0f} s ago", None, oldest, instance)


def judge(expr: str, view: View) -> Judged:
    """Judge a rule's condition: true for each target that a series names."""
    answer = view.answers[expr]
    if answer.failure is not None:
        return Judged(NO_DATA, answer.detail)
    series = view.named(expr)
    found = series.of(view.target)
    if not found:
        return _silence(series.absent, view)
    if len(found) > 1:
        instances = _instances(found)
        if len(instances) > 1 and not all(uuid_of(sample.labels) for sample in found):
            several = " and ".join(sorted(instances))
            why = f"{several} each have such a device; let the expression keep the uuid label"
            return Judged(NO_DATA, why)
        return _judge(found, view, instances or {view.seen})
    return _value(found, age(view, found[0].labels.get("instance", view.seen)))


def measure(expr: str, view: View) -> Judged:
    """Judge an expression for its value: one series that names the target, or one about all."""
    answer = view.answers[expr]
    if answer.failure is not None:
        return Judged(NO_DATA, answer.detail)
    found = view.named(expr).of(view.target) or view.about(expr, view.seen, engines=True)
    if len(found) > 1:
        why = f"{len(found)} series are about it; aggregate them to one"
        return Judged(NO_DATA, why)
    return _guarded(found, view)


def judge_thermal(expr: str, view: View) -> Judged:
    """Judge a thermal condition; unlike a rule's, a series that names no device is about all."""
    answer = view.answers[expr]
    if answer.failure is not None:
        return Judged(NO_DATA, answer.detail)
    return _guarded(view.about(expr, view.seen, engines=True), view)


def judge_sla(expr: str, view: View) -> Judged:
    """Judge a breach; its age is not asked, since a breach can only loosen.

    A series' instance counts only when it is an exporter's: the latency of an engine carries the
    engine's own instance, and a guard must rather stop too much than look away.
    """
    answer = view.answers[expr]
    if answer.failure is not None:
        return Judged(NO_DATA, answer.detail)
    found = view.about(expr, view.seen, engines=True)
    for sample in found:
        if isfinite(sample.value):
            whose = sample.labels.get("app", "")
            return Judged(TRUE, f"{sample.value:g} {whose}".strip(), sample.value)
    if found:
        return Judged(NO_DATA, f"the value is {found[0].value}")
    return Judged(FALSE, "no series")


def learned(judged: Judged, view: View) -> str | None:
    """Return whose series name the target, once an exporter's have."""
    whose = judged.instance
    return whose if whose != view.seen and whose in view.exporters else view.seen


def _silence(why: str, view: View) -> Judged:
    """Judge an expression that has no series for the target: false, if its exporter is heard."""
    key = (why, view.seen)
    found = view.heard.silences.get(key)
    if found is None:
        found = view.heard.silences[key] = _silent(why, age(view, view.seen))
    return found


def _silent(why: str, worst: Judged) -> Judged:
    if worst.unknown:
        return worst
    return Judged(FALSE, why, None, worst.sampled, worst.instance)


def _guarded(found: Series, view: View) -> Judged:
    """Judge series of which some may be of engines, which read no devices."""
    if not found:
        return _silence(NO_SERIES, view)
    return _judge(found, view, _instances(found) & view.exporters or {view.seen})


def _judge(found: Series, view: View, instances: AbstractSet[str | None]) -> Judged:
    ages = [age(view, each) for each in sorted(instances, key=str)]
    return _value(found, min(ages, key=lambda each: (not each.unknown, each.sampled or 0.0)))


def _value(found: Series, worst: Judged) -> Judged:
    """Judge series by their value, and by the age of what is behind them."""
    if worst.unknown:
        return worst
    for sample in found:
        if not isfinite(sample.value):
            why = f"the value is {sample.value}"
            return Judged(NO_DATA, why, None, None, worst.instance)
    value = found[0].value
    why = f"the value is {value:g}, {worst.why}"
    return Judged(TRUE, why, value, worst.sampled, worst.instance)


def _instances(found: Iterable[Sample]) -> set[str]:
    return {each.labels["instance"] for each in found if "instance" in each.labels}
