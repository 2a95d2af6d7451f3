"""Where the machine that is governed shows itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Machine:
    """The folders that the kernel shows it in, and its clock."""

    sysfs: Path = Path("/sys")
    procfs: Path = Path("/proc")
    steady: Callable[[], float] = perf_counter  # seconds; how long something took
