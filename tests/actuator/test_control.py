"""The control laws in the whole cycle: rules, guards, arbitration, journal, knob."""

from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path

import pytest

from actuator.builders import answer, on, rule, ruleset, watts
from actuator.fakes import FileKnob
from actuator.stage import DOWN, Stage
from testbed.curves import V100
from wattgov_actuator.decision import Reason
from wattgov_actuator.document.strict import Quantity
from wattgov_actuator.laws.budget import Budget
from wattgov_actuator.laws.minimise import Minimise
from wattgov_actuator.laws.pid import Pid
from wattgov_actuator.laws.threshold import Scale, Set, Step
from wattgov_actuator.pause import Pause
from wattgov_actuator.reading import Answer, Fault, Probe
from wattgov_actuator.rules import Rank, Rate, Rule
from wattgov_actuator.windows import Windows, spans, zone


def paced(action: str, expr: str, law: object, **more: object) -> Rule:
    """Return a rule without a cooldown."""
    made = rule(action, expr, law, cooldown_seconds=0)  # type: ignore[arg-type]
    return replace(made, **more)  # type: ignore[arg-type]


def stage(folder: Path, *rules: Rule, knob: FileKnob | None = None) -> Stage:
    """Return a stage of one card at 300 W."""
    where = FileKnob(folder / "cards") if knob is None else knob
    where.add("GPU-a", 300.0)
    return Stage(folder, ruleset(*rules), where)


class Loose(FileKnob):
    """A knob whose rules may go above what was set before."""

    def probe(self) -> Probe:
        """Return the cards so."""
        found = super().probe()
        return replace(found, targets=tuple(replace(t, both_ways=True) for t in found.targets))


def test_a_pid_brings_draw_to_its_target_and_lets_go(tmp_path: Path) -> None:
    """The expression is the cap itself; when the law wants more than before, its claim is gone."""
    law = Pid(target=200.0, kp=0.0, ki=0.03, kd=0.0)
    play = stage(tmp_path, paced("draw", "draw", law))
    for _ in range(12):
        play.said = {"draw": on(play.knob.watts())}
        play.play()
    settled = play.knob.watts()
    play.said = {"draw": on(50)}
    play.play(10)

    assert 200 == pytest.approx(settled, abs=3)
    assert (300, 0) == (play.knob.watts(), play.governor.snapshot.open_undos)


def test_a_pid_without_a_value_holds_and_then_puts_back(tmp_path: Path) -> None:
    """An idle app has no latency: that is unknown, not zero."""
    play = stage(tmp_path, paced("draw", "draw", Pid(target=200.0, kp=0.0, ki=0.1, kd=0.0)))
    play.said = {"draw": on(220)}
    play.play()
    held = play.knob.watts()
    play.said = {"draw": answer()}

    assert (Reason.NO_DATA, held) == (play.play(8).reason, play.knob.watts())
    play.play(2)
    assert 300 == play.knob.watts()


def test_a_latency_without_a_device_is_about_all_of_them(tmp_path: Path) -> None:
    """One series is; of two nobody knows which counts."""
    play = stage(tmp_path, paced("draw", "draw", Pid(target=200.0, kp=0.0, ki=0.1, kd=0.0)))
    play.said = {"draw": answer(({"app": "chat"}, 220.0))}
    play.play()
    found = play.knob.watts()
    play.said = {"draw": answer(({"app": "chat"}, 220.0), ({"app": "mail"}, 220.0))}
    last = play.play()

    assert 270 == found
    assert (Reason.NO_DATA, 270) == (last.reason, play.knob.watts())
    assert last.detail.startswith("2 series are about it; aggregate them to one")


def test_where_a_knob_goes_both_ways_a_claim_may_lie_above_the_prior(tmp_path: Path) -> None:
    """As far as the rule's max; the end is the prior value all the same."""
    law = Pid(target=200.0, kp=0.0, ki=0.1, kd=0.0)
    loose = paced("draw", "draw", law)
    loose = replace(loose, bounds=replace(loose.bounds, high=watts(350)))
    play = stage(tmp_path, loose, knob=Loose(tmp_path / "cards"))
    play.said = {"draw": on(180)}
    play.play()
    first = play.knob.watts()
    play.play(5)

    assert (330, 350) == (first, play.knob.watts())
    assert 0 == play.stop()
    assert 300 == play.knob.watts()


def test_a_search_ends_at_the_best_cap_and_stays(tmp_path: Path) -> None:
    """On a measured curve, through the journal and the knob; on exit the prior is put back."""
    law = Minimise("energy", work="work", slowdown=0.2)
    play = stage(tmp_path, replace(paced("cheapest", "energy", law), bounds=rule(low=100).bounds))
    for _ in range(150):
        work, energy = V100.at(play.knob.watts() / 300)
        play.said = {"energy": on(energy), "work": on(work)}
        play.play()
    found = play.knob.watts()
    writes = len(play.knob.writes)
    play.play(50)

    assert V100.at(found / 300)[1] <= 1.03 * 0.7437
    assert writes == len(play.knob.writes)
    assert 0 == play.stop()
    assert 300 == play.knob.watts()


def playing(made: Stage) -> Callable[..., float]:
    """Return what plays on with a card on a measured curve, and gives its cap; answers may fail."""

    def play(ticks: int, **answers: Answer) -> float:
        for _ in range(ticks):
            work, energy = V100.at(made.knob.watts() / 300)
            made.said = {"energy": on(energy), "work": on(work), "ok": on(), **answers}
            made.play()
        return made.knob.watts()

    return play


def searching(folder: Path) -> tuple[Stage, Callable[..., float]]:
    """Return a stage whose search rests at its best, and what plays on."""
    law = Minimise("energy", subject_to="ok", work="work", slowdown=0.1, settle_seconds=15)
    made = stage(folder, paced("cheapest", "energy", law))
    play = playing(made)
    best = play(300)
    assert best < 300
    assert best == play(50)
    return made, play


@pytest.mark.parametrize(
    "answers", [{"ok": DOWN}, {"ok": on(nan)}, {"work": DOWN}, {"work": Answer()}]
)
def test_a_search_whose_limit_is_not_known_is_put_back(
    tmp_path: Path, answers: dict[str, Answer]
) -> None:
    """After `hold`, as where its own expression is not; it is no reason to find another value."""
    searched, play = searching(tmp_path)
    best = searched.knob.watts()

    assert best == play(8, **answers)
    assert "; its limit is not known: " in searched.decision("cheapest").detail
    assert 300 == play(1, **answers)
    assert "its limit is not known for 120 s: " in searched.decision("cheapest").detail
    assert 300 == play(50, **answers)
    assert best == play(300)


def test_what_was_put_back_for_want_of_data_may_be_found_again(tmp_path: Path) -> None:
    """However often: only a guard's veto is the value's own fault."""
    searched, play = searching(tmp_path)
    best = searched.knob.watts()
    for _ in range(3):
        searched.down = True
        assert 300 == play(20)
        searched.down = False

        assert best == play(300)


def test_a_search_that_begins_anew_measures_what_it_costs_from_the_top(tmp_path: Path) -> None:
    """New rules, or a restore: what one search may cost is not on top of what another one cost."""
    searched, play = searching(tmp_path)
    best = searched.knob.watts()
    (trim,) = searched.governor.snapshot.rules.groups[0].rules  # type: ignore[union-attr]
    for samples in (5, 6):
        again = replace(trim, law=replace(trim.law, samples=samples))  # type: ignore[type-var]
        searched.rules = ruleset(again)
        assert () == searched.governor.reload()
        assert 300 == play(1)

        assert best == play(300)


def test_a_search_that_could_not_be_put_back_measures_nothing_there(tmp_path: Path) -> None:
    """Its last value is still in force, and would be taken for what is there without it."""
    searched, play = searching(tmp_path)
    best = searched.knob.watts()
    searched.knob.refuses = Fault.REFUSED
    searched.brake.write(Pause(searched.clock.unix, restore=True))
    assert best == play(3)
    searched.brake.end()
    assert best == play(30)
    searched.knob.refuses = None
    assert 300 == play(1)

    assert best == play(300)


def test_a_search_measures_nothing_at_a_value_that_somebody_else_has_set(tmp_path: Path) -> None:
    """When the value from before is back it begins there, and not with a jump."""
    searched, play = searching(tmp_path)
    best = searched.knob.watts()
    searched.knob.add("GPU-a", 250)
    assert 250 == play(50)
    assert Reason.CONFLICT == searched.reason("cheapest")
    searched.knob.add("GPU-a", 300)

    assert 300 == play(3)
    assert best == play(300)


def test_a_search_below_another_rule_is_made_anew_when_that_lets_go(tmp_path: Path) -> None:
    """What that one costs is its own; without it the search may cost what it is given, and no more.

    As a cap for the night, when the actuator was started at night.
    """
    (tmp_path / "day").mkdir()
    by_day, _ = searching(tmp_path / "day")
    night = paced("night", "dark", Set(watts(210)))
    law = Minimise("energy", subject_to="ok", work="work", slowdown=0.1, settle_seconds=15)
    made = stage(tmp_path, paced("cheapest", "energy", law), night)
    play = playing(made)
    assert 210 == play(1, dark=on())
    assert play(300, dark=on()) < 210

    assert 300 == play(2)
    assert by_day.knob.watts() == play(300)


def test_a_search_begins_at_a_new_value_from_before(tmp_path: Path) -> None:
    """Somebody else's, while it claims nothing: that puts no value below it out of bounds."""
    law = Minimise("energy", subject_to="ok", work="work", slowdown=0.1, settle_seconds=15)
    made = stage(tmp_path, paced("cheapest", "energy", law))
    play = playing(made)
    assert 300 == play(3)
    made.knob.add("GPU-a", 280)

    assert play(300) < 260


def test_a_search_that_is_made_anew_stays_below_another_rule(tmp_path: Path) -> None:
    """What that one holds is where it begins again when the load is another one for long."""
    night = paced("night", "dark", Set(watts(210)))
    law = Minimise("energy", subject_to="ok", load="load", settle_seconds=15, rest_seconds=60)
    made = stage(tmp_path, paced("cheapest", "energy", law), night)
    play = playing(made)
    assert play(200, dark=on(), load=on(1.0)) < 210
    caps = {play(1, dark=on(), load=on(3.0)) for _ in range(300)}

    assert 210 in caps
    assert play(1, dark=on(), load=on(3.0)) < 210


def test_outside_its_window_a_rule_lets_go(tmp_path: Path) -> None:
    """The stage begins at 13:46:40 in UTC."""
    windows = Windows(spans("13:00-13:48"), zone("UTC"))
    play = stage(tmp_path, paced("noon", "on", Set(watts(200)), active=windows))
    play.say("on")
    inside = [play.play().reason, play.knob.watts()]
    outside = [play.play(6).reason, play.knob.watts()]

    assert [Reason.APPLIED, 200] == inside
    assert [Reason.INACTIVE, 300] == outside


def test_keep_bridges_a_gap(tmp_path: Path) -> None:
    """The claim outlives its condition by `keep`, and no longer; nothing begins by it."""
    play = stage(tmp_path, paced("night", "dark", Set(watts(200)), keep_seconds=40))
    play.say()
    assert 300 == (play.play(), play.knob.watts())[1]
    play.say("dark")
    play.play()
    play.say()

    assert [200, 200, 300] == [(play.play(), play.knob.watts())[1] for _ in range(3)]


def test_a_scale_is_of_the_value_before_us(tmp_path: Path) -> None:
    """95 % of 300 W, also when another rule holds less; not 95 % of 95 %."""
    play = stage(tmp_path, paced("green", "on", Scale(Quantity(95, "percent"))))
    play.say("on")
    play.play(3)

    assert (285, 1) == (play.knob.watts(), len(play.knob.writes))


def test_a_slew_gets_there_tick_by_tick(tmp_path: Path) -> None:
    """Down by 40 W at a time, back at once; the reason tells the steps from the end."""
    play = stage(tmp_path, paced("night", "dark", Set(watts(200)), slew=watts(40)))
    play.say("dark")
    steps = [(play.play().reason, play.knob.watts()) for _ in range(3)]
    play.say()
    play.play()

    assert [(Reason.SLEWED, 260), (Reason.SLEWED, 220), (Reason.APPLIED, 200)] == steps
    assert 300 == play.knob.watts()


def test_a_rate_counts_the_writes_of_everybody(tmp_path: Path) -> None:
    """Two in the hour; the way back is free, and counts."""
    play = stage(tmp_path, paced("night", "dark", Set(watts(200)), rate=Rate(2, 3600)))
    found = []
    for name in ("dark", "", "dark", ""):
        play.say(name)
        found.append((play.play().reason, play.knob.watts()))
    play.say("dark")
    after_an_hour = play.play(seconds=3600)

    assert [
        (Reason.APPLIED, 200),
        (Reason.RESTORED, 300),
        (Reason.RATE_LIMITED, 300),
        (Reason.UNCHANGED, 300),
    ] == found
    assert Reason.APPLIED == after_an_hour.reason


def test_a_rule_that_loosens_lifts_its_own_class_and_below(tmp_path: Path) -> None:
    """The budget's claim stands, the cost claim is lifted to it."""
    play = stage(
        tmp_path,
        paced("cap", "always", Set(watts(250)), rank=Rank.BUDGET),
        paced("trim", "quiet", Set(watts(200))),
        paced("relax", "busy", Step(watts(100))),
    )
    play.say("always", "quiet")
    play.play()
    tight = play.knob.watts()
    play.say("always", "quiet", "busy")
    play.play()

    assert (200, 250) == (tight, play.knob.watts())


def test_a_budget_is_kept_at_every_moment(tmp_path: Path) -> None:
    """Three cards share 600 W by need; floors are kept, and the sum never grows beyond."""
    knob = FileKnob(tmp_path / "cards")
    knob.add("GPU-b", 300.0)
    knob.add("GPU-c", 300.0)
    play = stage(tmp_path, paced("rack", "draw", Budget(watts(600))), knob=knob)
    cards = ("GPU-a", "GPU-b", "GPU-c")
    needs = [(300, 300, 300), (300, 60, 60), (60, 300, 300), (60, 60, 300), (300, 300, 300)]
    for need in needs:
        for _ in range(4):
            draws = [min(n, knob.watts(card)) for n, card in zip(need, cards, strict=True)]
            play.said = {
                "draw": answer(
                    *(
                        ({"uuid": card, "instance": "here"}, draw)
                        for card, draw in zip(cards, draws, strict=True)
                    )
                )
            }
            play.play()
            assert sum(map(knob.watts, cards)) <= 600
            assert min(map(knob.watts, cards)) >= 150
        if need == (300, 60, 60):
            assert (300, 150, 150) == tuple(map(knob.watts, cards))

    assert (200, 200, 200) == pytest.approx(tuple(map(knob.watts, cards)), abs=1)
    assert 0 == play.stop()
    assert {300} == {knob.watts(card) for card in cards}


def test_a_budget_makes_room_before_one_of_its_cards_is_let_go(tmp_path: Path) -> None:
    """Whose draw is not known any more gets its prior value after the others have gone down."""
    sums: list[float] = []
    cards = ("GPU-a", "GPU-b", "GPU-c")

    def wrote(step: str) -> None:
        if step == "wrote":
            sums.append(sum(map(knob.watts, cards)))

    knob = FileKnob(tmp_path / "cards", wrote)
    knob.add("GPU-b", 300.0)
    knob.add("GPU-c", 300.0)
    play = stage(tmp_path, paced("rack", "draw", Budget(watts(660))), knob=knob)
    everybody = [({"uuid": card, "instance": "here"}, 300.0) for card in cards]
    play.said = {"draw": answer(*everybody)}
    play.play(3)
    assert [220] * 3 == [knob.watts(card) for card in cards]

    sums.clear()
    play.said = {"draw": answer(*everybody[1:])}
    play.play(12)

    assert [300, 180, 180] == [knob.watts(card) for card in cards]
    assert (620, 580, 660) == tuple(sums)


def test_a_dry_run_tells_one_move_of_a_pid(tmp_path: Path) -> None:
    """It winds nothing up on a knob that it does not turn."""
    law = Pid(target=200.0, kp=0.0, ki=0.1, kd=0.0)
    knob = FileKnob(tmp_path / "cards")
    knob.add()
    play = Stage(tmp_path, ruleset(paced("draw", "draw", law)), knob, enforcing=False)
    play.said = {"draw": on(220)}
    play.play(50)

    assert (Reason.WOULD_APPLY, 270) == (play.reason("draw"), play.decision("draw").wanted)
    assert [] == knob.writes
