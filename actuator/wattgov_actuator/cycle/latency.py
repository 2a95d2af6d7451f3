"""How long Prometheus takes to answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wattgov_actuator.reading import Answer


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the queries that were answered; what was never answered took no time that is known."""

    last: Mapping[str, float] = field(default_factory=dict)  # seconds by expression
    seconds: float = 0.0  # all of them together
    count: int = 0

    def after(self, answers: Mapping[str, Answer]) -> "Latency":
        """Return it after one more tick."""
        took = {expr: one.seconds for expr, one in answers.items() if one.seconds is not None}
        return Latency(
            {**self.last, **took}, self.seconds + sum(took.values()), self.count + len(took)
        )
