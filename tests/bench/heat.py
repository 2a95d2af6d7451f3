"""How long a hot card takes to its floor by its own thermometer, Prometheus dead or hanging."""

import random
import statistics
import tempfile
import time
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from actuator.fakes import Canned, FakePrometheus
from actuator.test_run import Actuator
from testbed import nvml
from wattgov_stack.trouble import Trouble

CARDS, ROUNDS = 4, 5
HOT, COOL, FLOOR_WATTS, USUAL_WATTS = 95, 40, 500.0, 700.0
BUDGET_SECONDS, DEADLINE_SECONDS, LOOK_SECONDS = 1.5, 15.0, 0.005
RULES = """\
version: 1
groups:
  - name: gpus
    interval: 1s
    protect: {thermal: {device: {above: 83C, clear: 75C}}}
    rules:
      - {action: trim, expr: quiet, knob: gpu_power_limit, step: -20W, min: 500W}
"""
SILENT = {"stopped": None, "hanging": Canned(b"", hangs=True)}


def show(console: Console) -> None:
    """Measure and print."""
    table = Table(title=f"From heat to knob, by the device: {CARDS} cards", box=box.SIMPLE_HEAD)
    for column in ("Prometheus", "times", "p50 s", "p95 s", "worst s", "asked"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, answer in SILENT.items():
        try:
            with console.status(f"heating, Prometheus {name} ..."):
                seconds = _heated(answer)
        except Trouble as why:
            console.print(f"not measured: heat to knob, Prometheus {name}: {why}")
            continue
        cuts = statistics.quantiles(seconds, n=20, method="inclusive")
        kept = "kept" if cuts[18] <= BUDGET_SECONDS else "missed"
        table.add_row(
            *(name, str(len(seconds)), f"{cuts[9]:.2f}", f"{cuts[18]:.2f}", f"{max(seconds):.2f}"),
            f"p95 {BUDGET_SECONDS:g} s {kept}",
        )
    console.print(table)


def _heated(answer: Canned | None) -> list[float]:
    chance, seconds = random.Random(1), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.yml").write_text(RULES)
        server = FakePrometheus(everything=answer)
        if answer is None:
            server.close()  # nobody listens there any more
        with nvml.VirtualGpus(nvml.build(folder), folder / "gpus", gpus=CARDS) as gpus:
            for card in range(CARDS):
                gpus.set_temperature(card, COOL)
            actuator = Actuator(folder, server.url, gpus, "--enforce")
            try:
                actuator.ready()
                for _ in range(ROUNDS):
                    for card in range(CARDS):
                        time.sleep(chance.random())
                        seconds.append(_until(gpus, card, HOT, FLOOR_WATTS))
                    for card in range(CARDS):
                        _until(gpus, card, COOL, USUAL_WATTS)
            finally:
                actuator.process.terminate()
                if answer is not None:
                    server.close()
                actuator.process.wait()
    return seconds


def _until(gpus: nvml.VirtualGpus, card: int, celsius: int, watts: float) -> float:
    """Set a card's temperature; return the seconds until its limit is *watts*."""
    gpus.set_temperature(card, celsius)
    began = time.monotonic()
    while gpus.card(card).limit_watts != watts:
        if time.monotonic() - began > DEADLINE_SECONDS:
            raise Trouble(f"card {card} at {celsius} C is not at {watts:g} W")
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - began


if __name__ == "__main__":
    show(Console(width=100))
