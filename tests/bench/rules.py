"""What all rules cost: their evaluation time and their series, for a hundred nodes.

A real Prometheus is given what a hundred nodes would have exported, and the past that the long
windows look at; then it evaluates the rules on its own clock. Every value is made up.
"""

import random
import re
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from fleet import Fleet, Line, lines
from past import ROOT, Past, prometheus
from story.replay import rules as in_order
from story.tape import Key
from testbed.exposition import FIRST_TOKEN_SECONDS, INTER_TOKEN_SECONDS, REQUEST_SECONDS

FLEET = Fleet(nodes=100, gpus=8, apps=20, engines=2)
SCRAPE_SECONDS = 15.0
WINDOW_SECONDS = 345.0
AHEAD_SECONDS = 210.0
"""What is scraped while the rules are watched is stored before, for a quiet machine."""
WATCHED_SECONDS = 126.0  # the slowest group is evaluated every 2 minutes
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
SHOWN = 10
LIMIT = 0.05
BUCKETS = len(REQUEST_SECONDS) + len(FIRST_TOKEN_SECONDS) + len(INTER_TOKEN_SECONDS) + 3
"""Of an engine, each histogram's +Inf included."""

FORMULA = {
    "cluster": (1, 249, "249"),
    "apps": (FLEET.apps, 3 * BUCKETS + 77, "3 x buckets + 77"),
    "engines": (FLEET.nodes * FLEET.engines, 22, "22"),
    "nodes": (FLEET.nodes, 68, "68"),
}
"""How many there are, and how many series each has. A node has three components, two apps, `_other`
and `_unattributed`; buckets are kept of a job's targets together, with their app's name, and of the
engines that were chosen."""
RECORDING, ALERTING = ROOT / "rules" / "recording", ROOT / "alerting" / "rules"

PAST = (
    (r"cluster:\w+:avg1h|cluster:spend:rate5m", 30 * DAY, MINUTE),
    (r"cluster:(energy_joules|carbon_grams):rate5m|app:serving_requests:rate5m", 9 * DAY, 240.0),
    (r"app:(energy_joules|joules_per_token):rate5m", 9 * DAY, 240.0),
    (r"instance_component:energy_joules:rate5m", DAY, SCRAPE_SECONDS),
    (r"(app|app_model|model|cluster):.*", 0.0, SCRAPE_SECONDS),
)
"""How far back, and how often, a recorded series is there; its last hour is always whole."""
LEARNED = {"forecast.yml": (8.9 * DAY, 4 * MINUTE), "anomaly.yml": (27 * HOUR, MINUTE)}
"""These are evaluated over their past, since they learn from themselves."""

Group = tuple[str, str, float]
"""File, name and interval in seconds."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Evaluation times by group, the server's part of a processor, and alerts that were raised."""

    groups: Mapping[Group, Sequence[float]]
    busy: float
    raised: int


RECORDED = '{__name__=~".+:.+|energy_optimization.+", __name__!~"vllm:.+"}'


def show(console: Console) -> None:
    """Measure and print."""
    program = shutil.which("prometheus")
    if program is None:
        console.print("Rules: not measured, prometheus is not installed")
        return
    with prometheus(program) as past:
        with console.status("making the past of a hundred nodes ..."):
            fleet = list(lines(FLEET))
            _make_past(past, fleet, _now())
            now = _now()
            past.write(_scraped(fleet, now - WINDOW_SECONDS, now + AHEAD_SECONDS), SCRAPE_SECONDS)
        files = [f"{RECORDING}/*.yml", f"{ALERTING}/*.yml"]
        with console.status("watching the rules ..."):
            past.reload({"global": {"evaluation_interval": "15s"}, "rule_files": files})
            watched = _watch(past, WATCHED_SECONDS)
        recorded = past.ask(RECORDED, time.time())
    _show_times(console, watched)
    _show_series(console, [one["metric"]["__name__"] for one in recorded], len(fleet))


def _now() -> float:
    return time.time() // SCRAPE_SECONDS * SCRAPE_SECONDS


def _scraped(
    fleet: Sequence[Line], start: float, end: float
) -> dict[Key, list[tuple[float, float]]]:
    return {line.labels: line.samples(start, end, SCRAPE_SECONDS) for line in fleet}


def _make_past(past: Past, fleet: Sequence[Line], now: float) -> None:
    """Record every rule once, a month ago, and go on from there for those that look back."""
    then = now - 32 * DAY
    past.write(_scraped(fleet, then - WINDOW_SECONDS, then), SCRAPE_SECONDS)
    chance = random.Random(20261120)
    for rule in in_order(RECORDING):
        more = rule.get("labels", {}) | {"__name__": rule["record"]}
        found = {
            tuple(sorted((one["metric"] | more).items())): float(one["value"][1])
            for one in past.ask(rule["expr"], then)
        }
        back = next(
            (one[1:] for one in PAST if re.fullmatch(one[0], rule["record"])),
            None,
        )
        if found:
            past.write({labels: [(then, value)] for labels, value in found.items()}, HOUR)
        learned = re.match(r"cluster:forecast|app:anomaly|app:power_lost", rule["record"])
        if found and back and not learned:
            times = list(_times(now, *back))
            past.write(
                {
                    labels: [(at, value * chance.gauss(1.0, 0.02)) for at in times]
                    for labels, value in found.items()
                },
                HOUR,
            )
    for file, (reach, step) in LEARNED.items():
        past.record(file, (now - reach) // step * step, now - MINUTE, step)


def _times(now: float, reach: float, step: float) -> Iterator[float]:
    """Yield times: *reach* back by *step*, the last hour or so by every scrape."""
    whole = now - 70 * MINUTE
    if reach:
        at = now - reach
        while at < whole:
            yield at
            at += step
    at = whole
    while at < now:
        yield at
        at += SCRAPE_SECONDS


def _watch(past: Past, seconds: float) -> Watched:
    """Return how long each evaluation of each group took, and what all of it cost."""
    seen: dict[Group, dict[str, float]] = {}
    start, spent = time.monotonic(), _cpu_seconds(past)
    end = start + seconds
    while time.monotonic() < end:
        time.sleep(4.0)
        answer = past.session.get(f"{past.url}/api/v1/rules", timeout=60)
        answer.raise_for_status()
        for group in answer.json()["data"]["groups"]:
            name = group["file"].rpartition("/")[2], group["name"], float(group["interval"])
            broken = [rule["lastError"] for rule in group["rules"] if rule.get("lastError")]
            if broken:
                raise RuntimeError(f"{name}: {broken[0]}")
            if group["evaluationTime"]:
                seen.setdefault(name, {})[group["lastEvaluation"]] = group["evaluationTime"]
    busy = (_cpu_seconds(past) - spent) / (time.monotonic() - start)
    raised = past.ask('count(ALERTS{alertname!="DeadMansSwitch"}) or vector(0)', time.time())
    groups = {name: list(times.values()) for name, times in seen.items()}
    return Watched(groups, busy, int(raised[0]["value"][1]))


def _cpu_seconds(past: Past) -> float:
    """Return the processor time that the server has used, as it says itself."""
    answer = past.session.get(f"{past.url}/metrics", timeout=60)
    answer.raise_for_status()
    found = re.search(r"^process_cpu_seconds_total (\S+)$", answer.text, re.MULTILINE)
    if found is None:
        raise RuntimeError("Prometheus does not tell its process_cpu_seconds_total")
    return float(found[1])


def _show_times(console: Console, watched: Watched) -> None:
    groups = watched.groups
    table = Table(
        title=f"{FLEET.nodes} nodes x {FLEET.gpus} GPUs x {FLEET.apps} models: evaluation of rules",
        box=box.SIMPLE_HEAD,
    )
    for column in ("group", "every", "evaluations", "median ms", "worst ms", "of interval"):
        table.add_column(column, justify="left" if column == "group" else "right", no_wrap=True)
    parts = {name: statistics.median(times) / name[2] for name, times in groups.items() if times}
    for name in sorted(parts, key=lambda one: -parts[one])[:SHOWN]:
        _, group, interval = name
        times = groups[name]
        table.add_row(
            *(group, f"{interval:.0f} s", str(len(times))),
            *(f"{1e3 * statistics.median(times):.1f}", f"{1e3 * max(times):.1f}"),
            f"{100 * parts[name]:.2f} %",
        )
    total = sum(parts.values())
    table.add_section()
    table.add_row(f"all {len(parts)} groups", "", "", "", "", f"{100 * total:.2f} %", style="bold")
    console.print(table)
    worst = max(parts.values())
    console.print(
        f"  Below {100 * LIMIT:.0f} %: the worst group, with {100 * worst:.2f} % of its interval: "
        f"{'yes' if worst < LIMIT else 'NO'}; all one after the other, with\n"
        f"  {100 * total:.2f} %: {'yes' if total < LIMIT else 'NO'}. Of one processor "
        f"Prometheus used {100 * watched.busy:.1f} % meanwhile; {watched.raised} alerts were "
        "raised.\n"
    )


def _show_series(console: Console, names: Sequence[str], raw: int) -> None:
    counted = Counter(map(_kind, names))
    table = Table(title="Series that the rules record", box=box.SIMPLE_HEAD)
    for column in ("", "there are", "series of each", "predicted", "counted"):
        table.add_column(column, justify="right" if column else "left")
    for kind, (there, each, formula) in FORMULA.items():
        row = (f"{there:,}", formula, f"{there * each:,}", f"{counted[kind]:,}")
        table.add_row(kind, *row)
    predicted = sum(there * each for there, each, _ in FORMULA.values())
    table.add_section()
    table.add_row("all", "", "", f"{predicted:,}", f"{len(names):,}", style="bold")
    console.print(table)
    console.print(f"  {BUCKETS} buckets an engine; {raw:,} series are scraped\n")


def _kind(name: str) -> str:
    """Return what a series is one of."""
    level = name.partition(":")[0]
    if level in {"cluster", "rule"} or name.startswith(("energy_optimization", "energy:cluster")):
        return "cluster"
    if level in {"app", "app_model", "app_share", "job", "job_app", "model", "energy"}:
        return "apps"
    return "engines" if ":serving_" in name else "nodes"


if __name__ == "__main__":
    show(Console(width=100))
