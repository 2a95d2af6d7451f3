"""Rule files that are right, and how several of them go together."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actuator.builders import loaded
from wattgov_actuator.document.strict import Invalid, Mistake, Quantity
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.language.rulefile import load
from wattgov_actuator.laws import LAWS
from wattgov_actuator.laws.pid import Pid
from wattgov_actuator.laws.threshold import Set, Step
from wattgov_actuator.rules import Bounds, Group, Protect, Rule, Sla, Thermal

STARTERS = Path(__file__).parents[2] / "rules" / "actuator"
SMALL = """
version: 1
groups:
  - name: gpus
    rules:
      - {action: trim, expr: quiet, knob: gpu_power_limit, step: down}
"""
WHOLE = """
version: 1
strategy: aggressive
enforce: true
groups:
  - name: llm-gpus
    interval: 5s
    protect:
      sla: {expr: slow, then: restore, rearm: 30s}
      thermal: {expr: hot, then: {set: min}, clear: cool}
      freshness: read_at
      max_age: 20s
      hold: 1m
    rules:
      - action: trim
        expr: quiet
        for: 2m
        knob: gpu_power_limit
        step: -20W
        min: 120W
        max: 350W
        cooldown: 10s
      - {action: night, expr: dark, knob: gpu_power_limit, set: 60%}
"""


def test_everything_a_file_may_say_is_read(tmp_path: Path) -> None:
    """Each key ends up where it belongs, in base units."""
    rules = loaded(tmp_path / "r.yml", WHOLE)

    assert rules.enforce
    assert (
        Group(
            name="llm-gpus",
            interval_seconds=5,
            protect=Protect(Sla("slow", 30), Thermal("hot", "cool"), "read_at", 20, 60),
            rules=(
                Rule(
                    action="trim",
                    expr="quiet",
                    knob="gpu_power_limit",
                    law=Step(Quantity(-20, "watts")),
                    bounds=Bounds(Quantity(120, "watts"), Quantity(350, "watts")),
                    for_seconds=120,
                    cooldown_seconds=10,
                ),
                Rule(
                    action="night",
                    expr="dark",
                    knob="gpu_power_limit",
                    law=Set(Quantity(60, "percent")),
                    bounds=Bounds(Quantity(50, "percent")),
                    for_seconds=0,
                    cooldown_seconds=30,
                ),
            ),
        ),
    ) == rules.groups


def test_what_is_left_out_is_safe(tmp_path: Path) -> None:
    """The defaults: a dry run, the balanced strategy, freshness and hold as promised."""
    rules = loaded(tmp_path / "r.yml", SMALL)
    (only,) = rules.groups
    (rule,) = only.rules

    assert not rules.enforce
    assert 15 == only.interval_seconds
    assert (
        Protect(
            freshness="energy_source_last_sample_timestamp_seconds",
            max_age_seconds=45,
            hold_seconds=120,
        )
        == only.protect
    )
    assert Step(Quantity(-5, "percent")) == rule.law
    assert (Quantity(60, "percent"), 60) == (rule.bounds.low, rule.cooldown_seconds)


def test_every_query_of_a_group_is_listed_once(tmp_path: Path) -> None:
    """The loop asks for what the guards and the rules need, and for nothing twice."""
    (only,) = loaded(tmp_path / "r.yml", WHOLE).groups

    assert ("read_at", "slow", "hot", "cool", "quiet", "dark") == only.expressions()


def test_files_go_together_and_enforce_only_together(tmp_path: Path) -> None:
    """Two files are one rule set; one that does not say `enforce` keeps all of it dry."""
    first, second = tmp_path / "a.yml", tmp_path / "b.yml"
    first.write_text(WHOLE)
    second.write_text(SMALL.replace("trim", "trim-too"))
    rules = load([first, second], LAWS, KNOBS)

    assert ["llm-gpus", "gpus"] == [group.name for group in rules.groups]
    assert not rules.enforce
    assert 5 == rules.interval_seconds


def test_names_are_unique_across_files(tmp_path: Path) -> None:
    """A name is a label value, so two files may not use it for two things."""
    first, second = tmp_path / "a.yml", tmp_path / "b.yml"
    first.write_text(SMALL)
    second.write_text(SMALL)
    with pytest.raises(Invalid) as caught:
        load([first, second], LAWS, KNOBS)

    assert [
        f"{second}:4:11: there is another group called 'gpus'; the name is its label",
        f"{second}:6:18: there is another rule called 'trim'; the name is its label",
    ] == str(caught.value).splitlines()


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """Who can write the rules can turn the knobs."""
    path = tmp_path / "r.yml"
    path.write_text(SMALL)
    path.chmod(mode)
    with pytest.raises(Invalid) as caught:
        load([path], LAWS, KNOBS)

    assert str(caught.value).endswith(f"run: chmod go-w {path}")


def test_a_file_that_cannot_be_read_is_a_mistake_like_others(tmp_path: Path) -> None:
    """All files are looked at, also after one that is not there."""
    (tmp_path / "b.yml").write_text("version: 2\n")
    (tmp_path / "c.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(Invalid) as caught:
        load([tmp_path / "a.yml", tmp_path / "b.yml", tmp_path / "c.yml"], LAWS, KNOBS)

    assert [
        f"{tmp_path}/a.yml:1:1: cannot be read: No such file or directory",
        f"{tmp_path}/b.yml:1:1: the rule file has no 'groups'",
        f"{tmp_path}/b.yml:1:10: version must be 1, found '2'",
        f"{tmp_path}/c.yml:1:1: UTF-16 text; save it as UTF-8",
    ] == str(caught.value).splitlines()


@pytest.mark.parametrize("path", sorted(STARTERS.glob("*.yml")), ids=lambda path: path.stem)
def test_the_starters_are_right(path: Path) -> None:
    """Every starter file loads, is a dry run, and is guarded."""
    rules = load([path], LAWS, KNOBS)

    assert not rules.enforce
    assert {"trim-quiet-gpus", "relax-busy-gpus"} <= {
        rule.action for group in rules.groups for rule in group.rules
    }
    assert all(group.protect.sla and group.protect.thermal for group in rules.groups)


@pytest.mark.parametrize("path", sorted(STARTERS.glob("*.yml")), ids=lambda path: path.stem)
def test_prometheus_can_run_the_starters(path: Path, promtool: str, tmp_path: Path) -> None:
    """Every expression of a starter file is one that Prometheus parses."""
    groups = load([path], LAWS, KNOBS).groups
    expressions = [expr for group in groups for expr in group.expressions()]
    recorded = [{"record": f"r{i}", "expr": expr} for i, expr in enumerate(expressions)]
    rules = tmp_path / "rules.json"  # JSON is YAML
    rules.write_text(json.dumps({"groups": [{"name": "starter", "rules": recorded}]}))
    checked = subprocess.run(
        [promtool, "check", "rules", rules], capture_output=True, text=True, check=False
    )

    assert 0 == checked.returncode, checked.stderr
    assert f"{len(recorded)} rules found" in checked.stdout


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_a_mutated_file_is_rules_or_mistakes(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever happens to a file, the answer is a rule set or a list of places."""
    text = WHOLE
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 12))
        junk = data.draw(st.sampled_from(["", ":", "- ", "{", "]", "-20s", "\t", "*a", "&a ", "'"]))
        text = text[:start] + junk + text[start + length :]
    mistakes: tuple[Mistake, ...] = ()
    try:
        groups = loaded(tmp_path / "r.yml", text).groups
    except Invalid as error:
        groups, mistakes = (), error.mistakes

    assert bool(groups) != bool(mistakes)
    assert all(each.line >= 1 and each.column >= 1 for each in mistakes)


def test_the_classic_names_are_heard() -> None:
    """The starter file of the first controllers' variables, with their defaults and without."""
    path = STARTERS / "classic.yml"
    (usual,) = load([path], LAWS, KNOBS).groups
    known = {"OPTIMIZATION_INTERVAL": "30", "GPU_POWER_FLOOR": "150", "GPU_POWER_CEIL": "250"}
    (other,) = load([path], LAWS, KNOBS, {**known, "JOULES_PER_REQ_THRESHOLD": "90"}).groups

    assert (60, 30) == (usual.interval_seconds, other.interval_seconds)
    assert {Bounds(Quantity(120, "watts"), Quantity(300, "watts"))} == {
        rule.bounds for rule in usual.rules
    }
    assert {Bounds(Quantity(150, "watts"), Quantity(250, "watts"))} == {
        rule.bounds for rule in other.rules
    }
    assert ["> 90)", "< 0.8 * 90)"] == [
        re.sub(r".*request\) ", "", rule.expr) for rule in other.rules if "request" in rule.expr
    ]


def test_the_classic_batch_rule_is_right(tmp_path: Path) -> None:
    """What stands there in comments, once the # is taken off, with the variables and without."""
    written = (STARTERS / "classic.yml").read_text()
    rules = loaded(tmp_path / "r.yml", re.sub(r"(?m)^( *)#(?=\S|  )", r"\1", written))
    environment = {"PID_KP": "3", "BATCH_MAX": "16"}
    other = load([tmp_path / "r.yml"], LAWS, KNOBS, environment)
    (way,), rule, turned = rules.connections, rules.groups[0].rules[-1], other.groups[0].rules[-1]

    assert ("batch_size", "triton", 8) == (way.knob, way.backend, way.settings["high"])
    assert (Pid(0.18, 2.0, 0.2, 0.1), Bounds(Quantity(1, "count"), Quantity(8, "count"))) == (
        rule.law,
        rule.bounds,
    )
    assert (Pid(0.18, 3.0, 0.2, 0.1), 16) == (
        turned.law,
        other.connections[0].number("high"),
    )


def test_every_known_name_has_its_place_in_the_docs() -> None:
    """A name that a starter file reads is in the table, with the default of the file."""
    text = re.sub(r"(?m)^ *# .*\n", "", (STARTERS / "classic.yml").read_text())
    table = (STARTERS.parents[1] / "docs" / "environment.md").read_text()
    found = set(re.findall(r"\$\{([A-Z_]+):-([1-9][0-9]+)?", text))

    assert {"60", "120", "300"} == {default for _, default in found if default}
    for name, default in found:
        assert re.search(rf"`{name}`.*\({default}\) \|", table) if default else f"`{name}`" in table
