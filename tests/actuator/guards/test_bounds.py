"""The guard that keeps claims inside every bound."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actuator.builders import reading, rule, scene, wish
from actuator.fakes import target
from wattgov_actuator.decision import Held, Reason
from wattgov_actuator.document.strict import Quantity
from wattgov_actuator.guards.bounds import floor, guard, reach
from wattgov_actuator.rules import Bounds


def test_a_claim_below_the_floor_is_limited_to_it() -> None:
    """The last step is as long as there is room."""
    after = guard(scene(at=reading(160, prior=300), held=Held(claim=160)), wish(140))

    assert (150, 150) == (after.claim, after.wanted)
    assert "because; limited to 150 watts" == after.detail


def test_at_the_floor_nothing_moves() -> None:
    """The claim stays, and the reason says so."""
    after = guard(scene(at=reading(150, prior=300), held=Held(claim=150)), wish(130))

    assert (150, Reason.CLAMPED) == (after.claim, after.reason)
    assert "at its floor of 150 watts" == after.detail


def test_the_hardware_has_the_last_word() -> None:
    """A floor below the card's own is the card's own."""
    after = guard(scene(the_rule=rule(low=10), at=reading(110, prior=300)), wish(50))

    assert 100 == after.claim


@pytest.mark.parametrize("low", [300, 350, 900])
def test_a_floor_above_what_is_set_raises_nothing(low: float) -> None:
    """A rule that saves energy may not loosen what the owner of the machine has set."""
    after = guard(scene(the_rule=rule(low=low)), wish(280))

    assert (None, Reason.CLAMPED) == (after.claim, after.reason)


def test_a_claim_is_never_above_its_max() -> None:
    """Also when the value in force is."""
    after = guard(scene(the_rule=rule(high=200)), wish(280))

    assert 200 == after.claim


def test_a_claim_looser_than_what_is_set_is_nothing() -> None:
    """It would only loosen."""
    after = guard(scene(), wish(350))

    assert (None, Reason.UNCHANGED) == (after.claim, after.reason)
    assert "300 watts is as tight already" == after.detail


def test_a_lift_ends_at_the_value_before_us() -> None:
    """Claims are never loosened beyond what was set by others."""
    there = scene(at=reading(290, prior=300), held=Held(claim=290))

    assert 300 == guard(there, wish(290, lift=310)).lift


def test_a_lift_ends_at_the_rules_max() -> None:
    """A rule that loosens has bounds too."""
    there = scene(the_rule=rule(high=200), at=reading(200, prior=300), held=Held(claim=200))
    after = guard(there, wish(200, lift=220))

    assert (200, Reason.CLAMPED) == (after.lift, after.reason)


def test_a_lift_of_nothing_is_nothing() -> None:
    """While we hold nothing there is nothing to give back; still nobody else may take."""
    after = guard(scene(), wish(None, lift=320))

    assert (300, 300, Reason.UNCHANGED) == (after.lift, after.wanted, after.reason)


@given(
    current=st.floats(100, 400),
    above=st.floats(0, 300),
    claim=st.floats(-1000, 1000),
    low=st.floats(1, 1000),
    high=st.none() | st.floats(1, 1000),
)
def test_a_claim_that_passes_is_inside_every_bound(
    current: float, above: float, claim: float, low: float, high: float | None
) -> None:
    """Hardware, policy and the value before us, whatever is asked."""
    prior = min(current + above, 400)
    limits = Bounds(
        Quantity(low, "watts"),
        None if high is None or high < low else Quantity(high, "watts"),
    )
    bound = replace(rule(), bounds=limits)
    at = reading(current, prior=prior)
    there = scene(the_rule=bound, at=at, held=Held(claim=current))
    after = guard(there, wish(claim))
    if after.claim not in {None, current}:
        assert after.claim is not None
        top = 400 if limits.high is None else min(limits.high.value, 400)
        assert floor(target(), limits) <= after.claim <= max(top, floor(target(), limits))
        assert 100 <= after.claim <= prior


def test_a_law_reaches_from_the_floor_to_the_value_before_us() -> None:
    """Beyond it only where the knob goes both ways, and then as far as the rule's max."""
    bounds = Bounds(Quantity(150, "watts"), Quantity(350, "watts"))
    there = reading(280, prior=300)
    both = replace(there, target=replace(target(), both_ways=True))

    assert (150, 300) == reach(there, bounds)
    assert (150, 350) == reach(both, bounds)
