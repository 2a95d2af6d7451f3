"""The files /proc/PID/stat, and who may have run since his was read.

To read one takes ten microseconds, most of them the kernel's; to ask a clock takes one. While it
stands the process did not run. Where /proc is not ours (the host's, in a container), everybody may
have run.
"""

import os
import resource
import weakref
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
        self._clocks: dict[int, int] = {}
        self._has_clocks = is_ours(proc)
        weakref.finalize(self, _close_all, self._files)

    def has_run(self, pid: int) -> bool:
        """Tell whether a process may have run since this was asked last; True if it is gone."""
        now = cpu_ns(pid) if self._has_clocks else None
        if now is None:
            return True
        before, self._clocks[pid] = self._clocks.get(pid), now
        return before != now

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
