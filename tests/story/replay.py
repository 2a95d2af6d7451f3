"""Record the rules over a stored past: what Prometheus would have recorded, had it run then."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
import yaml

from story import remote
from story.tape import Key

TIMEOUT_SECONDS = 60.0
STEP_SECONDS = 15.0
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def rules(*folders: Path) -> list[dict[str, Any]]:
    """Return all rules, each after those whose series it names."""
    found: list[dict[str, Any]] = [
        rule
        for folder in folders
        for file in sorted(folder.glob("*.yml"))
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    by_name: dict[str, list[dict[str, Any]]] = {}
    for rule in found:
        by_name.setdefault(rule["record"] if "record" in rule else rule["alert"], []).append(rule)
    done: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in done:
            return
        done[name] = None  # before its inputs: a rule that names itself is not a knot
        for rule in by_name[name]:
            for word in re.findall(r"[a-zA-Z_][\w:]*", rule["expr"]):
                if word in by_name:
                    visit(word)
        done.pop(name)
        done[name] = None

    for name in by_name:
        visit(name)
    return [rule for name in done for rule in by_name[name]]


def replay(
    base: str, folders: Sequence[Path], start: float, end: float, flush: str | None = None
) -> None:
    """Ask each rule's expression over the past, and store the answer under the rule's name."""
    session = requests.Session()
    session.trust_env = False
    for rule in rules(*folders):
        answer = session.post(
            f"{base}/api/v1/query_range",
            data={"query": rule["expr"], "start": start, "end": end, "step": STEP_SECONDS},
            timeout=TIMEOUT_SECONDS,
        )
        if not answer.ok:
            raise requests.HTTPError(f"{rule}: {answer.text.strip()}", response=answer)
        series = dict(_series(rule, answer.json()["data"]["result"]))
        if series:
            remote.send(f"{base}/api/v1/write", series, STEP_SECONDS, end)
            if flush is not None:
                session.get(f"{base}{flush}", timeout=TIMEOUT_SECONDS).raise_for_status()


def _series(
    rule: Mapping[str, Any], result: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[Key, list[tuple[float, float]]]]:
    seen: set[Key] = set()
    for one in result:
        samples = [(float(at), float(value)) for at, value in one["values"]]
        labels = dict(one["metric"]) | rule.get("labels", {})
        if "record" in rule:
            labels["__name__"] = rule["record"]
        else:
            labels |= {"__name__": "ALERTS", "alertname": rule["alert"], "alertstate": "firing"}
            samples = _firing(samples, _seconds(str(rule.get("for", "0s"))))
        if samples:
            labels = {name: value for name, value in labels.items() if "{{" not in value}
            key = tuple(sorted(labels.items()))
            if "record" in rule and key in seen:
                raise ValueError(f"{key}: recorded twice, which Prometheus and vmalert refuse")
            seen.add(key)
            yield key, samples


def _firing(samples: Sequence[tuple[float, float]], wait: float) -> list[tuple[float, float]]:
    """Keep the moments in which the condition has been true for long enough."""
    kept: list[tuple[float, float]] = []
    since = before = float("-inf")
    for at, _ in samples:
        since = since if at - before <= STEP_SECONDS else at
        before = at
        if at - since >= wait:
            kept.append((at, 1.0))
    return kept


def _seconds(text: str) -> float:
    return sum(
        float(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text)
    )
