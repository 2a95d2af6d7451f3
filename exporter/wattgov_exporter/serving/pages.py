"""The last tick, rendered at most once in each format: two scrapers see the same bytes."""

import gzip
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from wattgov_exporter.reading import Clock
from wattgov_exporter.rows import View
from wattgov_exporter.serving.text import OPENMETRICS, PROMETHEUS, openmetrics, prometheus

GZIP_LEVEL = 3
"""Measured on expositions of 160 and 2,000 series: 6 % smaller than level 1 in about its time;
level 6 is a further 8 % smaller and takes 1.5 to 2.5 times as long."""

FRESH_INTERVALS = 3
FRESH_SECONDS = 10.0
"""A page older than both is no longer shown: a stopped meter must not look like a node at rest."""

MOST_FORMATS = 32
"""So many ways of asking are remembered; a client who makes up more gains and costs nothing."""

_FORMATS: Mapping[str, Callable[[View], bytes]] = {
    PROMETHEUS: prometheus,
    OPENMETRICS: openmetrics,
}


@dataclass(frozen=True, slots=True)
class Page:
    """What goes over the wire, and the two headers that say what it is."""

    body: bytes
    content_type: str
    encoding: str | None = None


class Pages:
    """Written by the loop, read by every connection."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._view: View | None = None
        self._at = 0.0
        self._rendered: dict[tuple[str, bool], Page] = {}
        self._formats: dict[tuple[str, str], tuple[str, bool]] = {}

    def publish(self, view: View) -> None:
        """Show a new tick from now on."""
        with self._changed:
            self._view, self._at, self._rendered = view, self._clock(), {}
            self._changed.notify_all()

    @property
    def view(self) -> View | None:
        """The last tick, None before the first."""
        return self._view

    @property
    def fresh(self) -> bool:
        """Whether the last tick is recent enough to be shown."""
        if self._view is None:
            return False
        horizon = max(FRESH_INTERVALS * self._view.config.interval_seconds, FRESH_SECONDS)
        return self._clock() - self._at < horizon

    def metrics(self, accept: str, accept_encoding: str, patience: float) -> Page | None:
        """Return the exposition in the format and encoding that the scraper asks for.

        While there is none, or only a stale one, wait *patience* seconds for it; then None.
        """
        with self._changed:
            key = self._format(accept, accept_encoding)
            if not self._changed.wait_for(lambda: self.fresh, patience) or self._view is None:
                return None
            if key not in self._rendered:
                self._rendered[key] = self._render(self._view, *key)
            return self._rendered[key]

    def _format(self, accept: str, accept_encoding: str) -> tuple[str, bool]:
        """Return what the scraper asks for; he says it in the same words each time."""
        asked = accept, accept_encoding
        if asked not in self._formats:
            if len(self._formats) == MOST_FORMATS:
                self._formats.clear()
            self._formats[asked] = content_type(accept), wants_gzip(accept_encoding)
        return self._formats[asked]

    def _render(self, view: View, kind: str, packed: bool) -> Page:
        plain = self._rendered.get((kind, False))
        if plain is None:
            plain = self._rendered[kind, False] = Page(_FORMATS[kind](view), kind)
        if not packed:
            return plain
        return Page(gzip.compress(plain.body, GZIP_LEVEL, mtime=0), kind, "gzip")


def content_type(accept: str) -> str:
    """Return OpenMetrics 1.0 if the scraper prefers it to text, else the text format 0.0.4.

    A closed list: what a client writes must not make new cache entries.
    """
    quality = {OPENMETRICS: 0.0, PROMETHEUS: 0.0}
    for name, parameters in _elements(accept):
        version = parameters.get("version", "").strip('"')
        if name == "application/openmetrics-text" and version in {"", "1.0.0"}:
            kind = OPENMETRICS
        elif name in {"text/plain", "text/*", "*/*"}:
            kind = PROMETHEUS
        else:
            continue
        quality[kind] = max(quality[kind], _quality(parameters))
    # The first of equals: a scraper that knows OpenMetrics lists it beside text.
    best = max(quality, key=lambda kind: quality[kind])
    return best if quality[best] > 0 else PROMETHEUS


def wants_gzip(accept_encoding: str) -> bool:
    """Tell whether the client takes gzip, and likes it no less than plain bytes."""
    named = {name: _quality(parameters) for name, parameters in _elements(accept_encoding)}
    packed = named.get("gzip", named.get("x-gzip", named.get("*", 0.0)))
    return packed > 0 and packed >= named.get("identity", 0.0)


def _elements(header: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield each element of an Accept header: its name, and its parameters (RFC 9110, 12.5)."""
    for element in header.split(","):
        name, *rest = element.split(";")
        yield name.strip().lower(), dict(_pairs(rest))


def _pairs(parameters: Iterable[str]) -> Iterator[tuple[str, str]]:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        yield key.strip().lower(), value.strip()


def _quality(parameters: Mapping[str, str]) -> float:
    try:
        value = float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0
