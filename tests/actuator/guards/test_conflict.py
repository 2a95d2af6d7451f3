"""The guard that respects what others set."""

from actuator.builders import reading, scene, wish
from wattgov_actuator.decision import Held, Reason
from wattgov_actuator.guards.conflict import guard


def test_a_conflict_ends_the_claim() -> None:
    """Nothing is asked of a knob that somebody else has set."""
    at = reading(250, prior=300, conflict="somebody set 250 watts")
    after = guard(scene(at=at, held=Held(claim=280)), wish(260))

    assert (None, None) == (after.claim, after.lift)
    assert (Reason.CONFLICT, "somebody set 250 watts") == (after.reason, after.detail)


def test_without_a_conflict_the_wish_passes() -> None:
    """The guard says nothing else."""
    assert wish() == guard(scene(), wish())
