"""Which targets a rule is about."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from actuator.builders import PROTECT, group, loaded, on, rule
from actuator.fakes import FileKnob
from actuator.stage import Stage
from wattgov_actuator.decision import Reason
from wattgov_actuator.rules import RuleSet, Thermal
from wattgov_actuator.selection import Selection, patterns

RULES = """
version: 1
groups:
  - name: gpus
    targets: {only: {gpu: "[0-3]"}}
    rules:
      - {action: all-of-them, expr: a, knob: gpu_power_limit, step: -20W}
      - {action: but-one, expr: b, knob: gpu_power_limit, step: -20W, targets: {except: {gpu: 2}}}
  - name: more
    rules:
      - {action: anything, expr: c, knob: gpu_power_limit, step: -20W}
"""
NOT_A = (Selection(but=patterns({"uuid": "GPU-a"})),)


@pytest.fixture
def stage(tmp_path: Path, knob: FileKnob) -> Iterator[Stage]:
    """Return an actuator with two cards, whose only rule is not about the first."""
    knob.add("GPU-b")
    hot = replace(PROTECT, thermal=Thermal("hot", "cool"))
    ours = group(replace(rule("trim", "quiet"), targets=NOT_A), protect=hot)
    made = Stage(tmp_path, RuleSet((ours,)), knob)
    yield made
    made.journal.close()


def test_all_of_only_and_none_of_except() -> None:
    """Whole values, as Prometheus matches them; a label that is not there is empty."""
    chosen = Selection(patterns({"gpu": "[0-3]", "rack": ""}), patterns({"uuid": "GPU-a|GPU-b"}))

    assert chosen.takes({"gpu": "1", "uuid": "GPU-c"})
    assert not chosen.takes({"gpu": "1", "uuid": "GPU-b"})
    assert not chosen.takes({"gpu": "12", "uuid": "GPU-c"})
    assert not chosen.takes({"gpu": "1", "rack": "7"})
    assert not chosen.takes({})


def test_one_match_is_enough_to_leave_it_out() -> None:
    """Excluding is the careful side."""
    chosen = Selection(but=patterns({"gpu": "0", "uuid": "GPU-b"}))

    assert not chosen.takes({"gpu": "0", "uuid": "GPU-a"})
    assert not chosen.takes({"gpu": "1", "uuid": "GPU-b"})
    assert chosen.takes({"gpu": "1", "uuid": "GPU-a"})


def test_a_rule_has_its_groups_targets_too(tmp_path: Path) -> None:
    """Both must mean a target."""
    ours, more = loaded(tmp_path / "rules.yml", RULES).groups
    every, but_one = ours.rules
    only = Selection(only=(("gpu", re.compile("[0-3]")),))

    assert ((only,), ()) == (every.targets, more.rules[0].targets)
    assert [True, False, False] == [but_one.takes({"gpu": each}) for each in ("1", "2", "4")]


def test_what_is_not_meant_is_left_alone(stage: Stage) -> None:
    """By the rule, and by the thermal guard of its group."""
    stage.said = {name: on() for name in ("quiet", "hot")}
    stage.play(ticks=3)

    assert 300 == stage.knob.watts()

    for name in ("quiet", "hot"):
        stage.say(name, uuid="GPU-b")
        stage.play()

    assert (300, 150) == (stage.knob.watts(), stage.knob.watts("GPU-b"))
    assert {"GPU-b"} == {each.target for each in stage.governor.snapshot.decisions}


def test_a_rule_that_means_no_target_here_says_so(stage: Stage) -> None:
    """With the labels that there are."""
    stage.knob.gone.add("GPU-b")
    stage.say("quiet")
    decision = stage.play()

    assert Reason.NO_TARGET == decision.reason
    assert "none of the 1 here is among its targets; they are known by gpu, uuid" == decision.detail


def test_a_target_that_is_left_out_later_is_put_back(stage: Stage) -> None:
    """A reload is enough; the others keep what they have."""
    (before,) = stage.rules.groups
    both = replace(before, rules=(replace(before.rules[0], targets=()),))
    stage.rules = RuleSet((both,))
    stage.governor.reload()
    stage.said = {"quiet": on()}
    stage.play()
    stage.say("quiet", uuid="GPU-b")
    stage.play()

    assert (280, 280) == (stage.knob.watts(), stage.knob.watts("GPU-b"))

    stage.rules = RuleSet((before,))
    stage.governor.reload()
    stage.say()
    stage.play()

    assert (300, 280) == (stage.knob.watts(), stage.knob.watts("GPU-b"))
