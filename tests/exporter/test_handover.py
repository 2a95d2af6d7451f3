"""Whichever meters fall silent and come back, each moment's joules are counted once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattgov_exporter.handover import Handover
from wattgov_exporter.ledger import Step
from wattgov_exporter.reading import Component, Meter, Method

WATTS = 100.0
INTERVALS = {"nvml": 1, "scrape": 5, "hwmon": 1}
"""Seconds between two answers of each source, the best first."""


def meter(source: str, zone: str = "GPU-0", pci: str = "") -> Meter:
    """Return a source's meter of a card."""
    return Meter(source, Component.GPU, "0", zone, Method.MEASURED, 700.0, pci=pci)


def step(source: str, since: float, at: float, watts: float = WATTS) -> Step:
    """Return what a meter of steady power counted."""
    return Step(meter(source), watts * (at - since), since, at)


@dataclass
class Card:
    """A card of steady power, and the sources that meter it."""

    handover: Handover = field(default_factory=Handover)
    read: dict[str, float] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)
    joules: float = 0.0
    last: float = 0.0

    def tick(self, second: int, up: Mapping[str, float | None]) -> None:
        """Let the sources that are *up* answer, so long before the tick; the best counts."""
        standing = []
        for source, before in up.items():
            if before is None:
                continue
            new = second - self.answered.get(source, -10) >= INTERVALS[source]
            if new:
                self.answered[source] = second
            standing.append((source, second - before if new else None))
        for source, at in standing:
            if at is not None:
                since, self.read[source] = self.read.get(source, at), at
                self._enter(step(source, since, at), counts=source == standing[0][0])

    def _enter(self, one: Step, *, counts: bool) -> None:
        new = self.handover.count(one) if counts else self.handover.wait(one)
        if new is not None and new.seconds > 0:
            assert new.joules == pytest.approx(WATTS * new.seconds)
            self.joules += new.joules
            self.last = max(self.last, one.at)


ANSWERS = st.none() | st.sampled_from([0.0, 0.01, 0.4])
"""How long before the tick a source was read, None while it is silent."""


@given(st.lists(st.tuples(ANSWERS, ANSWERS, ANSWERS), max_size=60))
def test_no_moment_counts_twice_and_none_is_left_out(
    ticks: list[tuple[float | None, float | None, float | None]],
) -> None:
    """At steady power the sum is the power times the time, whoever counted it and when."""
    card = Card()
    for second, up in enumerate([(0.5, 0.0, 0.0), *ticks, *[(0.0, 0.0, 0.0)] * 12]):
        card.tick(second, dict(zip(INTERVALS, up, strict=True)))

    assert card.joules == pytest.approx(WATTS * (card.last - -0.5))
