"""The search law, on measured curves of cards of several kinds."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest

from actuator.builders import look, reading
from actuator.plants import Card, best_within, outcome, search
from testbed.curves import A40, V100, CapCurve
from wattgov_actuator.laws.minimise import Minimise
from wattgov_actuator.rules import Measure

# Medians over models, of the public sweeps that DarshEllisd/LLM-Power-Cap-Expt publishes (facts).
RTX4000 = CapCurve(
    "rtx4000",
    (
        (0.25, 0.234, 1.91),
        (0.38, 0.235, 1.91),
        (0.45, 0.361, 1.4),
        (0.55, 0.569, 1.03),
        (0.60, 0.786, 0.847),
        (0.69, 0.937, 0.774),
        (0.77, 0.971, 0.808),
        (0.85, 0.985, 0.871),
        (1.0, 1.0, 1.0),
    ),
)
INERT = CapCurve("inert", ((0.25, 0.6, 1.3), (0.45, 1.0, 1.0), (1.0, 1.0, 1.0)))
CURVES = (A40, V100, RTX4000, INERT)
LAW = Minimise("energy", work="work", load="load", slowdown=0.10)
UNGUARDED = Minimise("energy", subject_to="ok", load="load")
YES, NO, UNKNOWN = Measure(known=True, value=1.0), Measure(known=True), Measure(known=False)


def near(curve: CapCurve, slowdown: float, energy: float) -> bool:
    """Tell whether an energy is within 3 % of the best that the budget allows."""
    return energy <= 1.03 * best_within(curve, slowdown, 0.25)


def when(answer: Measure) -> Mapping[str, Measure]:
    """Return what the constraint says."""
    return {"ok": answer}


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
@pytest.mark.parametrize("slowdown", [0.05, 0.10, 0.25])
def test_it_finds_the_best_cap_within_its_budget(curve: CapCurve, slowdown: float) -> None:
    """Within 3 % of the least energy, never resting where more throughput is lost."""
    found = outcome(replace(LAW, slowdown=slowdown), Card(curve))

    assert near(curve, slowdown, found.energy)
    assert found.work >= 1 - slowdown


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
@pytest.mark.parametrize("seed", range(3))
def test_noise_does_not_mislead_it(curve: CapCurve, seed: int) -> None:
    """With 1 % of noise in every sample it ends as well, and stops."""
    found = outcome(replace(LAW, slowdown=0.2), Card(curve, noise=0.01, seed=seed), ticks=700)

    assert near(curve, 0.2, found.energy)
    assert found.rest_seconds is None or found.rest_seconds < 500 * 15


@pytest.mark.parametrize("curve", [A40, V100], ids=lambda curve: curve.name)
@pytest.mark.parametrize("slowdown", [0.05, 0.10, 0.20])
def test_it_slows_down_before_its_budget(curve: CapCurve, slowdown: float) -> None:
    """On a curve that bends, not even a probe costs more than the budget."""
    found = outcome(replace(LAW, slowdown=slowdown), Card(curve))

    assert found.least_work >= 1 - slowdown - 0.001


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_it_never_jumps(curve: CapCurve) -> None:
    """No step down is longer than `step`, and past the budget it goes by one probe at most."""
    found = outcome(LAW, Card(curve))
    below = [cap for cap in found.path if curve.at(cap)[0] < 0.9]

    assert all(before - after <= 0.05 + 1e-9 for before, after in pairwise([1.0, *found.path]))
    assert len(below) <= 1
    assert found.least_work > 0.86


def test_a_bump_does_not_stop_it() -> None:
    """A measured curve may rise by 10 % for a quarter of the way, and still have its best below."""
    bumpy = CapCurve(
        "bumpy", ((0.4, 1, 0.9), (0.7, 1, 0.9), (0.8, 1, 1.1), (0.9, 1, 1.1), (1, 1, 1))
    )

    assert near(bumpy, 0.1, outcome(LAW, Card(bumpy)).energy)


def test_one_odd_measurement_at_rest_is_no_drift() -> None:
    """Three in a row are."""

    def event(tick: int, card: Card) -> None:
        card.curve = RTX4000 if tick in range(600, 604) else V100

    caps = list(search(replace(LAW, slowdown=0.9), Card(V100), 800, event))

    assert 1 == len(set(caps[500:]))


def test_it_stops_hunting() -> None:
    """Having found the best it does not move for the next ten hours."""
    card = Card(V100, noise=0.01)
    caps = list(search(LAW, card, 3000))

    assert 1 == len(set(caps[600:]))


def test_a_broken_constraint_turns_it_back_at_once() -> None:
    """At the tick after the probe, without waiting for samples; and not that low again."""
    caps = list(
        search(UNGUARDED, Card(V100), 300, extra=lambda card: when(YES if card.cap > 0.72 else NO))
    )
    under = [i for i, cap in enumerate(caps) if cap <= 0.72]

    assert len(under) == 1
    assert 0.725 <= caps[-1] <= 0.8


def test_an_unknown_constraint_counts_as_neither() -> None:
    """No sample is taken on it, so the search stays where it is."""
    caps = list(
        search(UNGUARDED, Card(V100), 100, lambda *_: None, extra=lambda _card: when(UNKNOWN))
    )

    assert {1.0} == set(caps)


def test_at_rest_a_broken_constraint_gives_back_a_step() -> None:
    """Until it holds."""
    law, hard = replace(UNGUARDED), {"at": 10**9}

    def extra(card: Card) -> Mapping[str, Measure]:
        hard["at"] -= 1
        return when(YES if card.cap > 0.7 or hard["at"] > 0 else NO)

    card = Card(V100)
    caps = search(law, card, 1000, extra=extra)
    for _ in range(300):
        found = next(caps)
    hard["at"] = 0
    then = [next(caps) for _ in range(100)]

    assert found < 0.6
    assert then[0] == pytest.approx(found + 0.05)
    assert 0.7 < then[-1] < 0.8


def test_another_load_is_not_compared() -> None:
    """While the load is off by more than 15 % nothing is sampled, and it moves no further."""

    def event(tick: int, card: Card) -> None:
        card.load = 0.5 if 20 <= tick < 25 else 1.0

    caps = list(search(LAW, Card(V100), 60, event))

    assert 1 == len(set(caps[19:25]))
    assert min(caps) < caps[24]


def test_a_drift_starts_a_new_search_after_a_rest() -> None:
    """Another model on the card: its best is found too, but not before `rest` is over."""

    def event(tick: int, card: Card) -> None:
        card.curve = V100 if tick < 400 else RTX4000

    law = replace(LAW, slowdown=0.25)
    caps = list(search(law, Card(V100), 1000, event))
    moved = next(i for i in range(400, 1000) if caps[i] != caps[399])
    came_to_rest = next(i for i in range(400) if set(caps[i:400]) == {caps[399]})

    assert near(V100, 0.25, V100.at(caps[399])[1])
    assert (moved - came_to_rest) * 15 >= law.rest_seconds
    assert near(RTX4000, 0.25, RTX4000.at(caps[-1])[1])


def test_what_a_veto_put_back_is_not_tried_again() -> None:
    """A guard takes the claim away at half the watts: the next search stays above that."""
    vetoed: list[float] = []

    def extra(card: Card) -> Mapping[str, Measure]:
        if card.cap < 0.62 and not vetoed:
            vetoed.append(card.cap)
            card.vetoed = True
        return when(YES)

    caps = list(search(UNGUARDED, Card(V100), 400, extra=extra))
    again = caps[caps.index(1.0, 20) :]

    assert min(again) > vetoed[0]
    assert again[-1] < 0.7


def test_without_a_value_it_holds() -> None:
    """No energy, no decision."""
    asked = {"energy": Measure(known=True), "ok": YES}
    want = UNGUARDED.wish(look(reading(400), asked=asked, high=400.0))

    assert 400 == want.claim
