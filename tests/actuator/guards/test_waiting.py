"""The guard that waits for a condition to last."""

from actuator.builders import NOW, rule, scene, wish
from wattgov_actuator.condition import State
from wattgov_actuator.decision import Held, Reason
from wattgov_actuator.guards.waiting import guard


def test_a_condition_that_is_true_only_lately_waits() -> None:
    """The wish is shown, and not granted."""
    held = Held(true_since=NOW.steady - 30)
    after = guard(scene(the_rule=rule(for_seconds=120), held=held), wish(280))

    assert (None, 280, Reason.WAITING) == (after.claim, after.wanted, after.reason)
    assert "because; true for 30 s of 120 s" == after.detail


def test_after_long_enough_it_passes() -> None:
    """The length itself is enough."""
    held = Held(true_since=NOW.steady - 120)

    assert wish() == guard(scene(the_rule=rule(for_seconds=120), held=held), wish())


def test_a_false_condition_need_not_wait() -> None:
    """Letting go is never delayed."""
    release = wish(None)

    assert release == guard(scene(State.FALSE, the_rule=rule(for_seconds=120)), release)
