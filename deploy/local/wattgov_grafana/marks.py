"""Marks across graphs: when a knob was moved, when an alert fired."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from wattgov_grafana import theme
from wattgov_grafana.ask import Asker, Span, replaced
from wattgov_grafana.canvas import Box, Canvas


@dataclass(frozen=True, slots=True)
class Mark:
    """From when to when something was so, in unix seconds."""

    colour: str
    start: float
    end: float


def find(dashboard: Mapping[str, Any], asker: Asker, span: Span) -> list[Mark]:
    """Return a dashboard's marks; moments that follow one another are one mark."""
    found = []
    for one in dashboard["annotations"]["list"]:
        colour = theme.colour(one["iconColor"])
        for answer in asker.range(replaced(one["expr"], span), span):
            times = [float(at) for at, _ in answer["values"]]
            pairs = zip([-math.inf, *times], [*times, math.inf], strict=True)
            gaps = [(before, after) for before, after in pairs if after - before > span.step]
            found += [Mark(colour, start, end) for (_, start), (end, _) in pairwise(gaps)]
    return found


def draw(canvas: Canvas, box: Box, marks: Sequence[Mark], span: Span) -> None:
    """Draw a triangle below a graph where each mark begins, and a bar for as long as it lasts."""
    bottom = box.y + box.height
    for one in marks:
        left, right = (
            box.x + (at - span.start) / (span.end - span.start) * box.width
            for at in (one.start, one.end)
        )
        corners = [(left, bottom - 5), (left - 4, bottom + 2), (left + 4, bottom + 2)]
        canvas.polygon(corners, one.colour)
        if right > left:
            canvas.rectangle(Box(left, bottom, right - left, 2), one.colour)
