"""Stories: what the actuator does with a card, tick by tick."""

from dataclasses import replace

import pytest

from actuator.builders import PROTECT, answer, group, on, rule, ruleset, watts
from actuator.fakes import FileKnob
from actuator.stage import DOWN, Make
from wattgov_actuator.decision import Reason
from wattgov_actuator.laws.threshold import Set, Step
from wattgov_actuator.reading import Fault
from wattgov_actuator.rules import Rank, RuleSet, Sla, Thermal

TRIM = rule("trim", "quiet", cooldown_seconds=30)
RELAX = rule("relax", "busy", Step(watts(20)))
NIGHT = rule("night", "dark", Set(watts(200)), cooldown_seconds=0)
GUARDED = replace(PROTECT, sla=Sla("slow", 60), thermal=Thermal("hot", "cool"))


def test_a_quiet_card_is_trimmed_step_by_step_to_its_floor(make: Make) -> None:
    """A step, a cooldown, a step; and then the floor."""
    stage = make(ruleset(TRIM))
    stage.say("quiet")
    seen = [(stage.play().reason, stage.knob.watts()) for _ in range(4)]

    assert [
        (Reason.APPLIED, 280),
        (Reason.COOLDOWN, 280),
        (Reason.APPLIED, 260),
        (Reason.COOLDOWN, 260),
    ] == seen

    stage.play(ticks=12)

    assert (150, Reason.CLAMPED) == (stage.knob.watts(), stage.reason("trim"))


def test_a_condition_must_last(make: Make) -> None:
    """`for` starts anew when the condition was false, or unknown, in between."""
    stage = make(ruleset(rule("trim", "quiet", for_seconds=30)))
    for interruption in ({}, {"quiet": DOWN}):
        stage.say("quiet")
        assert Reason.WAITING == stage.play(ticks=2).reason
        stage.said = interruption
        stage.play()
    stage.say("quiet")

    assert Reason.WAITING == stage.play(ticks=2).reason
    assert Reason.APPLIED == stage.play().reason


def test_a_busy_card_gets_back_what_it_gave_and_no_more(make: Make) -> None:
    """Steps up end at the value that was set before us, and the undo is closed."""
    stage = make(ruleset(TRIM, RELAX))
    stage.say("quiet")
    stage.play(ticks=3)
    stage.say("busy")
    seen = []
    for _ in range(3):
        stage.play()
        seen.append((stage.reason("relax"), stage.knob.watts()))

    assert [
        (Reason.APPLIED, 280),
        (Reason.RESTORED, 300),
        (Reason.UNCHANGED, 300),
    ] == seen
    assert 0 == stage.governor.snapshot.open_undos


def test_between_the_thresholds_nothing_moves(make: Make) -> None:
    """A step keeps its claim while neither rule is true."""
    stage = make(ruleset(TRIM, RELAX))
    stage.say("quiet")
    stage.play()
    stage.say()

    assert Reason.UNCHANGED == stage.play(ticks=50).reason
    assert 280 == stage.knob.watts()


def test_loosening_wins_when_both_are_true(make: Make) -> None:
    """A card that is quiet on average and busy now is not trimmed."""
    stage = make(ruleset(TRIM, RELAX))
    stage.say("quiet")
    stage.play(ticks=3)
    stage.say("quiet", "busy")
    stage.play(ticks=4)

    assert 300 == stage.knob.watts()
    assert Reason.OUTRANKED == stage.reason("trim")
    assert 4 == len(stage.knob.writes)


def test_a_set_value_is_given_up_at_once(make: Make) -> None:
    """It is held as long as the condition is true, and not a tick longer."""
    stage = make(ruleset(NIGHT))
    stage.say("dark")

    assert (Reason.APPLIED, 200) == (stage.play().reason, stage.knob.watts())
    assert (Reason.UNCHANGED, 200) == (stage.play().reason, stage.knob.watts())

    stage.say()

    assert (Reason.RESTORED, 300) == (stage.play().reason, stage.knob.watts())


def test_the_tightest_claim_counts_and_claims_end_one_by_one(make: Make) -> None:
    """Each rule keeps its own claim; what is in force is the lowest of them."""
    evening = rule("evening", "dusk", Set(watts(250)), cooldown_seconds=0)
    stage = make(ruleset(evening, NIGHT))
    stage.say("dusk", "dark")
    stage.play()

    assert (200, Reason.OUTRANKED) == (stage.knob.watts(), stage.reason("evening"))

    stage.say("dusk")
    stage.play()

    assert (250, Reason.APPLIED) == (stage.knob.watts(), stage.reason("night"))

    stage.say()
    stage.play()

    assert (300, Reason.RESTORED) == (stage.knob.watts(), stage.reason("evening"))


def test_a_breach_of_the_sla_puts_back_in_the_same_tick(make: Make) -> None:
    """Then tightening is stopped until the SLA has been kept for a while."""
    stage = make(ruleset(TRIM, protect=GUARDED))
    stage.say("quiet")
    stage.play(ticks=3)
    stage.say("quiet", "slow")

    assert (Reason.RESTORED, 300) == (stage.play().reason, stage.knob.watts())
    assert Reason.VETOED_SLA == stage.play().reason

    stage.say("quiet")

    assert Reason.VETOED_SLA == stage.play(ticks=3).reason
    assert (Reason.APPLIED, 280) == (stage.play().reason, stage.knob.watts())


def test_heat_goes_to_the_floor_at_once_and_ends_only_when_cool(make: Make) -> None:
    """No cooldown, no step; and claims that rules held before are there again after."""
    stage = make(ruleset(TRIM, protect=GUARDED))
    stage.say("quiet")
    stage.play()
    stage.say("quiet", "hot")
    stage.play()

    assert 150 == stage.knob.watts()
    assert (Reason.APPLIED, Reason.VETOED_THERMAL) == (
        stage.reason("gpus.thermal"),
        stage.reason("trim"),
    )

    stage.say()
    stage.play(ticks=5)

    assert (150, Reason.UNCHANGED) == (stage.knob.watts(), stage.reason("gpus.thermal"))

    stage.say("cool")
    stage.play()

    assert (280, Reason.APPLIED) == (stage.knob.watts(), stage.reason("gpus.thermal"))


def test_heat_comes_before_a_breach(make: Make) -> None:
    """Thermal, then SLA, then cost."""
    stage = make(ruleset(TRIM, protect=GUARDED))
    stage.say("quiet")
    stage.play()
    stage.say("hot", "slow")
    stage.play()

    assert 150 == stage.knob.watts()

    stage.say("cool")
    stage.play()

    assert 300 == stage.knob.watts()


def test_heat_never_loosens(make: Make) -> None:
    """Another group's floor may be lower; what a rule holds below ours stays."""
    lower = group(rule("deep", "quiet", Set(watts(120)), low=110), name="other")
    stage = make(RuleSet((group(TRIM, protect=GUARDED), lower)))
    stage.say("quiet")
    stage.play()
    stage.say("quiet", "hot")
    stage.play()

    assert 120 == stage.knob.watts()


def test_heat_that_cannot_be_seen_any_more_is_let_go_after_hold(make: Make) -> None:
    """The board protects itself; what we changed does not stay for ever."""
    stage = make(ruleset(TRIM, protect=GUARDED))
    stage.say("hot")
    stage.play()
    stage.down = True
    stage.play(ticks=8)

    assert 150 == stage.knob.watts()

    stage.play()

    assert 300 == stage.knob.watts()
    assert "its heat is not known any more" in stage.decision("gpus.thermal").detail


@pytest.mark.parametrize("way", ["stale", "silent", "down", "nan"])
def test_what_is_unknown_is_held_and_then_put_back(make: Make, way: str) -> None:
    """Whichever way the data is lost: nothing tightens, and after `hold` the prior is back."""
    stage = make(ruleset(TRIM))
    stage.say("quiet")
    stage.play()
    if way == "stale":
        stage.read_seconds_ago = 46
    if way == "silent":
        stage.read_seconds_ago = None
    stage.down = way == "down"
    if way == "nan":
        stage.said = {"quiet": on(float("nan"))}
    reasons = {stage.play().reason for _ in range(8)}

    assert {Reason.HELD_STALE if way == "stale" else Reason.NO_DATA} == reasons
    assert 280 == stage.knob.watts()

    assert (Reason.RESTORED, 300) == (stage.play().reason, stage.knob.watts())


def test_a_jump_of_the_clock_is_stale_and_not_a_reason_to_act(make: Make) -> None:
    """Two hours, either way: samples look old or from the future, and durations do not jump."""
    stage = make(ruleset(TRIM))
    stage.say("quiet")
    stage.play()
    for hours in (2, -2):
        stage.read_seconds_ago = 3600.0 * hours
        assert (Reason.HELD_STALE, 280) == (stage.play().reason, stage.knob.watts())


def test_a_dry_run_writes_nothing_and_says_what_it_would(make: Make) -> None:
    """Tick after tick the same: there is nothing in force to step down from."""
    stage = make(ruleset(TRIM, protect=GUARDED), enforcing=False)
    stage.say("quiet")
    seen = {(stage.play().reason, stage.decision("trim").wanted) for _ in range(5)}

    assert {(Reason.WOULD_APPLY, 280.0)} == seen
    assert [] == stage.knob.writes
    assert 1 == len(stage.journal.decisions())  # five times the same is one thing to note


def test_a_dry_run_has_nothing_to_put_back(make: Make) -> None:
    """What it would have claimed is no claim: a breach stops it, and restores nothing."""
    stage = make(ruleset(TRIM, protect=GUARDED), enforcing=False)
    stage.say("quiet")
    stage.play()
    stage.say("quiet", "slow")

    assert Reason.VETOED_SLA == stage.play().reason


def test_a_claim_that_was_refused_is_forgotten(make: Make) -> None:
    """When the card obeys again, it is not asked for what nobody wants any more."""
    stage = make(ruleset(TRIM))
    stage.say("quiet")
    stage.play()
    stage.knob.refuses = Fault.REFUSED
    stage.play(ticks=2)
    stage.knob.refuses = None
    stage.say()

    assert (Reason.UNCHANGED, 280) == (stage.play().reason, stage.knob.watts())
    assert 2 == len(stage.knob.writes)


def test_a_persons_change_ends_our_say(make: Make) -> None:
    """The value stays, heat or not, and stays after we stop."""
    stage = make(ruleset(TRIM, protect=GUARDED))
    stage.say("quiet")
    stage.play()
    (stage.knob.folder / "GPU-a").write_text("240")
    stage.say("quiet", "hot", "slow")

    assert Reason.CONFLICT == stage.play(ticks=20).reason
    assert Reason.CONFLICT == stage.reason("gpus.thermal")
    assert 0 == stage.stop()
    assert 240 == stage.knob.watts()
    assert 1 == len(stage.knob.writes)


def test_a_refusal_is_told_and_not_insisted_on(make: Make) -> None:
    """One try a cooldown."""
    stage = make(ruleset(TRIM))
    stage.say("quiet")
    stage.knob.refuses = Fault.REFUSED
    reasons = {stage.play().reason for _ in range(8)}

    assert {Reason.REFUSED} == reasons
    assert 4 == len(stage.knob.writes)

    stage.knob.refuses = None
    stage.play(ticks=2)

    assert 280 == stage.knob.watts()


def test_a_card_that_is_lost_and_comes_back_is_put_back(make: Make) -> None:
    """Its claim ended with the data; its undo did not."""
    stage = make(ruleset(TRIM))
    stage.say("quiet")
    stage.play()
    stage.knob.gone.add("GPU-a")

    assert (Reason.LOST, None) == (stage.play().reason, stage.decision("trim").current)
    assert 1 == stage.governor.snapshot.open_undos

    later = make(ruleset(TRIM))  # another process, which remembers no claim
    later.play()

    assert (Reason.LOST, 280) == (later.reason("trim"), later.knob.watts())

    later.knob.gone.clear()
    later.play()

    assert (300, Reason.RESTORED) == (later.knob.watts(), later.reason("actuator.restore"))


def test_groups_have_their_own_pace(make: Make) -> None:
    """A slow group is asked less often, and what it claims stays in force in between."""
    slow = group(NIGHT, name="slow", interval_seconds=60)
    stage = make(RuleSet((group(TRIM), slow)))
    stage.say("dark")
    stage.play(ticks=5)

    assert [True, False, False, False, True] == ["dark" in each for each in stage.asked]
    assert 200 == stage.knob.watts()
    assert {"trim", "night"} == {each.rule for each in stage.governor.snapshot.decisions}


def test_a_slow_group_is_shown_whole_between_its_turns(make: Make) -> None:
    """Its thermal claim has a say in every tick; the rows of its rules stay meanwhile."""
    slow = group(NIGHT, name="slow", interval_seconds=60, protect=GUARDED)
    stage = make(RuleSet((group(TRIM), slow)))
    stage.say("hot")
    stage.play(ticks=2)

    assert 150 == stage.knob.watts()
    assert {"trim", "night", "slow.thermal"} == {
        each.rule for each in stage.governor.snapshot.decisions
    }


def test_a_rule_without_a_card_says_why(make: Make, knob: FileKnob) -> None:
    """One row, with the driver's own words, or with whose cards the series name."""
    (knob.folder / "GPU-a").unlink()
    stage = make(ruleset(TRIM))

    assert (Reason.NO_TARGET, "no card", "") == (
        stage.play().reason,
        stage.decision("trim", "").detail,
        stage.decision("trim", "").target,
    )

    stage.say("quiet", uuid="GPU-elsewhere")

    assert Reason.NOT_LOCAL == stage.play().reason
    assert {"trim": 0} == stage.governor.snapshot.rule_targets


def test_the_journal_explains_each_step(make: Make) -> None:
    """Only what is new is noted, with what it rested on, and the chain holds."""
    stage = make(ruleset(TRIM))
    stage.say("quiet")
    stage.play(ticks=3)
    stage.say()
    stage.play(ticks=10)
    rows = stage.journal.decisions()

    assert ["applied", "cooldown", "applied", "unchanged"] == [row["reason"] for row in rows]
    assert [280.0, 260.0, 260.0, 260.0] == [row["wanted"] for row in rows]
    assert stage.journal.broken() is None


def test_a_failing_sla_query_stops_what_tightens(make: Make) -> None:
    """The rule's own data is fine; that is not enough."""
    stage = make(ruleset(TRIM, protect=GUARDED))
    stage.say("quiet")
    stage.said["slow"] = DOWN

    assert (Reason.VETOED_SLA, 300) == (stage.play().reason, stage.knob.watts())


def test_queries_are_counted_by_how_they_failed(make: Make) -> None:
    """And the time of the last one that was answered stays."""
    stage = make(ruleset(TRIM))
    stage.play()
    last = stage.governor.snapshot.last_success
    stage.down = True
    stage.play()

    assert {"down": 2} == stage.governor.snapshot.query_failures
    assert last == stage.governor.snapshot.last_success == stage.clock.unix - 15


def test_an_answer_for_another_card_moves_nothing(make: Make) -> None:
    """Only the card that is named is touched."""
    stage = make(ruleset(TRIM))
    stage.knob.add("GPU-b", 350)
    stage.said = {"quiet": answer(({"uuid": "GPU-b", "instance": "here"}, 1.0))}
    stage.play()

    assert (300, 330) == (stage.knob.watts("GPU-a"), stage.knob.watts("GPU-b"))


def test_a_journal_that_is_deleted_puts_all_back_and_nothing_is_done_after(make: Make) -> None:
    """Killed later, we would leave a card that nobody knows to have been changed."""
    stage = make(ruleset(TRIM))
    stage.say("quiet")
    assert (Reason.APPLIED, 280) == (stage.play().reason, stage.knob.watts())
    stage.journal.path.unlink()
    stage.play(ticks=4)

    assert (Reason.UNJOURNALLED, 300) == (stage.reason("trim"), stage.knob.watts())
    assert () == stage.journal.undos()
    assert "deleted" in stage.governor.snapshot.journal_trouble


def test_a_claim_stands_before_the_tighter_one_of_another_rule_goes(make: Make) -> None:
    """Else a power budget is broken for a cooldown, whenever a cheaper rule lets go."""
    budget = replace(rule("budget", "full", Set(watts(250))), rank=Rank.BUDGET)
    stage = make(ruleset(NIGHT, budget))
    stage.say("dark")
    stage.play()
    stage.say("dark", "full")
    stage.play()
    assert (200, Reason.OUTRANKED) == (stage.knob.watts(), stage.reason("budget"))
    stage.say("full")
    stage.play()

    assert 250 == stage.knob.watts()


def test_a_rule_that_lifts_in_vain_is_told_which_one_holds(make: Make) -> None:
    """Not itself."""
    budget = replace(rule("budget", "full", Set(watts(250))), rank=Rank.BUDGET)
    stage = make(ruleset(budget, RELAX))
    stage.say("full")
    stage.play()
    stage.say("full", "busy")
    stage.play()

    assert "budget comes first, at 250 watts" in stage.decision("relax").detail
