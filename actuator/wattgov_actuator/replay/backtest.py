"""Replay rules over what Prometheus said before, on devices that are simulated.

What was measured then was measured without these rules: a replay tells what they would have
decided, and bounds what that could have saved; how the machine would have answered nobody knows.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wattgov_actuator.decision import Decision
from wattgov_actuator.naming import named
from wattgov_actuator.reading import Answer, Moment, Target, uuid_of
from wattgov_actuator.replay.sleep import KNOB, Sleep, policies
from wattgov_actuator.rules import Policy, RuleSet
from wattgov_actuator.simulation import Place, Planted, Simulation, simulated

# What a capped device draws, by the knob that caps it in watts.
DRAWS = {
    "gpu_power_limit": "max by (instance, gpu, uuid) (node_gpu_power_watts{})",
    "amd_gpu_power_limit": "max by (instance, gpu, uuid) (node_gpu_power_watts{})",
    "cpu_power_limit": 'max by (instance, package) (node_cpu_power_watts{zone="package"})',
}


@dataclass(slots=True)
class Tally:
    """What became of one target."""

    target: Target
    before: float
    changes: int = 0
    below_seconds: float = 0.0  # in force below the value from before
    measured_seconds: float = 0.0  # of these, those with a known draw
    above_joules: float = 0.0  # drawn above what would have been in force


@dataclass(slots=True)
class Silence:
    """How often one expression was not answered, and what was said the first time."""

    ticks: int
    detail: str


@dataclass(slots=True)
class Replay:
    """What would have been done."""

    ticks: int = 0
    changes: list[Decision] = field(default_factory=list)
    counts: Mapping[tuple[str, str, str], int] = field(default_factory=dict)  # rule, knob, reason
    tallies: Mapping[Place, Tally] = field(default_factory=dict)
    sleeps: Mapping[Place, Sleep] = field(default_factory=dict)  # of what may sleep, instead
    silences: dict[str, Silence] = field(default_factory=dict)  # by expression


def draws(rules: RuleSet, instance: str) -> dict[str, str]:
    """Return by knob the expression of what its devices draw, on one node where it is given."""
    found = {knob: DRAWS[knob] for knob in rules.knobs if knob in DRAWS}
    if not instance:
        return {knob: expr.replace("{}", "") for knob, expr in found.items()}
    only = f'instance="{escaped(instance)}"'
    return {
        knob: expr.replace("{}", f"{{{only}}}").replace('{zone="', f'{{{only},zone="')
        for knob, expr in found.items()
    }


def escaped(value: str) -> str:
    """Return the value of a label as it stands in a matcher."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def replay(
    rules: RuleSet,
    planted: Sequence[Planted],
    said: Iterable[tuple[float, Mapping[str, Answer]]],
    *,
    step: float,
    drawn: Mapping[str, str],
    folder: Path,
) -> Replay:
    """Tick through *said*, moments in unix seconds with the answers then; *step* seconds apart.

    *drawn*: by knob, the expression among the answers that gives a device's draw.
    """
    may_sleep = [each for each in planted if each.target.knob == KNOB]
    others, policy_of = [each for each in planted if each not in may_sleep], policies(rules)
    done = Replay(
        tallies={each.place: Tally(each.target, each.value) for each in others},
        sleeps={each.place: Sleep(each.target) for each in may_sleep},
    )
    with simulated(rules, planted, folder) as simulation:
        first: float | None = None
        for unix, answers in said:
            first = unix if first is None else first
            decisions = simulation.step(Moment(unix, unix - first), answers)
            done.ticks += 1
            for each in decisions:
                place = (each.knob, each.target)
                if each.acts:
                    done.changes.append(each)
                if each.acts and place in done.sleeps:
                    done.sleeps[place].decided(each, policy_of.get(each.rule, Policy()))
                elif each.acts:
                    done.tallies[place].changes += 1
            for expr, answer in answers.items():
                if answer.failure is not None:
                    done.silences.setdefault(expr, Silence(0, answer.detail)).ticks += 1
            for place, tally in done.tallies.items():
                _tallied(tally, place, simulation, answers, step=step, drawn=drawn)
            for sleep in done.sleeps.values():
                sleep.passed(step)
        done.counts = dict(Counter(simulation.governor.snapshot.counts))
    return done


def _tallied(
    tally: Tally,
    place: Place,
    simulation: Simulation,
    answers: Mapping[str, Answer],
    *,
    step: float,
    drawn: Mapping[str, str],
) -> None:
    """Add one step of one target."""
    in_force = simulation.value(place)
    if in_force >= tally.before or tally.target.same(in_force, tally.before):
        return
    tally.below_seconds += step
    knob = place[0]
    draw = _draw(answers[drawn[knob]], tally.target) if knob in drawn else None
    if draw is not None:
        tally.measured_seconds += step
        tally.above_joules += max(draw - in_force, 0.0) * step


def _draw(answer: Answer, target: Target) -> float | None:
    """Return what a device drew; None when that is not known, or may be another machine's."""
    found = named(answer, target.labels).of(target)
    if not found or (len(found) > 1 and not all(uuid_of(each.labels) for each in found)):
        return None
    draw = max(each.value for each in found)
    return draw if 0 <= draw < float("inf") else None
