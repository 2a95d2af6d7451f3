"""Lay out the dashboards: NAME.yml says what is shown, dashboards/NAME.json is what Grafana loads.

Classic JSON of schema version 39: Grafana 10 and later read it, and move it on by themselves.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import yaml

Json = dict[str, Any]

HERE = Path(__file__).parent
COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Actuators are another job than exporters, at another port, so they have a variable of their own.
VARIABLES = {
    "job": ("Job", "label_values(node_energy_joules_total, job)"),
    "instance": ("Instance", 'label_values(node_energy_joules_total{job=~"$job"}, instance)'),
    "app": ("App", 'label_values(app_energy_joules_total{job=~"$job",instance=~"$instance"}, app)'),
    "actuator": ("Actuator", "label_values(wattgov_actuator_enforcing, instance)"),
}
KNOB_CHANGES = (
    'changes(wattgov_actuator_knob_in_force{instance=~"$actuator"}[$__rate_interval]) > 0'
)


def dashboards() -> dict[Path, str]:
    """Return the text of every dashboard by the path where it belongs."""
    return {
        HERE / "dashboards" / f"{source.stem}.json": json.dumps(build(source), indent=2) + "\n"
        for source in sorted(HERE.glob("*.yml"))
    }


def build(source: Path = HERE / "overview.yml") -> Json:
    """Return one dashboard; TypeError where a panel has a key that its kind does not know."""
    page = yaml.safe_load(source.read_text())
    return {
        "annotations": {"list": [knob_changes()]},
        "description": page["description"],
        "editable": False,
        "graphTooltip": 1,
        "id": None,
        "links": [],
        "panels": list(layout(page["rows"])),
        "refresh": "30s",
        "schemaVersion": 39,
        "tags": ["wattgov", "energy"],
        "templating": {"list": [datasource(), *(variable(name) for name in VARIABLES)]},
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "title": page["title"],
        "uid": page["uid"],
        "version": 1,
    }


def layout(rows: Sequence[Json]) -> Iterator[Json]:
    """Yield the panels from left to right and from top to bottom, each row under its title."""
    number, top = 1, 0
    for row in rows:
        if "title" in row:
            place = {"h": 1, "w": COLUMNS, "x": 0, "y": top}
            shown = {"title": row["title"], "type": "row", "collapsed": False, "panels": []}
            yield {"id": number, "gridPos": place} | shown
            number, top = number + 1, top + 1
        left = 0
        for facts in row["panels"]:
            width = facts.pop("width")
            place = {"h": row["height"], "w": width, "x": left, "y": top}
            yield {"id": number, "gridPos": place} | panel(**facts)
            number, left = number + 1, left + width
        top += row["height"]


def panel(
    *, title: str, description: str, kind: str, queries: Sequence[Json], **shape: object
) -> Json:
    """Return one panel without its place."""
    refs = ascii_uppercase[: len(queries)]
    return {
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": [target(ref, **query) for ref, query in zip(refs, queries, strict=True)],
    } | KINDS[kind](**shape)


def target(ref: str, *, expr: str, legend: str = "__auto", shape: str = "range") -> Json:
    """Return one query; its shape is range, instant or table."""
    return {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": expr,
        "format": "table" if shape == "table" else "time_series",
        "instant": shape != "range",
        "legendFormat": legend,
        "range": shape == "range",
        "refId": ref,
    }


def stat(
    *,
    unit: str,
    decimals: int | None = None,
    empty: str = "no data",
    mappings: Mapping[str, Sequence[str]] | None = None,
    named: bool = False,
    since: str | None = None,
    thresholds: Mapping[float, str] | None = None,
    trend: bool = False,
) -> Json:
    """Return one big number; *empty* is shown where there is none, *since* is its time range."""
    coloured = bool(mappings or thresholds)
    defaults: Json = {
        "unit": unit,
        "noValue": empty,
        "color": {"mode": "thresholds"},
        "mappings": mapped(mappings or {}),
        "thresholds": {"mode": "absolute", "steps": steps(thresholds or {0: "text"})},
    }
    options = {
        "colorMode": "value" if coloured else "none",
        "graphMode": "area" if trend else "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value_and_name" if named else "value",
    }
    shown: Json = {"type": "stat", "fieldConfig": {"defaults": defaults, "overrides": []}}
    if decimals is not None:
        defaults["decimals"] = decimals
    if since is not None:
        shown["timeFrom"] = since
    return shown | {"options": options}


def lines(
    *,
    unit: str,
    bars: bool = False,
    limits: Sequence[str] = (),
    soft_max: float | None = None,
    stack: bool = False,
    stepped: bool = False,
) -> Json:
    """Return a graph over time; the queries named in *limits* are drawn as dashed steps."""
    custom: Json = {
        "axisSoftMin": 0,
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
    dashed = {
        "custom.lineStyle": {"dash": [8, 6], "fill": "dash"},
        "custom.lineInterpolation": "stepAfter",
        "color": {"mode": "fixed", "fixedColor": "text"},
    }
    return {
        "type": "timeseries",
        "fieldConfig": {
            "defaults": {"unit": unit, "color": {"mode": "palette-classic"}, "custom": custom},
            "overrides": [override("byFrameRefID", ref, dashed) for ref in limits],
        },
        "options": {
            "legend": {
                "calcs": ["lastNotNull"],
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def table(
    *, columns: Mapping[str, str], colours: Mapping[str, Mapping[str, Sequence[str]]]
) -> Json:
    """Return a table of labels; *columns* are renamed in this order, all others hidden."""
    text = {"custom.cellOptions": {"type": "color-text"}}
    keep = {"include": {"names": list(columns)}}
    order = {name: place for place, name in enumerate(columns)}
    return {
        "type": "table",
        "fieldConfig": {
            "defaults": {"unit": "none", "custom": {"align": "left", "filterable": True}},
            "overrides": [
                override("byName", name, {"mappings": mapped(words)} | text)
                for name, words in colours.items()
            ],
        },
        "options": {"showHeader": True},
        "transformations": [
            {"id": "filterFieldsByName", "options": keep},
            {"id": "organize", "options": {"indexByName": order, "renameByName": dict(columns)}},
        ],
    }


KINDS: dict[str, Callable[..., Json]] = {"stat": stat, "lines": lines, "table": table}


def override(matcher: str, options: str, properties: Mapping[str, Any]) -> Json:
    """Return what differs for one query or column."""
    return {
        "matcher": {"id": matcher, "options": options},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }


def mapped(words: Mapping[str, Sequence[str]]) -> list[Json]:
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


def datasource() -> Json:
    """Return the variable that names the Prometheus to ask."""
    return {
        "current": {},
        "hide": 0,
        "label": "Data source",
        "name": "datasource",
        "options": [],
        "query": "prometheus",
        "refresh": 1,
        "type": "datasource",
    }


def variable(name: str) -> Json:
    """Return one variable that Prometheus fills, again when the time range changes."""
    label, query = VARIABLES[name]
    return {
        "allValue": ".+",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": DATASOURCE,
        "definition": query,
        "includeAll": True,
        "label": label,
        "multi": True,
        "name": name,
        "query": {"query": query, "refId": f"variable-{name}"},
        "refresh": 2,
        "sort": 1,
        "type": "query",
    }


def knob_changes() -> Json:
    """Return the marks across all graphs where the actuator moved a knob."""
    return {
        "datasource": DATASOURCE,
        "enable": True,
        "expr": KNOB_CHANGES,
        "iconColor": "blue",
        "name": "Knob changes",
        "tagKeys": "knob",
        "titleFormat": "{{target}} {{knob}}",
    }


def main() -> None:
    """Write the dashboards, or only compare them with --check."""
    parser = argparse.ArgumentParser(description="Lay out the Grafana dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if one differs")
    check = parser.parse_args().check
    for path, text in dashboards().items():
        if path.exists() and path.read_text() == text:
            continue
        if check:
            sys.exit(f"{path} is not what its source says; run: python grafana/build.py")
        path.write_text(text)
        sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
