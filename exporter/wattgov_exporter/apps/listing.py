"""The numbers of all processes, listed anew only when one may have come or gone.

Listing /proc takes a microsecond for each process. The kernel also tells how many threads there are
and which number it gave last. While both stay, nobody was born, since each birth takes a number,
and so nobody has ended either. But the number is that of our own namespace, the threads are all of
the kernel's: only in the first namespace, the host's, do they belong together.
"""

import os
from pathlib import Path

from wattgov_exporter.procfs import read_bytes

HOST_NAMESPACE = 0xEFFFFFFC
"""The inode of the first namespace of pids (PROC_PID_INIT_INO in linux/proc_ns.h)."""


class Listing:
    """Called, it returns who is there now."""

    def __init__(self, proc: Path, host_namespace: int = HOST_NAMESPACE) -> None:
        self._proc = proc
        self._pids: set[int] = set()
        self._mark: bytes | None = None
        try:
            self._can_tell = (proc / "self/ns/pid").stat().st_ino == host_namespace
        except OSError:
            self._can_tell = False

    def __call__(self) -> set[int]:
        """List the processes, if there was a change since the last listing."""
        mark = self._now() if self._can_tell else None
        if mark is None or mark != self._mark:
            names = os.listdir(self._proc)  # noqa: PTH208  a Path for each of 10,000 names is waste
            self._pids = set(map(int, filter(str.isdigit, names)))
            self._mark = mark  # from before the listing: what changed meanwhile is listed next time
        return self._pids

    def _now(self) -> bytes:
        """Return what changes: in `0.01 0.02 0.03 2/345 6789` all behind the `/`."""
        return read_bytes(self._proc / "loadavg").rpartition(b"/")[2]
