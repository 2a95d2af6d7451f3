"""The overview's day, month and year are added up in one way."""

import json
from pathlib import Path

import pytest

from story.server import Told
from wattgov_grafana.ask import Asker, Span

pytest_plugins = ["story.fixtures"]
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("story")]
OVERVIEW = Path(__file__).parents[1] / "grafana/dashboards/overview.json"


def test_a_morning_is_as_much_of_the_day_as_of_the_month_and_the_year(told: Told) -> None:
    """With all nodes chosen and no data before today, the three say the same."""
    asker = Asker(told.url)
    panels = {panel["title"]: panel for panel in json.loads(OVERVIEW.read_text())["panels"]}

    def totals(title: str) -> list[float]:
        panel = panels[title]
        span = Span(told.start, told.end, 15.0).since(panel["timeFrom"])
        answers = [asker.target(target, span) for target in panel["targets"]]
        return [series.points[-1][1] for answer in answers for series in answer]

    today = totals("Today")

    assert 3 == len(today)
    assert min(today) > 0
    assert pytest.approx(today) == totals("This month")
    assert pytest.approx(today) == totals("This year")
