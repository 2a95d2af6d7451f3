"""The guard against writes for next to nothing."""

from dataclasses import replace

import pytest

from actuator.builders import reading, rule, scene, watts, wish
from wattgov_actuator.decision import Held, Reason
from wattgov_actuator.document.strict import Quantity
from wattgov_actuator.guards.deadband import guard

BANDED = replace(rule(), deadband=watts(10))
AT, HELD = reading(280, prior=300), Held(claim=280)


def test_inside_nothing_moves() -> None:
    """Neither down nor up."""
    for claim in (271, 289):
        after = guard(scene(the_rule=BANDED, at=AT, held=HELD), wish(claim))

        assert (280, Reason.UNCHANGED) == (after.claim, after.reason)
    assert "289 is within the deadband of 10 watts" == after.detail


def test_its_edge_passes() -> None:
    """So does a rule without one, and percent is of the highest value."""
    percent = replace(rule(), deadband=Quantity(2, "percent"))  # 8 W
    there = scene(the_rule=BANDED, at=AT, held=HELD)

    assert wish(270) == guard(there, wish(270))
    assert wish(279) == guard(scene(at=AT, held=HELD), wish(279))
    assert wish(271) == guard(scene(the_rule=percent, at=AT, held=HELD), wish(271))


def test_letting_go_passes() -> None:
    """However near the value before us is."""
    assert wish(None) == guard(scene(the_rule=BANDED, at=AT, held=HELD), wish(None))


@pytest.mark.parametrize("wanted", [255, 250, 245])
def test_a_new_claim_near_to_that_of_another_rule_stands_where_the_knob_is(wanted: float) -> None:
    """It needs no write; without it the knob would pass the claim when the other rule lets go."""
    there = scene(the_rule=BANDED, at=reading(250, prior=300))

    assert max(wanted, 250) == guard(there, wish(wanted)).claim
