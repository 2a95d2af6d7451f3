"""The guard that gives heat the first word."""

from actuator.builders import reading, scene, wish
from wattgov_actuator.condition import State
from wattgov_actuator.decision import Held, Reason
from wattgov_actuator.guards.thermal import guard

HOT = "too hot: 90"


def test_while_hot_no_rule_moves_the_knob() -> None:
    """Neither down nor up."""
    held = Held(claim=280)
    at = reading(150, prior=300)
    down = guard(scene(at=at, held=held, hot=HOT), wish(130))
    up = guard(scene(at=at, held=held, hot=HOT), wish(280, lift=170))

    assert (280, None, Reason.VETOED_THERMAL) == (down.claim, down.lift, down.reason)
    assert (280, None, Reason.VETOED_THERMAL) == (up.claim, up.lift, up.reason)


def test_while_hot_a_claim_may_end() -> None:
    """It only matters once the heat is over."""
    release = wish(None)

    assert release == guard(scene(State.FALSE, held=Held(claim=280), hot=HOT), release)


def test_while_cool_everything_passes() -> None:
    """The guard has no say in it."""
    assert wish() == guard(scene(), wish())
