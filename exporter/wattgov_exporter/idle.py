"""How much a device draws when it does nothing, learned from power against utilisation."""

from dataclasses import dataclass

BINS = 20
FORGET = 0.995
"""Weight kept by a bin's mean at each new sample: a few minutes of memory at one a second."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Mean watts seen in one twentieth of the utilisation range."""

    utilisation: float
    watts: float


@dataclass(frozen=True, slots=True)
class IdleModel:
    """Mean power by utilisation, one bin per 5 %."""

    bins: tuple[Bin | None, ...] = (None,) * BINS

    def seen(self, utilisation: float, watts: float) -> "IdleModel":
        """Return the model after one more sample; *utilisation* is 0..1."""
        index = min(int(max(utilisation, 0.0) * BINS), BINS - 1)
        old = self.bins[index]
        new = (
            Bin(utilisation, watts)
            if old is None
            else Bin(_mix(old.utilisation, utilisation), _mix(old.watts, watts))
        )
        return IdleModel((*self.bins[:index], new, *self.bins[index + 1 :]))

    def watts(self) -> float | None:
        """Return the idle power, None while the samples cannot tell it.

        The straight line through the bins is followed down to utilisation 0 and kept between 0
        and the least bin's mean. One bin alone tells only if it is the lowest.
        """
        known = [one for one in self.bins if one is not None]
        least = min((one.watts for one in known), default=None)
        if least is None:
            return None
        if known[0].utilisation < 1 / BINS:
            return min(known[0].watts, least)
        if len(known) < 2:  # noqa: PLR2004  a line needs two points
            return None
        mean_u = sum(one.utilisation for one in known) / len(known)
        mean_w = sum(one.watts for one in known) / len(known)
        spread = sum((one.utilisation - mean_u) ** 2 for one in known)
        slope = sum((one.utilisation - mean_u) * (one.watts - mean_w) for one in known) / spread
        return min(max(mean_w - slope * mean_u, 0.0), least)


def _mix(old: float, new: float) -> float:
    return FORGET * old + (1 - FORGET) * new
