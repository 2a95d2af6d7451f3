"""The numbers of all processes, found without listing them all.

Listing /proc takes a microsecond for each process. But the kernel gives numbers in turn, and tells
which it gave last: so who was born since is found by asking for the few numbers in between. Who is
gone, his own clock tells.
"""

import os
from collections.abc import Callable
from pathlib import Path

from wattgov_exporter.apps.clock import cpu_ns, is_ours
from wattgov_exporter.procfs import read_bytes

LIST_LOOKS = 128
"""So often all are listed: a number can be chosen too (clone3's set_tid), or be long in coming."""


class Listing:
    """Called, it returns all that are there now, and perhaps some that are gone.

    *is_process* tells whether a process, and no thread, has a number.
    """

    def __init__(
        self, proc: Path, is_process: Callable[[int], bool] = lambda pid: cpu_ns([pid]) != [None]
    ) -> None:
        self._proc = proc
        self._is_process = is_process
        self._can_tell = is_ours(proc) and _tells_last(proc)
        self._pids: set[int] = set()
        self._given = 0, 0
        self._looks = 0

    def __call__(self) -> set[int]:
        """Find who was born since the last call."""
        since, before = self._given
        last = _last(self._proc) if self._can_tell else 0
        self._given = before, last
        # Once more those before the last: a number is given some time before its process is there.
        few = 0 <= last - since <= len(self._pids)
        if self._can_tell and few and self._looks % LIST_LOOKS:
            self._pids.update(filter(self._is_process, range(since + 1, last + 1)))
        else:
            names = os.listdir(self._proc)  # noqa: PTH208  a Path for each of 10,000 names is waste
            self._pids = set(map(int, filter(str.isdigit, names)))
        self._looks += 1
        return self._pids

    def forget(self, pid: int) -> None:
        """Let a process go that is gone."""
        self._pids.discard(pid)


def _last(proc: Path) -> int:
    """Return the number that was given last, the last word of /proc/loadavg (proc_loadavg(5))."""
    return int(read_bytes(proc / "loadavg").split()[-1])


def _tells_last(proc: Path) -> bool:
    """Tell whether the file says what is so now.

    In a container one of lxcfs may be mounted over it, which is seconds old; gVisor's says 0.
    """
    try:
        return (proc / "loadavg").stat().st_dev == proc.stat().st_dev and _last(proc) > 0
    except (OSError, ValueError, IndexError):
        return False
