"""A histogram that takes many equal observations at once, which prometheus_client's does not."""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts per bucket; *bounds* are upper bounds, inclusive, rising, without the infinity."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.sum = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Observe *value*, *times* times."""
        self._counts[bisect_left(self._bounds, value)] += times
        self.sum += value * times

    @property
    def count(self) -> int:
        """Return how many observations there were."""
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Return (upper bound as Prometheus writes it, observations up to it), cumulative."""
        total = 0.0
        pairs = []
        for bound, count in zip([*map(str, self._bounds), "+Inf"], self._counts, strict=True):
            total += count
            pairs.append((bound, total))
        return pairs
