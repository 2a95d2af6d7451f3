"""Rules that are read again while the actuator works."""

from dataclasses import replace
from queue import SimpleQueue

import pytest

from actuator.builders import PROTECT, group, rule, ruleset, watts
from actuator.stage import DOWN, Make, Stage
from wattgov_actuator.decision import Reason
from wattgov_actuator.document.strict import Invalid, Mistake
from wattgov_actuator.laws.threshold import Set, Step
from wattgov_actuator.orders import RELOAD_ON, Asking, Reload
from wattgov_actuator.rules import Bounds, Rule, RuleSet, Sla, Thermal

TRIM = rule("trim", "quiet", cooldown_seconds=30)
NIGHT = rule("night", "dark", Set(watts(200)), cooldown_seconds=0)
OTHER = rule("other", "never")
HOT = replace(PROTECT, thermal=Thermal("hot", "cool"))
SLOW = replace(PROTECT, sla=Sla("slow", 600))


@pytest.fixture
def trimmed(make: Make) -> Stage:
    """Return an actuator that holds a card at 280 W, and whose condition is false by now."""
    stage = make(ruleset(TRIM))
    stage.say("quiet")
    stage.play()
    stage.say()
    stage.play(ticks=3)
    return stage


def reloaded(stage: Stage, rules: RuleSet) -> float:
    """Give new rules, tick once, and return what is in force."""
    stage.rules = rules
    assert () == stage.governor.reload()
    stage.play()
    return stage.knob.watts()


def test_the_same_rules_change_nothing(trimmed: Stage) -> None:
    """No write, and the claim stays."""
    assert 280 == reloaded(trimmed, ruleset(TRIM))
    assert 1 == len(trimmed.knob.writes)


def test_a_new_rule_beside_an_old_one_changes_nothing_of_it(trimmed: Stage) -> None:
    """Nor do new guards."""
    assert 280 == reloaded(trimmed, ruleset(TRIM, OTHER, protect=HOT))
    assert 1 == len(trimmed.knob.writes)


def test_a_rule_that_vanished_lets_go(trimmed: Stage) -> None:
    """The next tick puts back, and is the last to speak of it."""
    assert 300 == reloaded(trimmed, ruleset(OTHER))
    assert Reason.RESTORED == trimmed.reason("actuator.restore")
    assert {"other", "actuator.restore"} == {r.rule for r in trimmed.governor.snapshot.decisions}
    assert {"other"} == set(trimmed.governor.snapshot.rule_targets)


def test_a_rule_that_vanished_leaves_what_another_one_claims(make: Make) -> None:
    """Claims are let go one by one."""
    stage = make(ruleset(TRIM, NIGHT))
    stage.say("quiet", "dark")
    stage.play()

    assert 200 == stage.knob.watts()

    stage.say("quiet")
    assert 280 == reloaded(stage, ruleset(TRIM))


@pytest.mark.parametrize(
    "new", [replace(TRIM, for_seconds=60), replace(TRIM, cooldown_seconds=0, slew=watts(5))]
)
def test_a_new_pace_keeps_the_claim(trimmed: Stage, new: Rule) -> None:
    """What was asked and answered is the same."""
    assert 280 == reloaded(trimmed, ruleset(new))


@pytest.mark.parametrize(
    "new",
    [
        replace(TRIM, expr="another"),
        replace(TRIM, law=Step(watts(-10))),
        replace(TRIM, law=Set(watts(280))),
        replace(TRIM, bounds=Bounds(watts(290))),
    ],
)
def test_another_question_or_answer_begins_anew(trimmed: Stage, new: Rule) -> None:
    """A claim below a new floor, or of a law that is gone, must not live on."""
    assert 300 == reloaded(trimmed, ruleset(new))


def test_bad_rules_leave_the_old_ones_at_work(trimmed: Stage) -> None:
    """It is told, and a good reload ends it."""
    good = trimmed.governor.snapshot.reloads

    def bad() -> RuleSet:
        raise Invalid([Mistake("rules.yml", 3, 5, "no")])

    trimmed.governor._load = bad  # noqa: SLF001 (files would say the same)
    mistakes = trimmed.governor.reload()
    trimmed.say("quiet")
    trimmed.play()
    reloads = trimmed.governor.snapshot.reloads

    assert ("rules.yml:3:5: no",) == mistakes
    assert (260, mistakes) == (trimmed.knob.watts(), reloads and reloads.mistakes)
    assert (good and good.success_at) == (reloads and reloads.success_at)


def test_a_thermal_guard_that_vanished_lets_go(make: Make) -> None:
    """Nothing else would ever clear it."""
    stage = make(ruleset(TRIM, protect=HOT))
    stage.say("hot")
    stage.play()

    assert 150 == stage.knob.watts()
    assert 300 == reloaded(stage, ruleset(TRIM))


def test_a_thermal_guard_that_changed_stays_hot_until_it_clears(make: Make) -> None:
    """A reload is no reason to heat up a card."""
    stage = make(ruleset(TRIM, protect=HOT))
    stage.say("hot")
    stage.play()
    stage.said["hotter"] = DOWN
    new = replace(PROTECT, thermal=Thermal("hotter", "cool"))

    assert 150 == reloaded(stage, ruleset(TRIM, protect=new))


def test_a_breach_is_remembered(make: Make) -> None:
    """The time that the SLA must be kept goes on."""
    stage = make(ruleset(TRIM, protect=SLOW))
    stage.say("slow")
    stage.play()
    stage.say("quiet")

    assert 300 == reloaded(stage, ruleset(TRIM, OTHER, protect=SLOW))
    assert Reason.VETOED_SLA == stage.reason("trim")


def test_a_group_keeps_its_pace(make: Make) -> None:
    """Only one that was changed is asked at once."""
    slow = group(NIGHT, name="slow", interval_seconds=600)
    stage = make(RuleSet((group(TRIM), slow)))
    stage.play()
    reloaded(stage, RuleSet((group(replace(TRIM, for_seconds=60)), slow)))

    assert [True, False] == ["dark" in each for each in stage.asked]


def test_rules_that_say_to_enforce_no_more_put_back(make: Make) -> None:
    """From then on it is a dry run; and back, when they say so again."""
    enforced = replace(ruleset(TRIM), enforce=True)
    stage = make(enforced)
    stage.governor._armed = False  # noqa: SLF001 (the rules arm it, not --enforce)
    stage.say("quiet")
    stage.play()
    stage.rules = ruleset(TRIM)
    stage.governor.reload()

    assert (300, False) == (stage.knob.watts(), stage.governor.snapshot.enforcing)
    assert Reason.WOULD_APPLY == stage.play(seconds=60).reason
    assert 280 == reloaded(stage, enforced)


def test_the_loop_reloads_when_it_is_told_to(make: Make) -> None:
    """By a signal or by whoever waits for the answer; another signal ends it."""
    stage = make(ruleset(TRIM))
    stage.rules = ruleset(OTHER)
    order, orders = Reload(), SimpleQueue[object]()
    for each in (RELOAD_ON, order, "SIGTERM"):
        orders.put(each)

    assert 0 == stage.loop.run(orders)
    assert () == order.answer.get_nowait()
    assert ["other"] == [each.rule for each in stage.governor.snapshot.decisions]


def test_a_loop_that_does_not_answer_is_told_of() -> None:
    """Nobody waits for it forever."""
    assert Asking(SimpleQueue(), patience_seconds=0)(Reload()) is None
