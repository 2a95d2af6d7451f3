"""How many faults the anomaly bands find in an app's power, and what they find without one.

The load is measured; watts are made from it as cards make them, idle power plus a part that follows
the load. Faults are injected into copies of the app: watts times a factor, for forty minutes.
"""

import random
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence

import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from past import ROOT, Past, held, key
from story.tape import Key

STEP_SECONDS = 300.0
DAY = 86400.0
IDLE_WATTS, BUSY_WATTS = 600.0, 2400.0
FAULT_SECONDS = 2400.0
EVERY_SECONDS = 12 * 3600.0
FACTORS = (1.1, 1.2, 1.35, 1.5, 2.0, 0.8, 0.65, 0.5)
WARM_SECONDS = 2 * DAY
QUIET_SECONDS = 3600.0
"""Between two faults, since the hour's mean holds the last one for so long."""
STEADY_PERCENT = 2.0
"""How far a steady app (training, a batch) strays by itself: one standard deviation."""

Run = tuple[float, float]
"""The first and the last moment."""


def show(console: Console, past: Past, load: Sequence[float], every: float) -> None:
    """Measure and print."""
    start = 1_600_000_200.0 // DAY * DAY
    highest = max(load)
    follows = [IDLE_WATTS + (BUSY_WATTS - IDLE_WATTS) * rate / highest for rate in load]
    noise = random.Random(20261120)
    steady = [BUSY_WATTS * noise.gauss(1.0, STEADY_PERCENT / 100) for _ in load]
    kinds = {"follows the load": follows, "steady": steady}
    end = start + len(load) * every
    faults = list(_faults(start, end))
    series = {}
    for kind, watts in kinds.items():
        clean = held(watts, start, every, STEP_SECONDS)
        for factor in (1.0, *FACTORS):
            app = f"{kind} x{factor:g}"
            series[key("app:energy_joules:rate5m", app=app)] = [
                (at, value * factor if _inside(at, faults) else value) for at, value in clean
            ]
    past.write(series, STEP_SECONDS)
    past.record("anomaly.yml", start, end - STEP_SECONDS, STEP_SECONDS)
    expression, wait = _alert()
    outside = _runs(past.over("app:anomaly:ratio", start + WARM_SECONDS, end, STEP_SECONDS))
    true = _runs(past.over(expression, start + WARM_SECONDS, end, STEP_SECONDS))
    firing = {
        app: [(begin + wait, last) for begin, last in runs if last - begin >= wait]
        for app, runs in true.items()
    }
    _print_found(console, list(kinds), faults, outside, firing)
    days = (end - start - WARM_SECONDS) / DAY
    for kind in kinds:
        clean = outside.get(f"{kind} x1", [])
        part = sum(last - begin + STEP_SECONDS for begin, last in clean) / (days * DAY)
        console.print(
            f"  {kind}, no fault injected: {100 * part:.2f} % of {days:.0f} days outside the band, "
            f"{len(firing.get(f'{kind} x1', []))} alerts"
        )
    console.print(
        "  seen: outside the band; alert: PowerAnomaly as shipped, which waits before it fires.\n"
    )


def _print_found(
    console: Console,
    kinds: Sequence[str],
    faults: Sequence[Run],
    outside: Mapping[str, Sequence[Run]],
    firing: Mapping[str, Sequence[Run]],
) -> None:
    table = Table(
        title=f"Anomalies: {len(faults)} faults of {FAULT_SECONDS / 60:.0f} min in an app's power",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("watts")
    for kind in kinds:
        table.add_column(f"{kind}: seen", justify="right")
        table.add_column("alert", justify="right")
        table.add_column("after", justify="right")
    for factor in FACTORS:
        row = [f"x {factor:g}"]
        for kind in kinds:
            app = f"{kind} x{factor:g}"
            seen, alerts = _found(faults, outside.get(app, ())), _found(faults, firing.get(app, ()))
            mean = f"{statistics.fmean(alerts) / 60:.0f} min" if alerts else "-"
            row += [f"{100 * len(seen) / len(faults):.0f} %"]
            row += [f"{100 * len(alerts) / len(faults):.0f} %", mean]
        table.add_row(*row)
    console.print(table)


def _alert() -> tuple[str, float]:
    """Return the expression of the alert that is shipped, and how long it must hold."""
    found = yaml.safe_load((ROOT / "alerting/rules/anomaly.yml").read_text(encoding="utf-8"))
    rules = [rule for group in found["groups"] for rule in group["rules"]]
    (alert,) = (rule for rule in rules if rule.get("alert") == "PowerAnomaly")
    minutes = re.fullmatch(r"(\d+)m", str(alert["for"]))
    if minutes is None:
        raise ValueError(f"for: {alert['for']} is not in minutes")
    return str(alert["expr"]), 60.0 * float(minutes[1])


def _runs(found: Mapping[Key, Sequence[tuple[float, float]]]) -> dict[str, list[Run]]:
    """Return by app the first and the last moment of each time without a gap."""
    runs: dict[str, list[Run]] = {}
    for labels, samples in found.items():
        mine = runs.setdefault(dict(labels)["app"], [])
        for at, _ in samples:
            if mine and at - mine[-1][1] <= STEP_SECONDS:
                mine[-1] = (mine[-1][0], at)
            else:
                mine.append((at, at))
    return runs


def _found(faults: Sequence[Run], runs: Sequence[Run]) -> list[float]:
    """Return, of each fault that a run meets, how long after its begin that was."""
    meets = [
        [max(begin, since) - begin for since, last in runs if since < end and last >= begin]
        for begin, end in faults
    ]
    return [min(each) for each in meets if each]


def _faults(start: float, end: float) -> Iterator[Run]:
    chance = random.Random(7)
    begin = start + WARM_SECONDS
    while begin + EVERY_SECONDS <= end:
        at = begin + chance.uniform(0, EVERY_SECONDS - FAULT_SECONDS - QUIET_SECONDS)
        at = at // STEP_SECONDS * STEP_SECONDS
        yield at, at + FAULT_SECONDS
        begin += EVERY_SECONDS


def _inside(at: float, faults: Sequence[Run]) -> bool:
    return any(begin <= at < end for begin, end in faults)
