"""Which app each process belongs to, and the CPU time that each app used."""

import os
import resource
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wattgov_exporter.apps import cgroups
from wattgov_exporter.apps.census import Census
from wattgov_exporter.apps.frequency import Weights, work
from wattgov_exporter.apps.lineage import REST_LOOKS, TURN, Lineage, Process
from wattgov_exporter.apps.listing import Listing
from wattgov_exporter.apps.memory import Memory, memory
from wattgov_exporter.apps.naming import COMM_BYTES, Facts, automatic
from wattgov_exporter.apps.pods import Directory, NotYet
from wattgov_exporter.config import App
from wattgov_exporter.procfs import TICKS_PER_SECOND, CpuTimes, cpu_times, read_bytes
from wattgov_exporter.reading import Pods

OTHER = "_other"
"""Processes that no app claims."""

RECHECK_LOOKS = 8 * TURN * REST_LOOKS
"""Every so many looks, at a turn of those that rest too, a process is asked for its cgroup again: a
container runtime may move it after the start. A new process, or one with a new name, is asked for
everything at two looks."""

KEPT_FILES = 512
"""So many stat files stay open from look to look: a read costs less than half of an open. At most
half of what the process may open (RLIMIT_NOFILE)."""

UNEXPLAINED_SHARE = 0.05
UNEXPLAINED_SECONDS = 0.03
"""More CPU time than both that no process showed: one that rests may have woken. The kernel rounds
each figure to a tick, and counts the node's time in another way than a process's."""

STAT_BYTES = 2048
LABEL_BYTES = 128


@dataclass(frozen=True, slots=True)
class Activity:
    """What ran since the last look; all times are CPU-seconds in that span.

    *busy* is the node's own figure; the part of it that *cpu_seconds* does not cover was used by
    orphans that are gone, or by the kernel itself. *own_seconds* is this exporter's share.
    *cpu_work* is *cpu_seconds* as they weigh on cores that differ, empty where all are alike.
    """

    busy: float
    owned: float
    cpu_seconds: dict[str, float]
    processes: dict[str, int]
    pid_apps: dict[int, str] = field(default_factory=dict)
    own_seconds: float = 0.0
    cpu_work: dict[str, float] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)

    @property
    def utilisation(self) -> float:
        """Busy share of the CPU time that was ours, 0..1."""
        return min(self.busy / self.owned, 1.0) if self.owned > 0 else 0.0

    @property
    def own_share(self) -> float:
        """This exporter's part of all CPU time used, 0..1."""
        used = max(self.busy, sum(self.cpu_seconds.values()))
        return self.own_seconds / used if used > 0 else 0.0


class Workloads:
    """Follows every process from look to look.

    *by* are the kinds of names (`naming.KINDS`) for processes that no app of *apps* claims,
    *label_bytes* the longest such name may be, *kept_files* how many files stay open.
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
    ) -> None:
        self._proc = proc
        self._folder = os.fspath(proc)
        self._own_pid = own_pid
        self._names = names or Directory(lambda: 0.0, patience_seconds=0.0)
        self._weights = weights
        self._lineage = Lineage()
        self._census = Census()
        self._listing = Listing(proc)
        self.reconfigure(apps, by, label_bytes)
        self._stats = _Stats(proc, kept_files)
        self._times: CpuTimes | None = None
        self._unexplained = False

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
            process.unsettle(1)

    def look(self) -> Activity:
        """Look at the processes; one that vanishes in the middle is skipped."""
        times = cpu_times(self._proc)
        gone = self._lineage.look(self._listing, self._stats.read, full=self._unexplained)
        for pid in gone:
            self._stats.forget(pid)
            self._census.leave(pid)
        for process in self._lineage.read:
            if process.unsettled or (process.pid + self._lineage.looks) % RECHECK_LOOKS == 0:
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
        ran = busy - max(times.interrupts - before.interrupts, 0.0)
        unseen = ran - sum(ticks.values()) / TICKS_PER_SECOND
        self._unexplained = unseen > max(UNEXPLAINED_SECONDS, UNEXPLAINED_SHARE * ran)
        return Activity(
            busy=busy,
            owned=busy + max(times.idle - before.idle, 0.0),
            cpu_seconds={app: used / TICKS_PER_SECOND for app, used in ticks.items()},
            processes=processes,
            pid_apps=dict(self._census.apps),
            own_seconds=own.used / TICKS_PER_SECOND if own else 0.0,
            cpu_work=self._work(ticks),
            memory=memory(self._proc, {**nothing, **self._census.pages}),
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
                process.unsettle(1)
                return
        parent = self._lineage.known.get(process.stat.parent)
        if ended and process.app == OTHER and parent is not None:
            process.app = parent.app or OTHER  # as if it were reaped already

    def _app(self, facts: Facts) -> str:
        for app in self._apps:
            if _fits(app, facts):
                return app.name
        return automatic(facts, self._by, self._declared, self._label_bytes, self._names) or OTHER


class _Stats:
    """The files /proc/PID/stat; the first ones opened stay so, within a limit."""

    def __init__(self, proc: Path, kept: int) -> None:
        self._proc = os.fspath(proc)
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        unlimited = allowed == resource.RLIM_INFINITY
        self._limit = kept if unlimited else min(kept, allowed // 2)
        self._files: dict[int, int] = {}
        weakref.finalize(self, _close_all, self._files)

    def read(self, pid: int) -> bytes | None:
        """Return the text, empty when it cannot be read now, None when the process is gone."""
        file = self._files.get(pid)
        try:
            if file is None:
                file = os.open(f"{self._proc}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
                if len(self._files) < self._limit:
                    self._files[pid] = file
            try:
                return os.pread(file, STAT_BYTES, 0)
            finally:
                if pid not in self._files:
                    os.close(file)
        except (FileNotFoundError, ProcessLookupError):
            self.forget(pid)
            return None
        except OSError:
            return b""

    def forget(self, pid: int) -> None:
        """Close a process's file."""
        file = self._files.pop(pid, None)
        if file is not None:
            os.close(file)


def _close_all(files: dict[int, int]) -> None:
    for file in files.values():
        os.close(file)


def _fits(app: App, facts: Facts) -> bool:
    """Tell whether every selector that the app gives fits.

    `cgroup` is a glob over the path and all below it; `unit` is a path element.
    """
    return all(
        (
            app.process is None or app.process[:COMM_BYTES] == facts.comm,
            app.command is None or app.command.search(" ".join(facts.words)) is not None,
            app.cgroup is None or any(cgroups.below(path, app.cgroup) for path in facts.groups),
            app.unit is None or any(app.unit in path.split("/") for path in facts.groups),
        )
    )
