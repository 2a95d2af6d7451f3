"""A graphics card: what it draws for a batch under a limit; the testbed's H100 in short."""

import math
from dataclasses import dataclass

LIMITS_WATTS = {"min": 200.0, "max": 700.0, "default": 700.0}
IDLE_WATTS = 70.0
HOT_CELSIUS = 83.0


@dataclass(slots=True)
class Card:
    """One card, and what holds it back."""

    number: int
    node: str
    warmer: float = 0.0  # degrees above its neighbours: it sits last in the stream of air
    limit_watts: float = 700.0
    watts: float = IDLE_WATTS
    demand_watts: float = IDLE_WATTS  # what it would draw without its limit
    celsius: float = 32.0
    batch: float = 0.0
    pace: float = 1.0  # throughput under the limit, as a part of that without one

    @property
    def uuid(self) -> str:
        """What the driver calls it."""
        return f"GPU-{self.node}-{self.number}"

    def work(self, batch: float, seconds: float) -> None:
        """Run a batch for a while."""
        self.batch = batch
        demand = IDLE_WATTS
        if batch >= 1.0:
            demand = 480.0 + 215.0 / (1.0 + math.exp(-1.2 * (math.log2(batch) - 5.5)))
        self.demand_watts = demand
        self.watts = min(demand, self.limit_watts)
        self.pace = (self.watts / demand) ** 0.35
        rest = 27.0 + self.warmer + 0.065 * self.watts
        self.celsius += (rest - self.celsius) * (1.0 - math.exp(-seconds / 90.0))

    @property
    def capped(self) -> float:
        """The part of the time in which its limit holds it."""
        return min(1.0, 2.5 * (1.0 - self.pace))
