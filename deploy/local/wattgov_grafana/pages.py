"""Lay out the dashboards: NAME.yml says what is shown, dashboards/NAME.json is what Grafana loads.

Classic JSON of schema version 39: Grafana 10 and later read it, and move it on by themselves.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import yaml

from wattgov_grafana.chosen import DATASOURCE, links, mark, variables
from wattgov_grafana.kinds import KINDS

Json = dict[str, Any]
COLUMNS = 24


def dashboards(folder: Path) -> dict[Path, str]:
    """Return the text of every dashboard by the path where it belongs."""
    return {
        folder / "dashboards" / f"{source.stem}.json": json.dumps(build(source), indent=2) + "\n"
        for source in sorted(folder.glob("*.yml"))
    }


def build(source: Path) -> Json:
    """Return one dashboard; TypeError where a panel has a key that its kind does not know."""
    page = yaml.safe_load(source.read_text(encoding="utf-8"))
    return {
        "annotations": {"list": [mark(name) for name in page["marks"]]},
        "description": page["description"],
        "editable": False,
        "graphTooltip": 1,
        "id": None,
        "links": links(),
        "panels": list(layout(page["rows"])),
        "refresh": "30s",
        "schemaVersion": 39,
        "tags": ["wattgov", "energy"],
        "templating": {"list": variables()},
        "time": {"from": page.get("from", "now-1h"), "to": "now"},
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
    form = "table" if kind == "table" else "time_series"
    return {
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": [target(ref, form, **query) for ref, query in zip(refs, queries, strict=True)],
    } | KINDS[kind](**shape)


def target(ref: str, form: str, *, expr: str, legend: str = "__auto", now: bool = False) -> Json:
    """Return one query: over the range shown, or *now*, as in a table."""
    instant = now or form == "table"
    return {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": expr,
        "format": form,
        "instant": instant,
        "legendFormat": legend,
        "range": not instant,
        "refId": ref,
    }
