"""Every query of every dashboard, asked of real servers that hold a morning of three nodes.

The morning is the story of tests/story; the servers have recorded the rules over it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from story.server import Told
from wattgov_grafana.ask import Asker, Span

pytest_plugins = ["story.fixtures"]
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("story")]

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "grafana/dashboards").glob("*.json"))

EMPTY = {
    ("governor", "Refused"): "no driver refuses anything in the story",
    ("actuators", "Refused"): "no driver refuses anything in the story",
    ("hibernation", "Refused"): "no driver refuses anything in the story",
    ("hibernation", "Levels"): "nobody sleeps, and nothing is wanted so, at the end of the story",
    ("actuators", "What failed"): "of all that can, only notes do in the story",
}
"""Queries that return nothing, and why that is right."""


def queries(page: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """Yield the name, the query and the panel's own time range of all that a dashboard asks."""
    for panel in page["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target, panel.get("timeFrom")
    for mark in page["annotations"]["list"]:
        yield mark["name"], mark, None


def silent(told: Told) -> set[tuple[str, str]]:
    """Return the queries that return nothing, by dashboard and panel."""
    asker, span = Asker(told.url), Span(told.start, told.end, 15.0)
    found = set()
    for file in FILES:
        for name, query, since in queries(json.loads(file.read_text())):
            own = span if since is None else span.since(since)
            if not any(one.points for one in asker.target(query, own)):
                found.add((file.stem, name))
    return found


def test_prometheus_answers_every_query(told: Told) -> None:
    """No query of a panel or a mark fails; none is empty but for those listed with a reason."""
    assert set(EMPTY) == silent(told)


def test_victoria_metrics_answers_every_query(told_to_victoria_metrics: Told) -> None:
    """The same holds where VictoriaMetrics keeps the data and evaluates the rules."""
    assert set(EMPTY) == silent(told_to_victoria_metrics)
