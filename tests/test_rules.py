"""The rules: accepted, small, well named, and each with a unit test that the real promtool runs."""

import re
import subprocess
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


def test_every_recorded_series_has_a_unit_test() -> None:
    """No recording rule is without an expression that a unit test expects a value of."""
    tests = chain.from_iterable(yaml.safe_load(file.read_text())["tests"] for file in UNIT_TESTS)
    cases = chain.from_iterable(test.get("promql_expr_test", []) for test in tests)
    tested = " ".join(case["expr"] for case in cases if case["exp_samples"])

    names = {rule["record"] for rule in recorded()}

    assert set() == {name for name in names if not re.search(rf"{name}(?![\w:])", tested)}


def test_groups_fit_everywhere() -> None:
    """A group has at most 20 rules, Mimir's default limit, and a name of its own."""
    found = groups(RECORDING + ALERTING)

    assert {} == {one["name"]: len(one["rules"]) for one in found if len(one["rules"]) > 20}
    assert len(found) == len({one["name"] for one in found})


def test_names_tell_level_metric_and_operations() -> None:
    """A recorded name is level:metric:operations; the kept names alone are older than the rule."""
    names = {rule["record"] for rule in recorded()}
    level = r"(cluster|app|instance)(_[a-z]+)*"
    shape = re.compile(rf"{level}:[a-z][a-z_]*[a-z]:(rate[15]m|max|ratio)")

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
    }
