"""The page's two formats, held against the library that others write and read them with."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus
from prometheus_client.registry import Collector

from exporter.views import CONFIG
from wattgov_exporter.exposition import SERIES, Series
from wattgov_exporter.reading import Component
from wattgov_exporter.rows import Own, Reloads, View
from wattgov_exporter.serving.text import OPENMETRICS, PROMETHEUS, openmetrics, prometheus
from wattgov_exporter.snapshot import Snapshot

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
AWKWARD = st.sampled_from(['"', "\\", "\n", "\\n", "\r", "}", 'a="b",c', " ", "", "\u2028", "é"])
VALUES = st.floats(min_value=0, allow_nan=False) | st.integers(0, 10**20).map(float)
FORMATS = [(PROMETHEUS, prometheus, read_prometheus), (OPENMETRICS, openmetrics, read_openmetrics)]
PARAMETERS = pytest.mark.parametrize(
    ("kind", "write", "read"), FORMATS, ids=["prometheus", "openmetrics"]
)

Write = Callable[[View], bytes]
Read = Callable[[str], Iterable[Metric]]


class _Families(Collector):
    """The same view in the library's own words."""

    def __init__(self, view: View) -> None:
        self._view = view

    def collect(self) -> Any:  # noqa: ANN401  prometheus_client's own signature
        return [one for one in map(self._family, SERIES) if one.samples]

    def _family(self, series: Series) -> Metric:
        make = CounterMetricFamily if series.name.endswith("_total") else GaugeMetricFamily
        family = make(series.name.removesuffix("_total"), series.meaning, labels=series.labels)
        for labels, value in series.read(self._view):
            family.add_metric(labels, value)
        return family


@PARAMETERS
@given(joules=st.dictionaries(NAMES | AWKWARD, VALUES), version=NAMES | AWKWARD)
def test_as_the_library_writes(
    kind: str, write: Write, read: Read, joules: dict[str, float], version: str
) -> None:
    """Whatever an app is called and has used, it reads as what the library would have written."""
    apps = {(app, Component.GPU, "active"): value for app, value in joules.items()}
    view = View(Snapshot(app_joules=apps), CONFIG, Own(version, 0.5, Reloads(True, 1.7e9)))
    registry = CollectorRegistry()
    registry.register(_Families(view))
    encode, content_type = choose_encoder(kind)

    shown = write(view).decode()

    assert content_type.startswith(kind.partition(";")[0])
    assert list(read(encode(registry).decode())) == list(read(shown))
    told = {
        sample.labels["app"]: sample.value
        for metric in read(shown)
        for sample in metric.samples
        if sample.name == "app_energy_joules_total"
    }
    assert joules == told


def test_no_meaning_has_to_be_escaped() -> None:
    """What a metric means is written as it is: no quote, no backslash, one line."""
    assert not [one.name for one in SERIES if any(sign in one.meaning for sign in '"\\\n')]
