"""What holds whatever happens: bounds, unknown, restore, order, and repetition."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from actuator.builders import NOW, PROTECT, answer, fresh, rule, ruleset, watts
from actuator.fakes import FRESH, FileKnob, target
from actuator.stage import Stage
from wattgov_actuator.deciding.facts import Facts, Memory
from wattgov_actuator.deciding.tick import tick
from wattgov_actuator.document.strict import Quantity
from wattgov_actuator.laws.budget import Budget
from wattgov_actuator.laws.minimise import Minimise
from wattgov_actuator.laws.pid import Pid
from wattgov_actuator.laws.threshold import Scale, Set, Step
from wattgov_actuator.reading import Answer, Moment, Probe, Reading
from wattgov_actuator.rules import Rank, Rate, Rule, RuleSet, Sla, Thermal
from wattgov_actuator.windows import Windows, spans, zone

CARDS = ("GPU-a", "GPU-b", "GPU-c")
FLOOR = 150.0
NAMES = ("quiet", "busy", "dark", "slow", "hot", "cool", "draw", "energy")
SLEW = 25.0


def rules() -> RuleSet:
    """Return rules of every kind, guarded, on all cards."""
    protect = replace(PROTECT, sla=Sla("slow", 30), thermal=Thermal("hot", "cool"), hold_seconds=40)
    return ruleset(
        rule("trim", "quiet", Step(Quantity(-9, "percent")), FLOOR, cooldown_seconds=20),
        rule("relax", "busy", Step(watts(33)), FLOOR),
        rule("night", "dark", Set(watts(210)), FLOOR, for_seconds=20, cooldown_seconds=0),
        *controlled(),
        protect=protect,
    )


def controlled() -> tuple[Rule, ...]:
    """Return a rule of each law that has a memory, and of each guard that a rule may ask for."""
    windows = Windows(spans("13:45-13:49"), zone("UTC"))  # the stage begins at 13:46:40
    pid = rule("draw", "draw", Pid(target=0.0, kp=3.0, ki=0.9, kd=0.5), FLOOR, cooldown_seconds=0)
    search = Minimise("energy", subject_to="cool", work="draw", settle_seconds=15, samples=2)
    rack = rule("rack", "draw", Budget(watts(700)), FLOOR, cooldown_seconds=0)
    return (
        replace(pid, slew=watts(SLEW), deadband=watts(4)),
        replace(rule("cheapest", "energy", search, FLOOR), rate=Rate(3, 120)),
        replace(rack, rank=Rank.BUDGET),
        replace(rule("noon", "quiet", Scale(Quantity(90, "percent")), FLOOR), active=windows),
    )


@dataclass(frozen=True)
class Event:
    """What one tick of a story looks like."""

    seconds: float
    said: frozenset[tuple[str, str]]  # expression, card
    down: bool
    age_seconds: float | None
    value: float  # of every series


events = st.builds(
    Event,
    seconds=st.sampled_from([15.0, 16.0, 60.0]),
    said=st.frozensets(st.tuples(st.sampled_from(NAMES), st.sampled_from(CARDS)), max_size=8),
    down=st.sampled_from([False, False, False, True]),
    age_seconds=st.sampled_from([0.0, 0.0, 0.0, 44.0, 46.0, None]),
    value=st.sampled_from([-30.0, 0.5, 1.0, 20.0, 300.0]),
)
stories = st.lists(events, max_size=12)


class Reversed(FileKnob):
    """The same cards, found in the opposite order."""

    def probe(self) -> Probe:
        """Return the last card first."""
        found = super().probe()
        return replace(found, targets=found.targets[::-1])


def told(event: Event, *, backwards: bool = False) -> dict[str, Answer]:
    """Return the answers of one event."""
    ordered = sorted(event.said, reverse=backwards)
    return {
        name: answer(
            *(({"uuid": card, "instance": "here"}, event.value) for n, card in ordered if n == name)
        )
        for name in NAMES
    }


def play(stage: Stage, event: Event, *, backwards: bool = False) -> None:
    """Let one event happen."""
    stage.said = told(event, backwards=backwards)
    stage.down, stage.read_seconds_ago = event.down, event.age_seconds
    stage.play(seconds=event.seconds)


def stage_in(
    folder: str, kind: type[FileKnob] = FileKnob, the_rules: RuleSet | None = None
) -> Stage:
    """Return a stage of three cards with different limits."""
    knob = kind(Path(folder) / "cards")
    for card, limit in zip(CARDS, (300.0, 400.0, 170.0), strict=True):
        knob.add(card, limit)
    return Stage(Path(folder), the_rules or rules(), knob)


@given(stories)
def test_written_values_are_inside_every_bound_and_all_ends_as_it_began(story: list[Event]) -> None:
    """Hardware, policy and the value before us hold for every write; at the end nothing is left."""
    with tempfile.TemporaryDirectory() as folder:
        stage = stage_in(folder)
        priors = {card: stage.knob.watts(card) for card in CARDS}
        for event in story:
            before = {card: stage.knob.watts(card) for card in CARDS}
            play(stage, event)
            after = {card: stage.knob.watts(card) for card in CARDS}
            unknown = event.down or event.age_seconds is None or event.age_seconds > 45
            if unknown:
                assert all(after[card] >= before[card] for card in CARDS)
        for card, value in stage.knob.writes:
            assert FLOOR <= value <= priors[card]

        assert 0 == stage.stop()
        assert priors == {card: stage.knob.watts(card) for card in CARDS}


@given(stories)
def test_one_tick_tightens_by_the_slew_at_most(story: list[Event]) -> None:
    """With every rule slewed, no write is further below what was in force than that."""
    with tempfile.TemporaryDirectory() as folder:
        slewed = [replace(each, slew=watts(SLEW)) for each in rules().groups[0].rules]
        cool = replace(rules().groups[0].protect, thermal=None)
        stage = stage_in(folder, the_rules=ruleset(*slewed, protect=cool))
        for event in story:
            before = {card: stage.knob.watts(card) for card in CARDS}
            play(stage, event)
            assert all(stage.knob.watts(card) >= before[card] - SLEW for card in CARDS)
        stage.stop()


@given(
    values=st.lists(st.integers(150, 320), min_size=5, max_size=5),
    held=st.lists(st.frozensets(st.integers(0, 4), max_size=5), max_size=10),
)
def test_any_interleaving_of_claims_ends_at_the_prior_value(
    values: list[int], held: list[frozenset[int]]
) -> None:
    """The tightest claim counts at each moment, whichever come and go; without any the prior."""
    claims = [
        replace(rule(f"r{i}", f"e{i}", Set(watts(value)), cooldown_seconds=0), rank=Rank(i % 3))
        for i, value in enumerate(values)
    ]
    with tempfile.TemporaryDirectory() as folder:
        knob = FileKnob(Path(folder) / "cards")
        knob.add("GPU-a", 300.0)
        stage = Stage(Path(folder), ruleset(*claims), knob)
        for now in (*held, frozenset[int]()):
            stage.say(*(f"e{i}" for i in now))
            stage.play()
            tightest = min((values[i] for i in now), default=300)

            assert (min(300, tightest)) == knob.watts()
        assert 0 == stage.governor.snapshot.open_undos
        stage.stop()


@given(stories)
def test_the_order_of_targets_and_samples_does_not_matter(story: list[Event]) -> None:
    """The same story with everything in the opposite order gives the same journal."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        forward, backward = stage_in(one), stage_in(other, Reversed)
        for event in story:
            play(forward, event)
            play(backward, event, backwards=True)

        assert forward.journalled() == backward.journalled()
        forward.stop()
        backward.stop()


@given(stories, st.integers(0, 11))
def test_what_a_person_sets_stays(story: list[Event], at: int) -> None:
    """From the moment a person sets a card, whatever happens, that value is never written over."""
    with tempfile.TemporaryDirectory() as folder:
        stage = stage_in(folder)
        for index, event in enumerate(story):
            if index == at:
                (stage.knob.folder / "GPU-a").write_text("123.4")
            play(stage, event)
        stage.stop()

        assert (300.0 if at >= len(story) else 123.4) == stage.knob.watts("GPU-a")


@given(event=events, at=st.floats(100, 400), above=st.none() | st.floats(2, 100))
def test_a_tick_is_deterministic_and_leaves_its_inputs_alone(
    event: Event, at: float, above: float | None
) -> None:
    """The same facts give the same outcome, and the memory given is not written to."""
    prior = None if above is None else min(at + above, 400)
    where = Reading(target(), at, prior)
    answers = {**told(event), FRESH: fresh(event.age_seconds or 0)}
    facts = Facts(answers, (where,), NOW.steady)
    first = tick(rules(), Memory(), facts, NOW)
    later = Moment(NOW.unix + 30, NOW.steady + 30)
    again = replace(facts, asked_at=later.steady)
    copy = Memory(**{name: dict(getattr(first.memory, name)) for name in Memory.__slots__})

    assert tick(rules(), Memory(), facts, NOW) == first
    assert tick(rules(), first.memory, again, later) == tick(rules(), copy, again, later)
    assert first.memory == copy
