"""How well the search finds the cheapest cap, on every measured curve that is there.

The curves are published measurements; beside those of the testbed, what lies in ../shared/data is
read where it is. Straight lines between the points are the truth; every sample has noise, seeded.
What nobody measured is a vertical cliff: the search falls off some invented ones, too.
"""

import csv
import statistics
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from actuator.invented import cliff
from actuator.plants import TICK_SECONDS, Card, best_within, outcome
from testbed.curves import A40, V100, CapCurve
from wattgov_actuator.laws.minimise import Minimise
from wattgov_actuator.rules import STRATEGIES

DATA = Path(__file__).parents[3] / "shared" / "data" / "power_cap"
BOARDS_WATTS = {"v100": 250.0, "p100": 250.0}  # the highest limit of the boards of these traces
LOWEST = 0.25  # of the highest limit
TICKS = {0.0: 900, 0.01: 3500, 0.03: 5000}  # by noise of a sample; the noisier, the longer
SLOWDOWNS = {name: each.slowdown.value / 100 for name, each in STRATEGIES.items()}
CLIFFS = ((0.88, 0.2), (0.67, 0.06), (0.67, 0.2), (0.47, 0.5))  # where, and the height
ENOUGH = 0.03
WORTH_TELLING = 0.001  # of the throughput, beyond the budget
LAW = Minimise("energy", work="work", load="load")


@dataclass(frozen=True, slots=True)
class Score:
    """One search."""

    curve: str
    gap: float  # energy above the best that the budget allows
    over: float  # throughput lost beyond the budget where it rests
    briefly_over: float  # and at the worst probe
    over_seconds: float  # the longest stay beyond the budget
    probes: int
    minutes: float  # until it rested


def show(console: Console) -> None:
    """Search every curve and print."""
    curves = [A40, V100, *_published(), *_serving()]
    title = f"search on {len(curves)} measured curves, a sample every {TICK_SECONDS:g} s"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    gaps = ("mean gap", "worst gap", "within 3 %", "rests over", "probe over")
    for column in ("budget", "noise", *gaps, "probes", "minutes", "longest"):
        table.add_column(column.replace(" ", "\n", 1), justify="right", no_wrap=True)
    told: list[tuple[str, ...]] = []
    with console.status("searching ..."):
        for name, slowdown in SLOWDOWNS.items():
            for noise in TICKS:
                scores = [score(curve, slowdown, noise) for curve in curves]
                table.add_row(f"{slowdown:.0%}", f"{noise:.0%}", *_cells(scores))
                told += [_told(name, noise, each) for each in scores if _over(each)]
    console.print(table)
    _print(console, "probes beyond the budget by more than 0.1 points, on measured curves", told)
    fallen = [
        _told(name, 0.0, score(cliff(*each), slowdown, 0.0))
        for name, slowdown in SLOWDOWNS.items()
        for each in CLIFFS
    ]
    _print(console, "vertical cliffs, which nothing foretells", fallen)
    if not DATA.is_dir():
        console.print(f"{DATA} is not there: only the two curves of the testbed were searched")


def score(curve: CapCurve, slowdown: float, noise: float) -> Score:
    """Search one curve."""
    low = max(LOWEST, curve.points[0][0])
    card = Card(curve, noise, seed=zlib.crc32(curve.name.encode()), low=low)
    found = outcome(replace(LAW, slowdown=slowdown), card, TICKS[noise])
    allowed = curve.at(1.0)[0] * (1 - slowdown)
    over = [ticks for cap, ticks in found.visits if curve.at(cap)[0] < allowed - 1e-9]
    return Score(
        curve.name,
        found.energy / best_within(curve, slowdown, low) - 1,
        max(allowed - found.work, 0.0),
        max(allowed - found.least_work, 0.0),
        max(over, default=0) * TICK_SECONDS,
        len(found.path),
        (found.rest_seconds or 0.0) / 60,
    )


def _cells(scores: list[Score]) -> Iterator[str]:
    gaps, minutes = [each.gap for each in scores], [each.minutes for each in scores]
    yield f"{statistics.fmean(gaps):.2%}"
    yield f"{max(gaps):.2%}"
    yield f"{sum(gap <= ENOUGH for gap in gaps)} of {len(gaps)}"
    yield f"{max(each.over for each in scores):.2%}"
    yield f"{max(each.briefly_over for each in scores):.2%}"
    yield f"{statistics.median(each.probes for each in scores):.0f}"
    yield f"{statistics.median(minutes):.0f}"
    yield f"{max(minutes):.0f}"


def _over(one: Score) -> bool:
    return one.briefly_over > WORTH_TELLING


def _told(strategy: str, noise: float, one: Score) -> tuple[str, ...]:
    over = f"{100 * one.briefly_over:.2f}"
    return one.curve, strategy, f"{noise:.0%}", over, f"{one.over_seconds:.0f}", f"{one.gap:.2%}"


def _print(console: Console, title: str, rows: list[tuple[str, ...]]) -> None:
    """Print searches one by one."""
    if not rows:
        console.print(f"{title}: none")
        return
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for column in ("curve", "strategy", "noise", "points over", "seconds", "gap"):
        table.add_column(column, no_wrap=column != "curve")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _curve(name: str, points: list[tuple[float, float, float]]) -> CapCurve:
    """Return a curve relative to its highest point."""
    points.sort()
    whole, work, energy = points[-1]
    return CapCurve(name, tuple((at / whole, w / work, e / energy) for at, w, e in points))


def _published() -> Iterator[CapCurve]:
    """Yield a curve for each training job of Zeus' traces, and the medians of other sweeps."""
    for board, watts in BOARDS_WATTS.items():
        jobs = defaultdict(list)
        for row in _rows(f"zeus_summary_power_{board}.csv"):
            job = (row["dataset"], row["network"], row["batch_size"], row["optimizer"])
            seconds, draw = float(row["time_per_epoch"]), float(row["average_power"])
            jobs[job].append((float(row["power_limit"]) / watts, 1 / seconds, draw * seconds))
        for job, points in jobs.items():
            yield _curve(f"{board} {' '.join(job)}", points)
    sweeps = defaultdict(list)
    for row in _rows("rel_power_cap_curves.csv"):
        point = ("cap_frac_of_max", "rel_throughput", "rel_energy_per_work")
        at, work, energy = (float(row[key]) for key in point)
        sweeps[row["gpu"], row["workload"]].append((at, work, energy))
    for sweep, points in sweeps.items():
        yield _curve(" ".join(sweep), points)


def _serving() -> Iterator[CapCurve]:
    """Yield a curve for each model that ML.ENERGY served, over its batch instead of a cap."""
    models = defaultdict(list)
    for row in _rows("mlenergy_v3_llm_h100.csv"):
        keys = ("task", "model", "weight_precision", "num_gpus", "tp", "ep", "dp")
        work, energy = float(row["throughput_tok_s"]), float(row["energy_per_token_j"])
        models[tuple(row[key] for key in keys)].append((float(row["max_num_seqs"]), work, energy))
    for model, points in models.items():
        if len(points) > 2:  # fewer are no curve
            yield _curve(" ".join(model), points)


def _rows(name: str) -> Iterator[dict[str, str]]:
    path = DATA / name
    if path.exists():
        with path.open(newline="") as file:
            yield from csv.DictReader(file)
