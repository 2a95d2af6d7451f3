"""The guard that gives a change time to show."""

from actuator.builders import NOW, reading, scene, wish
from wattgov_actuator.decision import Held, Reason
from wattgov_actuator.guards.cooldown import guard


def test_a_second_step_waits() -> None:
    """What was changed a moment ago is not tightened again."""
    at = reading(280, prior=300, changed=NOW.steady - 20)
    after = guard(scene(at=at, held=Held(claim=280)), wish(260))

    assert (280, Reason.COOLDOWN) == (after.claim, after.reason)
    assert "changed 20 s ago; tightens every 60 s at most" == after.detail


def test_after_the_cooldown_it_passes() -> None:
    """The length itself is enough."""
    at = reading(280, prior=300, changed=NOW.steady - 60)

    assert wish(260) == guard(scene(at=at, held=Held(claim=280)), wish(260))


def test_loosening_never_waits() -> None:
    """Neither a lift nor the end of a claim."""
    there = scene(at=reading(280, prior=300, changed=NOW.steady), held=Held(claim=280))

    assert wish(280, lift=300) == guard(there, wish(280, lift=300))
    assert wish(None) == guard(there, wish(None))


def test_a_claim_that_another_rule_holds_the_knob_below_needs_no_write() -> None:
    """It stands at once, so that the knob does not pass it when the other rule lets go."""
    there = scene(at=reading(200, prior=300, changed=NOW.steady))

    assert wish(260) == guard(there, wish(260))
    assert wish(200) == guard(there, wish(200))
