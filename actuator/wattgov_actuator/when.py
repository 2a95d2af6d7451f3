"""Moments and spans of time as people write and read them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor

POINTS = 10_000  # of a query; Prometheus refuses more than 11,000 a series
SLACK = 1e-6  # of a step
LONGEST_SECONDS = 366 * 86_400.0  # that anybody may ask us to wait
SPANS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments at equal distances."""

    start: float  # unix seconds
    step: float  # seconds
    count: int

    @property
    def all(self) -> tuple[float, ...]:
        """Return each of them."""
        return tuple(self.start + number * self.step for number in range(self.count))

    def parts(self, most: int = POINTS) -> Iterator["Moments"]:
        """Yield them in parts that one query can answer."""
        for first in range(0, self.count, most):
            count = min(most, self.count - first)
            yield Moments(self.start + first * self.step, self.step, count)


def moments_between(start: float, end: float, step: float) -> Moments:
    """Return the moments from *start* on, up to *end*."""
    return Moments(start, step, max(floor((end - start) / step + SLACK) + 1, 0))


def clock_text(unix: float) -> str:
    """Return a moment as a person and a machine can read it, to the second."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_calendar(unix: float) -> bool:
    """Tell whether there is a date for a moment."""
    try:
        clock_text(unix)
    except (ValueError, OverflowError, OSError):
        return False
    return True


def span_text(seconds: float) -> str:
    """Return a length of time in its largest unit, rounded."""
    for size, name in SPANS:
        if abs(seconds) >= size:
            return f"{round(seconds / size, 1):g} {name}"
    return f"{seconds:.3g} s" if abs(seconds) < 1 else f"{seconds:.0f} s"


def exact_text(seconds: float) -> str:
    """Return a length of time in the largest unit that it is whole in: 75 min, and not 1.2 h."""
    for size, name in SPANS:
        if seconds and seconds % size == 0:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} s"


def moment_of(text: str) -> float | None:
    """Return the unix seconds of an ISO 8601 moment, UTC where it names no zone; else None."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
