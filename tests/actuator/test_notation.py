"""The notation of values, and bare selectors: the real promtool is the judge."""

import subprocess
from pathlib import Path

import pytest
import yaml

from wattgov_actuator.document.strict import Quantity
from wattgov_actuator.laws.threshold import Step
from wattgov_actuator.reading import Answer, QueryFailure
from wattgov_actuator.rules import Bounds, Group, Protect, Rule, RuleSet
from wattgov_actuator.scenarios.notation import Gap, slots
from wattgov_actuator.scenarios.scenario import Line, Scenario, answers
from wattgov_actuator.scenarios.selector import labels_of, selector

INTERVAL_SECONDS = 60
# At the samples and between them; not just 5 minutes after one, where 2.x and 3.x disagree.
MOMENTS = [*range(0, 300, 60), *range(7, 1100, 30)]
NOTATIONS = [
    "50x10",
    "1 _x3 2",
    "1+2x5 _ 7",
    "10-2.5x4",
    "-2+4x3 -1x2",
    "1 stale 3 _x7",
    "0x3 1e3 1.5e-3x2",
    "6 Inf -Inf 5",
    "5 _x9",
    "1 2 3 _ _ stale _ 4",
]
SERIES = {
    'up{app="a",gpu="0"}': "1+1x6 _x9",
    'up{app="b",gpu="1"}': "9-2x5 stale 4",
    'up{app="c"}': "Inf 5x3 _x5 2x2",
    'down{app="a"}': "1x9",
}
SELECTORS = [
    "up",
    'up{app="a"}',
    'up{app=~"a|b"}',
    "up{app!~'a.*'}",
    'up{app!="a", gpu=~".+",}',
    'up{gpu=""}',
    "up{app=~`[ab]`} > 3",
    "up <= 2",
    "up != 5",
    "up == 5.0",
    '{__name__=~"down|nothing"}',
    "nothing",
]


def returned(expr: str, series: dict[str, str], elapsed: float) -> Answer:
    """Return what a scenario with these series says to *expr*."""
    lines = [Line(labels_of(name), slots(values)) for name, values in series.items()]
    lines.append(Line({"__name__": "nothing"}, (Gap.MISSING,)))
    step = Step(Quantity(-20, "watts"))
    rule = Rule("trim", expr, "gpu_power_limit", step, Bounds(Quantity(100, "watts")), 0, 60)
    rules = RuleSet((Group("gpus", 15, Protect(), (rule,)),))
    told = Scenario(
        *("a test", 0.0, float(INTERVAL_SECONDS), (), tuple(lines), {}),
        *((0.0,), (), (), (), {}),
    )
    return answers(told, rules, elapsed)[expr]


def cases(series: dict[str, str], expressions: list[str]) -> list[dict[str, object]]:
    """Return, as promtool's expectations, what we say at some moments."""
    found: list[dict[str, object]] = []
    for expr in expressions:
        for elapsed in MOMENTS:
            samples = returned(expr, series, elapsed).samples
            exp = [{"labels": spelt(dict(each.labels)), "value": each.value} for each in samples]
            found.append({"expr": expr, "eval_time": f"{elapsed:g}s", "exp_samples": exp})
    return found


def spelt(labels: dict[str, str]) -> str:
    """Return labels as promtool reads them."""
    name = labels.pop("__name__", "")
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def agreed(promtool: str, folder: Path, series: dict[str, str], expressions: list[str]) -> None:
    """Have promtool compare what we say with what Prometheus' own engine says."""
    tests = [
        {
            "interval": f"{INTERVAL_SECONDS}s",
            "input_series": [{"series": key, "values": text} for key, text in series.items()],
            "promql_expr_test": cases(series, expressions),
        }
    ]
    file = folder / "notation.test.yml"
    file.write_text(yaml.safe_dump({"tests": tests}))
    done = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("values", NOTATIONS)
def test_values_mean_what_they_mean_to_promtool(promtool: str, tmp_path: Path, values: str) -> None:
    """Over some minutes, with staleness and the look back."""
    agreed(promtool, tmp_path, {"up": values}, ["up"])


def test_selectors_select_what_they_select_in_prometheus(promtool: str, tmp_path: Path) -> None:
    """Matchers, comparisons, absent labels."""
    agreed(promtool, tmp_path, SERIES, SELECTORS)


@pytest.mark.parametrize(
    "expr",
    [
        "up offset 5m",
        "rate(up[5m])",
        "up[5m]",
        "up + 1",
        "up > bool 1",
        "up > down",
        "5",
        "",
        "-up",
    ],
)
def test_what_needs_an_engine_is_no_bare_selector(expr: str) -> None:
    """It is to be answered by the scenario itself."""
    assert selector(expr) is None


def test_failures_are_values_of_expressions_only() -> None:
    """With a count, as gaps have one."""
    timeout, refused = QueryFailure.TIMEOUT, QueryFailure.HTTP_4XX

    assert (1.0, timeout, timeout, refused) == slots("1 timeoutx2 http_4xx", failing=True)
    with pytest.raises(ValueError, match="'timeoutx2' is no value"):
        slots("timeoutx2")


@pytest.mark.parametrize("text", ["3y", "x5", "1+x3", "1x", "stalex3", "1+2", "0x1F", "--1"])
def test_what_is_no_value_is_a_sentence(text: str) -> None:
    """It says what a value is."""
    with pytest.raises(ValueError, match=r"is no value, such as"):
        slots(text)


def test_a_slip_of_the_keyboard_does_not_fill_the_memory() -> None:
    """There is an end to what a count may make."""
    with pytest.raises(ValueError, match="'1x1000000' makes more than 1000000 values"):
        slots("1x1000000")
