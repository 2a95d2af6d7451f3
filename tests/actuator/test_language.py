"""Rule files with every law and every setting of a rule."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actuator.builders import loaded, watts
from wattgov_actuator.document.strict import Invalid, Mistake, Quantity
from wattgov_actuator.laws.budget import Budget
from wattgov_actuator.laws.minimise import Minimise
from wattgov_actuator.laws.pid import Pid
from wattgov_actuator.laws.threshold import Scale
from wattgov_actuator.rules import Group, Rank, Rate, Rule
from wattgov_actuator.windows import Windows, zone

HEAD = """
version: 1
groups:
  - name: gpus
    rules:
"""


def rule(folder: Path, text: str) -> Rule:
    """Return the one rule of a file."""
    (group,) = loaded(folder / "r.yml", f"{HEAD}      - {text}\n").groups
    (only,) = group.rules
    return only


def test_pid(tmp_path: Path) -> None:
    """Numbers are plain or durations; the law paces itself."""
    found = rule(
        tmp_path,
        "{action: a, expr: p95, knob: gpu_power_limit,"
        " pid: {target: 180ms, kp: -20, ki: -1.5, kd: 0, tolerance: 0.01, scale: log}}",
    )

    assert Pid(0.18, -20, -1.5, 0, tolerance=0.01, log=True) == found.law
    assert 0 == found.cooldown_seconds


def test_pid_with_the_gains_that_users_know(tmp_path: Path) -> None:
    """They are the defaults."""
    found = rule(tmp_path, "{action: a, expr: p95, knob: gpu_power_limit, pid: {target: 0.18}}")

    assert Pid(0.18, kp=2.0, ki=0.2, kd=0.1) == found.law


def test_minimise(tmp_path: Path) -> None:
    """The rule needs no expression of its own; every query of the law is asked."""
    text = (
        "{action: a, knob: gpu_power_limit, minimise: {expr: joules, subject_to: p95 < 0.2,"
        " work: tokens, load: requests, slowdown: 8%, step: 10W, settle: 1m, samples: 6, rest: 2h}}"
    )
    law = Minimise("joules", "p95 < 0.2", "tokens", "requests", 0.08, watts(10), 60, 6, 7200)
    (group,) = loaded(tmp_path / "r.yml", f"{HEAD}      - {text}\n").groups

    assert (law, "joules") == (group.rules[0].law, group.rules[0].expr)
    assert ("joules", "p95 < 0.2", "tokens", "requests") == group.expressions()[1:]


@pytest.mark.parametrize(
    ("strategy", "part"), [("conservative", 0.03), ("balanced", 0.05), ("aggressive", 0.1)]
)
def test_what_a_search_may_cost_is_the_strategys(
    tmp_path: Path, strategy: str, part: float
) -> None:
    """Unless it says so itself."""
    text = HEAD.replace("version: 1", f"version: 1\nstrategy: {strategy}")
    rule_ = "      - {action: a, knob: gpu_power_limit, minimise: {expr: joules, work: tokens}}\n"
    (group,) = loaded(tmp_path / "r.yml", text + rule_).groups
    law = group.rules[0].law

    assert isinstance(law, Minimise)
    assert part == law.slowdown


def test_budget(tmp_path: Path) -> None:
    """It is of a class above cost; the rule may name another."""
    text = "{action: a, expr: draw, knob: gpu_power_limit, budget: 1.2kW"

    assert (Budget(watts(1200)), Rank.BUDGET) == (
        (found := rule(tmp_path, text + "}")).law,
        found.rank,
    )
    assert Rank.CARBON == rule(tmp_path, text + ", class: carbon}").rank


def test_settings_of_a_rule(tmp_path: Path) -> None:
    """Each ends up where it belongs, in base units."""
    found = rule(
        tmp_path,
        "{action: a, expr: e, knob: gpu_power_limit, scale: 95%, keep: 5m, deadband: 2%,"
        " slew: 10W, rate: {changes: 6, per: 1h}, active: {windows: '22:00-06:00', zone: UTC}}",
    )

    assert Scale(Quantity(95, "percent")) == found.law
    assert (300, Quantity(2, "percent"), watts(10)) == (
        found.keep_seconds,
        found.deadband,
        found.slew,
    )
    assert (Rate(6, 3600), Windows(((1320, 360),), zone("UTC"))) == (found.rate, found.active)
    assert 0 == found.cooldown_seconds  # a slew paces


def test_a_slew_leaves_a_given_cooldown(tmp_path: Path) -> None:
    """What the rule says counts."""
    text = "{action: a, expr: e, knob: gpu_power_limit, set: 200W, slew: 10W, cooldown: 30s}"

    assert 30 == rule(tmp_path, text).cooldown_seconds


def example() -> str:
    """Return the rule file that the README shows."""
    readme = (Path(__file__).parents[2] / "actuator" / "README.md").read_text()
    return readme.split("```yaml\n")[1].split("```")[0]


def test_the_example_of_the_docs_is_right(tmp_path: Path) -> None:
    """What the README shows is a rule file, with a rule of each law."""
    (group,) = loaded(tmp_path / "r.yml", example()).groups

    assert [Scale, Pid, Minimise, Budget] == [type(each.law) for each in group.rules]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_a_mutated_file_is_rules_or_mistakes(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever happens to a file with every law, the answer is a rule set or a list of places."""
    text = example()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 12))
        junk = data.draw(st.sampled_from(["", ":", "- ", "{", "]", "-9", "1e400", "0", "%", "'"]))
        text = text[:start] + junk + text[start + length :]
    mistakes: tuple[Mistake, ...] = ()
    groups: tuple[Group, ...] = ()
    try:
        groups = loaded(tmp_path / "r.yml", text).groups
    except Invalid as error:
        mistakes = error.mistakes

    assert bool(groups) != bool(mistakes)
