"""Three-valued conditions: true, false or unknown, for one target, from samples of a known age."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite

from wattgov_actuator.reading import Answer, Labels, Moment, Sample, Target, uuid_of

AHEAD_SECONDS = 5.0  # two clocks kept by NTP differ by less
DEVICES = ("gpu", "package")  # labels that name a device of a machine by a number


class State(StrEnum):
    """What is known of a condition; the last two are unknown."""

    TRUE = "true"
    FALSE = "false"
    STALE = "stale"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class Judged:
    """A condition at one target, with what it was judged on."""

    state: State
    why: str
    value: float | None = None
    sampled: float | None = None  # unix seconds of the oldest raw sample behind it
    instance: str | None = None  # whose series it was

    @property
    def unknown(self) -> bool:
        """Neither true nor false."""
        return self.state in {State.STALE, State.NO_DATA}


@dataclass(frozen=True, slots=True)
class View:
    """One target, and all that its conditions are judged on."""

    target: Target
    seen: str | None  # the instance whose series named the target before
    answers: Mapping[str, Answer]
    freshness: str  # the expression that tells when raw samples were taken
    max_age_seconds: float
    now: Moment

    @property
    def exporters(self) -> AbstractSet[str]:
        """The instances that tell when they last read their devices."""
        return self.answers[self.freshness].instances


def names_device(labels: Labels) -> bool:
    """Tell whether a series names a device at all."""
    return uuid_of(labels) is not None or any(each in labels for each in DEVICES)


def names(labels: Labels, target: Target) -> bool:
    """Tell whether a series names *target*: by uuid, else by all the labels they share."""
    uuid = uuid_of(labels)
    if uuid is not None:
        return uuid == target.labels.get("uuid")
    shared = [key for key in target.labels if key in labels]
    return bool(shared) and all(labels[key] == target.labels[key] for key in shared)


def concerns(labels: Labels, target: Target, instance: str | None) -> bool:
    """Tell whether a series is about *target*: what both name must agree, naming less is wider.

    Unknown *instance* agrees with any.
    """
    shares = names_device(labels) or any(key in labels for key in target.labels)
    if shares and not names(labels, target):
        return False
    return instance is None or labels.get("instance", instance) == instance


def matching(answer: Answer, target: Target) -> tuple[Sample, ...]:
    """Return the series of *answer* that name *target*, in an order of their own."""
    return _ordered(sample for sample in answer.about(target) if names(sample.labels, target))


def age(view: View, instance: str | None) -> Judged:
    """Judge the age of the raw samples behind a target by the exporter's own clock.

    Not by the time of the query's samples: recording rules stamp anew, and VictoriaMetrics stamps
    a value of 30 s ago with now. The oldest source that may be behind the target decides.
    """
    answer, now = view.answers[view.freshness], view.now.unix
    if answer.failure is not None:
        return Judged(State.NO_DATA, f"freshness is unknown: {answer.detail}")
    about_it = (
        each for each in answer.about(view.target) if concerns(each.labels, view.target, instance)
    )
    times = [sample.value for sample in about_it]
    whose = f" of {instance}" if instance else ""
    if not times:
        return Judged(State.NO_DATA, f"no exporter{whose} tells when it last read this device")
    if not all(map(isfinite, times)):
        return Judged(State.NO_DATA, f"an exporter{whose} tells no time for its last reading")
    oldest, newest, limit = min(times), max(times), view.max_age_seconds
    if newest > now + AHEAD_SECONDS:
        why = f"the exporter's clock{whose} is {newest - now:.0f} s ahead of ours"
        return Judged(State.STALE, why, None, oldest)
    if now - oldest > limit:
        why = f"the last reading{whose} is {now - oldest:.0f} s old, allowed are {limit:g} s"
        return Judged(State.STALE, why, None, oldest)
    return Judged(State.TRUE, f"read {max(now - oldest, 0):.0f} s ago", None, oldest)


def judge(expr: str, view: View) -> Judged:
    """Judge a rule's condition: true for each target that a series names."""
    answer = view.answers[expr]
    if answer.failure is not None:
        return Judged(State.NO_DATA, answer.detail)
    found = matching(answer, view.target)
    instances = _instances(found)
    if len(instances) > 1 and not all(uuid_of(sample.labels) for sample in found):
        several = " and ".join(sorted(instances))
        why = f"{several} each have such a device; let the expression keep the uuid label"
        return Judged(State.NO_DATA, why)
    judged = _judge(found, view, instances or {view.seen})
    if judged.state is State.FALSE and answer.samples:
        return replace(judged, why=f"none of the {len(answer.samples)} series names it")
    return judged


def measure(expr: str, view: View) -> Judged:
    """Judge an expression for its value: one series that names the target, or one about all."""
    answer = view.answers[expr]
    if answer.failure is not None:
        return Judged(State.NO_DATA, answer.detail)
    found = matching(answer, view.target) or about(answer, view)
    if len(found) > 1:
        why = f"{len(found)} series are about it; aggregate them to one"
        return Judged(State.NO_DATA, why)
    return _judge(found, view, _instances(found) & view.exporters or {view.seen})


def judge_thermal(expr: str, view: View) -> Judged:
    """Judge a thermal condition; unlike a rule's, a series that names no device is about all."""
    answer = view.answers[expr]
    if answer.failure is not None:
        return Judged(State.NO_DATA, answer.detail)
    found = about(answer, view)
    return _judge(found, view, _instances(found) & view.exporters or {view.seen})


def judge_sla(expr: str, view: View) -> Judged:
    """Judge a breach; its age is not asked, since a breach can only loosen."""
    answer = view.answers[expr]
    if answer.failure is not None:
        return Judged(State.NO_DATA, answer.detail)
    found = about(answer, view)
    for sample in found:
        if isfinite(sample.value):
            whose = sample.labels.get("app", "")
            return Judged(State.TRUE, f"{sample.value:g} {whose}".strip(), sample.value)
    if found:
        return Judged(State.NO_DATA, f"the value is {found[0].value}")
    return Judged(State.FALSE, "no series")


def about(answer: Answer, view: View) -> tuple[Sample, ...]:
    """Return the series of a guard that concern the target, in an order of their own.

    A series' instance counts only when it is an exporter's: the latency of an engine carries the
    engine's own instance, and a guard must rather stop too much than look away.
    """

    def is_about(sample: Sample) -> bool:
        ours = view.seen if sample.labels.get("instance") in view.exporters else None
        return concerns(sample.labels, view.target, ours)

    return _ordered(filter(is_about, answer.about(view.target)))


def learned(judged: Judged, view: View) -> str | None:
    """Return whose series name the target, once an exporter's have."""
    return judged.instance if judged.instance in view.exporters else view.seen


def _judge(found: tuple[Sample, ...], view: View, instances: AbstractSet[str | None]) -> Judged:
    ages = [(age(view, each), each) for each in sorted(instances, key=str)]
    worst, instance = min(ages, key=lambda each: (not each[0].unknown, each[0].sampled or 0.0))
    if worst.unknown:
        return worst if instance is None else replace(worst, instance=instance)
    if not found:
        why = "the expression returns no series for it"
        return Judged(State.FALSE, why, None, worst.sampled, instance)
    for sample in found:
        if not isfinite(sample.value):
            return Judged(State.NO_DATA, f"the value is {sample.value}", None, None, instance)
    value = found[0].value
    why = f"the value is {value:g}, {worst.why}"
    return Judged(State.TRUE, why, value, worst.sampled, instance)


def _ordered(found: Iterable[Sample]) -> tuple[Sample, ...]:
    found = tuple(found)
    if len(found) < 2:  # noqa: PLR2004 (one is in order)
        return found
    return tuple(sorted(found, key=lambda each: (sorted(each.labels.items()), str(each.value))))


def _instances(found: Iterable[Sample]) -> set[str]:
    return {each.labels["instance"] for each in found if "instance" in each.labels}
