"""What a tick leaves out to be quick changes nothing: idle rules, shared ages, late timers."""

import gc
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actuator.builders import NOW, PROTECT, answer, fresh, look, on, reading, rule, ruleset, watts
from actuator.fakes import FRESH, target
from wattgov_actuator.condition import Judged, State
from wattgov_actuator.deciding.facts import Facts, Memory
from wattgov_actuator.deciding.ruling import remembered
from wattgov_actuator.deciding.tick import due, tick
from wattgov_actuator.decision import Held, Reason
from wattgov_actuator.document.strict import Quantity
from wattgov_actuator.laws.threshold import Scale, Set, Step
from wattgov_actuator.reading import Answer, Moment, Reading
from wattgov_actuator.rules import Alone, Law, Look, Peer, RuleSet, Sla, Traits, Want

QUICK: tuple[Law, ...] = (
    Step(watts(-20)),
    Step(watts(20)),
    Set(watts(210)),
    Scale(Quantity(80, "percent")),
)
CARDS = tuple(target(f"GPU-{index}", index) for index in range(3))


@dataclass(frozen=True)
class Asked(Alone):
    """A law that is asked even where it has nothing to say."""

    law: Law
    traits: ClassVar[Traits] = Traits(keeps=True)

    def wish(self, look: Look) -> Want:
        """Ask the other."""
        return self.law.wish(look)


@pytest.mark.parametrize("law", QUICK)
def test_a_law_that_rests_wants_nothing_while_false(law: Law) -> None:
    """That is what lets a tick pass it by."""
    assert law.traits.rests
    assert Want(None) == law.wish(look(true=False, claim=None))


def facts(said: dict[str, Answer], now: Moment, *readings: Reading) -> Facts:
    """Return the facts of one moment."""
    return Facts(said, readings or tuple(Reading(each, 300.0) for each in CARDS), now.steady)


@given(
    st.lists(st.frozensets(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=6), max_size=6)
)
def test_passing_an_idle_rule_by_decides_what_asking_it_would(
    story: list[frozenset[tuple[int, int]]],
) -> None:
    """The same decisions, to the word, whether the laws are asked at every target or not."""
    protect = replace(PROTECT, sla=Sla("e4"))
    both = [
        ruleset(*(rule(f"r{i}", f"e{i}", law) for i, law in enumerate(laws)), protect=protect)
        for laws in (QUICK, tuple(map(Asked, QUICK)))
    ]
    memories = [Memory(), Memory()]
    for turn, said in enumerate(story):
        now = Moment(NOW.unix + 15 * turn, NOW.steady + 15 * turn)
        answers = {
            f"e{i}": answer(
                *(({"uuid": CARDS[c].name, "instance": "here"}, 1.0) for e, c in said if e == i)
            )
            for i in range(5)
        }
        answers[FRESH] = answer(({"instance": "here"}, now.unix))
        one, other = (
            tick(rules, memory, facts(answers, now), now)
            for rules, memory in zip(both, memories, strict=True)
        )
        assert (other.decisions, other.wanted) == (one.decisions, one.wanted)
        memories = [one.memory, other.memory]


def test_what_is_false_everywhere_leaves_nothing_to_remember() -> None:
    """Memory grows with what is claimed, not with rules times targets."""
    said = {"quiet": answer(), FRESH: fresh()}
    outcome = tick(ruleset(), Memory(), facts(said, NOW), NOW)

    assert ({}, {}) == (outcome.memory.held, outcome.memory.watches)
    assert [Reason.UNCHANGED] * 3 == [each.reason for each in outcome.decisions]


def test_a_breach_is_forgotten_once_rules_may_tighten_again() -> None:
    """Not before; else every guard would be asked for ever where nothing is wrong any more."""
    rules = ruleset(protect=replace(PROTECT, sla=Sla("slow", rearm_seconds=60)))
    memory, known = Memory(), []
    for turn, slow in enumerate((answer(({}, 1.0)), *[answer()] * 5)):
        now = Moment(NOW.unix + 15 * turn, NOW.steady + 15 * turn)
        said = {"quiet": answer(), "slow": slow, FRESH: answer(({"instance": "here"}, now.unix))}
        memory = tick(rules, memory, facts(said, now), now).memory
        known.append({each.breached_at for each in memory.watches.values()})

    assert [{NOW.steady}] * 4 + [set()] * 2 == known


def test_a_card_whose_reading_is_old_does_not_make_the_others_old() -> None:
    """Ages are shared by targets, but for one that has an age of its own."""
    old = ({"instance": "here", "uuid": CARDS[0].name}, NOW.unix - 100)
    said = {"quiet": answer(), FRESH: Answer(fresh().samples + answer(old).samples)}
    outcome = tick(ruleset(), Memory(), facts(said, NOW), NOW)

    assert [Reason.HELD_STALE, Reason.UNCHANGED, Reason.UNCHANGED] == [
        each.reason for each in outcome.decisions
    ]


def test_targets_of_one_knob_may_be_known_by_different_labels() -> None:
    """Each is counted by its own."""
    bare = replace(CARDS[1], labels={"gpu": "1"})
    said = {"quiet": answer(({"gpu": "1"}, 1.0), ({"uuid": "GPU-0"}, 1.0)), FRESH: fresh()}
    where = facts(said, NOW, Reading(CARDS[0], 300.0), Reading(bare, 300.0))

    assert {"trim": 2} == tick(ruleset(), Memory(), where, NOW).rule_targets


@dataclass
class Counting(Alone):
    """A law whose devices share, and that counts how often it is asked to."""

    asked: int = 0
    traits: ClassVar[Traits] = Traits(measures=True)

    def share(self, peers: tuple[Peer, ...]) -> object:
        """Count."""
        self.asked += 1
        return len(peers)

    def wish(self, look: Look) -> Want:
        """Claim what was shared."""
        return Want(None, detail=f"{look.shared} share")


def test_what_is_shared_is_shared_out_once_a_tick() -> None:
    """Once for each device, its cost would grow with the square of the devices."""
    law = Counting()
    said = {"quiet": on(uuid="GPU-0"), FRESH: fresh()}
    outcome = tick(ruleset(rule(law=law)), Memory(), facts(said, NOW), NOW)

    assert 1 == law.asked
    assert "3 share; the value is 1, read 0 s ago" == outcome.decisions[0].detail


def test_a_late_tick_does_not_cost_the_next_one() -> None:
    """At an interval of 15 s, one that is 4 s late is followed after 11 s."""
    rules = ruleset()
    slow = replace(rules.groups[0], name="slow", interval_seconds=60)
    both = RuleSet((rules.groups[0], slow))
    memory = Memory(asked={"gpus": 4.0, "slow": 4.0})

    assert ["gpus"] == [each.name for each in due(both, memory, 15.0)]
    assert [] == [each.name for each in due(both, memory, 5.0)]
    assert ["gpus"] == [each.name for each in due(both, memory, 57.0)]
    assert ["gpus", "slow"] == [each.name for each in due(both, memory, 58.0)]


def test_a_row_of_an_idle_rule_shows_what_the_target_gets() -> None:
    """Also when another rule moves the knob in the same tick."""
    both = ruleset(rule(), rule("night", "dark", Set(watts(210))))
    said = {"quiet": on(uuid="GPU-0"), "dark": answer(), FRESH: fresh()}
    here = facts(said, NOW, replace(reading(), target=CARDS[0]))
    trim, night = tick(both, Memory(), here, NOW).decisions

    assert (280.0, 280.0, Reason.UNCHANGED) == (trim.wanted, night.wanted, night.reason)


def test_a_tick_leaves_no_cycles_and_the_collector_as_it_was() -> None:
    """Without cycles nothing is lost while the collector is out; it comes back after a failure."""
    the_rules = ruleset(*(rule(f"r{at}", f"e{at}", law) for at, law in enumerate(QUICK)))
    said = {f"e{at}": on() for at in range(len(QUICK))} | {FRESH: fresh()}
    gc.collect()
    gc.disable()
    try:
        outcome = tick(the_rules, Memory(), facts(said, NOW), NOW)
        tick(the_rules, outcome.memory, facts(said, NOW), NOW)
        assert not gc.isenabled()
        assert gc.collect() == 0
    finally:
        gc.enable()
    with pytest.raises(KeyError):
        tick(the_rules, Memory(), facts({}, NOW), NOW)
    assert gc.isenabled()


def test_what_has_not_changed_is_remembered_as_it_was() -> None:
    """A condition that stays true is nothing new, but for a rule that keeps: it counts from now."""
    held, judged = Held(280.0, true_since=NOW.steady - 30), Judged(State.TRUE, "because", 1.0)
    keeps = replace(rule(), keep_seconds=60)

    assert held is remembered(rule(), held, judged, NOW)
    assert replace(held, true_at=NOW.steady) == remembered(keeps, held, judged, NOW)
