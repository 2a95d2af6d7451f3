"""The guard that tightens a little at a time."""

from dataclasses import replace

from actuator.builders import reading, rule, scene, watts, wish
from actuator.fakes import target
from wattgov_actuator.decision import Held, Reason
from wattgov_actuator.guards.slew import guard
from wattgov_actuator.reading import Reading

SLOW = replace(rule(), slew=watts(20))
AT, HELD = reading(280, prior=300), Held(claim=280)


def test_a_tick_goes_no_further() -> None:
    """The reason tells that there is more to come, the detail where to."""
    after = guard(scene(the_rule=SLOW, at=AT, held=HELD), wish(200))

    assert (260, 260, Reason.SLEWED) == (after.claim, after.wanted, after.reason)
    assert "because; at most 20 watts a tick on the way to 200" == after.detail


def test_what_is_near_passes() -> None:
    """So does a rule without a slew."""
    assert wish(260) == guard(scene(the_rule=SLOW, at=AT, held=HELD), wish(260))
    assert wish(200) == guard(scene(at=AT, held=HELD), wish(200))


def test_the_way_back_is_free() -> None:
    """Loosening its own claim, a lift and letting go."""
    for back in (wish(299), wish(280, lift=300), wish(None)):
        assert back == guard(scene(the_rule=SLOW, at=AT, held=HELD), back)


def test_where_a_knob_goes_both_ways_so_does_the_slew() -> None:
    """Away from the value before us is slow, back to it is not."""
    both = Reading(replace(target(), both_ways=True), 320, 300)
    there = scene(the_rule=SLOW, at=both, held=Held(claim=320))

    assert 340 == guard(there, wish(400)).claim
    assert wish(300) == guard(there, wish(300))
    assert 300 == guard(there, wish(100)).claim
