"""What a power cap costs in throughput and saves in energy, as published measurements."""

from bisect import bisect_left
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CapCurve:
    """Relative throughput and relative energy per unit of work against the cap.

    Each point is (cap as a fraction of the maximum limit, throughput, energy), caps rising;
    1.0 means as without a cap. Between points the curve is straight, beyond them it is flat.
    """

    name: str
    points: tuple[tuple[float, float, float], ...]

    def at(self, cap: float) -> tuple[float, float]:
        """Return (throughput, energy) at *cap*, a fraction of the maximum limit."""
        after = bisect_left(self.points, cap, key=lambda point: point[0])
        if after == 0:
            return self.points[0][1:]
        if after == len(self.points):
            return self.points[-1][1:]
        (low, *before), (high, *behind) = self.points[after - 1], self.points[after]
        part = (cap - low) / (high - low)
        throughput, energy = (a + (b - a) * part for a, b in zip(before, behind, strict=True))
        return throughput, energy


# Medians over the training configurations that draw at least 60 % of the maximum, from the traces
# of Zeus (NSDI'23), github.com/ml-energy/zeus, examples/research_reproducibility/zeus_nsdi23/trace,
# Apache-2.0.
A40 = CapCurve(
    "a40",
    (
        (0.333, 0.31, 1.52),
        (0.417, 0.44, 1.20),
        (0.5, 0.68, 0.91),
        (0.583, 0.847, 0.796),
        (0.667, 0.934, 0.811),
        (0.75, 0.974, 0.849),
        (0.833, 0.985, 0.917),
        (1.0, 1.0, 1.0),
    ),
)
V100 = CapCurve(
    "v100",
    (
        (0.4, 0.6676, 0.7335),
        (0.5, 0.8115, 0.7437),
        (0.6, 0.886, 0.77),
        (0.7, 0.9269, 0.8212),
        (0.8, 0.9558, 0.8789),
        (0.9, 0.9822, 0.9511),
        (1.0, 1.0, 1.0),
    ),
)
