"""The threshold law."""

from actuator.builders import look, reading, watts
from wattgov_actuator.document.strict import Quantity
from wattgov_actuator.laws.threshold import Set, Step
from wattgov_actuator.rules import Want


def test_a_step_down_claims_below_what_is_in_force() -> None:
    """The claim is measured from the value in force, not from an older claim."""
    law = Step(watts(-20))

    assert Want(claim=280) == law.wish(look(reading(300), claim=None, true=True))
    assert Want(claim=260) == law.wish(look(reading(280, prior=300), claim=280, true=True))


def test_a_step_in_percent_is_of_the_highest_value() -> None:
    """5 % of a card of 400 W are 20 W, wherever its limit stands."""
    assert Want(claim=230) == Step(Quantity(-5, "percent")).wish(
        look(reading(250), claim=None, true=True)
    )


def test_a_step_up_claims_nothing() -> None:
    """A rule that loosens lifts the claims of others and keeps its own as it is."""
    assert Want(None, lift=270) == Step(watts(20)).wish(
        look(reading(250, prior=300), claim=None, true=True)
    )


def test_a_step_keeps_its_claim_when_the_condition_turns_false() -> None:
    """That is the hysteresis: another rule has to loosen it."""
    assert Want(claim=250) == Step(watts(-20)).wish(
        look(reading(250, prior=300), claim=250, true=False)
    )


def test_a_set_holds_as_long_as_the_condition_is_true() -> None:
    """It lets go at once when the condition is known to be false."""
    law = Set(watts(200))

    assert Want(claim=200) == law.wish(look(reading(300), claim=None, true=True))
    assert Want(claim=200) == law.wish(look(reading(200, prior=300), claim=200, true=True))
    assert Want(None) == law.wish(look(reading(200, prior=300), claim=200, true=False))
