"""Who is on an NVIDIA GPU: the memory that processes hold, the time of its SMs that they used."""

import struct
from collections import defaultdict
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import pynvml

from wattgov_exporter.reading import NOBODY_PID
from wattgov_exporter.sources.nvml_calls import ALL_ONES, attempt

LISTS = (
    (pynvml.nvmlDeviceGetComputeRunningProcesses, True),
    (pynvml.nvmlDeviceGetMPSComputeRunningProcesses, True),
    (pynvml.nvmlDeviceGetGraphicsRunningProcesses, False),
)
"""What lists processes, and whether they work: a display server is on its card for ever, and that
alone does not keep the card busy."""

SAMPLE = struct.Struct("@IQIIII")
"""nvmlProcessUtilizationSample_t: pid, time stamp, SM, memory, encoder, decoder. The binding's own
attributes cost more than the call."""

FUTURE_US = 1_000_000
"""A sample that ends so long after now is from before the clock was set back."""

Place = tuple[int, int]
"""The ids of a GPU and a compute instance; all ones on a card that is not cut up."""


class Held(NamedTuple):
    """The memory that a process holds, 0 where the driver does not tell, and where."""

    memory_bytes: float
    place: Place
    works: bool


def held(handle: object) -> dict[int, Held] | None:
    """Return who holds memory on a card or an instance; None when this user may not know.

    A process that computes and draws is in both lists, with the same memory.
    """
    found: dict[int, Held] = {}
    told = False
    for call, works in LISTS:
        listed = attempt(call, handle)
        told = told or listed is not None
        for process in listed or ():
            memory = process.usedGpuMemory
            memory = 0.0 if memory is None or memory in ALL_ONES else float(memory)
            place = process.gpuInstanceId, process.computeInstanceId
            old = found.get(process.pid)
            if old is not None:
                memory, place = max(memory, old.memory_bytes), old.place
            found[process.pid] = Held(memory, place, works or (old is not None and old.works))
    return found if told else None


class Samples:
    """The driver's samples of what each process did, each counted once.

    A sample is a mean up to its time stamp, so it counts for the time since the process's last one,
    else since the last look: the figures are SM-seconds, however the samples are spaced.
    """

    def __init__(self) -> None:
        self._since_us: int | None = None
        self._ends_us: dict[int, int] = {}

    def read(self, handle: object, wall_us: int) -> dict[int, float]:
        """Return the SM-seconds of each process since the last read; none at the first.

        NotFound means no sample; with none and success the binding raises code 0. Both are empty.
        A clock that was set back would hide all samples until it is where it was.
        """
        since = wall_us if self._since_us is None else min(self._since_us, wall_us)
        last = wall_us + FUTURE_US
        before = {pid: end for pid, end in self._ends_us.items() if end <= last}
        self._since_us = since
        samples = attempt(pynvml.nvmlDeviceGetProcessUtilization, handle, since) or ()
        activity: dict[int, float] = defaultdict(float)
        ends: dict[int, int] = {}
        facts = [SAMPLE.unpack_from(sample)[:3] for sample in samples]
        for pid, end, percent in sorted(facts, key=itemgetter(1)):
            start = ends.get(pid, before.get(pid, since))
            if pid != NOBODY_PID and percent <= 100 and start < end <= last:  # noqa: PLR2004  %
                activity[pid] += percent / 100 * (end - start) / 1e6
                ends[pid] = end
        if ends:
            self._ends_us = ends
            self._since_us = max(since, *ends.values())
        return activity


class Known:
    """Which processes /proc has; NVML tells the host's pids, in a container too."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self._here: dict[str, dict[int, bool]] = {}

    def count(self, card: str, pids: Iterable[int]) -> tuple[tuple[str, float], ...]:
        """Return how many processes a card has, by whether /proc has them.

        A pid is looked up once: when it is new on the card.
        """
        before = self._here.get(card, {})
        here = {
            pid: before[pid] if pid in before else (self._proc / str(pid)).exists() for pid in pids
        }
        self._here[card] = here
        known = sum(here.values())
        return ("true", float(known)), ("false", float(len(here) - known))
