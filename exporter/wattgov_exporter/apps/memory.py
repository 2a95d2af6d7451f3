"""Who holds the memory: resident pages of processes, and what the machine has. Pure but for a file.

A page that several processes share is resident in each. So the sum may be more than there is in
use, and is then scaled down to that. What the kernel and its caches hold belongs to no app.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wattgov_exporter.procfs import ReadBytes, read_bytes

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_KIBIBYTES = re.compile(rb"^(MemTotal|MemAvailable):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: of the machine (*total*), in use (*used*), resident by app; shared pages in each."""

    total: float = 0.0
    used: float = 0.0
    resident: Mapping[str, float] = field(default_factory=dict)

    @property
    def held(self) -> dict[str, float]:
        """Bytes by app, in sum not more than are in use; nothing while the machine's are unknown.

        While nobody holds any it is nobody's either.
        """
        shown = sum(self.resident.values())
        if not (self.total and shown):
            return {}
        scale = min(self.used / shown, 1.0)
        return {app: held * scale for app, held in self.resident.items()}


def memory(proc: Path, pages: Mapping[str, int], read: ReadBytes = read_bytes) -> Memory:
    """Return who holds what, of the resident *pages* of each app."""
    total, used = _machine(proc, read)
    return Memory(total, used, {app: count * PAGE_BYTES for app, count in pages.items()})


def _machine(proc: Path, read: ReadBytes) -> tuple[float, float]:
    """Return how many bytes there are, and are in use (proc_meminfo(5)); 0 where it is not told."""
    try:
        found = dict(_KIBIBYTES.findall(read(proc / "meminfo")))
    except OSError:
        return 0.0, 0.0
    total = int(found.get(b"MemTotal", 0)) * 1024.0
    return total, max(total - int(found.get(b"MemAvailable", 0)) * 1024.0, 0.0)
