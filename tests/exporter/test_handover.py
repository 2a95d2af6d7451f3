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


def test_a_slow_meter_takes_over_and_hands_back() -> None:
    """An answer of five seconds counts from where the fast meter ended, and so on the way back."""
    handover = Handover()
    counted = [handover.count(step("nvml", second, second + 1)) for second in range(8)]
    assert handover.wait(step("scrape", 0, 5)) is None

    over = handover.count(step("scrape", 5, 10))
    back = handover.count(step("nvml", 8, 12, watts=50.0))

    assert 8 == sum(one.seconds for one in counted if one)
    assert (2.0, 200.0) == (over and (over.seconds, over.joules))
    assert (2.0, 100.0) == (back and (back.seconds, back.joules))


def test_who_is_relieved_by_a_newcomer_counts_until_it_starts() -> None:
    """A meter that was never read before knows nothing of the seconds before it."""
    handover = Handover()
    handover.count(step("scrape", 0, 10))
    assert handover.count(step("nvml", 12, 12)) is not None  # its first reading: no time yet
    handover.count(step("nvml", 12, 13))

    left = handover.wait(step("scrape", 10, 15))

    assert (2.0, 200.0) == (left and (left.seconds, left.joules))
    again = handover.wait(step("scrape", 15, 20))
    assert again is None


def test_one_card_by_two_names() -> None:
    """A source that knows a card by its address takes over from one that knows both names."""
    handover = Handover()
    handover.count(Step(meter("nvml", pci="0000:17:00.0"), 800.0, 0.0, 8.0))

    same = handover.count(Step(meter("hwmon", "0000:17:00.0"), 100.0, 7.0, 9.0))
    other = handover.count(Step(meter("hwmon", "0000:65:00.0"), 100.0, 7.0, 9.0))

    assert (1.0, 50.0) == (same and (same.seconds, same.joules))
    assert (2.0, 100.0) == (other and (other.seconds, other.joules))


def test_nothing_waits_of_what_another_component_holds() -> None:
    """An estimate of memory beside a platform's meter counts only from when that one is gone."""
    handover = Handover()
    model = Meter("dram_model", Component.DRAM, "0", "dram", Method.ESTIMATED, 25.0)
    handover.wait(Step(model, 25.0, 99.0, 100.0))

    handover.drop(model)
    alone = handover.count(Step(model, 25.0, 100.0, 101.0))

    assert 25.0 == (alone and alone.joules)
