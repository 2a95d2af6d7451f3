"""What is counted while requests pass."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from wattgov_actuator.proxy.failure import Failure

WAIT_BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
DURATION_BOUNDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 0.75, 1.0),
    *(2.5, 5.0, 7.5, 10.0, 25.0, 60.0, 150.0, 300.0, 600.0),
)


class Wake(StrEnum):
    """How a try to wake the server ended."""

    WOKEN = "woken"
    FAILED = "failed"
    OPENED = "opened"
    FAILED_OPEN = "failed_open"


@dataclass(slots=True)
class Histogram:
    """Observations by their size; the last count is of those above every bound."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class Tally:
    """All of it, since the start."""

    codes: Counter[int] = field(default_factory=Counter)
    failures: Counter[Failure] = field(default_factory=Counter)
    wakes: Counter[Wake] = field(default_factory=Counter)
    waits: Histogram = field(default_factory=lambda: Histogram(WAIT_BOUNDS))
    durations: Histogram = field(default_factory=lambda: Histogram(DURATION_BOUNDS))
