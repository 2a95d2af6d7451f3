"""Draw a dashboard's panels from live answers, in Grafana's layout: a preview, no Grafana."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from wattgov_grafana import bands, figures, graphs, marks, theme
from wattgov_grafana.ask import Asker, Series, Span
from wattgov_grafana.canvas import Box, Canvas

Json = Mapping[str, Any]
Drawer = Callable[[Canvas, Box, Json, list[Series], Span], Box | None]
DRAWERS: Mapping[str, Drawer] = {
    "bargauge": figures.bars,
    "stat": figures.stat,
    "state-timeline": bands.states,
    "table": figures.table,
    "timeseries": graphs.lines,
}
HEAD_PIXELS, TITLE_PIXELS = 84, 30
MOST_POINTS = 400
SINCE = {"now/d": "the day so far", "now/M": "the month so far", "now/y": "the year so far"}
SCRAPE_SECONDS = 15.0


def span(end: float, seconds: float) -> Span:
    """Return a range that ends at *end*, with a step that gives a few hundred points."""
    step = max(SCRAPE_SECONDS, math.ceil(seconds / MOST_POINTS / SCRAPE_SECONDS) * SCRAPE_SECONDS)
    return Span(end - seconds, end, step)


def draw(
    dashboard: Json,
    asker: Asker,
    shown: Span,
    *,
    width: int = 1500,
    others: Sequence[str] = (),
    note: str = "",
) -> tuple[Canvas, list[str]]:
    """Return the picture and the titles of the panels without data."""
    rows = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in dashboard["panels"])
    cell = theme.CELL_PIXELS + theme.GAP_PIXELS
    canvas = Canvas(width, HEAD_PIXELS + rows * cell + theme.EDGE_PIXELS)
    _head(canvas, dashboard, shown, others, note)
    unit = (width - 2 * theme.EDGE_PIXELS + theme.GAP_PIXELS) / theme.COLUMNS
    empty = []
    found = marks.find(dashboard, asker, shown)
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        box = Box(
            theme.EDGE_PIXELS + place["x"] * unit,
            HEAD_PIXELS + place["y"] * cell,
            place["w"] * unit - theme.GAP_PIXELS,
            place["h"] * cell - theme.GAP_PIXELS,
        )
        if panel["type"] == "row":
            middle = box.y + box.height / 2 + 3
            canvas.text(box.x + 4, middle, f"⌄  {panel['title']}", 14.5, bold=True)
            continue
        own = shown.since(panel["timeFrom"]) if "timeFrom" in panel else shown
        answers = [one for target in panel["targets"] for one in asker.target(target, own)]
        _frame(canvas, box, panel)
        inside = box.inner(0, TITLE_PIXELS, 0, 8)
        if not answers:
            _nothing(canvas, inside, panel)
            empty.append(panel["title"])
            continue
        chart = DRAWERS[panel["type"]](canvas, inside, panel, answers, own)
        if chart is not None:
            marks.draw(canvas, chart, found, own)
    return canvas, empty


def _frame(canvas: Canvas, box: Box, panel: Json) -> None:
    """Draw a panel's edge, its title, and its own range of time."""
    canvas.rectangle(box, theme.PANEL, theme.BORDER, 3.0)
    note = SINCE.get(panel.get("timeFrom", ""), "")
    right = box.x + box.width - 10
    taken = canvas.text(right, box.y + 16, note, 10.5, colour=theme.MUTED, align="right")
    room = box.width - 28 - taken
    canvas.text(box.x + 10, box.y + 16, panel["title"], 12.5, bold=True, room=room)


def _nothing(canvas: Canvas, box: Box, panel: Json) -> None:
    """Write what a panel shows without data."""
    words = panel["fieldConfig"]["defaults"].get("noValue", "No data")
    size = 20 if panel["type"] == "stat" else 14
    x, y = box.x + box.width / 2, box.y + box.height / 2
    canvas.text(x, y, words, size, colour=theme.MUTED, align="center")


def _head(canvas: Canvas, dashboard: Json, shown: Span, others: Sequence[str], note: str) -> None:
    """Write the title, the way to the other dashboards, and what is chosen."""
    wide = canvas.text(theme.EDGE_PIXELS, 26, dashboard["title"], 18, bold=True)
    canvas.text(theme.EDGE_PIXELS + wide + 16, 27, note, 12.5, colour=theme.MUTED)
    start, end = (datetime.fromtimestamp(at, UTC) for at in (shown.start, shown.end))
    when = f"{start:%Y-%m-%d %H:%M} to {end:%H:%M} UTC"
    canvas.text(canvas.width - theme.EDGE_PIXELS, 26, when, 12.5, colour=theme.MUTED, align="right")
    x = theme.EDGE_PIXELS + 0.0
    for variable in dashboard["templating"]["list"]:
        value = "Wattgov" if variable["type"] == "datasource" else "All"
        wide = canvas.wide(variable["label"], 12) + canvas.wide(value, 12) + 32
        canvas.rectangle(Box(x, 46, wide, 26), theme.PANEL, theme.BORDER, 2.0)
        label = canvas.text(x + 9, 59, variable["label"], 12, colour="#6e9fff")
        canvas.text(x + 19 + label, 59, value, 12)
        x += wide + 8
    x = canvas.width - theme.EDGE_PIXELS + 0.0
    for title in reversed(others):
        wide = canvas.wide(title, 12) + 18
        x -= wide
        canvas.rectangle(Box(x, 46, wide, 26), theme.PANEL, theme.BORDER, 2.0)
        canvas.text(x + 9, 59, title, 12)
        x -= 8
