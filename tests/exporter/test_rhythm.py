"""When the exporter samples: just before it is scraped, where that can be foreseen."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.serving import serving
from wattgov_exporter.rhythm import MARGIN_SECONDS, Callers, Rhythm, heard, next_tick

TICKS = 60

intervals = st.floats(0.2, 60)
parts = st.floats(0, 1)


class Watch:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def ticks(
    interval: float, scrapes: list[float], took: Callable[[int], float]
) -> list[tuple[float, float]]:
    """Return when each tick began and ended while the scrapes came."""
    clock, found, due = Watch(), [], 0.0
    callers, left = Callers(clock), sorted(scrapes)
    for number in range(TICKS):
        began = due
        ended = began + took(number)
        while left and left[0] <= ended:
            clock.now = left.pop(0)
            callers.came()
        clock.now = ended
        found.append((began, ended))
        due = max(callers.next_tick(interval, began, due + interval), ended)
    return found


def series(period: float, phase: float, interval: float) -> list[float]:
    """Return when a scraper comes."""
    return [period * (phase + turn) for turn in range(int(1.5 * TICKS * interval / period) + 2)]


@given(interval=intervals, every=st.integers(1, 3), phase=parts, took=st.floats(0, 0.3))
def test_a_scrape_finds_what_was_just_read(
    interval: float, every: int, phase: float, took: float
) -> None:
    """However they fell at first, and however long a tick takes."""
    scrapes = series(every * interval, phase, interval)
    found = ticks(interval, scrapes, lambda _: took * interval)
    ends = [ended for _, ended in found]
    met = [each for each in scrapes if found[20][0] < each < found[-1][0]]

    for each in met:
        assert each - max(end for end in ends if end <= each) <= 2 * MARGIN_SECONDS


@given(
    interval=intervals,
    scrapes=st.lists(st.floats(0, 600), max_size=200),
    took=st.lists(st.floats(0, 0.4), min_size=TICKS, max_size=TICKS),
)
def test_ticks_stay_about_an_interval_apart(
    interval: float, scrapes: list[float], took: list[float]
) -> None:
    """Whoever scrapes, and whenever."""
    found = ticks(interval, scrapes, lambda number: took[number] * interval)

    for (before, _), (after, _) in pairwise(found):
        assert 0.59 * interval <= after - before <= 1.51 * interval


@given(interval=intervals, first=parts, apart=st.floats(0.1, 0.9))
def test_two_who_come_at_different_moments_change_nothing(
    interval: float, first: float, apart: float
) -> None:
    """Neither could be followed without leaving the other."""
    scrapes = series(interval, first, interval) + series(interval, first + apart, interval)

    assert [interval * each for each in range(TICKS)] == pytest.approx(
        [began for began, _ in ticks(interval, scrapes, lambda _: 0.0)]
    )


def test_a_scrape_that_is_late_is_not_waited_for() -> None:
    """Those that come in time say when the next will."""
    known = heard(Rhythm(1.0, 10.0, 5), 1.0, 11.04)

    assert 11.004 == pytest.approx(known.last)
    assert 11.97 == pytest.approx(heard(known, 1.0, 11.97).last)
    assert Rhythm(1.0, 12.2) == heard(known, 1.0, 12.2)


def test_a_tick_that_takes_long_keeps_its_pace() -> None:
    """As while a meter does not answer; and what was learnt for another interval says nothing."""
    known = Rhythm(1.0, 10.0, 5)

    assert 10.94 == pytest.approx(next_tick(known, 1.0, 10.0, 0.03, 11.0))
    assert 11.0 == next_tick(known, 1.0, 10.0, 0.6, 11.0)
    assert 12.0 == next_tick(known, 2.0, 10.0, 0.03, 12.0)
    assert 10.1 == next_tick(Rhythm(0.1, 10.05, 5), 0.1, 10.0, 0.0, 10.1)


def test_who_asks_by_hand_is_no_scraper() -> None:
    """A scraper says how long it waits."""
    came: list[None] = []
    with serving(scraped=lambda: came.append(None)) as served:
        served.ask("/metrics")
        assert [] == came
        served.ask("/metrics", X_Prometheus_Scrape_Timeout_Seconds="0.1")
        assert [None] == came
