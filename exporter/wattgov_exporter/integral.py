"""Joules from a power gauge, where the hardware counts none."""

from wattgov_exporter.reading import Anomaly

ALL_ONES = frozenset({2**16 - 1, 2**32 - 1, 2**64 - 1})
"""What firmware shows when a register of that width was never filled."""


def wrong(value: float, most: float) -> Anomaly | None:
    """Return what is wrong with a gauge's value that should be in 0 to *most*, None if nothing."""
    if value != value:  # noqa: PLR0124  only NaN is not itself, and a huge int is no float
        return Anomaly.NAN
    if value < 0:
        return Anomaly.NEGATIVE
    if value in ALL_ONES:
        return Anomaly.SENTINEL
    return Anomaly.SPIKE if value > most else None


class Integral:
    """The trapezoid over a gauge; a gap longer than *bridge_seconds* adds nothing.

    *is_start*: the last value came after such a gap. What was drawn in it is not known, which is
    not 0 W.
    """

    is_start = False

    def __init__(self, bridge_seconds: float) -> None:
        self._bridge_seconds = bridge_seconds
        self._joules = 0.0
        self._last: tuple[float, float] | None = None

    def add(self, watts: float, at: float) -> float:
        """Take the gauge's value at *at* (monotonic seconds); return the joules since the first."""
        last_watts, last_at = self._last or (watts, at)
        seconds = at - last_at
        if 0 < seconds <= self._bridge_seconds:
            self._joules += (watts + last_watts) / 2 * seconds
        self.is_start = seconds > self._bridge_seconds
        self._last = watts, at
        return self._joules
