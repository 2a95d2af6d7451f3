"""The guard that a person holds."""

from dataclasses import replace

from actuator.builders import ASKED, scene, wish
from wattgov_actuator.decision import Reason
from wattgov_actuator.guards.pause import guard
from wattgov_actuator.pause import Pause

BRAKE = Pause(0, by="ann", why="a trial")
HELD = replace(ASKED, claim=290.0)


def test_nothing_is_tightened_in_a_pause() -> None:
    """What is held stays held, and who paused it is said."""
    after = guard(replace(scene(held=HELD), pause=BRAKE), wish(280))

    assert (290, Reason.PAUSED) == (after.claim, after.reason)
    assert "by ann" in after.detail
    assert after.detail.endswith(": a trial")


def test_the_way_back_stays_open() -> None:
    """Letting go, loosening and holding are not stopped; nor is anything without a pause."""
    there = replace(scene(held=HELD), pause=BRAKE)
    for free in (wish(None), wish(290, lift=300), wish(290), wish(295)):
        assert free == guard(there, free)
    assert wish(280) == guard(scene(), wish(280))


def test_the_kill_switch_lets_go_of_what_is_held() -> None:
    """And of what would be claimed anew."""
    kill = replace(BRAKE, restore=True)
    held = guard(replace(scene(held=HELD), pause=kill), wish(290))
    new = guard(replace(scene(), pause=kill), wish(280))

    assert (None, Reason.RESTORED) == (held.claim, held.reason)
    assert (None, Reason.DISARMED) == (new.claim, new.reason)
