"""Where the machine that is governed shows itself."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """The folders that the kernel shows it in."""

    sysfs: Path = Path("/sys")
    procfs: Path = Path("/proc")
