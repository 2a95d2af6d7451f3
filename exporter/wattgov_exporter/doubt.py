"""What no energy counter shows: a value that cannot be, and one that never changes."""

import math
from dataclasses import dataclass

from wattgov_exporter.reading import Anomaly, NoMeter, Reason

SOCKET_STILL_SECONDS = 10.0
"""A CPU's counter that has not moved for so long is stuck, as in some virtual machines.

Hardware counts every millisecond in units of 61 uJ or less, so that the deepest sleep moves it many
times a second; a virtual one (QEMU's rapl) is brought up to date once a second. A suspend does not
count here: the monotonic clock stands meanwhile.
"""


def impossible(joules: float, range_joules: float | None = None) -> Anomaly | None:
    """Return what is wrong with a value that no such counter shows, None if nothing."""
    if not math.isfinite(joules):
        return Anomaly.NAN
    if joules < 0:
        return Anomaly.NEGATIVE
    return Anomaly.SENTINEL if range_joules is not None and joules > range_joules else None


@dataclass(slots=True)
class Stand:
    """What a counter shows, since when, and how often it came to show something else."""

    joules: float
    since: float
    moves: int = 0


class Standing:
    """Tells a counter that counts from one that is stuck.

    A reading is as old as its value: who takes *since* for its time says of a counter that stands
    that nothing is known yet, not that nothing was drawn.
    """

    def __init__(self) -> None:
        self._stands: dict[tuple[str, str], Stand] = {}

    def since(self, key: tuple[str, str], joules: float, now: float) -> float:
        """Take what a counter shows now; return since when it has shown that."""
        stand = self._stands.get(key)
        if stand is None:
            stand = self._stands[key] = Stand(joules, now)
        elif joules != stand.joules:
            stand.joules, stand.since, stand.moves = joules, now, stand.moves + 1
        return stand.since

    def moved(self, key: tuple[str, str], joules: float, now: float, shown_by: object) -> float:
        """Return the same of a CPU's counter; NoMeter when it is stuck."""
        since = self.since(key, joules, now)
        if now - since > SOCKET_STILL_SECONDS:
            raise NoMeter(
                Reason.INVALID,
                f"{shown_by} has shown {joules:g} J for more than {SOCKET_STILL_SECONDS:g} s: "
                "its counter is stuck, as in some virtual machines",
            )
        return since

    def has_moved(self, key: tuple[str, str]) -> bool:
        """Tell whether a counter was ever seen to count."""
        stand = self._stands.get(key)
        return stand is not None and stand.moves > 0

    def begins(self, key: tuple[str, str], now: float) -> bool:
        """Tell whether a counter was seen to count *now* for the first time.

        One that is brought up to date once in a while did so over a time that began before us.
        """
        stand = self._stands.get(key)
        return stand is not None and stand.moves == 1 and stand.since == now
