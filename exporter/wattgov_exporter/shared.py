"""Kernel files that several readers want in one tick: each is read once.

To tell the times of all CPUs costs the kernel a millisecond on a machine with hundreds of them.
"""

import threading
from pathlib import Path

from wattgov_exporter.procfs import read_long


class Shared:
    """Called, it returns a file's bytes as they were when first asked for in this tick.

    OSError as `read_long`; then the next reader tries for himself.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: dict[Path, bytes] = {}

    def __call__(self, path: Path) -> bytes:
        """Read the file, unless somebody has."""
        with self._lock:
            text = self._read.get(path)
            if text is None:
                text = self._read[path] = read_long(path)
            return text

    def forget(self) -> None:
        """Begin a tick."""
        with self._lock:
            self._read.clear()
