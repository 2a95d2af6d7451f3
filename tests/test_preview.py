"""The preview: numbers in Grafana's words, queries as Grafana sends them, pictures of real data."""

import json
from pathlib import Path
from typing import Any

import pytest

from story.server import Told
from wattgov_grafana import pages
from wattgov_grafana.ask import Asker, Series, Span, replaced

pytest.importorskip(
    "matplotlib", reason="matplotlib is not installed: pip install wattgov[preview]"
)

from wattgov_grafana.figures import joined
from wattgov_grafana.look import looks
from wattgov_grafana.marks import Mark, find
from wattgov_grafana.preview import DRAWERS, draw, span
from wattgov_grafana.units import written

pytest_plugins = ["story.fixtures"]

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "grafana/dashboards").glob("*.json"))
NOON = 1_772_452_800.0
"""2026-03-02 12:00 UTC."""
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "words"),
    [
        (4330.0, "watt", None, "4.33 kW"),
        (0.0571, "watt", None, "57.1 mW"),
        (450.0, "watt", None, "450 W"),
        (20_100.0, "watth", None, "20.1 kWh"),
        (1098.0, "massg", None, "1.10 kg"),
        (0.0, "joule", None, "0 J"),
        (-250.0, "watt", None, "-250 W"),
        (0.453, "percentunit", None, "45.3%"),
        (0.0333, "percentunit", 1, "3.3%"),
        (0.4, "s", None, "400 ms"),
        (2.49, "s", None, "2.49 s"),
        (600.0, "s", None, "10 mins"),
        (5380.0, "short", None, "5.38 K"),
        (24.4, "reqps", None, "24.4 req/s"),
        (68.0, "celsius", None, "68 °C"),
        (1.2714, "none", 3, "1.271"),
        (float("nan"), "watt", None, "nan"),
    ],
)
def test_numbers_read_as_in_grafana(
    value: float, unit: str, decimals: int | None, words: str
) -> None:
    """Prefixes by thousands, three digits that matter, times in their largest unit."""
    assert words == written(value, unit, decimals)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_unit_of_the_dashboards_can_be_written(file: Path) -> None:
    """No panel, query or column has a unit that the preview does not know."""
    for panel in json.loads(file.read_text())["panels"]:
        config = panel.get("fieldConfig", {"defaults": {"unit": "none"}, "overrides": []})
        own = [each for one in config["overrides"] for each in one["properties"]]
        units = [each["value"] for each in own if each["id"] == "unit"]
        for unit in (config["defaults"]["unit"], *units):
            assert written(5.0, unit).startswith("5"), panel["title"]


def test_variables_become_what_all_means() -> None:
    """Chosen things are All, ranges are those of the picture; a rate has four scrapes at least."""
    asked = 'sum(rate(a{job=~"$job"}[$__rate_interval]) + increase(b[$__range:5m]))'

    assert 'sum(rate(a{job=~".+"}[60s]) + increase(b[3600s:5m]))' == replaced(
        asked, Span(0.0, 3600.0, 15.0)
    )
    assert "x[315s]" == replaced("x[$__rate_interval]", Span(0.0, 3600.0, 300.0))


@pytest.mark.parametrize(
    ("text", "hours"), [("now/d", 12), ("now/M", 24 + 12), ("now/y", (31 + 28 + 1) * 24 + 12)]
)
def test_a_panel_may_begin_with_the_day_the_month_or_the_year(text: str, hours: int) -> None:
    """Its own range starts at midnight of the day, of the first, of the first of January, UTC."""
    own = Span(NOON - 3600.0, NOON, 15.0).since(text)

    assert (hours * 3600.0, NOON) == (own.end - own.start, own.end)


def test_a_range_has_some_hundred_points() -> None:
    """A step is a multiple of the scrape interval, never shorter, and longer for longer ranges."""
    assert 15.0 == span(NOON, 3600.0).step
    assert 225.0 == span(NOON, 86400.0).step


def test_a_table_joins_queries_by_their_labels() -> None:
    """One row for one set of labels, a column for each query, in the order of the columns."""
    source = {"Value #A": "In force", "Value #B": "Wanted", "target": "Target"}
    panel = {"transformations": [{"id": "organize", "options": {"renameByName": source}}]}
    found = [
        Series("A", "", {"target": "b"}, ((0.0, 450.0),)),
        Series("A", "", {"target": "a"}, ((0.0, 700.0),)),
        Series("B", "", {"target": "b"}, ((0.0, 500.0),)),
    ]

    columns, rows = joined(panel, found)

    assert ["In force", "Wanted", "Target"] == columns
    assert [[450.0, 500.0, "b"], [700.0, "", "a"]] == rows


def test_overrides_say_how_a_series_looks() -> None:
    """A known name has its colour, a limit is dashed, steps and grey, a quiet one not told."""
    shown = pages.panel(
        title="x",
        description="y.",
        kind="lines",
        unit="watt",
        queries=[{"expr": "a"}, {"expr": "b"}],
        colours={"busy": "red"},
        limits=["B"],
        quiet=["B"],
    )
    busy, limit = looks(shown, [Series("A", "busy", {}, ()), Series("B", "limit", {}, ())])

    assert ("#F2495C", False, False, False) == (
        busy.colour,
        busy.dashed,
        busy.stepped,
        busy.hidden,
    )
    assert ("#ccccdc", True, True, True) == (
        limit.colour,
        limit.dashed,
        limit.stepped,
        limit.hidden,
    )


def test_every_kind_of_panel_can_be_drawn() -> None:
    """No dashboard has a type of panel that the preview leaves out, and none is left over."""
    found = {one["type"] for file in FILES for one in json.loads(file.read_text())["panels"]}

    assert found == {*DRAWERS, "row"}


class Answering(Asker):
    """A Prometheus that gives one answer to every range query: an edge, not ours."""

    def __init__(self, times: list[float]) -> None:
        self._times = times

    def range(self, expr: str, span: Span) -> list[dict[str, Any]]:
        """Return one series with a sample at each time."""
        del expr, span
        return [{"values": [[at, "1"] for at in self._times]}]


def test_moments_in_a_row_are_one_mark() -> None:
    """A mark lasts from the first to the last of its moments; a gap ends it."""
    page = {"annotations": {"list": [{"iconColor": "red", "expr": "x"}]}}

    marks = find(page, Answering([15.0, 30.0, 45.0, 90.0]), Span(0.0, 120.0, 15.0))

    assert [Mark("#F2495C", 15.0, 45.0), Mark("#F2495C", 90.0, 90.0)] == marks


@pytest.mark.xdist_group("story")
@pytest.mark.e2e
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_becomes_a_picture(told: Told, file: Path, tmp_path: Path) -> None:
    """Every panel has something to show, and the picture is small enough for a README."""
    whole = span(told.end, told.end - told.start)
    canvas, empty = draw(json.loads(file.read_text()), Asker(told.url), whole)
    path = tmp_path / "picture.png"
    canvas.save(path)

    assert empty in ([], ["Saved"])  # it says in words why
    assert path.read_bytes().startswith(PNG)
    assert 20_000 < path.stat().st_size < 200_000


@pytest.mark.xdist_group("story")
@pytest.mark.e2e
def test_a_picture_is_the_same_every_time(told: Told, tmp_path: Path) -> None:
    """The same data give the same bytes: a picture changes in git when its dashboard does."""
    page = json.loads((ROOT / "grafana/dashboards/carbon.json").read_text())
    first, second = tmp_path / "1.png", tmp_path / "2.png"
    for path in (first, second):
        draw(page, Asker(told.url), span(told.end, 3600.0))[0].save(path)

    assert first.read_bytes() == second.read_bytes()
