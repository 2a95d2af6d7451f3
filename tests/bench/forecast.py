"""How well the forecast and the anomaly bands do on measured data.

The expressions are those of rules/recording/forecast.yml and anomaly.yml, evaluated by a real
Prometheus over the recorded past; so are those that they are compared with. Nothing is fitted here.
"""

import csv
import shutil
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table

import anomaly
from past import Past, held, key, prometheus

DATA = Path(__file__).parents[3] / "shared" / "data"
HOURS = {"1h": 1, "6h": 6, "24h": 24}
STEP_SECONDS = 600.0
HOUR = 3600.0
DAY = 86400.0
WINDOWS = ("1h", "6h", "24h")
SPAN_DAYS = 182


@dataclass(frozen=True, slots=True)
class Recorded:
    """A measured past: one value for each *every* seconds, of a series that the rules read."""

    name: str
    series: str
    signal: str
    values: Sequence[float]
    every: float


def show(console: Console) -> None:
    """Measure and print."""
    program = shutil.which("prometheus")
    if program is None:
        console.print("Forecast: not measured, prometheus is not installed")
        return
    recorded = list(_recorded())
    if not recorded:
        console.print(f"Forecast, anomalies: not measured, no recorded data in {DATA.parent.name}/")
        return
    table = Table(
        title="Forecast on measured data: mean |forecast - truth| / truth",
        box=box.SIMPLE_HEAD,
    )
    for column in ("", "past", "ahead", "ours", "last", "ratio", "linear", "weights"):
        justify: JustifyMethod = "right" if column not in {"", "past"} else "left"
        table.add_column(column, justify=justify, no_wrap=True)
    for one in recorded:
        with prometheus(program) as past, console.status(f"forecasting {one.name} ..."):
            for row in _rows(past, one):
                table.add_row(*row)
        table.add_section()
    console.print(table)
    console.print(
        "  last: the last value. ratio: ours to it, below 1 ours is nearer.\n"
        "  linear: predict_linear, the best of windows of 1 h, 6 h and 24 h.\n"
        "  weights: last/day/week in percent, at the end.\n"
    )
    load = next((one for one in recorded if one.signal == "requests"), None)
    if load is not None:
        with prometheus(program) as past, console.status("looking for anomalies ..."):
            anomaly.show(console, past, load.values, load.every)


def _recorded() -> Iterator[Recorded]:
    """Yield what lies in the data folder; any grid and any load of these formats is taken."""
    for file in sorted((DATA / "carbon").glob("emaps_*_hourly.csv")):
        with file.open(encoding="utf-8") as lines:
            grams = [float(row["ci_lca_g_per_kwh"]) for row in csv.DictReader(lines)]
        name = file.stem.removeprefix("emaps_").removesuffix("_hourly").replace("_", " ")
        yield Recorded(
            f"grid {name}", "cluster:carbon_grams:rate5m", "carbon", grams[: SPAN_DAYS * 24], HOUR
        )
    for file in sorted((DATA / "llm_traces").glob("servegen_*_10min.csv")):
        with file.open(encoding="utf-8") as lines:
            rates = [float(row["rate_rps"]) for row in csv.DictReader(lines)]
        name = file.stem.removesuffix("_total_10min").replace("_", " ")
        yield Recorded(f"load {name}", "app:serving_requests:rate5m", "requests", rates, 600.0)


def _rows(past: Past, one: Recorded) -> Iterator[tuple[str, ...]]:
    """Yield the lines of the table for one past."""
    start = 1_600_000_200.0 // DAY * DAY
    labels = {"app": "all"} if one.signal == "requests" else {}
    samples = held(one.values, start, one.every, STEP_SECONDS)
    past.write({key(one.series, **labels): samples}, STEP_SECONDS)
    end = samples[-1][0]
    past.record("forecast.yml", start, end, STEP_SECONDS)
    spans = [("days 3-8", 2 * DAY, 8 * DAY), ("from day 9", 9 * DAY, end - start)]
    truth = f'cluster:forecast_input:rate5m{{signal="{one.signal}"}}'
    for name, first, last in spans:
        for horizon, hours in HOURS.items():

            def error(forecast: str, first: float = first, last: float = last) -> float:
                """Return the mean error, by PromQL, at every full hour."""
                query = f"abs(({forecast}) - {truth}) / ({truth} > 0)"
                found = past.over(query, start + first, start + last, HOUR)
                return statistics.fmean(value for each in found.values() for _, value in each)

            published = (
                f'cluster:forecast_abs_error:ratio{{signal="{one.signal}",horizon="{horizon}"}}'
            )
            found = past.over(published, start + first, start + last, HOUR)
            ours = statistics.fmean(value for each in found.values() for _, value in each)
            flat = error(f"{truth} offset {horizon}")
            lines = [
                error(f"predict_linear({truth}[{window}] offset {horizon}, {hours * 3600})")
                for window in WINDOWS
            ]
            weights = past.ask(
                f'cluster:forecast_weight:ratio{{signal="{one.signal}",horizon="{horizon}"}}',
                start + last,
            )
            shares = {each["metric"]["basis"]: float(each["value"][1]) for each in weights}
            yield (
                *(one.name, name, horizon, f"{100 * ours:.1f} %", f"{100 * flat:.1f} %"),
                *(f"{ours / flat:.2f}", f"{100 * min(lines):.1f} %"),
                "/".join(
                    f"{100 * shares.get(basis, 0.0):.0f}" for basis in ("last", "day", "week")
                ),
            )


if __name__ == "__main__":
    show(Console(width=100))
