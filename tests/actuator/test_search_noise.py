"""What noise may take from the search: time. Cards nobody measured, and what each sample is off."""

from dataclasses import replace

import pytest

from actuator.invented import LOWEST, bent, cliff, plateau, stairs, valley
from actuator.plants import TICK_SECONDS, Card, best_within, outcome
from testbed.curves import A40, V100, CapCurve
from wattgov_actuator.laws.minimise import Minimise
from wattgov_actuator.laws.search import WINDOWS, Limits, Phase, Sample, Search, sampled
from wattgov_actuator.rules import STRATEGIES

LAW = Minimise("energy", work="work", load="load")
BUDGETS = tuple(each.slowdown.value / 100 for each in STRATEGIES.values())
STAIR = 0.002  # of throughput
KINK = 3.0 * 0.0025  # of throughput, within the smallest move
MARGIN = 0.2  # of the budget: what noise takes of it, or a stair
CARDS = {
    "best at 90 %": plateau(0.9, 2.0),
    "best at 70 %": plateau(0.7, 2.0),
    "best at 45 %": plateau(0.45, 3.0),
    "best at the lowest": bent(2.0, 0.02),
    "draws less than the cap": plateau(0.55, 1.0, need=0.8),
    "bends early": bent(1.2, 0.3),
    "bends late": bent(4.0, 0.6),
    "flat valley": valley(0.75, 0.72, 2.0),
    "stairs": stairs(STAIR, width=0.02),
}
LIMITS = Limits(100.0, 20.0, 1.0, 0.05, 4)
SETTLING = 2  # ticks of each move


@pytest.mark.parametrize("slowdown", BUDGETS)
@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("seed", range(2))
def test_one_percent_of_noise_changes_nothing(name: str, slowdown: float, seed: int) -> None:
    """Wherever the best is it is found to 3 %, and a probe falls off a kink by one small move."""
    curve = CARDS[name]
    found = outcome(replace(LAW, slowdown=slowdown), Card(curve, 0.01, seed), 4000)

    assert found.energy <= 1.03 * best_within(curve, (1 - MARGIN) * slowdown, LOWEST)
    assert found.least_work >= 1 - slowdown - KINK
    assert found.work >= 1 - slowdown


@pytest.mark.parametrize("curve", [A40, V100], ids=lambda curve: curve.name)
@pytest.mark.parametrize("slowdown", [0.05, 0.10])
@pytest.mark.parametrize("seed", range(3))
def test_three_percent_take_longer(curve: CapCurve, slowdown: float, seed: int) -> None:
    """Samples enough are taken to tell what is left of the budget, rather than to give up."""
    found = outcome(replace(LAW, slowdown=slowdown), Card(curve, 0.03, seed), 5000)

    assert found.energy <= 1.03 * best_within(curve, slowdown, LOWEST)
    assert found.least_work >= 1 - slowdown - 0.001


@pytest.mark.parametrize("noise", [0.03, 0.1, 0.5])
def test_a_search_ends_however_noisy(noise: float) -> None:
    """It takes so many samples at most, and one more where it was going; then it rests."""
    found = outcome(LAW, Card(plateau(0.5, 1.0), noise), 2 * WINDOWS * LAW.samples)
    moving = SETTLING * len(found.path) * TICK_SECONDS

    assert found.rest_seconds is not None
    assert found.rest_seconds - moving <= (WINDOWS * LAW.samples + 2) * TICK_SECONDS


def test_a_cliff_is_left_within_a_few_samples() -> None:
    """However many a place may get."""
    found = outcome(replace(LAW, slowdown=0.05), Card(cliff(0.7, 0.2), 0.03), 5000)
    over = [ticks for cap, ticks in found.visits if cap < 0.7 - 1e-6]

    assert over
    assert max(over) <= SETTLING + 3


def test_samples_of_a_place_count_whenever_they_were_taken() -> None:
    """Coming back it goes on where it had left off."""
    search = Search(380.0, Phase.REFINE).plus(Sample(1.0, 1.0))
    away = replace(replace(search, at=360.0).plus(Sample(0.9, 1.0)), at=380.0)
    back, _ = sampled(away, Sample(1.2, 0.8), LIMITS)
    place = back.places[0]

    assert (380.0, 2) == (place.at, place.count)
    assert place.energy == pytest.approx(1.1)
    assert place.work == pytest.approx(0.9)


def test_places_know_of_each_other_how_noisy_a_sample_is() -> None:
    """The second place's only sample is as uncertain as those of the first."""
    search = Search(400.0)
    for off in (0.01, -0.01) * 50:
        search = search.plus(Sample(1.0 + off, 1.0 + off))
    there = replace(search, at=380.0).plus(Sample(0.9, 1.0))

    assert search.noise.of(search.here)[1] == pytest.approx(0.001, rel=0.02)
    assert there.noise.of(there.here)[1] == pytest.approx(0.01, rel=0.02)
