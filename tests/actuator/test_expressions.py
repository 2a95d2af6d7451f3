"""PromQL checked without a Prometheus, by the real parser."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from actuator.builders import loaded
from wattgov_actuator import cli
from wattgov_actuator.document import expressions
from wattgov_actuator.document.expressions import MOST_TOKENS, names_nothing, syntax

RULE = """
version: 1
groups:
  - name: gpus
    rules:
      - action: trim
        expr: {expr}
        knob: gpu_power_limit
        step: -20W
"""


@pytest.mark.parametrize(
    ("expr", "where"),
    [
        ("up{", "(at its end)"),
        ("rate(x)", "(at ')', character 7)"),
        ("foo}\n bar", "(at '}', character 4)"),
        ("avg_over_time(x[5m] < 60", "(at '<', character 21)"),
        ("a\n> on (app min by (app) (b)", "(at 'min', character 11 of its line 2)"),
        ("sum by gpu (x)", "(at 'gpu', character 8)"),
        ("sum by (gpu) (x) > 3 +", "(at its end)"),
        ("x && y", "(at '&', character 3)"),
        ("x > 10W", "(at '10W', character 5)"),
        ("x = 3", "(at '=', character 3)"),
        ("x y", "(at 'y', character 3)"),
        ('up{job=~"("}', "(at '\"(\"', character 9)"),
    ],
)
def test_the_place_is_the_first_word_that_cannot_be_right(expr: str, where: str) -> None:
    """However the expression went on behind it."""
    assert syntax(expr).endswith(where)


@pytest.mark.parametrize(
    "expr",
    [
        "up",
        "sum by (gpu) (rate(x[1m])) / on (gpu) group_left count by (gpu) (y) > 3",
        "time() - app_last_active_timestamp_seconds > 1800",
        'label_replace(up, "a", "${1}", "b", "(.*)")',
        "rollup_rate(x[5m]) > 3",  # a function of VictoriaMetrics
        "x[9999999999999999999999]",  # over these the parser panics
        "x[1e400]",
        "x offset NaN",
        "x[inf]",
    ],
)
def test_what_some_prometheus_takes_is_right(expr: str) -> None:
    """A function that the parser does not know may be one of the server's."""
    assert not syntax(expr)


@pytest.mark.parametrize("expr", ["(" * 5000, "-" * 9000 + "x", "x+" * 5000 + "x", "abs(" * 3000])
def test_a_deep_expression_is_refused(expr: str) -> None:
    """Before the parser, which would call itself until the process ends."""
    assert f"it has more than {MOST_TOKENS} words" == syntax(expr).partition(" (")[0]


@pytest.mark.parametrize(
    ("expr", "lost"),
    [
        ("sum(x) > 3", "sum"),
        ("-max(x)", "max"),
        ("time() - max(x) > 3", "max"),
        ("sum(x) / sum(y) < 3", "sum"),
        ("topk(1, sum(x))", "sum"),
        ("sum by (zone) (x) > 3", "sum by (zone)"),
        ("sum by (gpu) (x) > 3", ""),
        ("sum without (app) (x)", ""),
        ("topk(3, x)", ""),
        ("x and on () (sum(y) > 3)", ""),
        ("x > scalar(sum(y))", ""),
        ("sum(x", ""),
    ],
)
def test_an_aggregation_that_names_no_device(expr: str, lost: str) -> None:
    """What it is, where nothing else on the way gives the result such a label."""
    assert lost == names_nothing(expr, ("gpu", "uuid"))


def test_check_says_so_and_it_is_no_mistake(tmp_path: Path) -> None:
    """A rule that will act on nothing is allowed, and told with its place."""
    path = tmp_path / "r.yml"
    loaded(path, RULE.format(expr="sum(x) > 3"))
    result = CliRunner().invoke(cli.main, ["check", str(path)])

    assert (0, "OK: trim; dry run unless --enforce\n") == (result.exit_code, result.stdout)
    assert result.stderr == (
        f"{path}:7:15: a note: sum leaves no label that names a device; the rule will act on none\n"
    )


def test_labels_of_connections_name_devices(tmp_path: Path) -> None:
    """Also those that another file gives."""
    rule = RULE.format(expr="sum by (shelf) (x) > 3")
    (tmp_path / "ways.yml").write_text(
        "version: 1\nknobs:\n"
        "  - {knob: hibernate, backend: freezer, name: a, group: /g, labels: {shelf: '1'}}\n"
        "groups: [{name: g, rules: [{action: a, expr: x, knob: hibernate, set: asleep}]}]\n"
    )

    assert loaded(tmp_path / "r.yml", rule).notes
    assert not loaded(tmp_path / "r.yml", f"include: ways.yml\n{rule}").notes


def test_without_the_parser_nothing_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And `check` says so."""
    monkeypatch.setitem(__import__("sys").modules, "promql_parser", None)
    expressions.parser.cache_clear()
    try:
        path = tmp_path / "r.yml"
        loaded(path, RULE.format(expr="sum(x"))
        result = CliRunner().invoke(cli.main, ["check", str(path)])
    finally:
        expressions.parser.cache_clear()

    assert 0 == result.exit_code
    assert "PromQL not checked: install wattgov[promql]\n" == result.stderr
