"""One tick: ask every source, add the joules up, give them to apps, make a snapshot."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from wattgov_exporter import cards, choice
from wattgov_exporter.apps.frequency import Weights
from wattgov_exporter.apps.pods import Directory
from wattgov_exporter.apps.workloads import Activity, Workloads, together
from wattgov_exporter.books import Books
from wattgov_exporter.choice import Chosen
from wattgov_exporter.config import Config
from wattgov_exporter.figures import Figures
from wattgov_exporter.folding import other_series
from wattgov_exporter.handover import Handover
from wattgov_exporter.ledger import Ledger, Step, key_of
from wattgov_exporter.poll import Answer, Poller
from wattgov_exporter.reading import Component, GpuState, Meter, Readings, Reason
from wattgov_exporter.shared import Shared
from wattgov_exporter.snapshot import MeterState, Snapshot, SourceState
from wattgov_exporter.sources import Machine, configured
from wattgov_exporter.state import Totals
from wattgov_exporter.uses import cpu_uses, gpu_memory, gpu_uses

WAIT_SHARE = 0.5
"""The part of an interval that a tick waits for its sources."""

STALE_INTERVALS = 3
"""After so many intervals without a good read a source's series disappear."""

BY_CPU_TIME = (Component.CPU, Component.DRAM)
"""What is divided by CPU time."""

KUBERNETES = "kubernetes"
HURRY_SECONDS = 3.0
"""A pod that has no name yet has the list read again so soon after the last."""


class Collector:
    """Holds the totals since the start; `tick` is called by one thread only."""

    def __init__(self, config: Config, machine: Machine, own_pid: int) -> None:
        self._interval = config.interval_seconds
        self._files = Shared()
        machine = replace(machine, read=self._files)
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
            read=self._files,
        )
        self._figures = Figures(config)
        self._ledger = Ledger()
        self._handover = Handover()
        self._books = Books(config.policy, config.idle_watts)
        self._good: dict[str, tuple[Readings, float, float]] = {}
        self._meters: dict[tuple[str, str, str], MeterState] = {}
        self._earlier: Mapping[tuple[str, ...], float] = {}
        self._gpu_busy: dict[str, float] = {}
        self._counted: dict[str, float] = {}
        self._looked = self._clock()
        self._untold: dict[Component, Activity] = {}

    def restore(self, totals: Totals) -> None:
        """Go on from these totals; before the first tick.

        What the meters counted while nobody looked is not added: nobody saw who used it.
        """
        self._earlier = totals.meters
        self._books.restore(totals)
        self._figures.restore({app: value for (app,), value in totals.cpu_seconds.items()})

    def totals(self) -> Totals:
        """Return every counter, for `restore` after a restart."""
        return Totals(
            meters={**self._earlier, **{key: one.joules for key, one in self._meters.items()}},
            node={(key.value,): value for key, value in self._books.node.items()},
            apps={
                (app, key.value, share): value
                for (app, key, share), value in self._books.apps.items()
            },
            cpu_seconds={(app,): value for app, value in self._figures.cpu_seconds.items()},
            own={("exporter",): self._books.own_joules},
        )

    def reconfigure(self, config: Config) -> None:
        """Go on with another configuration; every total stays, and so do the sources."""
        self._interval = config.interval_seconds
        budget = config.budget
        self._workloads.reconfigure(config.apps, config.apps_by, budget.label_length)
        self._workloads.weigh(_weights(config, self._machine))
        self._figures.reconfigure(config)
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
        """Ask all sources, wait for the slow ones a part of the interval, and account."""
        self._files.forget()
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
        chosen = choice.choose({name: answer.readings for name, answer in answers.items()})
        steps = list(self._steps(answers, chosen))
        fresh = self._fresh()
        # A component whose source is only late this once keeps its meter in what is shown.
        shown = choice.shown(choice.choose(fresh), chosen)
        gpus = tuple(cards.states(fresh))
        gpu_sources = {gpu.uuid: name for name, gpu in gpus}
        cpu, dram = (self._used(one, activity, steps, shown) for one in BY_CPU_TIME)
        uses = cpu_uses(cpu, dram)
        uses |= gpu_uses(fresh, gpu_sources, activity.owners, self._gpu_busy)
        self._books.enter(steps, uses, cpu.own_share)
        now = self._clock()
        elapsed, self._looked = now - self._looked, now
        self._figures.enter(activity, fresh.values(), elapsed, self._wall())
        others = other_series(len(self._meters), len(gpus), len(answers))
        self._figures.settle(now, activity, self._books.apps, others)
        return self._snapshot(answers, shown, activity, fresh=fresh, gpus=gpus)

    def _used(
        self,
        component: Component,
        activity: Activity,
        steps: Iterable[Step],
        shown: Mapping[Component, Chosen],
    ) -> Activity:
        """Return what ran since the component's meter last told: a scraped one tells each 5 s."""
        used = together(self._untold.pop(component, None), activity)
        own = (step for step in steps if step.meter.component is component)
        tells = any(step.seconds or step.is_first for step in own)
        if component in shown and not tells:
            self._untold[component] = used
        return used

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
        for name, answer in answers.items():
            if answer.readings is None or self._heard(name, answer):
                continue
            self._good[name] = (answer.readings, answer.at, self._wall())
            for energy in answer.readings.energies:
                entered = self._ledger.enter(energy)
                step = self._counting(entered, chosen) if entered else None
                if step is None:
                    continue
                key = key_of(step.meter)
                old = self._meters.get(key)
                before = old.joules if old else self._earlier.get(key, 0.0)
                # A peer that caches shows one value for a while: the power from before stands.
                stands = old is not None and step.watts is None and not step.is_first
                watts = old.watts if old and stands else step.watts
                self._meters[key] = MeterState(step.meter, before + step.joules, watts)
                yield step

    def _heard(self, name: str, answer: Answer) -> bool:
        """Tell a slow source's last answer, seen before: it stands, and adds nothing."""
        return name in self._good and self._good[name][1] == answer.at

    def _counting(self, step: Step, chosen: Mapping[Component, Chosen]) -> Step | None:
        """Return what counts of a step, None if nothing does."""
        component = step.meter.component
        if component is None:
            return step
        if component not in chosen:
            self._handover.drop(step.meter)
            return None
        if chosen[component].counts(step.meter):
            return self._handover.count(step)
        return self._handover.wait(step)

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

    def _snapshot(
        self,
        answers: Mapping[str, Answer],
        chosen: dict[Component, Chosen],
        activity: Activity,
        *,
        fresh: Mapping[str, Readings],
        gpus: tuple[tuple[str, GpuState], ...],
    ) -> Snapshot:
        gpu_sources = {gpu.uuid: name for name, gpu in gpus}
        seen = {key_of(energy.meter) for one in fresh.values() for energy in one.energies}
        memory = gpu_memory(fresh, gpu_sources, activity.owners)
        return Snapshot(
            meters=tuple(
                state
                for key, state in self._meters.items()
                if key in seen and choice.published(state.meter, chosen)
            ),
            gpus=tuple(gpu for _, gpu in gpus),
            gpu_sources=gpu_sources,
            sources=tuple(self._source(name, answer, chosen) for name, answer in answers.items()),
            chosen=chosen,
            node_joules=dict(self._books.node),
            idle=self._books.idle({name for one in chosen for name in chosen[one].devices(one)}),
            app_joules=dict(self._books.apps),
            apps=self._figures.shown(activity, memory),
            series_dropped=self._figures.dropped,
            anomalies=dict(self._ledger.anomalies),
            own_joules=self._books.own_joules,
            meter_ratio=self._books.composition.ratio,
        )

    def _source(self, name: str, answer: Answer, chosen: Mapping[Component, Chosen]) -> SourceState:
        """Return a source's health; one that lacks a meter which should count is not simply ok."""
        lacks = [
            one.detail
            for one in (answer.readings.refused if answer.readings else ())
            if self._is_missed(one.meter, chosen)
        ]
        return SourceState(
            name=name,
            reason=Reason.PARTIAL if lacks else answer.reason,
            detail="; ".join(lacks) or answer.detail,
            read_seconds=answer.seconds,
            last_good=self._good[name][2] if name in self._good else None,
        )

    def _is_missed(self, meter: Meter, chosen: Mapping[Component, Chosen]) -> bool:
        """Tell whether a refused meter has counted before, or would if it could be read."""
        state = self._meters.get(key_of(meter))
        if state is not None and state.watts is not None:
            return True
        if meter.component is None:
            return False
        order = [poller.name for poller in self._pollers]
        now = chosen.get(meter.component)
        return now is None or order.index(now.source) >= order.index(meter.source)


def _weights(config: Config, machine: Machine) -> Weights | None:
    if config.cpu_weight == "none":
        return None
    clocks = config.cpu_weight == "clock"
    return Weights(machine.sysfs, machine.monotonic, clocks=clocks)
