"""The legend below a graph: a table with the last values, or a list."""

from collections.abc import Mapping
from typing import Any

from wattgov_grafana import theme
from wattgov_grafana.ask import Series
from wattgov_grafana.canvas import Box, Canvas
from wattgov_grafana.look import Look
from wattgov_grafana.units import written

LINE_PIXELS = 19.0
MOST_OF_THE_PANEL = 0.35


def legend(
    canvas: Canvas, box: Box, panel: Mapping[str, Any], series: list[Series], drawn: list[Look]
) -> float:
    """Write the legend from the bottom up; return the room that it took."""
    if not panel["options"]["legend"]["showLegend"]:
        return 0.0
    shown = [(one, look) for one, look in zip(series, drawn, strict=True) if not look.hidden]
    if panel["options"]["legend"]["displayMode"] == "table":
        return _legend_table(canvas, box, shown)
    places: list[tuple[float, int, Series, Look]] = []
    x, row = box.x + 12.0, 0
    for one, look in shown:
        wide = canvas.wide(one.name, 11.5) + 38
        if x + wide > box.x + box.width - 8 and places:
            x, row = box.x + 12.0, row + 1
        places.append((x, row, one, look))
        x += wide
    room = (row + 1) * LINE_PIXELS
    top = box.y + box.height - room + 4
    for left, line, one, look in places:
        key(canvas, (left, top + line * LINE_PIXELS), look.colour, one.name)
    return room + 2


def _legend_table(canvas: Canvas, box: Box, shown: list[tuple[Series, Look]]) -> float:
    rows = min(len(shown), max(1, int(box.height * MOST_OF_THE_PANEL / LINE_PIXELS) - 1))
    top = box.y + box.height - rows * LINE_PIXELS + 2
    canvas.text(box.x + 12, top - LINE_PIXELS, "Name", 11.0, colour=theme.MUTED)
    canvas.text(
        box.x + box.width - 14, top - LINE_PIXELS, "Last *", 11.0, colour="#6e9fff", align="right"
    )
    for row, (one, look) in enumerate(shown[:rows]):
        y = top + row * LINE_PIXELS
        last = written(one.last, look.unit, look.decimals)
        room = box.width - 60 - canvas.wide(last, 11.5)
        key(canvas, (box.x + 12, y), look.colour, one.name, room=room, dashed=look.dashed)
        canvas.text(box.x + box.width - 14, y, last, 11.5, align="right")
    return (rows + 1) * LINE_PIXELS + 4


def key(
    canvas: Canvas,
    at: tuple[float, float],
    colour: str,
    name: str,
    *,
    room: float | None = None,
    dashed: bool = False,
) -> float:
    """Write one entry; return how wide it is."""
    x, y = at
    parts = [(x, x + 5), (x + 9, x + 14)] if dashed else [(x, x + 14)]
    for left, right in parts:
        canvas.rectangle(Box(left, y - 2, right - left, 4), colour)
    return 20.0 + canvas.text(x + 20, y, name, 11.5, room=room)
