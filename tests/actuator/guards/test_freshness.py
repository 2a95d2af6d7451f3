"""The guard that keeps what is unknown from tightening, and from lasting."""

import pytest

from actuator.builders import NOW, reading, rule, scene, wish
from wattgov_actuator.condition import State
from wattgov_actuator.decision import Held, Reason
from wattgov_actuator.guards.freshness import guard
from wattgov_actuator.laws.hibernate import Hibernate
from wattgov_actuator.rules import Policy


@pytest.mark.parametrize(
    ("state", "reason"), [(State.STALE, Reason.HELD_STALE), (State.NO_DATA, Reason.NO_DATA)]
)
def test_unknown_holds_the_claim_for_a_while(state: State, reason: Reason) -> None:
    """Neither tighter nor looser until `hold` is over."""
    held = Held(claim=280, unknown_since=NOW.steady - 119)
    after = guard(scene(state, at=reading(280, prior=300), held=held), wish(260))

    assert (280, None, reason) == (after.claim, after.lift, after.reason)
    assert "because; its claim is held for another 1 s" == after.detail


def test_unknown_for_too_long_puts_back() -> None:
    """After `hold` the claim is given up."""
    held = Held(claim=280, unknown_since=NOW.steady - 120)
    after = guard(scene(State.STALE, at=reading(280, prior=300), held=held), wish(260))

    assert (None, 300, Reason.RESTORED) == (after.claim, after.wanted, after.reason)


def test_unknown_with_nothing_held_only_says_so() -> None:
    """There is nothing to put back, however long it lasts."""
    held = Held(unknown_since=NOW.steady - 1000)
    after = guard(scene(State.NO_DATA, held=held), wish(260))

    assert (None, Reason.NO_DATA) == (after.claim, after.reason)


@pytest.mark.parametrize("state", [State.TRUE, State.FALSE])
def test_what_is_known_passes(state: State) -> None:
    """The guard has no say in it."""
    assert wish() == guard(scene(state), wish())


def test_a_law_that_is_asked_blind_tightens_nothing_then_and_may_let_go() -> None:
    """It says itself how long it holds what it cannot see."""
    blind = rule(law=Hibernate(Policy()))
    held = Held(claim=280, unknown_since=NOW.steady - 1000)
    place = scene(State.STALE, the_rule=blind, at=reading(280, prior=300), held=held)
    tighter, same, gone = (guard(place, wish(claim)) for claim in (260.0, 280.0, None))

    assert [(280, Reason.HELD_STALE)] * 2 == [(w.claim, w.reason) for w in (tighter, same)]
    assert None is gone.claim
