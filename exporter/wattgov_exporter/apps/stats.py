"""The files /proc/PID/stat, and who may have run since his was read.

To read one takes ten microseconds, most of them the kernel's; to ask a clock takes one. While it
stands the process did not run. Where /proc is not ours (the host's, in a container), everybody may
have run.
"""

import os
import resource
import weakref
from collections.abc import Collection
from pathlib import Path

from wattgov_exporter.apps.clock import cpu_ns, is_ours

STAT_BYTES = 2048


class Stats:
    """One for all processes. The first files opened stay so, within a limit."""

    def __init__(self, proc: Path, kept: int) -> None:
        self._proc = os.fspath(proc)
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        unlimited = allowed == resource.RLIM_INFINITY
        self._limit = kept if unlimited else min(kept, allowed // 2)
        self._files: dict[int, int] = {}
        self._clocks: dict[int, int | None] = {}
        self._has_clocks = is_ours(proc)
        weakref.finalize(self, _close_all, self._files)

    def ran(self, pids: Collection[int]) -> set[int]:
        """Return those that may have run since this was asked last; who is gone is among them."""
        if not self._has_clocks:
            return set(pids)
        times, before = cpu_ns(pids), self._clocks.get
        told = zip(pids, times, strict=True)
        ran = {pid for pid, now in told if now is None or now != before(pid)}
        self._clocks.update(zip(pids, times, strict=True))
        return ran

    def ended(self, pids: Collection[int]) -> Collection[int]:
        """Return those that are gone, as their clocks tell; another of the number has a young one.

        Where there are no clocks everybody is read, so nobody's end is missed.
        """
        if not self._has_clocks:
            return ()
        before = self._clocks.get
        told = zip(pids, cpu_ns(pids), strict=True)
        return [pid for pid, now in told if now is None or now < (before(pid) or 0)]

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
            self._clocks.pop(pid, None)  # asked again at the next look
            return b""

    def forget(self, pid: int) -> None:
        """Close a process's file."""
        self._clocks.pop(pid, None)
        file = self._files.pop(pid, None)
        if file is not None:
            os.close(file)


def _close_all(files: dict[int, int]) -> None:
    for file in files.values():
        os.close(file)
