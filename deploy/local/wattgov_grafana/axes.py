"""Axes of graphs over time: the clock below, the scale at the side, the grid of moments."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from wattgov_grafana import theme
from wattgov_grafana.ask import Series, Span
from wattgov_grafana.units import written

MOST_TICKS = 8
TICKS_SECONDS = (60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600)
DAY_SECONDS = 86400


def moments(span: Span) -> list[float]:
    """Return the times that a range query answers for."""
    start = span.start - span.start % span.step
    return [start + span.step * number for number in range(int((span.end - start) / span.step) + 1)]


def aligned(one: Series, times: Sequence[float]) -> list[float | None]:
    """Return a series' value at each time, None where it has none."""
    values = dict(one.points)
    return [values.get(at) for at in times]


def clock(axes: Axes, span: Span) -> None:
    """Write the time of day below."""
    axes.set_xlim(span.start, span.end)
    length = span.end - span.start
    every = next((one for one in TICKS_SECONDS if length / one <= MOST_TICKS), DAY_SECONDS)
    first = span.start - span.start % every + every
    places = [first + every * number for number in range(int((span.end - first) / every) + 1)]
    axes.set_xticks(places, [f"{datetime.fromtimestamp(at, UTC):%H:%M}" for at in places])


def scale(axes: Axes, unit: str, softly: Mapping[str, Any]) -> list[str]:
    """Choose the scale at the side, from *softly*'s bounds or beyond; return what is written."""
    low, high = axes.get_ylim()
    low = min(low, softly["axisSoftMin"]) if low < 0 else softly["axisSoftMin"]
    high = max(high, softly.get("axisSoftMax", 0.0))
    axes.set_ylim(low, high if high > low else low + 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, unit)))
    return [_tick(float(value), unit) for value in axes.get_yticks()]


def thresholds(axes: Axes, defaults: Mapping[str, Any]) -> None:
    """Draw the thresholds across the graph, if the panel shows them."""
    if defaults["custom"].get("thresholdsStyle", {}).get("mode") == "dashed":
        for step in defaults["thresholds"]["steps"][1:]:
            colour = theme.colour(step["color"])
            axes.axhline(step["value"], color=colour, linewidth=1.0, linestyle=(0, (6, 5)))


def _tick(value: float, unit: str) -> str:
    """Return a value without zeros behind the point."""
    text = written(round(value, 12), unit)
    return re.sub(r"\.(\d*?)0+(?!\d)", lambda found: f".{found[1]}" if found[1] else "", text)
