"""Every alert, asked of real servers that hold a morning of three nodes.

That an alert fires when it should is for the unit tests, whose series are made for it. Here it is
asked whether what it looks at is there at all, with the labels that it asks for: a matcher that
nothing has makes an alert that never fires.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import requests
import yaml

from story.server import Told

pytest_plugins = ["story.fixtures"]
pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[1]

EMPTY = {
    'app:anomaly:ratio{signal="power"}': "a band is learned in a day",
    "app:power_lost:group": "what drew power an hour ago is not told in the first hour",
    'app_energy_joules_total{app="_unattributed",component!="rest",share="active"}': (
        "the nodes of the story know whose every process is"
    ),
    'cluster:forecast_weight:ratio{basis=~"day|week",horizon="1h",signal="power"}': (
        "no yesterday to forecast by"
    ),
    'energy_source_up{reason="partial"}': "no meter fails while others of its source read",
    'vllm:engine_sleep_state{app="",sleep_state="awake"}': "every engine has a label app",
    'wattgov_actuator_decisions_total{reason=~"refused|lost|unjournalled"}': (
        "no driver refuses anything"
    ),
    'wattgov_actuator_decisions_total{reason=~"rolled_back|ineffective"}': ("every step helps"),
    "wattgov_actuator_pause_end_timestamp_seconds": "nobody pauses anything",
}
"""Selectors that find nothing, and why that is right."""


def alerts() -> Iterator[dict[str, Any]]:
    """Yield every alert rule."""
    for file in sorted((ROOT / "alerting/rules").glob("*.yml")):
        groups = yaml.safe_load(file.read_text())["groups"]
        yield from chain.from_iterable(group["rules"] for group in groups)


def selectors(expr: str) -> set[str]:
    """Return the selectors of an expression, without their ranges and offsets."""
    found: set[str] = set()

    def visit(node: object) -> None:
        if isinstance(node, promql.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql.VectorSelector):
            found.add(node.prettify().partition(" offset ")[0])

    promql.walk(promql.parse(expr), visit)
    return found


def ask(told: Told, query: str) -> list[dict[str, Any]]:
    """Return the answer at the end of the story; fail with what the server says."""
    words: dict[str, str | float] = {"query": query, "time": told.end}
    answer = requests.get(f"{told.url}/api/v1/query", words, timeout=60)
    assert answer.ok, f"{query}: {answer.text}"
    found: list[dict[str, Any]] = answer.json()["data"]["result"]
    return found


def silent(told: Told) -> set[str]:
    """Return the selectors of all alerts that find nothing in the whole story."""
    asked = set(chain.from_iterable(selectors(alert["expr"]) for alert in alerts()))
    return {one for one in asked if not ask(told, f"count_over_time({one}[2h])")}


def test_selectors_are_found() -> None:
    """With their matchers in order, wherever they stand, and each once."""
    expr = (
        'sum(rate(b{y="2",x=~"1"}[5m] offset 1w)) > on (z) group_left () a or sum_over_time(a[1h])'
    )

    assert {"a", 'b{x=~"1",y="2"}'} == selectors(expr)


def test_what_alerts_look_at_is_there(told: Told) -> None:
    """Prometheus answers every alert, and has what it asks for, but for what is listed."""
    for alert in alerts():
        ask(told, alert["expr"])

    assert set(EMPTY) == silent(told)


def test_victoria_metrics_has_it_too(told_to_victoria_metrics: Told) -> None:
    """The same holds where VictoriaMetrics keeps the data and evaluates the rules."""
    for alert in alerts():
        ask(told_to_victoria_metrics, alert["expr"])

    assert set(EMPTY) == silent(told_to_victoria_metrics)
