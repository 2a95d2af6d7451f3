"""The CPU model against recorded RAPL, curve by curve. Nothing in it is fitted to a recording.

The recordings are codecarbon's (mlco2/codecarbon, MIT): 30 s at each load, watts from RAPL, and in
the middle of it one look at the load and at the mean clock. Any of that kind that lies in the
folder is judged; a CPU that CPUS does not know is named and left out.
"""

import csv
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from wattgov_exporter.sources.cpu_power import Family, choose

CURVES = Path(__file__).parents[3] / "shared" / "data" / "cpu_power" / "codecarbon_rapl"
CHART_COLUMNS = 44

CPUS = {
    "EPYC 8024P": ("AuthenticAMD", "25", 160, 2, 8),
    "E3-1240 V2": ("GenuineIntel", "6", 58, 9, 4),
    "E5-2620 v3": ("GenuineIntel", "6", 63, 2, 6),
    "Threadripper 1950X": ("AuthenticAMD", "23", 1, 1, 16),
}
"""Vendor, family, model, stepping and cores of a package; all have two threads per core. Of the
last two the maker's data are known here, no recording."""

SUMMED = (1736864122.0, 1736866052.0)
"""Between codecarbon's commits 57114787 and 07fec48c ("Do not read core") on 14 January 2025 its
CPU energy was the package zone plus the core zone inside it, so the cores counted twice. The
recordings of the E3-1240 V2 begin two minutes after the first commit and end before the second."""

Loads = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Point:
    """One load of a curve: what the recorder saw, and the model's watts."""

    load: float
    gigahertz: float
    measured_watts: float
    package_watts: float
    same_zones_watts: float
    no_clock_watts: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One recording; *summed* where its watts are package plus core."""

    name: str
    cpu: str
    summed: bool
    points: Sequence[Point]

    def error(self, watts: Callable[[Point], float]) -> float:
        """Return the mean absolute error relative to what was measured."""
        return statistics.mean(
            abs(watts(point) - point.measured_watts) / point.measured_watts for point in self.points
        )


def show(console: Console) -> None:
    """Measure and print."""
    if not CURVES.is_dir():
        console.print(f"CPU model: not measured, no recorded curves in {CURVES.name}")
        return
    curves = list(_curves(console))
    table = Table(title="CPU model against recorded RAPL: mean absolute error", box=box.SIMPLE_HEAD)
    for column in ("curve", "as recorded", "same zones", "no clock", "scaled by the other CPUs"):
        table.add_column(column, justify="left" if column == "curve" else "right")
    for curve in curves:
        scale = _scale([other for other in curves if other.cpu != curve.cpu])
        table.add_row(
            curve.name,
            _percent(curve.error(lambda point: point.package_watts)),
            _percent(curve.error(lambda point: point.same_zones_watts)),
            _percent(curve.error(lambda point: point.no_clock_watts)),
            "-" if scale is None else f"x {scale:.2f}: {_percent(_scaled(curve, scale))}",
        )
    for cpu in sorted({curve.cpu for curve in curves}):
        mine = [
            curve.error(lambda point: point.same_zones_watts)
            for curve in curves
            if curve.cpu == cpu
        ]
        table.add_row(f"{cpu}, mean", "", _percent(statistics.mean(mine)), "", "")
    console.print(table)
    console.print(
        "as recorded: the model's package against what the file says. same zones: where the\n"
        "recorder added the core zone to the package that holds it, so does the model. no clock:\n"
        "the same, where the clock cannot be read. scaled: one factor for all watts, fitted to\n"
        "the other CPUs: what a fit to recordings would bring.\n"
    )
    for curve in curves:
        _chart(console, curve)


def _chart(console: Console, curve: Curve) -> None:
    """Print one line per load: a bar is what was measured, the mark is the model."""
    zones = "package + core, as recorded" if curve.summed else "package"
    table = Table(title=f"{curve.name}: {zones}; bar measured, mark model", box=box.SIMPLE_HEAD)
    for column in ("load", "GHz", "measured", "model", "error"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("W", no_wrap=True)
    watts = [
        watts for point in curve.points for watts in (point.measured_watts, point.same_zones_watts)
    ]
    per_column = max(watts) / (CHART_COLUMNS - 1)
    for point in curve.points:
        model = point.same_zones_watts
        bar = list("█" * round(point.measured_watts / per_column))
        bar += [" "] * (CHART_COLUMNS - len(bar))
        bar[round(model / per_column)] = "◆"
        table.add_row(
            *(f"{100 * point.load:.0f} %", f"{point.gigahertz:.1f}"),
            *(f"{point.measured_watts:.1f} W", f"{model:.1f} W"),
            f"{100 * (model / point.measured_watts - 1):+.0f} %",
            "".join(bar),
        )
    console.print(table)


def _curves(console: Console) -> Iterator[Curve]:
    for path in sorted(CURVES.glob("*.csv")):
        rows = list(csv.DictReader(path.read_text().splitlines()))
        brand = rows[0]["cpu_name"]
        cpu = next((name for name in CPUS if name in brand), None)
        if cpu is None:
            console.print(f"CPU model: {brand} is not in CPUS, {path.name} is left out")
            continue
        vendor, number, model, stepping, cores = CPUS[cpu]
        family = choose(vendor, number, model, stepping, brand)
        threads = max(int(row["cores_used"]) for row in rows)  # all, at the last load of a curve
        summed = SUMMED[0] <= float(rows[0]["timestamp"]) <= SUMMED[1]
        points = [_point(family, row, threads, cores, summed) for row in rows]
        yield Curve(f"{cpu}, {rows[0]['load_type']}", cpu, summed, points)


def _point(family: Family, row: dict[str, str], threads: int, cores: int, summed: bool) -> Point:
    load, gigahertz = float(row["cpu_load"]) / 100, float(row["cpu_freq"]) / 1000
    packages = max(threads // (2 * cores), 1)
    if row["load_type"] == "some_cores":
        loads = _spread(int(row["cores_used"]), packages * cores)
    else:
        loads = [(load, load)] * (packages * cores)
    parts = [loads[first : first + cores] for first in range(0, len(loads), cores)]
    return Point(
        load,
        gigahertz,
        measured_watts=float(row["rapl_energy"]) * 3.6e6 / float(row["duration"]),
        package_watts=sum(family.package_watts(part, gigahertz) for part in parts),
        same_zones_watts=sum(_zones_watts(family, part, gigahertz, summed) for part in parts),
        no_clock_watts=sum(_zones_watts(family, part, None, summed) for part in parts),
    )


def _zones_watts(family: Family, cores: Loads, gigahertz: float | None, summed: bool) -> float:
    """Return the model's watts of the zones that were recorded."""
    twice = family.cores_watts(cores, gigahertz) if summed else 0.0
    return family.package_watts(cores, gigahertz) + twice


def _spread(busy: int, cores: int) -> Loads:
    """Return the loads of so many full threads, spread over cores first, as Linux does."""
    return [(float(core < busy), float(cores + core < busy)) for core in range(cores)]


def _scale(curves: Sequence[Curve]) -> float | None:
    """Return the factor on all watts that fits these curves best."""
    if not curves:
        return None
    factors = [hundredth / 100 for hundredth in range(50, 201)]
    return min(factors, key=lambda one: sum(_scaled(curve, one) for curve in curves))


def _scaled(curve: Curve, factor: float) -> float:
    return curve.error(lambda point: factor * point.same_zones_watts)


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %"
