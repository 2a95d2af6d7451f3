"""Draw what is now: big numbers, bars, tables."""

from collections.abc import Mapping
from typing import Any

from wattgov_grafana import theme
from wattgov_grafana.ask import Series, Span
from wattgov_grafana.canvas import Box, Canvas
from wattgov_grafana.look import looks, mapped, word
from wattgov_grafana.units import written

Json = Mapping[str, Any]
ROW_PIXELS = 27.0
BIG_PIXELS, SMALL_PIXELS = 38.0, 13.0


def stat(canvas: Canvas, box: Box, panel: Json, series: list[Series], span: Span) -> None:
    """Draw one big number for each series, side by side."""
    defaults, options = panel["fieldConfig"]["defaults"], panel["options"]
    wide = box.width / len(series)
    shown = [
        word(panel, one.last)
        or (
            written(one.last, look.unit, look.decimals),
            theme.step(one.last, defaults["thresholds"]["steps"]),
        )
        for one, look in zip(series, looks(panel, series), strict=True)
    ]
    widest = max(canvas.wide(text, BIG_PIXELS, bold=True) for text, _ in shown)
    size = min(BIG_PIXELS, BIG_PIXELS * (wide - 28) / widest)
    named = options["textMode"] == "value_and_name"
    for number, (one, (text, colour)) in enumerate(zip(series, shown, strict=True)):
        own = Box(box.x + number * wide, box.y, wide, box.height)
        ink = theme.TEXT if options["colorMode"] == "none" else colour
        if options["graphMode"] == "area":
            _trend(canvas, own, one, span, ink)
        middle = own.y + own.height * (0.40 if options["graphMode"] == "area" else 0.46)
        x = own.x + wide / 2
        high = middle - 8 if named else middle
        canvas.text(x, high, text, size, colour=ink, align="center", bold=True)
        if named:
            low = middle + size * 0.5 + 8
            canvas.text(
                x, low, one.name, SMALL_PIXELS, colour=theme.MUTED, align="center", room=wide - 16
            )


def bars(canvas: Canvas, box: Box, panel: Json, series: list[Series], span: Span) -> None:
    """Draw a bar for each series."""
    del span
    defaults = panel["fieldConfig"]["defaults"]
    shown = looks(panel, series)
    highest = defaults.get("max") or max(one.last for one in series) or 1.0
    names = min(box.width * 0.45, 18.0 + max(canvas.wide(one.name, 12) for one in series))
    texts = [written(one.last, defaults["unit"], defaults.get("decimals")) for one in series]
    room = 22.0 + max(canvas.wide(text, 12.5, bold=True) for text in texts)
    height = min(36.0, (box.height - 10) / len(series))
    top = box.y + (box.height - 10 - height * len(series)) / 2
    for row, (one, look, text) in enumerate(zip(series, shown, texts, strict=True)):
        y = top + row * height
        colour = look.colour
        if defaults["color"]["mode"] == "thresholds":
            colour = theme.step(one.last, defaults["thresholds"]["steps"])
        full = box.width - names - room
        canvas.text(box.x + names - 8, y + height / 2, one.name, 12, align="right", room=names - 12)
        bar = Box(box.x + names, y + 3, full, height - 6)
        canvas.rectangle(bar, theme.UNFILLED)
        canvas.rectangle(
            Box(bar.x, bar.y, full * max(0.0, min(1.0, one.last / highest)), bar.height), colour
        )
        canvas.text(
            box.x + box.width - 12,
            y + height / 2,
            text,
            12.5,
            colour=colour,
            align="right",
            bold=True,
        )


def table(canvas: Canvas, box: Box, panel: Json, series: list[Series], span: Span) -> None:
    """Draw the rows of instant queries, joined by their labels, as the transformations say."""
    del span
    columns, rows = joined(panel, series)
    overrides: dict[str, dict[str, Any]] = {}
    for one in panel["fieldConfig"]["overrides"]:
        properties = {each["id"]: each["value"] for each in one["properties"]}
        overrides.setdefault(one["matcher"]["options"], {}).update(properties)
    fixed = [float(overrides.get(column, {}).get("custom.width", 0)) for column in columns]
    rest = (box.width - 24 - sum(fixed)) / max(1, fixed.count(0.0))
    wides = [one or rest for one in fixed]
    room = int((box.height - ROW_PIXELS - 6) / ROW_PIXELS)
    for place, column in enumerate(columns):
        x, wide = box.x + 12 + sum(wides[:place]), wides[place]
        canvas.text(
            x, box.y + ROW_PIXELS / 2, column, 12, colour="#6e9fff", room=wide - 8, bold=True
        )
    for number, row in enumerate(rows[:room]):
        y = box.y + ROW_PIXELS * (number + 1)
        canvas.line([(box.x + 8, y), (box.x + box.width - 8, y)], theme.GRID, 0.6)
        for place, (column, value) in enumerate(zip(columns, row, strict=True)):
            own = overrides.get(column, {})
            found = mapped(own.get("mappings", []), value)
            text, colour = found or (_cell(value, own), theme.TEXT)
            x, wide = box.x + 12 + sum(wides[:place]), wides[place]
            canvas.text(x, y + ROW_PIXELS / 2, text, 12, colour=colour, room=wide - 8)
    if len(rows) > room:
        more = f"{len(rows) - room} more rows"
        canvas.text(
            box.x + box.width - 12,
            box.y + ROW_PIXELS / 2,
            more,
            10.5,
            colour=theme.MUTED,
            align="right",
        )


def joined(panel: Json, series: list[Series]) -> tuple[list[str], list[list[str | float]]]:
    """Return the columns shown and the rows: the values of all queries with the same labels."""
    organize = next(one for one in panel["transformations"] if one["id"] == "organize")
    renamed: dict[str, str] = organize["options"]["renameByName"]
    several = "Value #A" in renamed
    rows: dict[tuple[tuple[str, str], ...], dict[str, str | float]] = {}
    for one in series:
        labels = {name: value for name, value in one.labels.items() if name != "__name__"}
        row = rows.setdefault(tuple(sorted(labels.items())), dict(labels))
        row[f"Value #{one.ref}" if several else "Value"] = one.last
    found = [[row.get(name, "") for name in renamed] for row in rows.values()]
    return list(renamed.values()), sorted(found, key=lambda row: [str(cell) for cell in row])


def _cell(value: str | float, own: Mapping[str, Any]) -> str:
    if isinstance(value, str):
        return value
    return written(value, own.get("unit", "none"), own.get("decimals"))


def _trend(canvas: Canvas, box: Box, one: Series, span: Span, colour: str) -> None:
    if len(one.points) < 2:  # noqa: PLR2004  (a line has two ends)
        return
    low, high = min(v for _, v in one.points), max(v for _, v in one.points)
    low = min(low, high * 0.6)
    bottom, tall = box.y + box.height, box.height * 0.38
    line = [
        (
            box.x + (at - span.start) / (span.end - span.start) * box.width,
            bottom - (value - low) / ((high - low) or 1.0) * tall,
        )
        for at, value in one.points
    ]
    stroke = theme.PALETTE[0] if colour == theme.TEXT else colour
    canvas.polygon([(line[0][0], bottom), *line, (line[-1][0], bottom)], stroke, 0.18)
    canvas.line(line, stroke, 1.0)
