"""The engine in its own time: all cards, their queues, and what they have done."""

from collections import deque
from collections.abc import Iterator, Sequence

from testbed.arrivals import Arrival
from testbed.exposition import Totals
from testbed.serving import MAX_SEQUENCES, Lane, assign, step

STEP_SECONDS = 0.02

BUSY_STEPS = 50
"""One second: NVML's utilisation is a mean over a sixth of a second to a second."""


class Simulation:
    """Serves *arrivals* on *cards* cards; time is what `step` makes it."""

    def __init__(
        self, arrivals: Iterator[Arrival], cards: int, max_sequences: int = MAX_SEQUENCES
    ) -> None:
        self._arrivals = arrivals
        self._next = next(arrivals, None)
        self._max_sequences = max_sequences
        self._busy = [deque[bool](maxlen=BUSY_STEPS) for _ in range(cards)]
        self._steps = 0
        self.lanes = [Lane() for _ in range(cards)]
        self.totals = [Totals() for _ in range(cards)]

    @property
    def seconds(self) -> float:
        """Return how far time has come; counted in steps, so that it does not drift."""
        return self._steps * STEP_SECONDS

    def busy(self, card: int) -> float:
        """Return the part of the last second in which *card* had work, 0 to 1."""
        return sum(self._busy[card]) / BUSY_STEPS

    def step(self, throughputs: Sequence[float]) -> None:
        """Advance by one step, each card at its relative throughput."""
        start = self.seconds
        shares = assign(self.lanes, self._due(start + STEP_SECONDS))
        for card, (lane, share, throughput) in enumerate(
            zip(self.lanes, shares, throughputs, strict=True)
        ):
            self.lanes[card], work = step(
                lane,
                share,
                start=start,
                seconds=STEP_SECONDS,
                throughput=throughput,
                max_sequences=self._max_sequences,
            )
            self.totals[card].add(work)
            self._busy[card].append(work.inter_token_seconds > 0)
        self._steps += 1

    def _due(self, end: float) -> list[Arrival]:
        due = []
        while self._next is not None and self._next.seconds < end:
            due.append(self._next)
            self._next = next(self._arrivals, None)
        return due
