"""Joules from a power gauge, where the hardware counts none."""


class Integral:
    """The trapezoid over a gauge; a gap longer than *bridge_seconds* adds nothing."""

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
        self._last = watts, at
        return self._joules
