"""What a second of CPU time weighs: more on a fast core than on a slow one.

Power grows with the clock, and more steeply than it: a weight in proportion is the least that is
sure. A process is known by the processor that its first thread ran on last, which is right on the
mean, and no more: what is asked of each thread would cost more than it tells.

On hybrids (P and E cores, big and little) each core has its capacity, read once. On others all
cores weigh the same, unless their clocks are asked for too. That is done for few cores at a look,
busy ones only: an idle core would be woken by being asked, and would tell its highest clock
(prometheus/node_exporter issue 2312); and where one read takes long (20 ms on Linux 4.15, issue
1086) no more are done.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wattgov_exporter.apps.lineage import Process
from wattgov_exporter.procfs import read_bytes
from wattgov_exporter.reading import Clock

LEAST_SPREAD = 1.2
"""Cores nearer to each other than this are of one kind: a favoured core turbos a little more."""

READS = 4
"""So many cores are asked for their clock at a look, in turn."""

SLOW_SECONDS = 0.005
"""A read that takes longer was the last."""

MEMORY_LOOKS = 60
"""A clock that was read longer ago says nothing any more."""

_PROCESSOR_FIELD = 36
"""Field 39 of /proc/PID/stat, counted from the state, which is field 3 (proc_pid_stat(5))."""

CAPACITIES = ("cpu_capacity", "acpi_cppc/highest_perf", "cpufreq/cpuinfo_max_freq")
"""What tells the kinds of cores apart, best first; each in its own unit."""


def capacities(sysfs: Path) -> dict[int, float]:
    """Return each core's capacity where they differ by kind; nothing where all are alike."""
    folders = {
        int(path.name[3:]): path
        for path in (sysfs / "devices/system/cpu").glob("cpu[0-9]*")
        if path.name[3:].isdigit()
    }
    for fact in CAPACITIES:
        known = {cpu: _number(folder / fact) for cpu, folder in folders.items()}
        shown = {cpu: value for cpu, value in known.items() if value}
        if len(shown) > 1 and max(shown.values()) >= LEAST_SPREAD * min(shown.values()):
            return shown
    return {}


@dataclass(slots=True)
class _Clocked:
    """A core's clock as part of its highest, and at which look that was read."""

    part: float
    look: int


class Weights:
    """The weight of each processor; none while they are not known to differ.

    *clocks*: whether the cores' clocks are read, and not only their kinds.
    """

    def __init__(self, sysfs: Path, clock: Clock, *, clocks: bool) -> None:
        self._root = sysfs / "devices/system/cpu"
        self._clock = clock
        self._clocks = clocks
        self._capacities = capacities(sysfs)
        self._highest: dict[int, float] = {}
        self._clocked: dict[int, _Clocked] = {}
        self._look = 0

    def look(self, busy: Collection[int]) -> Mapping[int, float]:
        """Return the weights now, where *busy* are the processors that something ran on."""
        self._look += 1
        if not self._clocks:
            return self._capacities
        turn = sorted(busy, key=lambda cpu: self._clocked[cpu].look if cpu in self._clocked else 0)
        for cpu in turn[:READS]:
            began = self._clock()
            self._read(cpu)
            if self._clock() - began > SLOW_SECONDS:
                self._clocks = False
                return self._capacities
        recent = {
            cpu: one.part * self._capacities.get(cpu, self._highest[cpu])
            for cpu, one in self._clocked.items()
            if self._look - one.look < MEMORY_LOOKS
        }
        return {**self._capacities, **recent}

    def _read(self, cpu: int) -> None:
        folder = self._root / f"cpu{cpu}" / "cpufreq"
        if cpu not in self._highest:
            self._highest[cpu] = _number(folder / "cpuinfo_max_freq")
        hertz = _number(folder / "scaling_cur_freq")
        if hertz and self._highest[cpu]:
            self._clocked[cpu] = _Clocked(hertz / self._highest[cpu], self._look)


def work(processes: Iterable[Process], weights: Weights) -> dict[str, float]:
    """Return each app's CPU time, in ticks, as it weighs; the sum over all is as it was.

    So what is nobody's weighs as the mean. Nothing where all cores weigh the same.
    """
    ran = [(one.app, one.used, processor(one.ran)) for one in processes if one.used]
    known = weights.look({cpu for _, _, cpu in ran if cpu is not None})
    if not known:
        return {}
    weighed = [(app, ticks, known.get(cpu) if cpu is not None else None) for app, ticks, cpu in ran]
    before = sum(ticks for _, ticks, weight in weighed if weight)
    after = sum(ticks * weight for _, ticks, weight in weighed if weight)
    apps: dict[str, float] = {}
    for app, ticks, weight in weighed:
        apps[app] = apps.get(app, 0.0) + (ticks * weight * before / after if weight else ticks)
    return apps


def processor(raw: bytes) -> int | None:
    """Return where the process ran last, by its /proc/PID/stat; None when that is not told."""
    fields = raw[raw.rfind(b")") + 1 :].split(None, _PROCESSOR_FIELD + 1)
    try:
        return int(fields[_PROCESSOR_FIELD])
    except (IndexError, ValueError):
        return None


def _number(path: Path) -> float:
    """Return what a file says, 0 when it says nothing."""
    try:
        return max(float(int(read_bytes(path))), 0.0)
    except (OSError, ValueError):
        return 0.0
