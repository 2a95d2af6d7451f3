"""The dashboards: up to date, laid out without overlap; every query parses and finds its series.

The checks are those of grafana/dashboard-linter, which needs Go, and a few of our own. Whether the
queries return anything is asked in test_dashboards_live.py.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from story import door, itself
from wattgov_actuator.decision import Reason
from wattgov_exporter.exposition import SERIES
from wattgov_grafana import pages, theme
from wattgov_grafana.kinds import KINDS

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "grafana/dashboards").glob("*.json"))
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = {
    *("celsius", "joule", "massg", "none", "percentunit", "reqps", "s", "short", "watt", "watth"),
}
DOOR = door.published()
OF_NO_NODE = ("ALERTS", "cluster:", "energy:cluster_", "energy_optimization_")
"""Series that no node's labels choose."""
UNSEEN = {
    **dict.fromkeys(
        (
            "node_cpu_energy_joules_total",
            "node_gpu_energy_joules_total",
            "node_platform_energy_joules_total",
            "node_sensor_energy_joules_total",
            "node_cpu_power_watts",
            "node_gpu_power_average_watts",
            "node_gpu_power_instant_watts",
            "node_platform_power_watts",
            "node_sensor_power_watts",
            "node_total_power_watts",
        ),
        "one meter's own; what is shown is by component, each joule once",
    ),
    **dict.fromkeys(
        (
            "node_gpu_instance_activity_ratio",
            "node_gpu_instance_info",
            "node_gpu_instance_memory_bytes",
            "node_gpu_instance_slice_ratio",
            "node_gpu_memory_used_bytes",
            "node_gpu_processes",
            "app_cpu_seconds_total",
            "app_gpu_memory_used_bytes",
            "app_memory_resident_bytes",
            "app_processes",
        ),
        "by what energy is shared out; for who doubts the shares",
    ),
    **dict.fromkeys(
        (
            "app_idle_seconds",
            "app_last_active_timestamp_seconds",
            "app_last_request_timestamp_seconds",
            "node_gpu_clock_hertz",
        ),
        "for rules of the actuator that a user writes",
    ),
    **dict.fromkeys(
        (
            "app_queue_wait_seconds_count",
            "app_queue_wait_seconds_sum",
            "app_request_duration_seconds_count",
        ),
        "of a histogram that is shown by its buckets",
    ),
    **dict.fromkeys(
        (
            "wattgov_actuator_config_last_reload_success_timestamp_seconds",
            "wattgov_exporter_config_last_reload_success_timestamp_seconds",
        ),
        "as old as the process where nobody reloads; whether the last one went well is shown",
    ),
    "node_gpu_read_interval_seconds": "how often a card is read; a stale one is shown by its age",
    "wattgov_actuator_last_query_success_timestamp_seconds": "its age is shown",
    "wattgov_exporter_cpu_seconds_total": "its energy is shown",
    "wattgov_exporter_web_config_failures_total": "that the file is bad now has an alert",
    "wattgov_exporter_replay_info": "no node, and nobody's dashboard",
}
"""What is published and in no panel, alert or rule, and why that is right."""


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return each dashboard."""
    return dict(json.loads(request.param.read_text()))


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    """Yield every PromQL expression of the dashboard."""
    for panel in panels(dashboard):
        yield from (target["expr"] for target in panel["targets"])
    yield from (one["expr"] for one in dashboard["annotations"]["list"])


def selectors(expr: str) -> list[tuple[str, str]]:
    """Return the metric name and the matchers, or nothing, of each selector in *expr*."""
    text = re.sub(r"\[[^\]]*\]", "", expr)
    text = re.sub(r"\b(on|by|without|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    found = re.findall(r"([a-zA-Z_][\w:]*)(?!\s*\(|[\w:])(\{[^}]*\})?", text)
    return [(name, match) for name, match in found if name not in {"and", "or", "unless", "bool"}]


def test_selectors_are_found() -> None:
    """Functions, labels that join, operators and ranges are told apart from metric names."""
    expr = 'sum by (a) (rate(m:x{l="(v)"}[5m])) / on (b) group_left (c) n unless on () o{p="q"} > 1'

    assert [("m:x", '{l="(v)"}'), ("n", ""), ("o", '{p="q"}')] == selectors(expr)


def test_dashboards_are_what_their_sources_say() -> None:
    """The committed JSON is what `python grafana/build.py` writes."""
    written = {path: path.read_text() for path in FILES}

    assert pages.dashboards(ROOT / "grafana") == written


def test_a_dashboard_can_be_provisioned(dashboard: dict[str, Any]) -> None:
    """It has a fixed uid, no id, a shared crosshair, and is edited in its source only."""
    assert dashboard["id"] is None
    assert re.fullmatch(r"wattgov-[a-z]+", dashboard["uid"])
    assert 39 == dashboard["schemaVersion"]
    assert 1 == dashboard["graphTooltip"]
    assert dashboard["editable"] is False
    assert len(panels(dashboard)) <= 16


def test_dashboards_are_one_house() -> None:
    """All have the same variables and lead to one another; no two have one uid or title."""
    found = [json.loads(file.read_text()) for file in FILES]

    for key in ("templating", "links", "tags"):
        assert 1 == len({json.dumps(one[key]) for one in found}), key
    for key in ("uid", "title"):
        assert len(found) == len({one[key] for one in found}), key
    (link,) = found[0]["links"]
    assert ("dashboards", ["wattgov"], True, True) == (
        link["type"],
        link["tags"],
        link["includeVars"],
        link["keepTime"],
    )
    assert set(link["tags"]) <= set(found[0]["tags"])


def test_variables_chain_from_the_data_source(dashboard: dict[str, Any]) -> None:
    """The data source comes first; the others are asked of it, take many values, and are fresh."""
    source, *others = dashboard["templating"]["list"]

    assert ("datasource", "Data source", "prometheus") == (
        source["name"],
        source["label"],
        source["query"],
    )
    assert ["Job", "Instance", "App", "Actuator"] == [one["label"] for one in others]
    for one in others:
        assert DATASOURCE == one["datasource"]
        assert (True, True, ".+", 2) == (
            one["multi"],
            one["includeAll"],
            one["allValue"],
            one["refresh"],
        )


def test_every_panel_explains_itself(dashboard: dict[str, Any]) -> None:
    """A panel has a title of its own, a description, a base unit and the chosen data source."""
    shown = panels(dashboard)

    for panel in shown:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"], panel["title"]
        assert {json.dumps(DATASOURCE)} == {
            json.dumps(one["datasource"]) for one in (panel, *panel["targets"])
        }
    for key in ("id", "title"):
        values = [panel[key] for panel in dashboard["panels"]]
        assert len(values) == len(set(values)), key


def test_panels_fill_the_grid_without_overlap(dashboard: dict[str, Any]) -> None:
    """No panel covers another or leaves the 24 columns, and no row has a hole."""
    cells = [
        {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        for place in (panel["gridPos"] for panel in dashboard["panels"])
    ]

    assert [] == [1 for one, other in combinations(cells, 2) if one & other]
    taken = set().union(*cells)
    height = 1 + max(y for _, y in taken)
    assert {(x, y) for x in range(24) for y in range(height)} == taken


def test_every_query_asks_for_what_was_chosen(dashboard: dict[str, Any]) -> None:
    """Nodes are picked by job and instance, apps by app, actuators by actuator."""
    for expr in expressions(dashboard):
        for name, match in selectors(expr):
            if name.startswith("wattgov_actuator_"):
                assert 'instance=~"$actuator"' in match, expr
            elif name.startswith(("app:", "app_model:", "energy:app_")) or name in DOOR:
                assert 'app=~"$app"' in match, expr
            elif not name.startswith(OF_NO_NODE):
                assert 'job=~"$job",instance=~"$instance"' in match, expr


def test_rates_follow_the_resolution(dashboard: dict[str, Any]) -> None:
    """A range in a query is the resolution's or the whole range shown, never a fixed one."""
    ranges = {found for expr in expressions(dashboard) for found in re.findall(r"\[(.*?)\]", expr)}

    assert {"$__rate_interval", "$__range", "$__range:5m", "$__range:1h"} >= ranges


def test_no_reason_is_missing_from_the_governors_states() -> None:
    """Every word for what became of a rule is one of the outcomes that the panel tells apart."""
    page = json.loads((ROOT / "grafana/dashboards/governor.json").read_text())
    (panel,) = (one for one in panels(page) if one["title"] == "What each rule did")
    told = re.findall(r'reason=~?"([a-z_|.+]+)"', panel["targets"][0]["expr"])
    found = [name for one in told for name in Reason if re.fullmatch(one, name)]

    assert sorted(Reason) == sorted(found)


def test_counters_are_never_shown_as_they_are(dashboard: dict[str, Any]) -> None:
    """What ends in _total goes through rate or increase at once: a restart is no drop."""
    for expr in expressions(dashboard):
        for found in re.finditer(r"(\w*)\(?\s*\b[a-z_]+_total\b", expr):
            assert found[1] in {"rate", "increase"}, expr


def test_colours_are_known(dashboard: dict[str, Any]) -> None:
    """Every colour is one of Grafana's, so that a misspelt one is no silent grey."""
    text = json.dumps(dashboard)
    names = re.findall(r'"(?:color|fixedColor|iconColor)": "([^"]+)"', text)

    assert names
    assert set() == {name for name in names if not name.startswith("#")} - set(theme.NAMED)
    assert set() == {name for name in names if name.startswith("#") and len(name) != 7}


def test_titles_have_room(dashboard: dict[str, Any]) -> None:
    """A title is not cut at the width of a laptop's screen: 58 pixels a column, 9 a letter."""
    for panel in panels(dashboard):
        room = panel["gridPos"]["w"] * 58 - 24 - (60 if "timeFrom" in panel else 0)
        assert len(panel["title"]) * 9 <= room, panel["title"]


def test_every_kind_is_used() -> None:
    """A kind of panel that no dashboard uses is not kept."""
    sources = (ROOT / "grafana").glob("*.yml")
    rows = [row for file in sources for row in yaml.safe_load(file.read_text())["rows"]]

    assert set(KINDS) == {panel["kind"] for row in rows for panel in row["panels"]}


def test_every_query_parses(dashboard: dict[str, Any], promtool: str, tmp_path: Path) -> None:
    """Prometheus accepts every expression, its variables replaced, as a rule."""
    rules = [
        {"record": f"query:{number}", "expr": re.sub(r"\[\$\w+", "[5m", expr)}
        for number, expr in enumerate(expressions(dashboard))
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))

    done = subprocess.run(
        [promtool, "check", "rules", file], capture_output=True, text=True, timeout=60, check=False
    )

    assert 0 == done.returncode, done.stdout + done.stderr


def test_every_series_exists(dashboard: dict[str, Any]) -> None:
    """A query names only what the exporter or the actuator exports or a rule records."""
    files = (ROOT / "rules/recording").glob("*.yml")
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    known = itself.published() | door.published()
    known |= {series.name for series in SERIES}
    known |= {rule["record"] for group in groups for rule in group["rules"]}

    used = {name for expr in expressions(dashboard) for name, _ in selectors(expr)}

    assert set() == used - known - {"ALERTS"}


def test_nothing_is_published_that_nobody_sees() -> None:
    """What a daemon tells is in a panel, an alert or a rule; or in a list, with the reason."""
    folders = ("grafana/dashboards", "alerting/rules", "rules/recording", "rules/actuator")
    files = [file for folder in folders for file in (ROOT / folder).iterdir() if file.is_file()]
    seen = set(re.findall(r"\w+", " ".join(file.read_text() for file in files)))
    told = itself.published() | DOOR | {series.name for series in SERIES}

    assert set(UNSEEN) == told - seen


@pytest.mark.parametrize("kind", ["datasources", "dashboards"])
def test_provisioning_is_complete(kind: str) -> None:
    """Grafana is told where Prometheus is, and where the dashboards lie."""
    page = yaml.safe_load((ROOT / f"grafana/provisioning/{kind}/wattgov.yml").read_text())

    assert 1 == page["apiVersion"]
    if kind == "datasources":
        (source,) = page["datasources"]
        assert ("prometheus", "proxy") == (source["type"], source["access"])
    else:
        (provider,) = page["providers"]
        assert ("file", False) == (provider["type"], provider["allowUiUpdates"])
        assert provider["options"]["path"].startswith("/")
