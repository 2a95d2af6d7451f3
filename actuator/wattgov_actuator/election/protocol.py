"""Which of several actuators turns what all of them reach: as client-go elects, and pure.

The clocks of machines differ, so no time that stands in a lease is ever compared with ours: a lease
holds for as long as it says since *we* last saw it change. Whoever has it gives it up well before
others may take it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from wattgov_actuator.rules import Kind, RuleSet
from wattgov_actuator.shared import shared_ways

DURATION_SECONDS = 15.0  # without a sign of life, after which another one may take it
RENEW_SECONDS = 10.0  # without a renewal that went well, after which we act no more
RETRY_SECONDS = 2.0
NOBODY = ""  # holds a lease that was given back


class Step(StrEnum):
    """What to do about a lease."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Held:
    """What stands in a lease."""

    holder: str
    renewed: str  # as text: another clock's
    duration_seconds: float
    acquired: str
    transitions: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A lease as we saw it first, and when by our steady clock."""

    held: Held | None
    steady: float


def held_of(lease: Mapping[str, Any]) -> Held:
    """Return what stands in a Lease of the API; what is not said is as of a lease given back."""
    spec = lease.get("spec") or {}
    return Held(
        spec.get("holderIdentity") or NOBODY,
        spec.get("renewTime") or "",
        float(spec.get("leaseDurationSeconds") or DURATION_SECONDS),
        spec.get("acquireTime") or "",
        int(spec.get("leaseTransitions") or 0),
    )


def seen(before: Seen | None, found: Held | None, steady: float) -> Seen:
    """Return what is there now; the same as before was seen then."""
    if before is not None and before.held == found:
        return before
    return Seen(found, steady)


def step(there: Seen, me: str, steady: float) -> Step:
    """Return what to do now."""
    held = there.held
    if held is None:
        return Step.CREATE
    if held.holder == me:
        return Step.RENEW
    over = steady >= there.steady + held.duration_seconds
    return Step.TAKE if held.holder == NOBODY or over else Step.WAIT


def spec_of(held: Held | None, me: str, unix: float) -> Mapping[str, object]:
    """Return the `spec` of a lease that is ours from now on; the times are for people."""
    now = datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    ours = held is not None and held.holder == me
    before = 0 if held is None else held.transitions
    return {
        "holderIdentity": me,
        "leaseDurationSeconds": int(DURATION_SECONDS),
        "acquireTime": held.acquired if ours and held is not None and held.acquired else now,
        "renewTime": now,
        "leaseTransitions": before if ours or held is None else before + 1,
    }


def turned_here(rules: RuleSet, kinds: Mapping[str, Kind], *, leads: bool) -> RuleSet:
    """Return the rules of this actuator: without those of shared knobs, unless it *leads*.

    What they have claimed is put back by the next tick, as where a rule was taken out of a file.
    """
    if leads:
        return replace(rules, leads=True)
    shared = {way.knob for way in shared_ways(rules, kinds)}
    groups = tuple(
        replace(group, rules=tuple(rule for rule in group.rules if rule.knob not in shared))
        for group in rules.groups
    )
    ways = tuple(way for way in rules.connections if way.knob not in shared)
    return replace(rules, groups=groups, connections=ways, leads=False)
