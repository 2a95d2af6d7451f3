"""When the loop looks: just after a scrape, where that can be known, and else at its own pace."""

from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattgov_actuator.cycle.scrapes import LAG_SECONDS, Scrapes, next_look, question, seen
from wattgov_actuator.reading import Moment

EPOCH = 1e9
LEARNT = 60  # looks

intervals = st.floats(1, 120)
parts = st.floats(0, 1)


def looks(
    interval: float, scraped: Callable[[float], float], jump: tuple[int, float] = (0, 0.0)
) -> Iterator[tuple[float, float]]:
    """Yield each look and the scrape it found; at one of them the wall clock jumps."""
    known: Scrapes | None = None
    at, offset, number = 0.0, EPOCH, 0
    while True:
        found = scraped(at)
        yield at, found
        offset += jump[1] if number == jump[0] else 0.0
        known = seen(known, interval, Moment(at + offset, at), found + offset)
        at, number = next_look(known, interval, at, at + interval), number + 1


def prometheus(period: float, phase: float, delay: float) -> Callable[[float], float]:
    """Return which scrape a query sees: they start each *period*, and take *delay* to be seen."""
    return lambda at: phase + period * floor((at - delay - phase) / period + 1e-9)


@given(interval=intervals, per=st.integers(1, 5), phase=parts, slow=st.floats(0, 0.9))
def test_each_look_comes_soon_after_a_scrape(
    interval: float, per: int, phase: float, slow: float
) -> None:
    """However they fell at first; a longer way of what is scraped is learnt, at most doubled."""
    period = interval / per
    delay = slow * period
    found = islice(looks(interval, prometheus(period, phase * period, delay)), LEARNT + 20)
    settled = list(found)[LEARNT:]
    late = [at - scraped for at, scraped in settled]
    missed = sum(each > 2 * max(delay, LAG_SECONDS) + 0.01 * interval for each in late)

    assert missed <= 1  # now and then a shorter lag is tried


@given(interval=intervals, phase=parts, every=st.integers(2, 5))
def test_slow_scrapes_are_met(interval: float, phase: float, every: int) -> None:
    """Where each is seen by several looks, the first comes soon after it."""
    period = interval * every
    found = islice(looks(interval, prometheus(period, phase * period, 0.02)), 12 * every)
    ages = [at - scraped for at, scraped in found][6 * every :]

    assert min(ages) <= 2 * LAG_SECONDS


@given(
    interval=intervals,
    scrapes=st.lists(st.floats(-1e4, 1e4), min_size=3),
    jumps=st.floats(-1e5, 1e5),
)
def test_looks_stay_about_an_interval_apart(
    interval: float, scrapes: list[float], jumps: float
) -> None:
    """Whatever Prometheus says, and whatever the wall clock does."""
    left = iter(scrapes)
    found = islice(looks(interval, lambda _: next(left), (1, jumps)), len(scrapes))

    for (before, _), (after, _) in pairwise(found):
        assert 0.59 * interval <= after - before <= 1.51 * interval


@given(interval=intervals, pace=st.floats(0.05, 5), phase=parts, slow=parts)
def test_no_more_looks_than_the_interval_lets(
    interval: float, pace: float, phase: float, slow: float
) -> None:
    """At any pace of scrapes: one that nearly keeps step costs or gives a sixth of them at most."""
    period = pace * interval
    scraped = prometheus(period, phase * period, slow * period)
    times = [at for at, _ in islice(looks(interval, scraped), 201)]

    assert 200 * interval * 5 / 6 <= times[-1] <= 200 * interval * 7 / 6


@given(interval=intervals, phase=parts, jump=st.floats(-1e5, 1e5))
def test_a_jump_of_the_clock_is_got_over(interval: float, phase: float, jump: float) -> None:
    """What was learnt by the old clock is learnt anew."""
    scraped = prometheus(interval, phase * interval, 0.02)
    found = list(islice(looks(interval, scraped, (LEARNT, jump)), 2 * LEARNT))

    assert found[-1][0] - found[-1][1] <= 2 * LAG_SECONDS


def test_scrapes_out_of_step_change_nothing() -> None:
    """At a pace that is no part of the interval, the looks keep their own."""
    times = [at for at, _ in islice(looks(15.0, prometheus(10.0, 3.0, 0.02)), 50)]

    assert [15.0 * each for each in range(50)] == times


def test_what_is_learnt_for_one_interval_says_nothing_of_another() -> None:
    """As after a reload."""
    known = Scrapes(15.0, 100.0, regular=9)

    assert 130.05 == pytest.approx(next_look(known, 15.0, 114.0, 129.0))
    assert 124.0 == next_look(known, 10.0, 114.0, 124.0)
    assert Scrapes(10.0, 124.0) == seen(known, 10.0, Moment(124.0, 124.0), 124.0)


@pytest.mark.parametrize(
    ("freshness", "asked"),
    [
        ("read_seconds", 'timestamp(read_seconds{instance="a"})'),
        ('read_seconds{job="x",}', 'timestamp(read_seconds{job="x",instance="a"})'),
        ("timestamp(node:power)", 'timestamp(node:power{instance="a"})'),
        (' timestamp( draw{gpu="0"} ) ', 'timestamp(draw{gpu="0",instance="a"})'),
        ("max by (instance) (read_seconds)", None),
        ("read_seconds offset 1m", None),
        ("timestamp(draw) - 5", None),
        ("a or b", None),
    ],
)
def test_the_question(freshness: str, asked: str | None) -> None:
    """Asked where the samples behind the measure are those of one selector."""
    assert asked == question(freshness, "a")


def test_an_instance_is_quoted() -> None:
    """A label may hold anything."""
    assert r'timestamp(a{instance="b\"é\\"})' == question("a", 'b"é\\')
