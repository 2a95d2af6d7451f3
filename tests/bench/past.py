"""A real Prometheus that is given a past, and the rules' own PromQL asked over it."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from story import remote
from story.tape import Key
from wattgov_stack.layout import LOOPBACK, free_ports
from wattgov_stack.processes import Command, Process

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "rules" / "recording"
TIMEOUT_SECONDS = 120.0
POINTS_AT_ONCE = 10_000
"""Prometheus answers at most 11,000 points of a series."""

Samples = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Past:
    """A Prometheus; times are Unix seconds."""

    url: str
    config: Path
    session: requests.Session

    def write(self, series: Mapping[Key, Samples], step: float) -> None:
        """Store series whose samples are *step* seconds apart."""
        end = max(samples[-1][0] for samples in series.values())
        remote.send(f"{self.url}/api/v1/write", series, step, end)

    def ask(self, query: str, at: float) -> list[dict[str, Any]]:
        """Return the answer at one moment."""
        return self._ask("query", {"query": query, "time": at})

    def over(
        self, query: str, start: float, end: float, step: float
    ) -> dict[Key, list[tuple[float, float]]]:
        """Return the series that a query gives, without their name."""
        found: dict[Key, list[tuple[float, float]]] = {}
        while start <= end:
            last = min(end, start + POINTS_AT_ONCE * step)
            words: dict[str, str | float] = {
                "query": query,
                "start": start,
                "end": last,
                "step": step,
            }
            for one in self._ask("query_range", words):
                labels = {name: one["metric"][name] for name in one["metric"] if name != "__name__"}
                samples = [(float(at), float(value)) for at, value in one["values"]]
                found.setdefault(tuple(sorted(labels.items())), []).extend(samples)
            start = last + step
        return found

    def record(self, file: str, start: float, end: float, step: float) -> None:
        """Record the rules of a file, in their order, as if they had run every *step* seconds."""
        groups = yaml.safe_load((RECORDING / file).read_text(encoding="utf-8"))["groups"]
        for rule in (rule for group in groups for rule in group["rules"]):
            more = rule.get("labels", {}) | {"__name__": rule["record"]}
            series = {
                tuple(sorted((dict(labels) | more).items())): samples
                for labels, samples in self.over(rule["expr"], start, end, step).items()
            }
            if series:
                self.write(series, step)

    def reload(self, config: Mapping[str, Any]) -> None:
        """Run on with another configuration."""
        self.config.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
        self.session.post(f"{self.url}/-/reload", timeout=TIMEOUT_SECONDS).raise_for_status()

    def _ask(self, what: str, words: Mapping[str, str | float]) -> list[dict[str, Any]]:
        answer = self.session.post(
            f"{self.url}/api/v1/{what}", data=dict(words), timeout=TIMEOUT_SECONDS
        )
        if not answer.ok:
            raise requests.HTTPError(f"{words['query']}: {answer.text}", response=answer)
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result


@contextmanager
def prometheus(program: str) -> Iterator[Past]:
    """Run a Prometheus that knows nothing yet, and forget it afterwards."""
    port = free_ports().prometheus
    url = f"http://{LOOPBACK}:{port}"
    with tempfile.TemporaryDirectory() as folder, requests.Session() as session:
        session.trust_env = False
        config = Path(folder) / "prometheus.yml"
        config.write_text("global: {}\n", encoding="utf-8")
        words = (
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}/data",
            # One block of years: the head takes samples of any time in any order of series.
            "--storage.tsdb.min-block-duration=3y",
            "--storage.tsdb.max-block-duration=3y",
            "--storage.tsdb.retention.time=100y",
            "--query.max-samples=200000000",
            f"--web.listen-address={LOOPBACK}:{port}",
            "--web.enable-remote-write-receiver",
            "--web.enable-lifecycle",
        )
        process = Process(Command("prometheus", words, f"{url}/-/ready"), Path(folder))
        try:
            process.wait_ready()
            yield Past(url, config, session)
        finally:
            process.stop()


def key(name: str, **labels: str) -> Key:
    """Return the labels of a series."""
    return tuple(sorted({"__name__": name, **labels}.items()))


def held(
    values: Iterable[float], start: float, every: float, step: float
) -> list[tuple[float, float]]:
    """Return samples *step* apart of values that hold for *every* seconds each."""
    repeats = round(every / step)
    return [
        (start + (number * repeats + part) * step, value)
        for number, value in enumerate(values)
        for part in range(repeats)
    ]
