"""A guard is asked wherever it has something to say."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actuator.builders import NOW, PROTECT, rule, scene, watts, wish
from wattgov_actuator.condition import Judged, State
from wattgov_actuator.decision import Held, Reason, Scene, Trial
from wattgov_actuator.guards import GUARDS, guarded, guards_of, is_calm
from wattgov_actuator.pause import Pause
from wattgov_actuator.reading import Fault, Trouble
from wattgov_actuator.rules import Expectation, Rate, Sla
from wattgov_actuator.windows import Windows, spans, zone

Changes = dict[str, object]
PROTECTED = replace(PROTECT, sla=Sla("slow", 30), hold_seconds=40)
ALL = tuple((name, each.guard) for name, each in GUARDS.items())
WISH = wish(140)  # below the floor, so that the bounds always have something to say
LATELY = NOW.steady - 5
NIGHT = Windows(spans("01:00-02:00"), zone("UTC"))  # and now it is 13:46
FAILED = Trial(verdict=Reason.INEFFECTIVE, why="idle")


@dataclass(frozen=True)
class Case:
    """What makes one guard speak, as changes of an ordinary scene."""

    guard: str
    of_scene: Changes = field(default_factory=dict)
    of_rule: Changes = field(default_factory=dict)
    of_reading: Changes = field(default_factory=dict)
    of_watch: Changes = field(default_factory=dict)


CASES = (
    Case("conflict", of_reading={"conflict": "somebody set 123 watts"}),
    Case("pause", {"pause": Pause(0)}),
    Case("active", of_rule={"active": NIGHT}),
    Case("freshness", {"judged": Judged(State.STALE, "old")}),
    Case("waiting", {"held": Held(true_since=LATELY)}, {"for_seconds": 30.0}),
    Case("thermal", {"hot": "too hot: 91"}),
    Case("sla", of_watch={"breach": "0.3"}),
    Case("sla", of_watch={"breached_at": LATELY}),
    Case("sla", of_watch={"sla_unknown_since": LATELY}),
    Case("quorum", of_watch={"unhealthy": "1 of 3 are healthy"}),
    Case(
        "expectation",
        {"trial": FAILED, "held": Held(280.0, 0.0)},
        {"expect": Expectation("energy")},
    ),
    Case("expectation", {"stood_in": "nobody needs it"}, {"instead_of": "other"}),
    Case("bounds"),
    Case("deadband", of_rule={"deadband": watts(200)}),
    Case("slew", of_rule={"slew": watts(15)}),
    Case("cooldown", of_reading={"changed": LATELY}),
    Case("rate", {"turns": (LATELY,)}, {"rate": Rate(1, 60)}),
    Case("refusal", of_reading={"trouble": Trouble(Fault.REFUSED, "no", LATELY)}),
)


def of(cases: Iterable[Case]) -> Scene:
    """Return an ordinary scene with the changes of all *cases*."""
    there = scene(protect=PROTECTED)
    for each in cases:
        there = replace(
            there,
            rule=replace(there.rule, **each.of_rule),  # type: ignore[arg-type]
            reading=replace(there.reading, **each.of_reading),  # type: ignore[arg-type]
            watch=replace(there.watch, **each.of_watch),  # type: ignore[arg-type]
        )
        there = replace(there, **each.of_scene)  # type: ignore[arg-type]
    return there


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.guard)
def test_a_guard_that_speaks_is_asked(case: Case) -> None:
    """One thing is out of the ordinary, and the guard that is about it is not left out."""
    there = of([case])
    asked = {name for name, _ in guards_of(there.rule, calm=is_calm(there))}

    assert WISH != GUARDS[case.guard].guard(there, WISH)
    assert case.guard in asked


def test_every_guard_is_seen_to_speak() -> None:
    """A new one joins with what makes it speak."""
    assert set(GUARDS) == {each.guard for each in CASES}


@given(st.lists(st.sampled_from(CASES), max_size=4), st.sampled_from([140.0, 200.0, 290.0, None]))
def test_leaving_out_the_others_changes_nothing(cases: list[Case], claim: float | None) -> None:
    """Whatever comes together, all guards make of a wish what those make of it that are asked."""
    there, asks = of(cases), wish(claim)
    some = guards_of(there.rule, calm=is_calm(there))

    assert guarded(there, asks, ALL) == guarded(there, asks, some)


def test_a_plain_rule_asks_few_guards_where_all_is_calm() -> None:
    """Which is what makes a tick of many targets fast."""
    plain = replace(rule(), cooldown_seconds=0)

    assert ["freshness", "bounds"] == [name for name, _ in guards_of(plain, calm=True)]
