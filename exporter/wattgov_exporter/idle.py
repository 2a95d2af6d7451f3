"""How much a device draws when it does nothing, learned from power against utilisation."""

from dataclasses import dataclass

BINS = 20
MEMORY_SAMPLES = 200
"""A bin's mean follows the last few minutes, at one sample a second."""

LEAST_SPREAD = 0.3
"""A line through loads nearer to each other than this says nothing about rest."""


@dataclass(frozen=True, slots=True)
class Bin:
    """What was seen in one twentieth of the utilisation range: means, and of how many samples."""

    utilisation: float
    watts: float
    samples: int

    def seen(self, utilisation: float, watts: float) -> "Bin":
        """Return the bin after one more sample."""
        samples = min(self.samples + 1, MEMORY_SAMPLES)
        return Bin(
            self.utilisation + (utilisation - self.utilisation) / samples,
            self.watts + (watts - self.watts) / samples,
            samples,
        )


@dataclass(frozen=True, slots=True)
class IdleModel:
    """Mean power by utilisation, one bin per 5 %; a bin that was never seen is None."""

    bins: tuple[Bin | None, ...] = (None,) * BINS

    def seen(self, utilisation: float, watts: float) -> "IdleModel":
        """Return the model after one more sample; *utilisation* is 0..1."""
        index = min(int(max(utilisation, 0.0) * BINS), BINS - 1)
        new = (self.bins[index] or Bin(0.0, 0.0, 0)).seen(utilisation, watts)
        return IdleModel((*self.bins[:index], new, *self.bins[index + 1 :]))

    def watts(self) -> float | None:
        """Return the idle power, None while the samples cannot tell it.

        A device seen at rest shows it. For one that never rests, the straight line through the
        bins is followed down to utilisation 0 and kept between 0 and the least bin's mean.
        """
        known = [one for one in self.bins if one is not None]
        if not known:
            return None
        least = min(one.watts for one in known)
        if known[0].utilisation < 1 / BINS:
            return least
        if known[-1].utilisation - known[0].utilisation < LEAST_SPREAD:
            return None
        mean_u = sum(one.utilisation for one in known) / len(known)
        mean_w = sum(one.watts for one in known) / len(known)
        spread = sum((one.utilisation - mean_u) ** 2 for one in known)
        slope = sum((one.utilisation - mean_u) * (one.watts - mean_w) for one in known) / spread
        return min(max(mean_w - slope * mean_u, 0.0), least)
