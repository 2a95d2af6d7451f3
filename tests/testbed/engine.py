"""The virtual serving engine as a process: vLLM's metrics outside, virtual GPUs underneath."""

import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic

import click
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from testbed import arrivals, exposition, nvml, web
from testbed.serving import MAX_SEQUENCES, demand_watts
from testbed.simulation import STEP_SECONDS, Simulation

MEMORY_BYTES = 60 << 30
"""Weights and KV cache, held on each card from start to end."""

MEMORY_BUSY = 0.5
"""Memory utilisation beside SM utilisation; assumed."""

SAMPLE_STEPS = 10
"""The driver samples a process every 200 ms; NVML says a sixth of a second to a second."""

LATE_SECONDS = 1.0
"""A process held up for longer than this loses the time: nobody was served, nobody came."""


class Engine(Collector):
    """Steps the simulation in real time, against the caps in force; renders it on request."""

    def __init__(
        self, gpus: nvml.VirtualGpus, simulation: Simulation, model: str, clock: Callable[[], float]
    ) -> None:
        self._gpus = gpus
        self._simulation = simulation
        self._model = model
        self._clock = clock
        self._cards = range(len(simulation.lanes))
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Serve until *stop* is set, then leave the cards idle and empty."""
        for card in self._cards:
            self._gpus.hold(card, self._pid, MEMORY_BYTES, follow=True)
        began = self._clock() - self._simulation.seconds
        ticks = 0
        while True:
            late = self._clock() - began - self._simulation.seconds
            if late > LATE_SECONDS:
                began += late - LATE_SECONDS
                late = LATE_SECONDS
            if stop.wait(max(STEP_SECONDS - late, 0.0)):
                break
            self.tick(int(late / STEP_SECONDS) or 1, sample=ticks % SAMPLE_STEPS == 0)
            ticks += 1
        for card in self._cards:
            self._gpus.set_load(card, 0.0, busy=0.0)
            self._gpus.release(card, self._pid)

    def tick(self, steps: int = 1, *, sample: bool) -> None:
        """Read the caps in force, serve *steps* steps under them, and load the cards with it."""
        throughputs = [self._gpus.card(card).relative_throughput for card in self._cards]
        with self._lock:
            for _ in range(steps):
                self._simulation.step(throughputs)
        for card in self._cards:
            batch = len(self._simulation.lanes[card].running)
            busy = self._simulation.busy(card)
            watts = demand_watts(batch) if batch else 0.0
            self._gpus.set_load(card, watts, busy, busy * MEMORY_BUSY)
            if sample:
                percents = round(busy * 100), round(busy * MEMORY_BUSY * 100)
                self._gpus.sample(card, self._pid, *percents)

    def collect(self) -> list[Metric]:
        """Return the metrics of this moment, all of one step."""
        with self._lock:
            simulation = self._simulation
            return list(exposition.families(self._model, simulation.lanes, simulation.totals))


def _attach(state: Path, cards: int) -> nvml.VirtualGpus:
    gpus = nvml.VirtualGpus(nvml.build(state.parent), state, cards)
    if cards > gpus.count():
        raise ValueError(f"{state}: the node has {gpus.count()} cards, not {cards}")
    return gpus


def _routes(engine: Engine) -> Mapping[str, web.Route]:
    registry = CollectorRegistry()
    registry.register(engine)
    return {
        "/metrics": lambda _: web.Answer(generate_latest(registry), content_type=web.METRICS_TYPE),
        "/health": lambda _: web.Answer(b""),
    }


@click.command("engine")
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The node's file; the fake driver is built beside it.",
)
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="0 takes a free one.")
@click.option("--gpus", "cards", type=click.IntRange(1, 16), default=4, show_default=True)
@click.option(
    "--trace",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=arrivals.DEFAULT,
    help="Arrivals: TIMESTAMP,ContextTokens,GeneratedTokens; repeated for ever.",
)
@click.option("--model", default="meta-llama/Llama-3.1-8B-Instruct", show_default=True)
@click.option("--max-num-seqs", type=click.IntRange(1), default=MAX_SEQUENCES, show_default=True)
def command(state: Path, port: int, cards: int, trace: Path, model: str, max_num_seqs: int) -> None:
    """Serve a model on virtual GPUs until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        requests = arrivals.looped(arrivals.read(trace))
        gpus = _attach(state, cards)
        engine = Engine(gpus, Simulation(requests, cards, max_num_seqs), model, monotonic)
        with web.serving(port, _routes(engine)) as bound:
            click.echo(f"http://127.0.0.1:{bound}/metrics")
            engine.run(stop)
    except (OSError, RuntimeError, ValueError) as error:
        raise click.ClickException(str(error)) from error
