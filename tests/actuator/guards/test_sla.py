"""The guard that puts latency before energy."""

from dataclasses import replace

import pytest

from actuator.builders import NOW, PROTECT, reading, scene, wish
from wattgov_actuator.condition import State
from wattgov_actuator.decision import Held, Reason, Watch
from wattgov_actuator.guards.sla import guard
from wattgov_actuator.rules import Sla

SLA = replace(PROTECT, sla=Sla("slow", rearm_seconds=60))
BREACH = Watch(breach="0.9 chat", breached_at=NOW.steady)


@pytest.mark.parametrize("state", [State.TRUE, State.FALSE, State.STALE])
def test_a_breach_puts_back_at_once(state: State) -> None:
    """Whatever the rule's own condition says."""
    held = Held(claim=280)
    there = scene(state, protect=SLA, at=reading(280, prior=300), held=held, watch=BREACH)
    after = guard(there, wish(280))

    assert (None, 300, Reason.RESTORED) == (after.claim, after.wanted, after.reason)
    assert "the SLA is breached: 0.9 chat" == after.detail


def test_a_breach_stops_a_new_claim() -> None:
    """There is nothing to put back, and nothing may be taken."""
    after = guard(scene(protect=SLA, watch=BREACH), wish(280))

    assert (None, Reason.VETOED_SLA) == (after.claim, after.reason)


def test_loosening_is_never_stopped() -> None:
    """A breach leaves the rules that loosen alone."""
    lift = wish(None, lift=290)

    assert lift == guard(scene(protect=SLA, watch=BREACH), lift)


def test_after_a_breach_the_sla_must_be_kept_for_a_while() -> None:
    """It re-arms slowly: a claim is stopped for `rearm`, one that is held stays."""
    before = Watch(breached_at=NOW.steady - 59)
    after = guard(scene(protect=SLA, watch=before), wish(280))

    assert (None, Reason.VETOED_SLA) == (after.claim, after.reason)
    assert "the SLA is kept for 59 s; asked are 60 s" == after.detail
    assert wish() == guard(scene(protect=SLA, watch=Watch(breached_at=NOW.steady - 60)), wish())


def test_an_sla_that_cannot_be_judged_stops_and_later_puts_back() -> None:
    """Unknown may only loosen; after `hold` it does."""
    lately = Watch(sla_unknown="no answer", sla_unknown_since=NOW.steady)
    long = Watch(sla_unknown="no answer", sla_unknown_since=NOW.steady - 120)
    held, at = Held(claim=280), reading(280, prior=300)
    first = guard(scene(protect=SLA, at=at, held=held, watch=lately), wish(260))
    later = guard(scene(protect=SLA, at=at, held=held, watch=long), wish(260))

    assert (280, Reason.VETOED_SLA) == (first.claim, first.reason)
    assert (None, Reason.RESTORED) == (later.claim, later.reason)


def test_a_group_without_an_sla_is_not_guarded() -> None:
    """The guard has no say in it."""
    assert wish() == guard(scene(watch=BREACH), wish())
