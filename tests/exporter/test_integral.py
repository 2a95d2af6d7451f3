"""Joules from a power gauge: the trapezoid, and nothing over a gap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattgov_exporter.integral import Integral


def test_the_trapezoid() -> None:
    """The mean of both ends counts for the time between."""
    integral = Integral(30.0)

    assert [0.0, 1500.0, 2500.0] == [
        integral.add(watts, at) for watts, at in ((100.0, 5.0), (200.0, 15.0), (0.0, 25.0))
    ]


def test_it_starts_anew_after_a_gap() -> None:
    """What was drawn meanwhile is not known, which is not nothing."""
    integral, starts = Integral(30.0), []
    for at in (0.0, 30.0, 61.0, 62.0):
        integral.add(100.0, at)
        starts.append(integral.is_start)

    assert [False, False, True, False] == starts


@given(
    watts=st.floats(1, 1e4),
    gaps=st.lists(st.floats(-5, 29) | st.floats(31, 100), max_size=30),
)
def test_constant_power(watts: float, gaps: list[float]) -> None:
    """It is the watts times the seconds that were watched; a clock that goes back adds nothing."""
    integral = Integral(30.0)
    at = 1000.0
    total = integral.add(watts, at)
    for gap in gaps:
        at += gap
        before, total = total, integral.add(watts, at)

        assert total >= before

    watched = sum(gap for gap in gaps if 0 < gap <= 30)
    assert total == pytest.approx(watts * watched, rel=1e-6, abs=1e-6 * watts)
