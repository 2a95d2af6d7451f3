"""The actuator's own metrics; the only file that spells their names."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from wattgov_actuator.acting.durations import LOOSEN
from wattgov_actuator.cycle.snapshot import Snapshot
from wattgov_actuator.reading import QueryFailure, Reading
from wattgov_actuator.rules import Policies

PREFIX = "wattgov_actuator_"
PLACE = ("knob", "target", "unit")
SLEEPER = "hibernate"


class Exposition(Collector):
    """Renders the latest snapshot; a scrape changes nothing, and what is gone has no series."""

    def __init__(self, snapshot: Callable[[], Snapshot], unix: Callable[[], float]) -> None:
        self._snapshot, self._unix = snapshot, unix
        self._more: tuple[Callable[[], Iterator[Metric]], ...] = ()

    def registry(self, *more: Callable[[], Iterator[Metric]]) -> CollectorRegistry:
        """Return a registry of its own; *more* is rendered after the snapshot."""
        self._more = more
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry

    def describe(self) -> Iterator[Metric]:
        """Name nothing beforehand: it would take a snapshot."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Return every family."""
        now = self._snapshot()
        yield _counter("decisions", "Decisions by reason.", ("rule", "knob", "reason"), now.counts)
        yield from _knobs(now)
        yield _gauge("open_undos", "Targets that hold a value of ours.", now.open_undos)
        usable = not now.journal_trouble
        yield _gauge("journal_usable", "1 while what is done can be undone later.", usable)
        refused = {(): now.journal_failures}
        yield _counter("journal_failures", "Writes the journal did not take.", (), refused)
        yield _gauge("enforcing", "1 when knobs are written, 0 in a dry run.", now.enforcing)
        yield from _orders(now)
        if now.last_success is not None:
            last = now.last_success
            yield _gauge(
                "last_query_success_timestamp_seconds", "When a query was last answered.", last
            )
            yield _gauge(
                "query_age_seconds", "Time since a query was answered.", self._unix() - last
            )
        failures = {(each,): now.query_failures.get(each, 0) for each in QueryFailure}
        yield _counter("query_failures", "Queries that gave nothing.", ("reason",), failures)
        yield from _savings(now)
        yield from _wakes(now)
        targets = GaugeMetricFamily(
            f"{PREFIX}rule_targets", "Targets here that the rule's series name.", labels=("rule",)
        )
        for rule, count in now.rule_targets.items():
            targets.add_metric((rule,), count)
        yield targets
        text, latency = "Time until Prometheus began to answer a query.", now.latency
        yield SummaryMetricFamily(
            f"{PREFIX}query_seconds", text, count_value=latency.count, sum_value=latency.seconds
        )
        late = "How much later than planned the last tick began."
        yield _gauge("tick_late_seconds", late, now.late_seconds)
        yield _gauge("tick_seconds", "Duration of the last tick.", now.tick_seconds)
        ticks = {("ok",): now.ticks, ("failed",): now.tick_failures}
        yield _counter("ticks", "Ticks by result.", ("result",), ticks)
        for each in self._more:
            yield from each()


def notes(counts: Iterable[tuple[str, str, int]]) -> Iterator[Metric]:
    """Return what became of notes on changes, by sink and result; nothing without sinks."""
    told = {(sink, result): count for sink, result, count in counts}
    if told:
        yield _counter("notes", "Notes on changes by result.", ("sink", "result"), told)


def web(failures: int | None, good: bool | None) -> Iterator[Metric]:
    """Return how often a changed web.config.file was bad, and is; nothing where there is none."""
    if failures is not None and good is not None:
        text = "Changes of the web.config.file or its certificates that were bad and not used."
        yield _counter("web_config_failures", text, (), {(): failures})
        text = "Whether the web.config.file was taken as it is now; if not, the one before is used."
        yield _gauge("web_config_last_reload_successful", text, good)


def watched(policies: bool | None) -> Iterator[Metric]:
    """Return whether the policies of a cluster are seen; nothing where nobody looks."""
    if policies is not None:
        text = "1 while changes of EnergyPolicy objects are seen; else those seen last are used."
        yield _gauge("energy_policies_watched", text, policies)


def _policies(policies: Policies) -> Iterator[Metric]:
    """Return how many policies of a cluster are in which state."""
    text = "EnergyPolicy objects: in force, not enabled, or with a mistake in their last version."
    counts = GaugeMetricFamily(f"{PREFIX}energy_policies", text, labels=("state",))
    counts.add_metric(("in_force",), len(policies.in_force))
    counts.add_metric(("resting",), len(policies.resting))
    counts.add_metric(("refused",), len({each.file for each in policies.refused}))
    yield counts


def _orders(now: Snapshot) -> Iterator[Metric]:
    """Return what people asked for: a pause, and rules that were read again."""
    paused = GaugeMetricFamily(
        f"{PREFIX}paused",
        "1 while a person has paused what tightens, or all of it.",
        labels=("mode",),
    )
    restored = now.pause is not None and now.pause.restore
    paused.add_metric(("tighten",), float(now.pause is not None))
    paused.add_metric(("all",), float(restored))
    yield paused
    if now.rules is not None and now.rules.leads is not None:
        text = "1 while this actuator turns what all machines share; absent without --elect."
        yield _gauge("leader", text, now.rules.leads)
    if now.rules is not None and now.rules.policies is not None:
        yield from _policies(now.rules.policies)
    if now.pause is not None and now.pause.until is not None:
        end = "When the pause ends by itself; absent when somebody has to resume."
        yield _gauge("pause_end_timestamp_seconds", end, now.pause.until)
    if now.reloads is None:
        return
    reloads = now.reloads
    yield _gauge(
        "config_last_reload_successful",
        "Whether the last loading of the rules went well; if not, those before are in force.",
        not reloads.mistakes,
    )
    yield _gauge(
        "config_last_reload_success_timestamp_seconds",
        "When rules were last loaded well.",
        reloads.success_at,
    )
    text = "The rules in force: the first 12 digits of their SHA-256; two nodes can be compared."
    digest = GaugeMetricFamily(f"{PREFIX}config_hash", text, labels=("sha256",))
    digest.add_metric((reloads.sha256[:12],), 1.0)
    yield digest


def _savings(now: Snapshot) -> Iterator[Metric]:
    """Return what the claims save, against the time before them at the same load."""
    for name, text, joules in (
        ("saved_joules", "Energy not used, by the rule that saved it.", now.saved_joules),
        ("lost_joules", "Energy used in vain, by the rule to blame.", now.lost_joules),
    ):
        counter = CounterMetricFamily(f"{PREFIX}{name}", text, labels=("rule", "method"))
        for page, sum_joules in joules.items():
            counter.add_metric(page, sum_joules)
        yield counter
    labels = ("rule", "knob", "target")
    watts = GaugeMetricFamily(
        f"{PREFIX}saved_watts",
        "Power that the same work would draw beyond what it draws; low and high: 95 %.",
        labels=(*labels, "bound", "method"),
    )
    slower = GaugeMetricFamily(
        f"{PREFIX}latency_cost_ratio",
        "By which part p95 rose since the rule's first step, at the same load.",
        labels=labels,
    )
    for each in now.savings:
        where = (each.rule, each.knob, each.target)
        bounds: tuple[tuple[str, float | None], ...] = (
            ("mean", each.watts),
            ("low", each.low_watts),
            ("high", each.high_watts),
        )
        for bound, value in bounds:
            if value is not None:
                watts.add_metric((*where, bound, each.method), value)
        if each.slower is not None:
            slower.add_metric(where, each.slower)
    yield from (watts, slower)


def _wakes(now: Snapshot) -> Iterator[Metric]:
    """Return what became of waking what we had put to sleep, and what that took."""
    text = "Orders to wake by what became of them; a failed one is given again at each tick."
    wakes = CounterMetricFamily(f"{PREFIX}wakes", text, labels=("knob", "target", "result"))
    text = "Time from the order to wake until it read back as awake."
    took = SummaryMetricFamily(f"{PREFIX}wake_seconds", text, labels=("knob", "target"))
    for (knob, target, direction), writes in now.writes.items():
        if (knob, direction) == (SLEEPER, LOOSEN):
            wakes.add_metric((knob, target, "woken"), writes.done)
            wakes.add_metric((knob, target, "failed"), writes.failed)
            took.add_metric((knob, target), writes.done, writes.seconds)
    text = "Energy that waking took beyond being idle; a part of what was lost."
    joules = CounterMetricFamily(f"{PREFIX}wake_joules", text, labels=("rule", "method"))
    for page, sum_joules in now.wake_joules.items():
        joules.add_metric(page, sum_joules)
    yield from (wakes, took, joules)


def _knobs(now: Snapshot) -> Iterator[Metric]:
    wanted = GaugeMetricFamily(f"{PREFIX}knob_wanted", "What the claims ask for.", labels=PLACE)
    force = GaugeMetricFamily(f"{PREFIX}knob_in_force", "What is set.", labels=PLACE)
    prior = GaugeMetricFamily(
        f"{PREFIX}knob_prior", "What was set before our first write, while we hold.", labels=PLACE
    )
    for each in now.readings:
        labels = _labels(each)
        value = now.wanted.get((each.target.knob, each.target.name))
        for family, level in ((wanted, value), (force, each.current), (prior, each.prior)):
            if level is not None:
                family.add_metric(labels, level)
    text = "How long the last completed write took until it read back as wanted."
    took = GaugeMetricFamily(f"{PREFIX}write_seconds", text, labels=("knob", "target", "direction"))
    for place, seconds in now.write_seconds.items():
        took.add_metric(place, seconds)
    yield from (wanted, force, prior, took)


def _labels(reading: Reading) -> tuple[str, str, str]:
    return (reading.target.knob, reading.target.name, reading.target.unit)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}{name}", text, value=float(value))


def _counter(
    name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, int]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"{PREFIX}{name}", text, labels=labels)
    for each, value in values.items():
        family.add_metric(each, value)
    return family
