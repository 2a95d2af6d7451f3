"""What every page of the exporter promises, alone and after the one before. Pure."""

import math
from collections import defaultdict
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from wattgov_exporter.apps.workloads import OTHER
from wattgov_exporter.attribution import UNATTRIBUTED

RELATIVE = 1e-9
ROUNDING = 1e-12
NOBODYS = {OTHER, UNATTRIBUTED}
KEPT = {
    "node_cpu_energy_joules_total",
    "node_gpu_energy_joules_total",
    "node_platform_energy_joules_total",
    "node_energy_joules_total",
    "app_energy_joules_total",
    "app_cpu_seconds_total",
    "wattgov_exporter_energy_joules_total",
}
"""What a state file keeps over a restart."""

AS_TOLD = "node_gpu_utilization_percent"
"""A gauge that is shown as the driver says it."""

Key = tuple[str, tuple[tuple[str, str], ...]]
Page = Mapping[Key, float]
"""Values by metric and labels."""


def parsed(text: str) -> Page:
    """Read an exposition as a scraper does; no series may be there twice."""
    page: dict[Key, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in page, f"{key} is there twice"
            page[key] = sample.value
    return page


def by_label(page: Page, name: str, label: str) -> dict[str, float]:
    """Return a metric's values, summed by one of its labels."""
    parts: dict[str, list[float]] = defaultdict(list)
    for (metric, labels), value in page.items():
        if metric == name:
            parts[dict(labels)[label]].append(value)
    return {one: math.fsum(values) for one, values in parts.items()}


def total(page: Page, name: str) -> float:
    """Return the sum over a metric."""
    return math.fsum(value for (metric, _), value in page.items() if metric == name)


def plain(page: Page) -> None:
    """Hold that no figure is negative, infinite or no number."""
    odd = {key for key, value in page.items() if not 0 <= value < math.inf}
    assert set() == {key for key in odd if key[0] != AS_TOLD}


def closed(page: Page) -> None:
    """Hold that the apps' joules are the node's, component by component."""
    node = by_label(page, "node_energy_joules_total", "component")
    apps = by_label(page, "app_energy_joules_total", "component")
    assert node.keys() == apps.keys()
    for component, joules in node.items():
        assert math.isclose(joules, apps[component], rel_tol=RELATIVE), component


def counting_up(before: Page, page: Page) -> None:
    """Hold that no counter falls while it is there, nor a sum when series fold or end."""
    for key in before.keys() & page.keys():
        if key[0].endswith("_total"):
            assert before[key] <= page[key], key
    for name in ("app_energy_joules_total", "node_energy_joules_total"):
        old, new = (by_label(one, name, "component") for one in (before, page))
        for component, joules in old.items():
            assert joules <= new[component] * (1 + ROUNDING), (name, component)
    seconds = "app_cpu_seconds_total"
    assert total(before, seconds) <= total(page, seconds) * (1 + ROUNDING)


def fair(before: Page, page: Page) -> None:
    """Hold that no app gets more than the device had, nor active CPU joules without CPU time."""
    node, old = (by_label(one, "node_energy_joules_total", "component") for one in (page, before))
    for key, joules in page.items():
        labels = dict(key[1])
        app = labels.get("app")
        if key[0] != "app_energy_joules_total" or app in NOBODYS:
            continue
        component = labels["component"]
        had = node[component] - old.get(component, 0.0)
        got = joules - before.get(key, 0.0)
        slack = RELATIVE * node[component]
        assert got <= had + slack, key
        if (component, labels["share"]) == ("cpu", "active"):
            time = "app_cpu_seconds_total", (("app", str(app)),)
            assert got <= slack or page[time] > before.get(time, 0.0), key


def few(page: Page, names: int) -> None:
    """Hold that no more apps have series than may."""
    apps = {dict(labels)["app"] for (name, labels) in page if name.startswith("app_")}
    assert len(apps - NOBODYS) <= names
