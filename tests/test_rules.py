"""The rules: accepted, small, well named, and each with a unit test that the real promtool runs."""

import importlib.util
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
RECORDING = sorted((ROOT / "rules/recording").glob("*.yml"))
ALERTING = sorted((ROOT / "alerting/rules").glob("*.yml"))
UNIT_TESTS = sorted((ROOT / "tests/rules").glob("*.test.yml"))

KEPT = {
    "energy:app_joules_per_request",
    "energy:cluster_joules_per_request",
    "energy:app_p95_latency_seconds",
    "energy_optimization_score",
    "energy_optimization_grade",
}


def groups(files: list[Path]) -> list[dict[str, Any]]:
    """Return the rule groups of the files."""
    return list(chain.from_iterable(yaml.safe_load(file.read_text())["groups"] for file in files))


def recorded() -> list[dict[str, Any]]:
    """Return every recording rule."""
    return list(chain.from_iterable(group["rules"] for group in groups(RECORDING)))


def run(promtool: str, *arguments: str | Path) -> None:
    """Run promtool; fail with what it says."""
    done = subprocess.run(
        [promtool, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("file", RECORDING + ALERTING, ids=lambda file: file.name)
def test_rules_are_accepted(promtool: str, file: Path) -> None:
    """Prometheus loads the file, and promtool's linter has nothing to say."""
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", file)


@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda file: file.name)
def test_rules_do_what_they_say(promtool: str, file: Path) -> None:
    """The unit tests of the file pass."""
    run(promtool, "test", "rules", file)


def asserted() -> set[tuple[str, str]]:
    """Return the recorded names that unit tests expect values of, with the labels they expect."""
    tests = chain.from_iterable(yaml.safe_load(file.read_text())["tests"] for file in UNIT_TESTS)
    cases = chain.from_iterable(test.get("promql_expr_test", []) for test in tests)
    return {
        (name, sample["labels"])
        for case in cases
        for name in re.findall(r"[a-zA-Z_:]+[\w:]*", case["expr"])
        for sample in case["exp_samples"]
    }


def test_every_rule_has_a_unit_test() -> None:
    """A unit test expects a value of each rule, by name and static labels; hidden ones by name."""
    labels: dict[str, str] = {}
    for name, expected in asserted():
        labels[name] = labels.get(name, "") + expected

    def missing(rule: dict[str, Any]) -> bool:
        found = labels.get(rule["record"])
        static = rule.get("labels", {})
        return found is None or any(
            f'{key}="{value}"' not in found for key, value in static.items()
        )

    assert [] == [(rule["record"], rule.get("labels")) for rule in recorded() if missing(rule)]


def test_generated_rules_are_current() -> None:
    """The rules of the serving engines are those that the table makes."""
    spec = importlib.util.spec_from_file_location("engines", ROOT / "rules/engines.py")
    assert spec is not None
    assert spec.loader is not None
    engines = importlib.util.module_from_spec(spec)
    sys.modules["engines"] = engines  # dataclasses look their module up
    spec.loader.exec_module(engines)

    assert [] == [path.name for path, text in engines.files().items() if text != path.read_text()]


def test_groups_fit_everywhere() -> None:
    """A group has at most 20 rules, Mimir's default limit, and a name of its own."""
    found = groups(RECORDING + ALERTING)

    assert {} == {one["name"]: len(one["rules"]) for one in found if len(one["rules"]) > 20}
    assert len(found) == len({one["name"] for one in found})


def test_names_tell_level_metric_and_operations() -> None:
    """A recorded name is level:metric:operations; the kept names alone are older than the rule."""
    names = {rule["record"] for rule in recorded()}
    level = r"(cluster|node|instance|job|app|model|rule)(_[a-z]+)*"
    operations = (
        r"rate(1m|5m|1h)?|(avg|mean|stddev|increase)[1-9]\d*[mhdw]|p95"
        r"|ratio|sum|min|max|count|group|constant"
    )
    shape = re.compile(rf"{level}:[a-z][a-z0-9_]*[a-z]:({operations})")

    assert set() == {name for name in names - KEPT if not shape.fullmatch(name)}
    assert set() == KEPT - names


def test_series_are_recorded_once() -> None:
    """Two rules with one name differ in a static label, so that neither overwrites the other."""
    keys = [(rule["record"], *sorted(rule.get("labels", {}).items())) for rule in recorded()]

    assert len(keys) == len(set(keys))


def test_rules_keep_to_the_promql_that_all_engines_share() -> None:
    """No function that Prometheus 2.42 lacks, 3.x dropped or hides behind a flag."""
    newer = (
        r"\b(mad_over_time|limitk|limit_ratio|sort_by_label|info|first_over_time"
        r"|double_exponential_smoothing|holt_winters|ts_of_\w+)\s*\("
    )
    rules = chain.from_iterable(group["rules"] for group in groups(RECORDING + ALERTING))

    assert [] == [rule["expr"] for rule in rules if re.search(newer, rule["expr"])]
    assert set() == {key for group in groups(RECORDING + ALERTING) for key in group} - {
        "name",
        "rules",
        "interval",
    }
