"""One tick: ask every source, add the joules up, give them to apps, make a snapshot."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from wattgov_exporter import cards
from wattgov_exporter.apps.frequency import Weights
from wattgov_exporter.apps.pods import Directory
from wattgov_exporter.apps.workloads import Activity, Workloads
from wattgov_exporter.books import Books
from wattgov_exporter.config import Config
from wattgov_exporter.folding import Folding
from wattgov_exporter.ledger import Ledger, Step, key_of
from wattgov_exporter.poll import Answer, Poller
from wattgov_exporter.reading import (
    NOBODY_PID,
    Component,
    GpuState,
    Meter,
    Method,
    Readings,
)
from wattgov_exporter.snapshot import Chosen, Idle, MeterState, Snapshot, SourceState
from wattgov_exporter.sources import Machine, configured
from wattgov_exporter.state import Totals
from wattgov_exporter.uses import app_of, cpu_uses, gpu_memory, gpu_uses

WAIT_SHARE = 0.5
"""The part of an interval that a tick waits for its sources."""

STALE_INTERVALS = 3
"""After so many intervals without a good read a source's series disappear."""

KUBERNETES = "kubernetes"
HURRY_SECONDS = 3.0
"""A pod that has no name yet has the list read again so soon after the last."""

ACTIVE_CPUS = 0.01
"""An app that uses less than this part of one CPU is not counted as active."""


class Collector:
    """Holds the totals since the start; `tick` is called by one thread only."""

    def __init__(self, config: Config, machine: Machine, own_pid: int) -> None:
        self._interval = config.interval_seconds
        self._machine = machine
        self._wall = machine.wall
        self._clock = machine.monotonic
        self._pollers = [
            Poller(source, self._clock) for source in configured(machine, config.sources)
        ]
        for poller in self._pollers:
            poller.start()
        self._names = next((one for one in self._pollers if one.name == KUBERNETES), None)
        self._directory = Directory(self._clock) if self._names else None
        budget = config.budget
        self._workloads = Workloads(
            machine.proc,
            config.apps,
            own_pid,
            by=config.apps_by,
            label_bytes=budget.label_length,
            names=self._directory,
            weights=_weights(config, machine),
        )
        self._folding = Folding({app.name for app in config.apps}, budget.apps)
        self._ledger = Ledger()
        self._books = Books(config.policy, config.idle_watts)
        self._good: dict[str, tuple[Readings, float, float]] = {}
        self._meters: dict[tuple[str, str, str], MeterState] = {}
        self._earlier: Mapping[tuple[str, ...], float] = {}
        self._cpu_seconds: dict[str, float] = defaultdict(float)
        self._last_active: dict[str, float] = {}
        self._gpu_busy: dict[str, float] = {}
        self._counted: dict[str, float] = {}
        self._looked = self._clock()

    def restore(self, totals: Totals) -> None:
        """Go on from these totals; before the first tick.

        What the meters counted while nobody looked is not added: nobody saw who used it.
        """
        self._earlier = totals.meters
        self._books.restore(totals)
        self._cpu_seconds.update({app: value for (app,), value in totals.cpu_seconds.items()})
        self._folding.restore(self._cpu_seconds)

    def totals(self) -> Totals:
        """Return every counter, for `restore` after a restart."""
        return Totals(
            meters={**self._earlier, **{key: one.joules for key, one in self._meters.items()}},
            node={(key.value,): value for key, value in self._books.node.items()},
            apps={
                (app, key.value, share): value
                for (app, key, share), value in self._books.apps.items()
            },
            cpu_seconds={(app,): value for app, value in self._cpu_seconds.items()},
            own={("exporter",): self._books.own_joules},
        )

    def reconfigure(self, config: Config) -> None:
        """Go on with another configuration; every total stays, and so do the sources."""
        self._interval = config.interval_seconds
        budget = config.budget
        self._workloads.reconfigure(config.apps, config.apps_by, budget.label_length)
        self._workloads.weigh(_weights(config, self._machine))
        self._folding.reconfigure({app.name for app in config.apps}, budget.apps)
        self._books.reconfigure(config.policy, config.idle_watts)

    def interval_of(self, source: str) -> float:
        """Return how many seconds are between two reads of a source."""
        own = (one.interval_seconds for one in self._pollers if one.name == source)
        return max([self._interval, *own])

    def close(self) -> None:
        """Let the sources go; after the last tick."""
        for poller in self._pollers:
            poller.close()

    def tick(self) -> Snapshot:
        """Ask all sources at once, wait for them a part of the interval, and account."""
        for poller in self._pollers:
            poller.ask()
        self._learn_names()
        activity = self._workloads.look()
        deadline = self._clock() + WAIT_SHARE * self._interval
        answers = {
            poller.name: poller.wait(
                # Names come when they come.
                0.0 if poller is self._names else max(deadline - self._clock(), 0.0)
            )
            for poller in self._pollers
        }
        self._count_anomalies(answers)
        chosen = choose({name: answer.readings for name, answer in answers.items()})
        steps = list(self._steps(answers, chosen))
        fresh = self._fresh()
        # A component whose source is only late this once keeps its meter in what is shown.
        shown = _shown(choose(fresh), chosen)
        gpus = tuple(cards.states(fresh))
        gpu_sources = {gpu.uuid: name for name, gpu in gpus}
        uses = cpu_uses(activity)
        uses |= gpu_uses(fresh, gpu_sources, activity.pid_apps, self._gpu_busy)
        idle = self._books.enter(steps, uses, activity.own_share)
        self._follow_apps(activity, fresh.values())
        self._folding.settle(self._looked, activity.processes, self._books.apps)
        self._folding.fold(self._cpu_seconds)
        self._folding.fold(self._last_active, max)
        return self._snapshot(answers, shown, idle, activity, fresh=fresh, gpus=gpus)

    def _learn_names(self) -> None:
        """Take what is told of pods; ask again soon if a process waits for its pod's name."""
        if self._names is None or self._directory is None:
            return
        readings = self._names.wait(0.0).readings
        if readings is not None and readings.pods is not None:
            self._workloads.learn(readings.pods)
        if self._directory.wanted:
            self._names.hurry(HURRY_SECONDS)

    def _count_anomalies(self, answers: Mapping[str, Answer]) -> None:
        """Count what the sources left out, once for each read."""
        for name, answer in answers.items():
            if answer.anomalies and self._counted.get(name) != answer.at:
                self._counted[name] = answer.at
                self._ledger.leave_out(name, answer.anomalies)

    def _steps(
        self, answers: Mapping[str, Answer], chosen: Mapping[Component, Chosen]
    ) -> Iterable[Step]:
        """Enter all readings in the ledger; yield what counts: chosen meters, published zones."""
        entered: set[tuple[str, str, str]] = set()
        for name, answer in answers.items():
            if answer.readings is None:
                continue
            if name in self._good and self._good[name][1] == answer.at:
                # A slow source's last answer, seen before: it stands, and adds nothing.
                entered.update(key_of(energy.meter) for energy in answer.readings.energies)
                continue
            self._good[name] = (answer.readings, answer.at, self._wall())
            for energy in answer.readings.energies:
                step = self._ledger.enter(energy)
                key = key_of(step.meter)
                entered.add(key)
                component = step.meter.component
                if component is None or _counts(chosen.get(component), step.meter):
                    old = self._meters.get(key)
                    before = old.joules if old else self._earlier.get(key, 0.0)
                    # A peer that caches shows one value for a while: the power from before stands.
                    watts = old.watts if old and step.seconds == 0 else step.watts
                    self._meters[key] = MeterState(step.meter, before + step.joules, watts)
                    yield step

        def covered(meter: Meter) -> bool:
            """Tell whether another source counts while this meter is silent: no joule twice."""
            other = chosen.get(meter.component) if meter.component else None
            return key_of(meter) not in entered and other is not None and _replaces(other, meter)

        self._ledger.forget(covered)

    def _fresh(self) -> dict[str, Readings]:
        """Return what each source last said well, if not too long ago, in order of preference."""
        now = self._clock()
        fresh = {}
        for poller in self._pollers:
            readings, at, _ = self._good.get(poller.name, (None, 0.0, 0.0))
            age = STALE_INTERVALS * max(self._interval, poller.interval_seconds)
            if readings is not None and now - at <= age:
                fresh[poller.name] = readings
        return fresh

    def _follow_apps(self, activity: Activity, fresh: Iterable[Readings]) -> None:
        now = self._clock()
        elapsed, self._looked = now - self._looked, now
        active = {app for app, used in activity.cpu_seconds.items() if used > ACTIVE_CPUS * elapsed}
        active |= {
            app_of(use.pid, activity.pid_apps)
            for readings in fresh
            for use in readings.gpu_uses
            if use.activity > 0 and use.pid != NOBODY_PID
        }
        for app, used in activity.cpu_seconds.items():
            self._cpu_seconds[app] += used
        self._last_active.update(dict.fromkeys(sorted(active), self._wall()))

    def _snapshot(
        self,
        answers: Mapping[str, Answer],
        chosen: dict[Component, Chosen],
        idle: dict[Component, Idle],
        activity: Activity,
        *,
        fresh: Mapping[str, Readings],
        gpus: tuple[tuple[str, GpuState], ...],
    ) -> Snapshot:
        gpu_sources = {gpu.uuid: name for name, gpu in gpus}
        seen = {key_of(energy.meter) for one in fresh.values() for energy in one.energies}
        memory = gpu_memory(fresh, gpu_sources, activity.pid_apps)
        processes = dict(activity.processes)
        resident = dict(activity.memory.resident)
        self._folding.fold(memory)
        self._folding.fold(resident)
        self._folding.fold(processes)
        return Snapshot(
            meters=tuple(
                state
                for key, state in self._meters.items()
                if key in seen and _published(state.meter, chosen)
            ),
            gpus=tuple(gpu for _, gpu in gpus),
            gpu_sources=gpu_sources,
            sources=tuple(
                SourceState(
                    name=name,
                    reason=answer.reason,
                    detail=answer.detail,
                    read_seconds=answer.seconds,
                    last_good=self._good[name][2] if name in self._good else None,
                )
                for name, answer in answers.items()
            ),
            chosen=chosen,
            node_joules=dict(self._books.node),
            idle=idle,
            app_joules=dict(self._books.apps),
            app_cpu_seconds=dict(self._cpu_seconds),
            app_processes=processes,
            app_gpu_memory_bytes=dict(memory),
            app_memory_bytes=resident,
            app_last_active=dict(self._last_active),
            anomalies=dict(self._ledger.anomalies),
            own_joules=self._books.own_joules,
            meter_ratio=self._books.composition.ratio,
        )


def _weights(config: Config, machine: Machine) -> Weights | None:
    if config.cpu_weight == "none":
        return None
    clocks = config.cpu_weight == "clock"
    return Weights(machine.sysfs, machine.monotonic, clocks=clocks)


def choose(said: Mapping[str, Readings | None]) -> dict[Component, Chosen]:
    """Return for each component its meter: the first source, in order of preference, that reads.

    GPUs have a meter each, so that two makers' cards are all metered and none of them twice.

    An estimate of what another chosen meter covers is left out: its joules are counted there. A
    platform's meter covers the memory, which is then in the rest.
    """
    chosen: dict[Component, Chosen] = {}
    covered: set[Component] = set()
    for name, readings in said.items():
        for energy in readings.energies if readings else ():
            meter = energy.meter
            if meter.component is None:
                continue
            if chosen.setdefault(meter.component, Chosen(name, meter.method)).source == name:
                covered |= meter.covers
                covered |= {Component.DRAM} if meter.component is Component.PLATFORM else set()
    if Component.GPU in chosen:
        chosen[Component.GPU] = _of_cards(cards.meters(said))
    return {
        component: one
        for component, one in chosen.items()
        if not (component in covered and one.method is Method.ESTIMATED)
    }


def _of_cards(meters: tuple[Meter, ...]) -> Chosen:
    return Chosen(meters[0].source, meters[0].method, meters)


def _shown(
    fresh: dict[Component, Chosen], chosen: Mapping[Component, Chosen]
) -> dict[Component, Chosen]:
    """Return what is shown: what counts now, and what a source that is late this once meters."""
    shown = fresh | dict(chosen)
    if Component.GPU in shown:
        both = [one[Component.GPU].cards for one in (chosen, fresh) if Component.GPU in one]
        shown[Component.GPU] = _of_cards(cards.together(both))
    return shown


def _published(meter: Meter, chosen: Mapping[Component, Chosen]) -> bool:
    """Tell whether a meter is shown; one that another replaces would count twice in a sum."""
    return meter.component is None or _counts(chosen.get(meter.component), meter)


def _counts(chosen: Chosen | None, meter: Meter) -> bool:
    return chosen is not None and chosen.counts(meter)


def _replaces(chosen: Chosen, meter: Meter) -> bool:
    """Tell whether another source's meter counts in place of this one."""
    if meter.component is not Component.GPU:
        return chosen.source != meter.source
    card = cards.card_of(meter)
    return any(
        one.source != meter.source and card.is_same(cards.card_of(one)) for one in chosen.cards
    )
