"""The clock of a process's CPU time (clock_getcpuclockid(3)): anybody may ask, at little cost.

It goes by the number that a process has in our own namespace.
"""

import time
from collections.abc import Iterable
from pathlib import Path

from wattgov_exporter.procfs import read_bytes

_CPU_TIME = 2
"""CPUCLOCK_SCHED, in the lowest three bits of the number of a clock."""


def cpu_ns(pids: Iterable[int]) -> list[int | None]:
    """Return how long each has run; None where no process, or only a thread, has the number.

    For one that runs at this moment it may be late by a tick of the scheduler.
    """
    clocks = iter([~pid << 3 | _CPU_TIME for pid in pids])
    told: list[int | None] = []
    while True:
        try:
            # The loop over hundreds of processes is C's; what was told before an error stays.
            told.extend(map(time.clock_gettime_ns, clocks))
        except OSError:
            told.append(None)
        else:
            return told


def is_ours(proc: Path) -> bool:
    """Tell whether processes have the numbers in *proc* that they have for us, and all are shown.

    `NSpid` has our number in the namespace of *proc*, then in each one below it down to our own.
    Who may see nobody else's processes (hidepid) does not see init either.
    """
    try:
        told = read_bytes(proc / "self/status").partition(b"NSpid:")[2].partition(b"\n")[0]
        return len(told.split()) == 1 and (proc / "1/stat").exists()
    except OSError:
        return False
