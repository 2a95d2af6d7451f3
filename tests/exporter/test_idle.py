"""The idle draw is learned from power against load."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattgov_exporter.idle import IdleModel


def learn(pairs: list[tuple[float, float]]) -> float | None:
    """Return what a model makes of (utilisation, watts) samples."""
    model = IdleModel()
    for utilisation, watts in pairs:
        model = model.seen(utilisation, watts)
    return model.watts()


def test_nothing_is_known_at_first() -> None:
    """Without a sample, and with one at high load only, there is no idle power."""
    assert learn([]) is None
    assert learn([(0.8, 200.0)]) is None


def test_rest_is_seen() -> None:
    """A device seen at rest has the power it showed there."""
    assert learn([(0.0, 70.0), (0.5, 300.0)]) == 70.0


@given(
    idle=st.floats(1, 300), span=st.floats(0, 500), loads=st.sets(st.integers(1, 19), min_size=8)
)
def test_a_line_is_followed_to_zero(idle: float, span: float, loads: set[int]) -> None:
    """A device that never rests still shows its idle draw, by the slope of its power."""
    pairs = [(load / 20 + 0.025, idle + span * (load / 20 + 0.025)) for load in loads]

    assert learn(pairs) == pytest.approx(idle, rel=1e-6, abs=1e-6)


def test_near_loads_say_nothing_about_rest() -> None:
    """A GPU that is always busy, under one power cap and then another, has no known idle draw."""
    assert learn([(0.99, 485.0), (0.93, 355.0)]) is None


def test_a_mean_forgets() -> None:
    """After some minutes at another idle draw (a fan, a driver) that one is told."""
    assert learn([(0.0, 70.0)] * 300 + [(0.0, 50.0)] * 2000) == pytest.approx(50.0, abs=0.1)


def test_idle_is_never_above_the_least_seen() -> None:
    """A power that falls with load gives no idle draw above what was measured."""
    assert learn([(0.3, 100.0), (0.9, 80.0)]) == 80.0
