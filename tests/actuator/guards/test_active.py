"""The guard of the `active` windows."""

from dataclasses import replace

from actuator.builders import reading, rule, scene, wish
from wattgov_actuator.decision import Held, Reason
from wattgov_actuator.guards.active import guard
from wattgov_actuator.windows import Windows, spans, zone

# The scene is at 1,000,000 s: 1970-01-12 13:46:40 in UTC.
INSIDE = replace(rule(), active=Windows(spans("13:00-14:00"), zone("UTC")))
OUTSIDE = replace(rule(), active=Windows(spans("22:00-06:00"), zone("UTC")))


def test_inside_it_passes() -> None:
    """As it does without windows."""
    assert wish() == guard(scene(the_rule=INSIDE), wish())
    assert wish() == guard(scene(), wish())


def test_outside_nothing_is_claimed() -> None:
    """And the reason says when it would be."""
    after = guard(scene(the_rule=OUTSIDE), wish())

    assert (None, Reason.INACTIVE) == (after.claim, after.reason)
    assert "it acts in 22:00-06:00 UTC only" == after.detail


def test_outside_a_claim_is_let_go() -> None:
    """The end of a window puts back."""
    at = reading(280, prior=300)
    after = guard(scene(the_rule=OUTSIDE, at=at, held=Held(claim=280)), wish(260))

    assert (None, 300, Reason.RESTORED) == (after.claim, after.wanted, after.reason)


def test_outside_nothing_is_loosened() -> None:
    """A rule that lifts the claims of others does not either."""
    assert guard(scene(the_rule=OUTSIDE), wish(None, lift=300)).lift is None
