"""The budget law: so many watts for many devices, by need."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actuator.builders import answer, look, on, reading, rule, ruleset, watts
from actuator.fakes import FileKnob
from actuator.stage import Make
from wattgov_actuator.laws.budget import Budget, grants, shares
from wattgov_actuator.laws.threshold import Set
from wattgov_actuator.pause import Pause
from wattgov_actuator.rules import Peer, Rank


def peer(name: str, need: float | None, current: float = 400) -> Peer:
    """Return a card of 100 to 400 W."""
    return Peer(name, current, 100, 400, need)


def test_who_needs_little_leaves_the_rest_to_others() -> None:
    """The idle card keeps its floor, the two busy ones share evenly what is left."""
    peers = (peer("a", 390), peer("b", 390), peer("c", 40))

    assert [350, 350, 100] == pytest.approx(shares(800, peers))


def test_what_nobody_needs_is_given_out_too() -> None:
    """Everybody may draw some more without waiting for the next tick."""
    peers = (peer("a", 250), peer("b", 100), peer("c", 50))

    assert [275, 130, 130] == pytest.approx(shares(535, peers))


def test_a_card_at_its_cap_counts_as_starved() -> None:
    """What it would draw cannot be seen: it wants all it can get."""
    peers = (peer("a", 148, current=150), peer("b", 120, current=300))

    assert [268, 132] == pytest.approx(shares(400, peers), abs=1e-3)


def test_floors_come_before_the_budget() -> None:
    """And the decision says so."""
    peers = (peer("GPU-a", 390), peer("b", 390))
    law = Budget(watts(150))
    want = law.wish(look(reading(400), shared=law.share(peers)))

    assert 100 == want.claim
    assert "the floors of 2 devices alone take 200 of 150 W" == want.detail


def test_an_unknown_need_keeps_what_is_in_force() -> None:
    """The others share what that leaves."""
    assert [300, 150, 150] == pytest.approx(
        shares(600, (peer("a", None, 300), peer("b", 390), peer("c", 390)))
    )


def test_a_share_grows_only_into_watts_that_are_free() -> None:
    """First the one goes down, at the next tick the other goes up."""
    first = grants(500, (peer("a", 198, 200), peer("b", 40, 300)))
    second = grants(500, (peer("a", 198, 200), peer("b", 40, 100)))

    assert [200, 100] == pytest.approx(first)
    assert [400, 100] == pytest.approx(second)


def test_the_budget_is_a_class_of_its_own() -> None:
    """A rule that loosens for cost does not lift it."""
    assert Rank.BUDGET == Budget.traits.rank


known = st.builds(
    lambda current, low, room, need: Peer("x", max(current, low), low, low + room, need),
    current=st.floats(50, 700),
    low=st.floats(50, 200),
    room=st.floats(0, 500),
    need=st.floats(0, 700),
)
everyone = st.lists(known | known.map(lambda each: each._replace(need=None)), max_size=12)


@given(st.lists(known, max_size=12), st.floats(100, 5000))
def test_the_sum_is_never_above_the_budget(peers: list[Peer], budget: float) -> None:
    """Unless the floors alone are, and then everybody is at the floor."""
    given_ = shares(budget, peers)
    lows = [each.low for each in peers]

    assert sum(given_) <= budget + 1e-6 or given_ == lows
    assert all(
        each.low - 1e-9 <= share <= each.high + 1e-9
        for each, share in zip(peers, given_, strict=True)
    )


@given(st.floats(300, 399.9), st.floats(200, 800))
def test_what_a_knob_cannot_tell_apart_does_not_add_up(current: float, budget: float) -> None:
    """Claims are whole watts, and a share that is smaller by less than one is a watt smaller."""
    peers = tuple(peer(name, 390, current) for name in ("GPU-a", "b"))
    law = Budget(watts(budget))
    claim = law.wish(look(reading(current, prior=400), shared=law.share(peers))).claim
    after = current if claim is None or abs(claim - current) < 1 else claim

    assert 2 * after <= max(budget, 200) + 1e-6 or after == current <= budget / 2


@given(everyone, st.floats(100, 5000), st.data())
def test_no_write_that_fails_breaks_the_budget(
    peers: list[Peer], budget: float, data: st.DataObject
) -> None:
    """Whichever of the writes take, the sum stays within the budget, or grows no further."""
    given_ = grants(budget, peers)
    took = data.draw(st.lists(st.booleans(), min_size=len(peers), max_size=len(peers)))
    before = sum(each.current for each in peers)
    after = sum(
        share if took_it else each.current
        for share, each, took_it in zip(given_, peers, took, strict=True)
    )

    assert after <= max(budget, before) + 1e-6


@pytest.mark.parametrize("prior", [300.0, 200.0])
def test_watts_that_another_rule_holds_back_are_not_free(
    make: Make, knob: FileKnob, prior: float
) -> None:
    """When that rule lets go they are drawn again, and in a pause nobody can make room for it.

    The first card goes back to its share, or, where that is all it had before us, to that.
    """
    knob.add("GPU-a", prior)
    knob.add("GPU-b", 300)
    rack = rule("rack", "draw", Budget(watts(400)), low=100, cooldown_seconds=0)
    night = rule("night", "dark", Set(watts(150)), low=100, cooldown_seconds=0)
    stage = make(ruleset(replace(rack, rank=Rank.BUDGET), night))

    def play(first: float, dark: str = "", ticks: int = 3) -> tuple[float, float]:
        drawn = {"GPU-a": first, "GPU-b": knob.watts("GPU-b")}
        here = [({"uuid": card, "instance": "here"}, each) for card, each in drawn.items()]
        stage.said = {"draw": answer(*here), "dark": on(uuid=dark)}
        stage.play(ticks)
        return knob.watts("GPU-a"), knob.watts("GPU-b")

    assert (200, 200) == play(prior)
    assert (150, 200) == play(150, "GPU-a", ticks=1)
    stage.brake.write(Pause(stage.clock.unix))

    assert 150 == play(100, "GPU-a")[0]
    assert sum(play(100)) <= 400
    stage.brake.end()
    assert sum(play(100)) <= 400
    assert knob.watts("GPU-b") > 200
