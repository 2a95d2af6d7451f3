"""Which app each process belongs to, and the CPU time that each app used."""

import os
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wattgov_exporter.apps import cgroups
from wattgov_exporter.apps.census import Census
from wattgov_exporter.apps.frequency import Weights, work
from wattgov_exporter.apps.lineage import Lineage, Process
from wattgov_exporter.apps.listing import Listing
from wattgov_exporter.apps.memory import Memory, memory
from wattgov_exporter.apps.naming import COMM_BYTES, Facts, automatic
from wattgov_exporter.apps.pods import Directory, NotYet
from wattgov_exporter.apps.stats import Stats
from wattgov_exporter.config import App
from wattgov_exporter.procfs import TICKS_PER_SECOND, CpuTimes, ReadBytes, cpu_times, read_bytes
from wattgov_exporter.reading import Pods

OTHER = "_other"
"""Processes that no app claims."""

KEPT_FILES = 512
"""So many stat files stay open from look to look: a read costs less than half of an open. At most
half of what the process may open (RLIMIT_NOFILE)."""

KEPT_LOOKS = 10
"""So many looks at least it is known whose a process was that is gone: the driver of a card tells
later what it did there."""

LABEL_BYTES = 128


@dataclass(frozen=True, slots=True)
class Activity:
    """What ran since the last look; all times are CPU-seconds in that span.

    *busy* is the node's own figure; the part of it that *cpu_seconds* does not cover was used by
    orphans that are gone, or by the kernel itself. *own_seconds* is this exporter's share.
    *cpu_work* is *cpu_seconds* as they weigh on cores that differ, empty where all are alike.
    *gone* is whose the processes were that ended lately.
    """

    busy: float
    owned: float
    cpu_seconds: dict[str, float]
    processes: dict[str, int]
    pid_apps: dict[int, str] = field(default_factory=dict)
    own_seconds: float = 0.0
    cpu_work: dict[str, float] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    gone: tuple[dict[int, str], ...] = ()

    @property
    def owners(self) -> Mapping[int, str]:
        """Whose each process is, or was."""
        return ChainMap(self.pid_apps, *self.gone)

    @property
    def utilisation(self) -> float:
        """Busy share of the CPU time that was ours, 0..1."""
        return min(self.busy / self.owned, 1.0) if self.owned > 0 else 0.0

    @property
    def own_share(self) -> float:
        """This exporter's part of all CPU time used, 0..1."""
        used = max(self.busy, sum(self.cpu_seconds.values()))
        return self.own_seconds / used if used > 0 else 0.0


def together(before: Activity | None, now: Activity) -> Activity:
    """Return what ran in two spans, one after the other; who runs, and holds what, is of *now*."""
    if before is None:
        return now
    work: dict[str, float] = {}
    if before.cpu_work or now.cpu_work:
        work = _sum(before.cpu_work or before.cpu_seconds, now.cpu_work or now.cpu_seconds)
    return replace(
        now,
        busy=before.busy + now.busy,
        owned=before.owned + now.owned,
        cpu_seconds=_sum(before.cpu_seconds, now.cpu_seconds),
        own_seconds=before.own_seconds + now.own_seconds,
        cpu_work=work,
    )


def _sum(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {app: one.get(app, 0.0) + other.get(app, 0.0) for app in {**one, **other}}


class Workloads:
    """Follows every process from look to look.

    *by* are the kinds of names (`naming.KINDS`) for processes that no app of *apps* claims,
    *label_bytes* the longest such name may be, *kept_files* how many files stay open. *read* is for
    files of the whole machine, which others read too.
    """

    def __init__(
        self,
        proc: Path,
        apps: Iterable[App],
        own_pid: int,
        *,
        by: Sequence[str] = (),
        label_bytes: int = LABEL_BYTES,
        kept_files: int = KEPT_FILES,
        names: Directory | None = None,
        weights: Weights | None = None,
        read: ReadBytes = read_bytes,
    ) -> None:
        self._proc = proc
        self._read = read
        self._folder = os.fspath(proc)
        self._own_pid = own_pid
        self._names = names or Directory(lambda: 0.0, patience_seconds=0.0)
        self._weights = weights
        self._lineage = Lineage()
        self._census = Census()
        self._listing = Listing(proc)
        self.reconfigure(apps, by, label_bytes)
        self._stats = Stats(proc, kept_files)
        self._times: CpuTimes | None = None
        self._gone: tuple[dict[int, str], dict[int, str]] = {}, {}
        self._looks = 0

    def reconfigure(
        self, apps: Iterable[App], by: Sequence[str] = (), label_bytes: int = LABEL_BYTES
    ) -> None:
        """Know processes by other apps from the next look on; their CPU time goes on."""
        self._apps = tuple(apps)
        self._declared = frozenset(app.name for app in self._apps)
        self._by = tuple(by)
        self._label_bytes = label_bytes
        self._name_anew()

    def weigh(self, weights: Weights | None) -> None:
        """Let CPU time weigh so from the next look on."""
        self._weights = weights

    def learn(self, pods: Pods) -> None:
        """Take a list of pods."""
        if self._names.learn(pods):
            self._name_anew()

    def _name_anew(self) -> None:
        for process in self._lineage.known.values():
            process.unsettled = max(process.unsettled, 1)

    def look(self) -> Activity:
        """Look at the processes; one that vanishes in the middle is skipped."""
        times = cpu_times(self._proc, self._read)
        gone = self._lineage.look(self._listing, self._stats)
        self._looks += 1
        if self._looks % KEPT_LOOKS == 0:
            self._gone = {}, self._gone[0]
        for pid in gone:
            self._gone[0][pid] = self._census.apps.get(pid, OTHER)
            self._census.leave(pid)
            if pid not in self._lineage.known:
                self._stats.forget(pid)
                self._listing.forget(pid)
        for process in self._lineage.read:
            if process.unsettled or self._lineage.turn(process.pid):
                self._name(process)
            self._census.enter(process.pid, process.app, process.stat.resident)
        nothing = dict.fromkeys((OTHER, *(app.name for app in self._apps)), 0)
        processes = {**nothing, **self._census.processes}
        ticks = dict.fromkeys(processes, 0)
        for process in self._lineage.read:
            ticks[process.app] += process.used
        own = self._lineage.known.get(self._own_pid)
        before, self._times = self._times or times, times
        busy = max(times.busy - before.busy, 0.0)
        return Activity(
            busy=busy,
            owned=busy + max(times.idle - before.idle, 0.0),
            cpu_seconds={app: used / TICKS_PER_SECOND for app, used in ticks.items()},
            processes=processes,
            pid_apps=dict(self._census.apps),
            own_seconds=own.used / TICKS_PER_SECOND if own else 0.0,
            cpu_work=self._work(ticks),
            memory=memory(self._proc, {**nothing, **self._census.pages}, self._read),
            gone=self._gone,
        )

    def _work(self, apps: Iterable[str]) -> dict[str, float]:
        if self._weights is None:
            return {}
        used = work(self._lineage.read, self._weights)
        return {app: used.get(app, 0.0) / TICKS_PER_SECOND for app in apps} if used else {}

    def _name(self, process: Process) -> None:
        """Find the process's app; one that ends meanwhile keeps what it had."""
        folder = f"{self._folder}/{process.pid}"
        try:
            place = read_bytes(f"{folder}/cgroup")
            if process.place == hash(place) and not process.unsettled:
                return
            line = read_bytes(f"{folder}/cmdline")
        except OSError:
            process.app = process.app or OTHER
            return
        process.unsettled = max(process.unsettled - 1, 0)
        process.place = hash(place)
        ended = not (line or process.stat.kernel)
        if not (ended and process.app):
            words = line.decode("utf-8", "replace").rstrip("\0").split("\0")
            comm = process.stat.comm.decode("utf-8", "replace")
            groups = cgroups.paths(place.decode("utf-8", "replace"))
            try:
                process.app = self._app(Facts(comm, words, groups, process.stat.kernel))
            except NotYet:
                process.app = process.app or OTHER
                process.unsettled = max(process.unsettled, 1)
                return
        parent = self._lineage.known.get(process.stat.parent)
        if ended and process.app == OTHER and parent is not None:
            process.app = parent.app or OTHER  # as if it were reaped already

    def _app(self, facts: Facts) -> str:
        for app in self._apps:
            if _fits(app, facts):
                return app.name
        return automatic(facts, self._by, self._declared, self._label_bytes, self._names) or OTHER


def _as_comm(name: str) -> str:
    """Return a command's name as the kernel shows it: it cuts bytes, be it within a character."""
    return name.encode()[:COMM_BYTES].decode("utf-8", "replace")


def _fits(app: App, facts: Facts) -> bool:
    """Tell whether every selector that the app gives fits.

    `cgroup` is a glob over the path and all below it; `unit` is a path element.
    """
    return all(
        (
            app.process is None or _as_comm(app.process) == facts.comm,
            app.command is None or app.command.search(" ".join(facts.words)) is not None,
            app.cgroup is None or any(cgroups.below(path, app.cgroup) for path in facts.groups),
            app.unit is None or any(app.unit in path.split("/") for path in facts.groups),
        )
    )
