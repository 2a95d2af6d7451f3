"""What the search may cost while it looks: its throughput's budget, on cards nobody measured."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actuator.invented import LOWEST, bent, cliff, falling, plateau
from actuator.plants import TICK_SECONDS, Card, Found, best_within, outcome
from testbed.curves import A40, V100, CapCurve
from wattgov_actuator.laws.minimise import Minimise
from wattgov_actuator.rules import STRATEGIES

LAW = Minimise("energy", work="work", load="load")
BUDGETS = tuple(each.slowdown.value / 100 for each in STRATEGIES.values())
STEEP = 3.0  # parts of throughput per part of cap
SMALLEST = 0.0025  # move; of the highest cap
ONE_LOOK = 3  # ticks: `settle`, and a sample
TICKS = 900

budgets = st.sampled_from(BUDGETS)
needs = st.floats(0.6, 1.0)
cliffs = st.builds(cliff, st.floats(0.5, 0.98), st.floats(0.11, 0.8), st.floats(0, 0.05), needs)
few = settings(max_examples=40)
slopes = st.lists(st.floats(0, STEEP), min_size=1, max_size=12)


def searched(curve: CapCurve, slowdown: float) -> Found:
    """Return how a search without noise ends."""
    return outcome(replace(LAW, slowdown=slowdown), Card(curve), TICKS)


def excess(curve: CapCurve, cap: float, slowdown: float) -> float:
    """Return the part of throughput that a cap costs beyond the budget."""
    return 1 - slowdown - curve.at(cap)[0]


@few
@given(slopes, needs, budgets)
@example([0.0, STEEP], 1.0, 0.03)
def test_a_probe_stays_within_the_budget(pieces: list[float], need: float, slowdown: float) -> None:
    """Where a percent of cap costs 3 % at most, past it by what that is in the smallest move."""
    found = searched(falling(pieces, need), slowdown)

    assert found.least_work >= 1 - slowdown - STEEP * SMALLEST - 1e-9
    assert found.work >= 1 - slowdown


@few
@given(st.floats(1.0, 5.0), st.floats(0.1, 0.7), budgets)
def test_it_stays_within_the_budget_where_the_throughput_bends(
    power: float, lost: float, slowdown: float
) -> None:
    """With no kink, a tenth of a point at most; and the result is the best that is allowed."""
    curve = bent(power, lost)
    found = searched(curve, slowdown)

    assert found.least_work >= 1 - slowdown - 0.001
    assert found.energy <= 1.03 * best_within(curve, slowdown, LOWEST)


@few
@given(st.floats(0.5, 0.98), st.floats(0.1, STEEP), needs, budgets)
@example(0.578125, STEEP, 1.0, 0.1)
def test_a_plateau_is_used_to_its_end(
    edge: float, slope: float, need: float, slowdown: float
) -> None:
    """However steep it is behind, and wherever it ends; a cap above the draw takes nothing."""
    curve = plateau(edge, slope, max(edge, need))
    found = searched(curve, slowdown)

    assert found.energy <= 1.03 * best_within(curve, slowdown, LOWEST)


@few
@given(cliffs, budgets)
def test_a_cliff_costs_its_height_for_one_look(curve: CapCurve, slowdown: float) -> None:
    """It cannot be foreseen: a probe falls off it by one small move, for a sample, and is gone."""
    found = searched(curve, slowdown)
    over = [(cap, ticks) for cap, ticks in found.visits if excess(curve, cap, slowdown) > 0]
    inside = {cap for cap, _ in found.visits if excess(curve, cap, slowdown) <= 0}

    assert len(over) <= 3
    for cap, ticks in over:
        above = min(each for each in inside if each > cap)
        left = -excess(curve, above, slowdown)
        assert above - cap <= max(left / STEEP, SMALLEST) + 1e-9
        assert ticks <= ONE_LOOK


@few
@given(cliffs, budgets)
def test_it_rests_near_the_edge_of_a_cliff(curve: CapCurve, slowdown: float) -> None:
    """Within 3 % of the best there is above it."""
    found = searched(curve, slowdown)

    assert found.work >= 1 - slowdown
    assert found.energy <= 1.03 * best_within(curve, slowdown, LOWEST)


@pytest.mark.parametrize("slowdown", BUDGETS)
@pytest.mark.parametrize("noise", [0.01, 0.03])
@pytest.mark.parametrize("curve", [A40, V100], ids=lambda curve: curve.name)
@pytest.mark.parametrize("seed", range(2))
def test_noise_takes_from_the_budget(
    curve: CapCurve, noise: float, slowdown: float, seed: int
) -> None:
    """It goes on only where two standard errors of what it lost are left; it ends in time."""
    found = outcome(replace(LAW, slowdown=slowdown), Card(curve, noise, seed), 4000)

    assert found.least_work >= 1 - slowdown - 0.002
    assert found.rest_seconds is not None
    assert found.rest_seconds < 3600 * TICK_SECONDS


@pytest.mark.parametrize("seed", range(5))
def test_a_cliff_is_seen_through_noise(seed: int) -> None:
    """One sample with 1 % of noise tells that 20 % are gone."""
    curve = cliff(0.8, 0.2)
    found = outcome(replace(LAW, slowdown=0.05), Card(curve, 0.01, seed), 2500)
    over = [ticks for cap, ticks in found.visits if excess(curve, cap, 0.05) > 0]

    assert over
    assert max(over) <= ONE_LOOK


def test_it_learns_the_noise_before_it_moves() -> None:
    """Two ticks to settle and eight samples, at the last of which it goes; more if they differ."""
    quiet, noisy = (outcome(LAW, Card(V100, noise), 2500).visits[0][1] for noise in (0.0, 0.01))

    assert 9 == quiet
    assert noisy > 2 * quiet


def test_moves_shrink_with_the_budget() -> None:
    """Evenly falling, each is a third of what is left."""
    found = searched(bent(1.0, 0.75), 0.03)
    sizes = [before - after for before, after in pairwise([1.0, *found.path[:4]])]

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == pytest.approx(0.01)
