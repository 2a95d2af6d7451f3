"""The page as text, in the two formats that Prometheus reads: 0.0.4 and OpenMetrics 1.0. Pure.

prometheus_client writes both too, and brings an HTTP server, an HTTP client and TLS into the memory
of every node: see docs/decisions/0007. The tests hold what is written here against it.
"""

from collections.abc import Iterator

from wattgov_exporter.exposition import SERIES, Series
from wattgov_exporter.rows import View

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

TOTAL = "_total"
"""Ends the name of a counter; in OpenMetrics that of its samples, and not that of the metric."""


def prometheus(view: View) -> bytes:
    """Return the page in the text format 0.0.4."""
    return "".join(_lines(view, bare="")).encode()


def openmetrics(view: View) -> bytes:
    """Return the page in OpenMetrics 1.0."""
    return "".join((*_lines(view, bare=TOTAL), "# EOF\n")).encode()


def _lines(view: View, *, bare: str) -> Iterator[str]:
    """Yield every metric that has a value; an absent fact is an absent series, never a zero.

    *bare* is what the name of a metric lacks.
    """
    for series in SERIES:
        samples = list(_samples(series, view))
        if samples:
            name = series.name.removesuffix(bare)
            kind = "counter" if series.name.endswith(TOTAL) else "gauge"
            yield f"# HELP {name} {series.meaning}\n# TYPE {name} {kind}\n"
            yield from samples


def _samples(series: Series, view: View) -> Iterator[str]:
    """Yield a line for each row; its labels in the order of their names, as all clients do."""
    names = sorted((name, place) for place, name in enumerate(series.labels))
    for texts, value in series.read(view):
        labels = ",".join([f'{name}="{_escaped(texts[place])}"' for name, place in names])
        yield f"{series.name}{f'{{{labels}}}' if labels else ''} {float(value)!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
