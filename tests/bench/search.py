"""How well the search finds the cheapest cap, on every measured curve that is there.

The curves are published measurements; beside those of the testbed, what lies in ../shared/data is
read where it is. Straight lines between the points are the truth; every sample has noise, seeded.
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

from actuator.plants import Card, best_within, outcome
from testbed.curves import A40, V100, CapCurve
from wattgov_actuator.laws.minimise import Minimise

DATA = Path(__file__).parents[3] / "shared" / "data" / "power_cap"
BOARDS_WATTS = {"v100": 250.0, "p100": 250.0}  # the highest limit of the boards of these traces
LOWEST = 0.25  # of the highest limit
NOISES = (0.0, 0.01)
SLOWDOWNS = (0.05, 0.10, 0.25)
ENOUGH = 0.03
TICKS = 900
LAW = Minimise("energy", work="work", load="load")


@dataclass(frozen=True, slots=True)
class Score:
    """One search."""

    curve: str
    gap: float  # energy above the best that the budget allows
    over: float  # throughput lost beyond the budget where it rests
    briefly_over: float  # and at the worst probe
    minutes: float  # until it rested


def show(console: Console) -> None:
    """Search every curve and print."""
    curves = [A40, V100, *_published(), *_serving()]
    title = f"search on {len(curves)} measured curves, a sample every 15 s"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    columns = ("budget", "noise", "mean gap", "worst gap", "within 3 %", "rests over", "probe over")
    for column in (*columns, "minutes"):
        table.add_column(column, justify="right", no_wrap=True)
    with console.status("searching ..."):
        for slowdown in SLOWDOWNS:
            for noise in NOISES:
                scores = [score(curve, slowdown, noise) for curve in curves]
                table.add_row(f"{slowdown:.0%}", f"{noise:.1%}", *_cells(scores))
    console.print(table)
    if not DATA.is_dir():
        console.print(f"{DATA} is not there: only the two curves of the testbed were searched")


def score(curve: CapCurve, slowdown: float, noise: float) -> Score:
    """Search one curve."""
    low = max(LOWEST, curve.points[0][0])
    card = Card(curve, noise, seed=zlib.crc32(curve.name.encode()), low=low)
    found = outcome(replace(LAW, slowdown=slowdown), card, TICKS)
    allowed = curve.at(1.0)[0] * (1 - slowdown)
    return Score(
        curve.name,
        found.energy / best_within(curve, slowdown, low) - 1,
        max(allowed - found.work, 0.0),
        max(allowed - found.least_work, 0.0),
        (found.rest_seconds or 0.0) / 60,
    )


def _cells(scores: list[Score]) -> Iterator[str]:
    gaps = [each.gap for each in scores]
    yield f"{statistics.fmean(gaps):.2%}"
    yield f"{max(gaps):.2%}"
    yield f"{sum(gap <= ENOUGH for gap in gaps)} of {len(gaps)}"
    yield f"{max(each.over for each in scores):.2%}"
    yield f"{max(each.briefly_over for each in scores):.2%}"
    yield f"{statistics.median(each.minutes for each in scores):.0f}"


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
