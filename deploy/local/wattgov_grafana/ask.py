"""Ask a Prometheus what a panel shows, with everything chosen."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

TIMEOUT_SECONDS = 30.0
SCRAPE_SECONDS = 15.0
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """The range of time that is shown, in unix seconds, and the distance of its points."""

    start: float
    end: float
    step: float

    def since(self, text: str) -> "Span":
        """Return the day, month or year so far, from Grafana's `now/d`, `now/M` or `now/y`."""
        now = datetime.fromtimestamp(self.end, UTC)
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        start = {"now/d": day, "now/M": day.replace(day=1), "now/y": day.replace(day=1, month=1)}
        return Span(start[text].timestamp(), self.end, self.step)


@dataclass(frozen=True, slots=True)
class Series:
    """One answer: its query, its name in the legend, its labels, and (unix seconds, value)."""

    ref: str
    name: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        """The latest value."""
        return self.points[-1][1]


def replaced(expr: str, span: Span) -> str:
    """Return the query as Grafana would send it with All chosen in every variable."""
    rate = max(span.step + SCRAPE_SECONDS, 4.0 * SCRAPE_SECONDS)
    values = {
        "__rate_interval": f"{rate:.0f}s",
        "__interval": f"{span.step:.0f}s",
        "__range": f"{span.end - span.start:.0f}s",
    }
    return re.sub(r"\$(\w+)", lambda found: values.get(found[1], ".+"), expr)


class Asker:
    """Puts queries to one Prometheus."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment is not asked

    def target(self, target: Mapping[str, Any], span: Span) -> list[Series]:
        """Run a panel's query; ValueError, in Prometheus' words, when it refuses."""
        expr = replaced(target["expr"], span)
        if target.get("instant"):
            found = self._get("query", {"query": expr, "time": span.end})
        else:
            found = self.range(expr, span)
        legend = target.get("legendFormat", "__auto")
        return [
            Series(
                target.get("refId", ""),
                _name(legend, one["metric"]),
                one["metric"],
                tuple(
                    (float(at), float(value)) for at, value in one.get("values", [one.get("value")])
                ),
            )
            for one in found
        ]

    def range(self, expr: str, span: Span) -> list[Json]:
        """Run a query over the range, at multiples of the step, as Grafana does."""
        start = span.start - span.start % span.step
        return self._get(
            "query_range", {"query": expr, "start": start, "end": span.end, "step": span.step}
        )

    def _get(self, path: str, data: Mapping[str, Any]) -> list[Json]:
        answer = self._session.post(
            f"{self._url}/api/v1/{path}", data=dict(data), timeout=TIMEOUT_SECONDS
        )
        if not answer.ok:
            raise ValueError(f"{data['query']}: {answer.text.strip()}")
        result: list[Json] = answer.json()["data"]["result"]
        return result


def _name(legend: str, labels: Mapping[str, str]) -> str:
    if legend == "__auto":
        shown = [f"{name}={value}" for name, value in labels.items() if name != "__name__"]
        return ", ".join(shown) or labels.get("__name__", "")
    filled = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), legend)
    return " ".join(filled.split())
