"""What did not help is taken back, and tried again only later."""

from dataclasses import replace

from actuator.builders import reading, rule, scene, wish
from wattgov_actuator.decision import Held, Reason, Sampled, Scene, Trial
from wattgov_actuator.guards.expectation import guard
from wattgov_actuator.rules import Expectation

LAW = replace(rule(), expect=Expectation("energy"))


def told(trial: Trial, *, held: float | None = 280.0, current: float = 280.0) -> Scene:
    """Return the scene of a rule that holds a claim, with what its trial found."""
    where = reading(current, 300.0)
    return replace(scene(the_rule=LAW, at=where, held=Held(claim=held, true_since=0)), trial=trial)


def test_a_step_that_made_it_worse_goes_back_to_the_value_before_it() -> None:
    """Not all the way, when the steps before it did help."""
    trial = Trial(280.0, verdict=Reason.ROLLED_BACK, back_to=290.0, why="dearer")
    after = guard(told(trial), wish(260.0))

    assert (290.0, Reason.ROLLED_BACK, "dearer") == (after.claim, after.reason, after.detail)


def test_the_first_step_goes_back_to_what_was_before_us() -> None:
    """There is no claim left then."""
    trial = Trial(280.0, verdict=Reason.ROLLED_BACK, back_to=300.0, why="dearer")
    after = guard(told(trial), wish(260.0))

    assert (None, 300.0) == (after.claim, after.wanted)


def test_what_does_nothing_is_given_up_whole() -> None:
    """However many steps it took."""
    trial = Trial(280.0, verdict=Reason.INEFFECTIVE, back_to=None, why="idle")
    after = guard(told(trial), wish(260.0))

    assert (None, Reason.INEFFECTIVE) == (after.claim, after.reason)


def test_it_is_tried_again_only_after_the_back_off() -> None:
    """Loosening is free meanwhile."""
    known = (Sampled(1.0),) * 4
    trial = Trial(300.0, samples=known, last=Reason.ROLLED_BACK, until=560.0, why="dearer")
    place = told(trial, held=None, current=300.0)
    tightening, loosening = guard(place, wish(280.0)), guard(place, wish(None, 300.0))
    late = guard(replace(place, trial=replace(trial, until=500.0)), wish(280.0))

    assert (None, Reason.ROLLED_BACK) == (tightening.claim, tightening.reason)
    assert "tried again in 60 s" in tightening.detail
    assert loosening == wish(None, 300.0)
    assert late == wish(280.0)


def test_the_first_step_waits_for_something_to_compare_it_with() -> None:
    """Later ones have the value before them."""
    few = Trial(300.0, samples=(Sampled(1.0),) * 3)
    first = guard(told(few, held=None, current=300.0), wish(280.0))

    assert (None, Reason.WAITING) == (first.claim, first.reason)
    assert "3 of 4 samples" in first.detail
    assert guard(told(few), wish(260.0)) == wish(260.0)


def test_a_stand_in_rests_while_the_other_rule_works() -> None:
    """It lets go of what it holds."""
    after = guard(replace(told(Trial()), stood_in="trim works"), wish(260.0))
    idle = guard(replace(told(Trial(), held=None), stood_in="trim works"), wish(260.0))

    assert (None, Reason.RESTORED, "trim works") == (after.claim, after.reason, after.detail)
    assert (None, Reason.INACTIVE) == (idle.claim, idle.reason)
