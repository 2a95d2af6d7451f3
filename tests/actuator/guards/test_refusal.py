"""The guard that does not insist."""

from actuator.builders import NOW, reading, scene, wish
from wattgov_actuator.decision import Held, Reason
from wattgov_actuator.guards.refusal import guard
from wattgov_actuator.reading import Fault, Trouble


def trouble(seconds_ago: float) -> Trouble:
    """Return a refusal of some time ago."""
    return Trouble(Fault.REFUSED, "the card says no", NOW.steady - seconds_ago)


def test_a_driver_that_said_no_is_left_alone_for_a_cooldown() -> None:
    """The refusal stays the reason meanwhile."""
    after = guard(scene(at=reading(trouble=trouble(59))), wish(280))

    assert (None, Reason.REFUSED, "the card says no") == (after.claim, after.reason, after.detail)


def test_then_it_is_asked_again() -> None:
    """A refusal is not for ever."""
    assert wish() == guard(scene(at=reading(trouble=trouble(60))), wish())


def test_loosening_is_always_tried() -> None:
    """Putting back is never given up."""
    there = scene(at=reading(280, prior=300, trouble=trouble(0)), held=Held(claim=280))

    assert wish(None) == guard(there, wish(None))
