"""Draw states over time: a band for each series, coloured by what its value means."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from wattgov_grafana import theme
from wattgov_grafana.ask import Series, Span
from wattgov_grafana.axes import aligned, clock, moments
from wattgov_grafana.canvas import Box, Canvas
from wattgov_grafana.legend import LINE_PIXELS, key
from wattgov_grafana.look import word

MOST_NAME_PIXELS, NAME_PIXELS = 260.0, 11.5
BELOW_PIXELS = 28.0
"""The clock."""


def states(
    canvas: Canvas, box: Box, panel: Mapping[str, Any], series: list[Series], span: Span
) -> None:
    """Draw the bands, their names at the left, what the colours mean below."""
    longest = max(canvas.wide(one.name, NAME_PIXELS) for one in series)
    names = min(MOST_NAME_PIXELS, 24.0 + longest)
    chart = box.inner(names, 4, 20, BELOW_PIXELS + LINE_PIXELS)
    axes = canvas.chart(chart)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(series) - 0.5, -0.5)
    axes.set_yticks([])
    times = moments(span)
    for row, one in enumerate(series):
        for start, end, value in _runs(times, aligned(one, times), span.step):
            found = word(panel, value)
            if found is not None:
                axes.barh(row, end - start, 0.8, left=start, color=found[1], linewidth=0)
        middle = chart.y + chart.height / len(series) * (row + 0.5)
        room = names - 20
        canvas.text(chart.x - 8, middle, one.name, NAME_PIXELS, align="right", room=room)
    clock(axes, span)
    x, y = box.x + 12.0, box.y + box.height - 12.0
    for mapping in panel["fieldConfig"]["defaults"]["mappings"]:
        for option in sorted(mapping["options"].values(), key=lambda each: int(each["index"])):
            x += 16.0 + key(canvas, (x, y), theme.colour(option["color"]), option["text"])


def _runs(
    times: Sequence[float], values: Sequence[float | None], step: float
) -> Iterator[tuple[float, float, float]]:
    """Yield from when to when a value stayed the same."""
    for value, run in groupby(zip(times, values, strict=True), key=lambda pair: pair[1]):
        same = [at for at, _ in run]
        if value is not None:
            yield same[0], same[-1] + step, value
