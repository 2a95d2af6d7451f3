"""`make demo`: the real exporter, Prometheus and actuator on four virtual GPUs, compared."""

import os
import re
import shutil
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Table

from testbed import arrivals, nvml
from wattgov_stack import configs
from wattgov_stack.ask import direct, look, query
from wattgov_stack.layout import CHECKOUT, LOOPBACK, Layout, Ports
from wattgov_stack.live import Stop, show
from wattgov_stack.processes import Command
from wattgov_stack.stack import Stack
from wattgov_stack.table import render
from wattgov_stack.trouble import Trouble

HERE = Path(__file__).parent
PORTS = Ports(exporter=19470, actuator=19471, alerts=19473, prometheus=19090, alertmanager=19093)
"""Beside those of `make up`, so that both can run."""

WARM_UP_SECONDS = 15.0
SETTLE_SECONDS = 35.0
"""Enough for five steps down, each seen by the latency before the next."""

QUERIES = {
    "joules": 'sum(increase(app_energy_joules_total{app="chat"}[LAP]))'
    ' / sum(increase(vllm:request_success_total{app="chat"}[LAP]))',
    "p95": "histogram_quantile(0.95, "
    'sum by (le) (rate(vllm:e2e_request_latency_seconds_bucket{app="chat"}[LAP])))',
    "watts": "sum(rate(node_gpu_energy_joules_total[LAP]))",
    "requests": 'sum(rate(vllm:request_success_total{app="chat"}[LAP]))',
    "limit": 'avg(node_gpu_power_limit_watts{limit="current"})',
    "target": 'max(app_target_p95_latency_seconds{app="chat"})',
}
"""What is compared, over one lap of the same arrivals each; all of it from Prometheus."""


@dataclass(frozen=True, slots=True)
class Lap:
    """What Prometheus knows of one lap."""

    joules: float
    p95: float
    watts: float
    requests: float
    limit: float
    target: float


@click.command("demo")
@click.option(
    "--lap",
    "lap_seconds",
    type=click.IntRange(20, 600),
    default=45,
    show_default=True,
    help="Seconds of arrivals that are served once ungoverned and once governed.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=CHECKOUT / ".state" / "demo",
    help="Folder for data and logs; emptied first.  [default: .state/demo]",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also draw the last table and the comparison into this SVG file.",
)
def command(lap_seconds: int, state: Path, picture: Path | None) -> None:
    """Serve a model on four virtual GPUs, govern them, compare, and put everything back."""
    console = Console(record=picture is not None)
    stop = Stop()
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    layout = Layout(
        state=state,
        ports=PORTS,
        exporter_config=HERE / "exporter.yml",
        actuator_rules=(HERE / "rules.yml",),
        scrape_seconds=1,
        enforce=True,
        actuator_options=("--run-dir", str(state / "run")),  # these devices are nobody else's
    )
    try:
        good = _play(layout, lap_seconds, console, stop)
    except Trouble as trouble:
        raise click.ClickException(str(trouble)) from trouble
    if picture is not None:
        # Without rich's fonts from the web: a picture fetches nothing.
        drawn = console.export_svg(title="make demo")
        picture.write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL))
    if not good and not stop.asked:
        raise click.ClickException("the demo did not show what it should; see the figures above")


def _play(layout: Layout, lap_seconds: int, console: Console, stop: Stop) -> bool:
    with nvml.VirtualGpus(nvml.build(layout.state), layout.state / "gpus") as gpus:
        cards = range(gpus.count())
        prior = [gpus.card(card).limit_watts for card in cards]
        with Stack(
            layout, os.environ, console.print, extra=tuple(gpus.environment().items())
        ) as stack:
            stack.start(_engine(layout, lap_seconds))

            def phase(name: str, seconds: float) -> None:
                end = time.monotonic() + seconds
                show(
                    stack,
                    console,
                    lambda: f"{name}, {max(end - time.monotonic(), 0):.0f} s to go",
                    stop,
                    lambda: time.monotonic() >= end,
                )

            phase("warming up", WARM_UP_SECONDS)
            phase("one lap at the cards' own limits", lap_seconds)
            before = _lap(layout, lap_seconds) if not stop.asked else None
            stack.start_actuator()
            phase("governed: lowering the limits while p95 has room", SETTLE_SECONDS)
            phase("the same lap, governed", lap_seconds)
            after = _lap(layout, lap_seconds) if not stop.asked else None
            if console.record and after is not None:
                console.export_text(clear=True)
                facts = look(direct(), layout.ports)
                console.print(render(facts, stack.notices, "make demo, governed"))
            stack.stop("actuator")
            back = [gpus.card(card).limit_watts for card in cards]
        restored = back == prior
        if before is None or after is None:
            console.print("stopped before the comparison was complete")
        else:
            console.print(_comparison(before, after))
        console.print(
            f"limits now: {', '.join(f'{watts:g} W' for watts in back)} "
            f"({'as before' if restored else 'NOT as before'})"
        )
        return (
            restored
            and before is not None
            and after is not None
            and after.joules < before.joules
            and after.p95 <= after.target
        )


def _engine(layout: Layout, lap_seconds: int) -> Command:
    """Return the engine's command; a steady trace, so that both laps carry the same load."""
    trace = layout.state / "arrivals.csv"
    arrivals.write(arrivals.synthetic(seconds=lap_seconds, swing=0.0), trace)
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port = free.getsockname()[1]
    configs.target(layout, "chat", f"{LOOPBACK}:{port}")
    words = ("--state", str(layout.state / "gpus"), "--port", str(port), "--trace", str(trace))
    return Command(
        "engine",
        (sys.executable, "-m", "testbed", "engine", *words),
        f"http://{LOOPBACK}:{port}/health",
    )


def _lap(layout: Layout, seconds: int) -> Lap:
    session = direct()
    values = {}
    for name, expr in QUERIES.items():
        answer = query(session, layout.ports.url("prometheus"), expr.replace("LAP", f"{seconds}s"))
        if not answer:
            raise Trouble(f"Prometheus has no {name} of the last {seconds} s; see {layout.state}")
        values[name] = answer[0].value
    return Lap(**values)


def _comparison(before: Lap, after: Lap) -> Table:
    table = Table(
        title="One lap of the same arrivals, from Prometheus",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        min_width=50,
    )
    for name in ("", "own limits", "governed", "change"):
        table.add_column(name, justify="left" if not name else "right")
    rows = (
        ("J/request", before.joules, after.joules, "{:.1f}"),
        ("p95 latency, s", before.p95, after.p95, "{:.2f}"),
        ("GPU watts", before.watts, after.watts, "{:.0f}"),
        ("requests/s", before.requests, after.requests, "{:.2f}"),
        ("power limit, W", before.limit, after.limit, "{:.0f}"),
    )
    for name, old, new, form in rows:
        table.add_row(name, form.format(old), form.format(new), f"{new / old - 1:+.1%}")
    table.caption = (
        f"p95 target {after.target:g} s. The cards are virtual: this shows that the loop works,\n"
        "not what a cap would save on yours."
    )
    return table
