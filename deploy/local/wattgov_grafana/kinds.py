"""The kinds of panels: what each YAML key of a kind becomes in Grafana's JSON."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
Words = Mapping[Any, Sequence[str]]
"""What is shown for a value, and in which colour."""


def stat(
    *,
    unit: str,
    decimals: int | None = None,
    empty: str = "no data",
    mappings: Words | None = None,
    named: bool = False,
    since: str | None = None,
    thresholds: Mapping[float, str] | None = None,
    trend: bool = False,
    units: Mapping[str, str] | None = None,
) -> Json:
    """Return a big number for each series; *empty* is shown where there is none.

    *since* is the panel's own time range, *units* are those of single queries.
    """
    coloured = bool(mappings or thresholds)
    defaults = field(unit, decimals, empty, thresholds)
    defaults["mappings"] = mapped(mappings or {})
    options = {
        "colorMode": "value" if coloured else "none",
        "graphMode": "area" if trend else "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": LAST,
        "textMode": "value_and_name" if named else "value",
    }
    own = [override("byFrameRefID", ref, {"unit": one}) for ref, one in (units or {}).items()]
    shown: Json = {"type": "stat", "fieldConfig": {"defaults": defaults, "overrides": own}}
    if since is not None:
        shown["timeFrom"] = since
    return shown | {"options": options}


def bars(
    *,
    unit: str,
    colours: Mapping[str, str] | None = None,
    decimals: int | None = None,
    empty: str = "no data",
    highest: float | None = None,
    thresholds: Mapping[float, str] | None = None,
) -> Json:
    """Return a bar for each series, from zero to *highest* or the longest."""
    defaults = field(unit, decimals, empty, thresholds)
    if not thresholds:
        defaults["color"] = {"mode": "palette-classic"}
    defaults["min"] = 0
    if highest is not None:
        defaults["max"] = highest
    return {
        "type": "bargauge",
        "fieldConfig": {"defaults": defaults, "overrides": coloured(colours or {})},
        "options": {
            "displayMode": "basic",
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "left",
            "orientation": "horizontal",
            "reduceOptions": LAST,
            "showUnfilled": True,
            "sizing": "auto",
            "valueMode": "color" if thresholds else "text",
        },
    }


def lines(
    *,
    unit: str,
    bars: bool = False,
    colours: Mapping[str, str] | None = None,
    decimals: int | None = None,
    empty: str | None = None,
    legend: str = "table",
    limits: Sequence[str] = (),
    quiet: Sequence[str] = (),
    right: Mapping[str, str] | None = None,
    soft_max: float | None = None,
    soft_min: float = 0,
    stack: bool = False,
    stepped: bool = False,
    thresholds: Mapping[float, str] | None = None,
) -> Json:
    """Return a graph over time, its legend a table with the last values, or a list.

    Queries named in *limits* are dashed grey steps; those in *right* have the axis, and their unit,
    on the right; those in *quiet* are not in the legend. *thresholds* are drawn as dashed lines.
    """
    custom: Json = {
        "axisSoftMin": soft_min,
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 40 if stack else 0,
        "lineInterpolation": "stepAfter" if stepped else "linear",
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if stack else "none"},
    }
    if soft_max is not None:
        custom["axisSoftMax"] = soft_max
    defaults: Json = {"unit": unit, "color": {"mode": "palette-classic"}, "custom": custom}
    if decimals is not None:
        defaults["decimals"] = decimals
    if empty is not None:
        defaults["noValue"] = empty
    if thresholds:
        custom["thresholdsStyle"] = {"mode": "dashed"}
        defaults["thresholds"] = {"mode": "absolute", "steps": steps(thresholds)}
    dashed = {
        "custom.lineStyle": {"dash": [8, 6], "fill": "dash"},
        "custom.lineInterpolation": "stepAfter",
        "color": {"mode": "fixed", "fixedColor": "text"},
    }
    overrides = [
        *coloured(colours or {}),
        *(override("byFrameRefID", ref, dashed) for ref in limits),
        *(
            override("byFrameRefID", ref, {"custom.axisPlacement": "right", "unit": other})
            for ref, other in (right or {}).items()
        ),
        *(override("byFrameRefID", ref, {"custom.hideFrom": NOT_IN_LEGEND}) for ref in quiet),
    ]
    return {
        "type": "timeseries",
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "options": {
            "legend": {
                "calcs": ["lastNotNull"] if legend == "table" else [],
                "displayMode": legend,
                "placement": "bottom",
                "showLegend": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def states(*, mappings: Words, empty: str = "no data") -> Json:
    """Return a band for each series, coloured by what its value means."""
    defaults: Json = {
        "unit": "none",
        "color": {"mode": "thresholds"},
        "custom": {"fillOpacity": 80, "lineWidth": 0, "spanNulls": False},
        "mappings": mapped(mappings),
        "noValue": empty,
        "thresholds": {"mode": "absolute", "steps": steps({0: "text"})},
    }
    return {
        "type": "state-timeline",
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "alignValue": "left",
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "mergeValues": True,
            "rowHeight": 0.8,
            "showValue": "never",
            "tooltip": {"mode": "single", "sort": "none"},
        },
    }


def table(
    *,
    columns: Mapping[str, str],
    colours: Mapping[str, Words] | None = None,
    units: Mapping[str, str] | None = None,
    widths: Mapping[str, int] | None = None,
    empty: str = "no data",
) -> Json:
    """Return a table; *columns* are renamed in this order, all others hidden; queries are joined.

    *colours*, *units* and *widths*, in pixels, are by the name shown.
    """
    text = {"custom.cellOptions": {"type": "color-text"}}
    keep = {"include": {"names": list(columns)}}
    order = {name: place for place, name in enumerate(columns)}
    return {
        "type": "table",
        "fieldConfig": {
            "defaults": {
                "unit": "none",
                "noValue": empty,
                "custom": {"align": "left", "filterable": True},
            },
            "overrides": [
                *(
                    override("byName", name, {"mappings": mapped(words)} | text)
                    for name, words in (colours or {}).items()
                ),
                *(override("byName", name, {"unit": unit}) for name, unit in (units or {}).items()),
                *(
                    override("byName", name, {"custom.width": width})
                    for name, width in (widths or {}).items()
                ),
            ],
        },
        "options": {"showHeader": True},
        "transformations": [
            *([{"id": "merge", "options": {}}] if "Value #A" in columns else []),
            {"id": "filterFieldsByName", "options": keep},
            {"id": "organize", "options": {"indexByName": order, "renameByName": dict(columns)}},
        ],
    }


KINDS: dict[str, Callable[..., Json]] = {
    "stat": stat,
    "bars": bars,
    "lines": lines,
    "states": states,
    "table": table,
}
NOT_IN_LEGEND = {"legend": True, "tooltip": False, "viz": False}
LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}


def field(
    unit: str, decimals: int | None, empty: str, thresholds: Mapping[float, str] | None
) -> Json:
    """Return how one number is written and coloured."""
    defaults: Json = {
        "unit": unit,
        "noValue": empty,
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps(thresholds or {0: "text"})},
    }
    return defaults | ({} if decimals is None else {"decimals": decimals})


def override(matcher: str, options: str, properties: Mapping[str, Any]) -> Json:
    """Return what differs for one query or column."""
    return {
        "matcher": {"id": matcher, "options": options},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }


def coloured(names: Mapping[str, str]) -> list[Json]:
    """Return the colours of series whose name is known beforehand, the same in every panel."""
    return [
        override("byName", name, {"color": {"mode": "fixed", "fixedColor": colour}})
        for name, colour in names.items()
    ]


def mapped(words: Words) -> list[Json]:
    """Return the text and colour that are shown for a value."""
    options = {
        str(value): {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}] if options else []


def steps(thresholds: Mapping[float, str]) -> list[Json]:
    """Return the colours by the value from which they hold; the first holds from below."""
    return [
        {"color": colour, "value": value if index else None}
        for index, (value, colour) in enumerate(thresholds.items())
    ]
