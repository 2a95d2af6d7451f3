"""Nothing is tightened while too much of the fleet is unhealthy."""

from dataclasses import replace
from math import nan
from pathlib import Path

import pytest

from actuator.builders import PROTECT, SILENT, answer, rule, ruleset, scene, wish
from actuator.fakes import FileKnob
from actuator.stage import Stage
from wattgov_actuator.decision import Reason, Watch
from wattgov_actuator.document.strict import Quantity
from wattgov_actuator.guards.quorum import guard
from wattgov_actuator.laws.threshold import Set
from wattgov_actuator.reading import Answer
from wattgov_actuator.rules import Quorum

SICK = scene(watch=Watch(unhealthy="1 of 4 are healthy"))


def test_what_tightens_is_stopped_and_the_rest_passes() -> None:
    """With the reason."""
    stopped = guard(SICK, wish(280.0))

    assert (None, Reason.VETOED_QUORUM) == (stopped.claim, stopped.reason)
    assert guard(SICK, wish(None, 300.0)) == wish(None, 300.0)
    assert guard(scene(), wish(280.0)) == wish(280.0)


@pytest.mark.parametrize(
    ("fleet", "acts"),
    [
        (answer(({}, 1), ({"a": "2"}, 1), ({"a": "3"}, 0)), False),
        (answer(({}, 1), ({"a": "2"}, 1), ({"a": "3"}, 1), ({"a": "4"}, 0)), True),
        (answer(({}, nan)), False),
        (answer(), False),
        (SILENT, False),
    ],
)
def test_a_rule_acts_only_with_enough_that_is_healthy(
    tmp_path: Path, knob: FileKnob, fleet: Answer, *, acts: bool
) -> None:
    """A fleet that is not known is not healthy."""
    protect = replace(PROTECT, quorum=Quorum("up"))
    law = Set(Quantity(200, "watts"))
    stage = Stage(tmp_path, ruleset(rule("low", law=law), protect=protect), knob)
    stage.say("quiet")
    stage.said["up"] = fleet
    stage.play()

    assert (200.0 if acts else 300.0) == knob.watts()
    assert (Reason.APPLIED if acts else Reason.VETOED_QUORUM) == stage.reason("low")
    stage.stop()
