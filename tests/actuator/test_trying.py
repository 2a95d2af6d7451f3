"""Did it help: steps of a whole actuator on measured curves, and what it does about them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from actuator.builders import answer, loaded
from actuator.fakes import FileKnob
from actuator.stage import Stage
from testbed.curves import A40, CapCurve
from wattgov_actuator.decision import Reason
from wattgov_actuator.reading import Answer

HIGH = 400.0
TRIM = """
version: 1
groups:
  - name: gpus
    interval: 15s
    protect: {freshness: fresh}
    rules:
      - action: trim
        expr: quiet
        knob: gpu_power_limit
        step: -20W
        min: 100W
        cooldown: 150s
        expect:
          {expr: energy, draw: draw, latency: late, load: load, slower: 50%, settle: 30s}
"""


@dataclass
class Node:
    """A card on a measured curve under its limit, as Prometheus would tell of it."""

    knob: FileKnob
    curve: CapCurve
    draw_watts: float = HIGH  # without a limit
    load: float = 1.0
    noise: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    def told(self, *more: str) -> dict[str, Answer]:
        """Return what the expressions give now."""
        limit = self.knob.watts()
        work, energy = self.curve.at(limit / HIGH)
        values = {
            "energy": energy,
            "late": 1 / work,
            "load": self.load,
            "draw": min(self.draw_watts, limit),
            **dict.fromkeys(more, 1.0),
        }
        return {
            name: answer(({"uuid": "GPU-a", "instance": "here"}, self._noisy(value)))
            for name, value in values.items()
        }

    def _noisy(self, value: float) -> float:
        return value * (1 + self.noise * self.chance.gauss(0, 1))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Return an actuator with the rule that trims."""
    knob = FileKnob(tmp_path / "cards")
    knob.add(watts=HIGH)
    made = Stage(tmp_path, loaded(tmp_path / "r.yml", TRIM), knob)
    yield made
    made.stop()


def play(stage: Stage, node: Node, ticks: int, *said: str) -> list[Reason]:
    """Let ticks pass; return the reasons of the rule that trims."""
    reasons = []
    for _ in range(ticks):
        stage.said = node.told(*said)
        stage.play()
        reasons.append(stage.reason("trim"))
    return reasons


def test_a_limit_is_walked_down_until_it_makes_work_dearer(stage: Stage) -> None:
    """The step past the best of the curve is taken back; the ones before it stay."""
    node = Node(stage.knob, A40)
    reasons = play(stage, node, 250, "quiet")
    limits = [watts for _, watts in stage.knob.writes]
    lowest = min(limits)

    assert Reason.ROLLED_BACK in reasons
    assert A40.at(lowest / HIGH)[1] > A40.at((lowest + 20) / HIGH)[1]
    assert lowest + 20 == limits[limits.index(lowest) + 1]  # one step back, not all the way
    best = min(A40.at(watts / HIGH)[1] for watts in range(100, 401))
    assert A40.at((lowest + 20) / HIGH)[1] < 1.03 * best


def test_each_failure_in_a_row_waits_twice_as_long(stage: Stage) -> None:
    """10 minutes, 20, 40; the journal says why each time."""
    node = Node(stage.knob, A40)
    play(stage, node, 1500, "quiet")
    rows = [row for row in stage.journal.decisions() if row["reason"] == "rolled_back"]
    taken = [float(str(row["at"])) for row in rows if row["read_back"] is not None]
    waits = [later - before for before, later in pairwise(taken)]

    assert len(waits) >= 3
    assert all(1.5 < b / a < 2.5 for a, b in pairwise(waits))
    assert "more energy since the step" in str(rows[0]["detail"])


def test_a_limit_above_the_draw_is_given_up_at_its_floor(stage: Stage) -> None:
    """It saved nothing, so nothing stays changed; the reason says what it draws."""
    idle = CapCurve("idle", ((0.2, 1.0, 1.0), (1.0, 1.0, 1.0)))
    node = Node(stage.knob, idle, draw_watts=60.0)
    reasons = play(stage, node, 250, "quiet")

    assert Reason.INEFFECTIVE in reasons
    assert Reason.ROLLED_BACK not in reasons
    limits = [watts for _, watts in stage.knob.writes]
    assert HIGH == limits[limits.index(100.0) + 1]
    (row, *_) = (r for r in stage.journal.decisions() if r["reason"] == "ineffective")
    assert "draws 60 watts at most and is not held back by 100 watts" in str(row["detail"])


def test_a_step_that_costs_too_much_time_is_taken_back(stage: Stage) -> None:
    """Since the first step, not since the last: small steps do not creep past what is allowed."""
    slower = CapCurve("slower", ((0.25, 0.4, 0.5), (1.0, 1.0, 1.0)))
    reasons = play(stage, Node(stage.knob, slower), 250, "quiet")
    lowest = min(watts for _, watts in stage.knob.writes)

    assert Reason.ROLLED_BACK in reasons
    assert 1 / slower.at((lowest + 20) / HIGH)[0] <= 1.5 < 1 / slower.at(lowest / HIGH)[0]


def test_noise_alone_takes_nothing_back(stage: Stage) -> None:
    """1 % on a curve that falls all the way."""
    falling = CapCurve("falling", ((0.25, 0.9, 0.7), (1.0, 1.0, 1.0)))
    reasons = play(stage, Node(stage.knob, falling, noise=0.01), 250, "quiet")

    assert Reason.ROLLED_BACK not in reasons
    assert 100.0 == stage.knob.watts()


def test_another_load_is_not_compared(stage: Stage) -> None:
    """Half the load makes a unit of work dearer, whatever the limit: that is no verdict."""
    falling = CapCurve("falling", ((0.25, 0.9, 0.7), (1.0, 1.0, 1.0)))
    node = Node(stage.knob, falling)
    play(stage, node, 12, "quiet")
    node.load, node.curve = 0.5, CapCurve("half", ((0.25, 1.8, 1.4), (1.0, 2.0, 2.0)))
    reasons = play(stage, node, 60, "quiet")

    assert Reason.ROLLED_BACK not in reasons


def test_what_is_saved_is_measured_against_the_time_before_at_the_same_load(stage: Stage) -> None:
    """Draw times (energy before / energy now - 1), with its interval and its cost in latency."""
    falling = CapCurve("falling", ((0.25, 0.8, 0.6), (1.0, 1.0, 1.0)))
    node = Node(stage.knob, falling, noise=0.002)
    play(stage, node, 8)
    play(stage, node, 250, "quiet")
    (saving,) = stage.governor.snapshot.savings
    work, energy = falling.at(0.25)
    true = 100.0 * (1 / energy - 1)

    assert saving.low_watts is not None
    assert saving.high_watts is not None
    assert saving.low_watts < true < saving.high_watts
    assert saving.high_watts - saving.low_watts < 0.1 * true
    assert saving.slower == pytest.approx(1 / work - 1, abs=0.02)
    assert stage.governor.snapshot.saved_joules["trim", "measured"] > 0
    node.load = 0.3
    play(stage, node, 3, "quiet")
    assert stage.governor.snapshot.savings == ()


def test_a_rule_that_stands_in_acts_only_while_the_other_does_nothing(
    tmp_path: Path, knob: FileKnob
) -> None:
    """The next knob of the ladder, until the first one is tried again."""
    text = (
        TRIM
        + """
      - {action: lock, expr: quiet, knob: amd_gpu_power_limit, set: 200W, instead_of: trim}
"""
    )
    (knob.folder / "GPU-a").write_text(str(HIGH))
    cards = FileKnob(tmp_path / "locks", name="amd_gpu_power_limit")
    cards.add()
    stage = Stage(tmp_path, loaded(tmp_path / "r.yml", text), knob, cards)
    node = Node(knob, CapCurve("idle", ((0.2, 1.0, 1.0), (1.0, 1.0, 1.0))), draw_watts=60.0)
    seen = {}
    for tick in range(400):
        stage.said = node.told("quiet")
        stage.play()
        seen[tick] = stage.reason("trim"), stage.reason("lock")
    stage.stop()
    pairs = list(seen.values())

    assert (Reason.APPLIED, Reason.INACTIVE) in pairs
    assert any(one is Reason.INEFFECTIVE and two is Reason.APPLIED for one, two in pairs)
    assert any(two is Reason.RESTORED for _, two in pairs)


def test_what_is_asked_anew_is_not_compared_with_the_old_question(
    stage: Stage, tmp_path: Path
) -> None:
    """Joules per token, and per request since a reload: nothing was lost by that."""
    node = Node(stage.knob, CapCurve("falling", ((0.25, 0.8, 0.6), (1.0, 1.0, 1.0))))
    play(stage, node, 40, "quiet")
    play(stage, node, 10)
    assert stage.governor.snapshot.savings
    limit = stage.knob.watts()
    stage.rules = loaded(tmp_path / "new.yml", TRIM.replace("expr: energy", "expr: request"))
    assert () == stage.governor.reload()
    reasons = []
    for _ in range(8):
        told = node.told()
        (energy,) = told["energy"].samples
        request = answer((energy.labels, 500 * energy.value))
        stage.said = {**told, "request": request}
        stage.play()
        reasons.append(stage.reason("trim"))

    assert (limit, {Reason.UNCHANGED}) == (stage.knob.watts(), set(reasons))
    assert not stage.governor.snapshot.savings
    assert not stage.governor.snapshot.lost_joules
