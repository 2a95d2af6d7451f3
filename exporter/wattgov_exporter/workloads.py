"""Which app each process belongs to, and the CPU time that each app used."""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from wattgov_exporter.config import App
from wattgov_exporter.procfs import TICKS_PER_SECOND, CpuTimes, cpu_times, read_bytes

OTHER = "_other"
"""Processes that no declared app claims."""

COMM_BYTES = 15
"""The kernel cuts a command name to this (TASK_COMM_LEN)."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What ran since the last look; all times are CPU-seconds in that span.

    *busy* is the node's own figure; the part of it that *cpu_seconds* does not cover was used by
    processes that are gone, or by the kernel itself. *own_seconds* is this exporter's share.
    """

    busy: float
    owned: float
    cpu_seconds: dict[str, float]
    processes: dict[str, int]
    pid_apps: dict[int, str] = field(default_factory=dict)
    own_seconds: float = 0.0

    @property
    def utilisation(self) -> float:
        """Busy share of the CPU time that was ours, 0..1."""
        return min(self.busy / self.owned, 1.0) if self.owned > 0 else 0.0

    @property
    def own_share(self) -> float:
        """This exporter's part of all CPU time used, 0..1."""
        used = max(self.busy, sum(self.cpu_seconds.values()))
        return self.own_seconds / used if used > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Process:
    started: int
    ticks: int
    comm: str
    app: str


class Workloads:
    """Follows every process from look to look."""

    def __init__(self, proc: Path, apps: Iterable[App], own_pid: int) -> None:
        self._proc = proc
        self._own_pid = own_pid
        self._apps = tuple(apps)
        self._known: dict[int, _Process] = {}
        self._times: CpuTimes | None = None

    def look(self) -> Activity:
        """Walk /proc once; a process that vanishes in the middle is skipped."""
        times = cpu_times(self._proc)
        last = self._times
        names = [OTHER, *(app.name for app in self._apps)]
        seconds = dict.fromkeys(names, 0.0)
        processes = dict.fromkeys(names, 0)
        known: dict[int, _Process] = {}
        own_seconds = 0.0
        for entry in self._proc.iterdir():
            if not entry.name.isdigit():
                continue
            pid = int(entry.name)
            try:
                comm, started, ticks = _stat(read_bytes(entry / "stat"))
                old = self._known.get(pid)
                if old is None or old.started != started or old.comm != comm:
                    app = self._app(entry, comm)
                else:
                    app = old.app
            except (OSError, ValueError, IndexError):
                continue  # it ended between the listing and the read: its time shows in `busy`
            known[pid] = _Process(started, ticks, comm, app)
            processes[app] += 1
            if old is not None and old.started == started:
                used = max(ticks - old.ticks, 0) / TICKS_PER_SECOND
            else:  # born since the last look, so all its time is new; at the first look none is
                used = ticks / TICKS_PER_SECOND if last else 0.0
            seconds[app] += used
            if pid == self._own_pid:
                own_seconds = used
        self._known, self._times = known, times
        before = last or times
        busy = max(times.busy - before.busy, 0.0)
        return Activity(
            busy=busy,
            owned=busy + max(times.idle - before.idle, 0.0),
            cpu_seconds=seconds,
            processes=processes,
            pid_apps={pid: process.app for pid, process in known.items()},
            own_seconds=own_seconds,
        )

    def _app(self, entry: Path, comm: str) -> str:
        command = read_bytes(entry / "cmdline").replace(b"\0", b" ").decode("utf-8", "replace")
        groups = _cgroups(read_bytes(entry / "cgroup").decode("utf-8", "replace"))
        return next(
            (app.name for app in self._apps if _fits(app, comm, command.strip(), groups)), OTHER
        )


def _stat(raw: bytes) -> tuple[str, int, int]:
    """Return command name, start time and CPU ticks from /proc/PID/stat (proc_pid_stat(5)).

    The name may hold spaces and brackets, so the fields are counted from the last `)`.
    """
    head, _, tail = raw.rpartition(b")")
    fields = tail.split()
    comm = head.partition(b"(")[2].decode("utf-8", "replace")
    return comm, int(fields[19]), int(fields[11]) + int(fields[12])


def _cgroups(text: str) -> list[str]:
    """Return the process's paths in all hierarchies, v1 and v2."""
    return [line.split(":", 2)[2] for line in text.splitlines() if line.count(":") > 1]


def _fits(app: App, comm: str, command: str, groups: list[str]) -> bool:
    """Tell whether every selector that the app gives fits.

    `cgroup` is a glob over the path and all below it; `unit` is a path element.
    """
    return all(
        (
            app.process is None or app.process[:COMM_BYTES] == comm,
            app.command is None or app.command.search(command) is not None,
            app.cgroup is None or any(_below(path, app.cgroup) for path in groups),
            app.unit is None or any(app.unit in path.split("/") for path in groups),
        )
    )


def _below(path: str, glob: str) -> bool:
    top = glob.rstrip("/")
    return fnmatch.fnmatchcase(path, top) or fnmatch.fnmatchcase(path, f"{top}/*")
