"""How well the meter counts, against a truth that is known.

Virtual GPUs on a virtual clock draw square waves of random periods; RAPL counters wrap.
Waves are seeded: every run sees the same ones, and no figure depends on this machine.
"""

import math
import random
import statistics
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

import cpu_power
from testbed import nvml
from wattgov_exporter.counters import Counter, Mark, advance
from wattgov_exporter.reading import Component, Meter, Method
from wattgov_exporter.sources.nvml import Nvml

WAVES = 100
WINDOW_SECONDS = 300
PERIOD_SECONDS = (0.2, 60.0)
LOW_WATTS, HIGH_WATTS = 150.0, 600.0
RANGES_JOULES = {"Intel": 262143.32885, "AMD": 65532.610987}


def show(console: Console) -> None:
    """Measure and print."""
    table = Table(title="GPU energy, 150/600 W square waves of 0.2 to 60 s", box=box.SIMPLE_HEAD)
    for column in ("", "p50 error", "p95 error", "worst"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        library = nvml.build(Path(folder))
        with nvml.VirtualGpus(library, Path(folder) / "gpus", gpus=1) as gpus:
            for name, counter in (("energy counter, read every 1 s", True), ("power gauge", False)):
                errors = sorted(_wave_errors(gpus, counter=counter))
                cuts = statistics.quantiles(errors, n=20)
                table.add_row(
                    name, *(f"{100 * one:.3f} %" for one in (cuts[9], cuts[18], errors[-1]))
                )
    console.print(table)
    _show_wraps(console)
    cpu_power.show(console)


def _wave_errors(gpus: nvml.VirtualGpus, *, counter: bool) -> Iterator[float]:
    """Yield the relative error of one window's joules for each wave."""
    chance = random.Random(20261120)
    for _ in range(WAVES):
        gpus.reset(1, clock_ns=10**9)
        gpus.set_fault(0, nvml.Fault.NO_ENERGY_COUNTER, on=not counter)
        nowhere = Path("/nonexistent")
        source = Nvml(nowhere, nowhere, *[lambda: gpus.now_ns() / 1e9] * 2)
        half = chance.uniform(*PERIOD_SECONDS) / 2
        offset = chance.uniform(0, 2 * half)
        steps = _steps(half, offset)
        before = source.read().energies[0].joules
        truth = 0.0
        for watts, seconds, read in steps:
            gpus.set_load(0, watts)
            gpus.advance(seconds)
            truth += watts * seconds
            if read:
                after = source.read().energies[0].joules
        yield abs(after - before - truth) / truth


def _steps(half: float, offset: float) -> Iterator[tuple[float, float, bool]]:
    """Yield (watts, seconds, then read): the wave cut at its edges and at every whole second."""
    edges = [
        edge * half - offset for edge in range(math.ceil((WINDOW_SECONDS + offset) / half) + 1)
    ]
    cuts = sorted({float(second) for second in range(WINDOW_SECONDS + 1)} | set(edges))
    inside = [cut for cut in cuts if 0 <= cut <= WINDOW_SECONDS]
    for begin, end in pairwise(inside):
        high = int((begin + offset + 1e-9) / half) % 2 == 1
        yield HIGH_WATTS if high else LOW_WATTS, end - begin, end == int(end)


def _show_wraps(console: Console) -> None:
    """Print what is lost where RAPL's counter wraps, by ours and by taking it as it is."""
    table = Table(title="RAPL over 6 hours: joules lost at the wraps", box=box.SIMPLE_HEAD)
    for column in (
        "",
        "scrape",
        "watts",
        "wraps",
        "ours, sampling 1 s",
        "raw counter in Prometheus",
    ):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for maker, range_joules in RANGES_JOULES.items():
        for scrape, watts in ((5, 100), (15, 225), (60, 350), (120, 500)):
            truth, ours, raw, wraps = _wrapped(range_joules, watts, scrape)
            table.add_row(
                *(maker, f"{scrape} s", str(watts), str(wraps)),
                *(f"{100 * (1 - ours / truth):.4f} %", f"{100 * (1 - raw / truth):.2f} %"),
            )
    console.print(table)


def _wrapped(range_joules: float, watts: float, scrape: int) -> tuple[float, float, float, int]:
    """Return the truth, our total, what increase() makes of the raw counter, and the wraps."""
    meter = Meter("rapl", Component.CPU, "0", "package", Method.MEASURED, 500.0, range_joules)
    counter, ours, raw, wraps = Counter(Mark(0.0, 0.0)), 0.0, 0.0, 0
    seen = 0.0
    seconds = 6 * 3600 // scrape * scrape
    for second in range(1, seconds + 1):
        shown = watts * second % range_joules
        wraps += shown < watts * (second - 1) % range_joules
        counter, step, _ = advance(counter, meter, shown, float(second))
        ours += step
        if second % scrape == 0:
            raw += shown if shown < seen else shown - seen  # a fall is a reset to increase()
            seen = shown
    return float(watts * seconds), ours, raw, wraps
