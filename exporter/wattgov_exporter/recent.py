"""Small kernel files that several readers want in one tick: each is read once.

To tell the times of all CPUs costs the kernel a millisecond on a machine with hundreds of them.
"""

import threading
from pathlib import Path

from wattgov_exporter.procfs import read_long
from wattgov_exporter.reading import Clock

KEPT_SECONDS = 0.1
"""Longer than a tick's readers are apart, shorter than the shortest interval."""


class Recent:
    """Called, it returns a file's bytes as they were a moment ago; OSError as `read_long`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[bytes, float]] = {}

    def __call__(self, path: Path) -> bytes:
        """Read the file, unless somebody just did."""
        with self._lock:
            text, at = self._read.get(path, (b"", None))
            now = self._clock()
            if at is None or not 0 <= now - at < KEPT_SECONDS:
                text = read_long(path)
                self._read[path] = text, now
            return text
