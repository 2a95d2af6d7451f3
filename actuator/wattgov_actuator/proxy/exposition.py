"""The proxy's metrics; the only file that spells their names."""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from wattgov_actuator.proxy.failure import Failure
from wattgov_actuator.proxy.gate import Gate
from wattgov_actuator.proxy.tally import Histogram, Tally, Wake

APP = ("app",)


class Exposition(Collector):
    """Renders what is so now; a scrape changes nothing."""

    def __init__(self, app: str, gate: Gate, tally: Tally) -> None:
        self._app, self._gate, self._tally = app, gate, tally

    def registry(self) -> CollectorRegistry:
        """Return a registry of its own."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry

    def describe(self) -> Iterator[Metric]:
        """Name nothing beforehand."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Return every family."""
        yield from self._now()
        tally = self._tally
        yield self._counts(
            "app_requests",
            "Requests that have ended, by status; 499 is a client that went away.",
            "code",
            {str(code): count for code, count in sorted(tally.codes.items())},
        )
        yield self._counts(
            "app_requests_failed",
            "Requests without a whole answer of the server, by reason.",
            "reason",
            {each.value: tally.failures[each] for each in Failure},
        )
        yield self._counts(
            "app_wakes",
            "Tries to wake the server for requests that wait, by result.",
            "result",
            {each.value: tally.wakes[each] for each in Wake},
        )
        yield self._histogram(
            "app_queue_wait_seconds", "How long requests waited for their turn.", tally.waits
        )
        yield self._histogram(
            "app_request_duration_seconds",
            "From the head of a request to the end of its answer, the wait included.",
            tally.durations,
        )

    def _now(self) -> Iterator[Metric]:
        gate = self._gate
        yield self._gauge("app_requests_in_flight", "Requests at the server.", gate.in_flight)
        yield self._gauge("app_queue_length", "Requests that wait for their turn.", gate.queued)
        if gate.limit is not None:
            text = "How many requests may be in flight; absent where there is no limit."
            yield self._gauge("app_admission_limit", text, gate.limit)
        text = "1 while requests are held and none is forwarded."
        yield self._gauge("app_requests_held", text, float(gate.held_by is not None))
        text = "How long no request has been in flight or waiting."
        yield self._gauge("app_idle_seconds", text, gate.idle_seconds)
        if (last := gate.last_request) is not None:
            text = "When the last request ended; now, while there is one."
            yield self._gauge("app_last_request_timestamp_seconds", text, last)

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=APP)
        family.add_metric((self._app,), value)
        return family

    def _counts(self, name: str, text: str, label: str, values: dict[str, int]) -> Metric:
        family = CounterMetricFamily(name, text, labels=(*APP, label))
        for each, value in values.items():
            family.add_metric((self._app, each), value)
        return family

    def _histogram(self, name: str, text: str, seen: Histogram) -> Metric:
        family = HistogramMetricFamily(name, text, labels=APP)
        bounds = (*(f"{bound:g}" for bound in seen.bounds), "+Inf")
        buckets = list(zip(bounds, accumulate(seen.counts), strict=True))
        family.add_metric((self._app,), buckets, seen.total)
        return family
