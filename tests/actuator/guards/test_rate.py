"""The guard that counts changes."""

from dataclasses import replace

from actuator.builders import NOW, reading, rule, scene, wish
from wattgov_actuator.decision import Reason
from wattgov_actuator.guards.rate import guard
from wattgov_actuator.rules import Rate

TWICE = scene(the_rule=replace(rule(), rate=Rate(2, 3600)))


def turned(*ago: float) -> tuple[float, ...]:
    """Return the times of changes."""
    return tuple(NOW.steady - each for each in ago)


def test_used_up_nothing_is_tightened() -> None:
    """Two changes in the hour are two."""
    after = guard(replace(TWICE, turns=turned(3599, 10)), wish())

    assert (None, Reason.RATE_LIMITED) == (after.claim, after.reason)
    assert "changed 2 times in 3600 s; allowed are 2" == after.detail


def test_old_changes_do_not_count() -> None:
    """Nor is a rule without a rate counted."""
    assert wish() == guard(replace(TWICE, turns=turned(3600, 10)), wish())
    assert wish() == guard(scene(), wish())


def test_loosening_is_free() -> None:
    """It is never rationed."""
    there = replace(TWICE, turns=turned(3, 2, 1))

    assert wish(None) == guard(there, wish(None))
    assert wish(None, lift=300) == guard(there, wish(None, lift=300))


def test_a_claim_that_needs_no_write_is_not_rationed() -> None:
    """Another rule holds the knob there already."""
    there = replace(TWICE, turns=turned(3, 2, 1), reading=reading(200, prior=300))

    assert wish(260) == guard(there, wish(260))
