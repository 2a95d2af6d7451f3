"""Draw a graph over time: lines, stacks, bars."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from wattgov_grafana import theme
from wattgov_grafana.ask import Series, Span
from wattgov_grafana.axes import aligned, clock, moments, scale, thresholds
from wattgov_grafana.canvas import LABEL_PIXELS, POINTS_A_PIXEL, Box, Canvas
from wattgov_grafana.legend import legend
from wattgov_grafana.look import Look, looks

TOP_PIXELS, CLOCK_PIXELS, RIGHT_PIXELS = 6.0, 24.0, 20.0
Values = Sequence[float | None]


def lines(
    canvas: Canvas, box: Box, panel: Mapping[str, Any], series: list[Series], span: Span
) -> Box:
    """Draw a graph with its axes and its legend; return where its time runs."""
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults["custom"]
    drawn = looks(panel, series)
    room = legend(canvas, box, panel, series, drawn)
    chart = box.inner(0, TOP_PIXELS, RIGHT_PIXELS, CLOCK_PIXELS + room)
    left = canvas.chart(chart)
    right = left.twinx()
    times = moments(span)
    below = [0.0] * len(times)
    for one, look in zip(series, drawn, strict=True):
        values = aligned(one, times)
        axes = right if look.right else left
        if custom["drawStyle"] == "bars":
            below = _bars(axes, times, values, below, look.colour)
        elif custom["stacking"]["mode"] == "normal":
            below = _stack(axes, times, values, below, look)
        else:
            _line(axes, times, values, look)
    thresholds(left, defaults)
    clock(left, span)
    names = scale(left, defaults.get("unit", "none"), custom)
    margin = 14.0 + max(canvas.wide(name, LABEL_PIXELS) for name in names)
    other = _right_axis(right, drawn)
    far = 14.0 + max(canvas.wide(name, LABEL_PIXELS) for name in other) if other else 0.0
    chart = chart.inner(margin, 0, max(far - RIGHT_PIXELS, 0.0), 0)
    canvas.place(left, chart)
    return chart


def _line(axes: Axes, times: Sequence[float], values: Values, look: Look) -> None:
    axes.plot(
        times,
        [float("nan") if value is None else value for value in values],
        color=look.colour,
        drawstyle="steps-post" if look.stepped else "default",
        linewidth=1.1,
        linestyle=(0, (5, 4)) if look.dashed else "solid",
    )


def _stack(
    axes: Axes, times: Sequence[float], values: Values, below: list[float], look: Look
) -> list[float]:
    """Draw a layer upon those before; return the new top."""
    top = [low + (value or 0.0) for low, value in zip(below, values, strict=True)]
    axes.fill_between(times, below, top, color=look.colour, alpha=0.4, linewidth=0)
    edge = [high if value is not None else None for high, value in zip(top, values, strict=True)]
    _line(axes, times, edge, look)
    return top


def _bars(
    axes: Axes, times: Sequence[float], values: Values, below: list[float], colour: str
) -> list[float]:
    """Draw a bar for each moment upon those before; return the new top."""
    heights = [value or 0.0 for value in values]
    # Side by side without a gap: at this size a gap is a moiré.
    axes.bar(
        times,
        heights,
        times[1] - times[0],
        bottom=below,
        color=colour,
        align="edge",
        linewidth=0,
        antialiased=False,
    )
    return [low + height for low, height in zip(below, heights, strict=True)]


def _right_axis(axes: Axes, drawn: Sequence[Look]) -> list[str]:
    """Write the scale at the right, if a series has it; return what is written."""
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    units = [look.unit for look in drawn if look.right]
    if not units:
        axes.set_yticks([])
        return []
    size = LABEL_PIXELS * POINTS_A_PIXEL
    axes.tick_params(colors=theme.MUTED, labelsize=size, length=0, pad=4)
    return scale(axes, units[0], {"axisSoftMin": 0.0})
