"""What Prometheus would have stored: series with a sample for each scrape."""

from collections.abc import Sequence
from dataclasses import dataclass, field

Key = tuple[tuple[str, str], ...]
"""The labels of a series in order of their names, `__name__` among them."""


Samples = list[tuple[float, float | None]]
"""Unix seconds and a value; None marks the end of the series, as Prometheus does."""


def ended(samples: Sequence[tuple[float, float]], step: float, end: float) -> Samples:
    """Mark where a series ends for a while, or for good before *end*."""
    marked: Samples = []
    nexts = [at for at, _ in samples[1:]] + [end]
    for (at, value), follows in zip(samples, nexts, strict=True):
        marked.append((at, value))
        if follows - at > 1.5 * step:
            marked.append((at + step, None))
    return marked


def key(name: str, labels: dict[str, str]) -> Key:
    """Return a series' identity."""
    return tuple(sorted({"__name__": name, **labels}.items()))


@dataclass(slots=True)
class Tape:
    """Series by identity; a sample is unix seconds and a value."""

    now: float
    series: dict[Key, list[tuple[float, float]]] = field(default_factory=dict)
    _totals: dict[Key, float] = field(default_factory=dict)

    def gauge(self, metric: str, value: float, **labels: str) -> None:
        """Store a value; a series that is not stored at a scrape ends."""
        self.series.setdefault(key(metric, labels), []).append((self.now, value))

    def count(self, metric: str, more: float, **labels: str) -> None:
        """Let a counter grow; it is stored at every scrape from now on."""
        one = key(metric, labels)
        self._totals[one] = self._totals.get(one, 0.0) + more

    def total(self, metric: str, **labels: str) -> float:
        """Return where a counter stands."""
        return self._totals.get(key(metric, labels), 0.0)

    def scrape(self, seconds: float) -> None:
        """Store the counters, and go on in time."""
        for one, value in self._totals.items():
            self.series.setdefault(one, []).append((self.now, value))
        self.now += seconds

    @property
    def names(self) -> dict[str, set[str]]:
        """The labels by metric, without those that Prometheus adds."""
        found: dict[str, set[str]] = {}
        for one in self.series:
            labels = dict(one)
            name = labels.pop("__name__")
            found.setdefault(name, set()).update(set(labels) - {"job", "instance"})
        return found
