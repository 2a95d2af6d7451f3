"""What the meter costs: figures side by side in one run, so that ratios hold on a noisy machine.

Eight virtual GPUs, the real exporter sampling once a second. Compared with the cheapest server that
could be written (it sends the same bytes and measures nothing), and with node_exporter when
it is installed.
"""

import http.client
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from testbed import nvml
from wattgov_stack.layout import LOOPBACK, free_ports
from wattgov_stack.processes import Command, Process

SCRAPES = 1000
BACKGROUND_SECONDS = 15.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one server cost."""

    name: str
    series: int
    p50_ms: float
    p99_ms: float
    cpu_seconds: float
    resident_mib: float
    background_percent: float | None


def show(console: Console) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, console.status("measuring ..."):
        costs = list(_costs(Path(folder)))
    floor = costs[0].p50_ms
    table = Table(title=f"{SCRAPES} scrapes each, one kept connection", box=box.SIMPLE_HEAD)
    for column in ("", "series", "p50 ms", "to floor", "p99 ms", "CPU s", "MiB", "rest CPU %"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for one in costs:
        idle = "-" if one.background_percent is None else f"{one.background_percent:.2f}"
        table.add_row(
            *(one.name, str(one.series), f"{one.p50_ms:.2f}", f"{one.p50_ms / floor:.1f}x"),
            *(f"{one.p99_ms:.2f}", f"{one.cpu_seconds:.2f}", f"{one.resident_mib:.1f}", idle),
        )
    console.print(table)


def _costs(folder: Path) -> Iterator[Cost]:
    port = free_ports().exporter
    with (
        nvml.VirtualGpus(nvml.build(folder), folder / "gpus", gpus=8) as gpus,
        _started(_exporter(port, gpus.environment()), folder) as exporter,
    ):
        for card in range(8):
            gpus.set_load(card, 400.0)
        body = _scrape(http.client.HTTPConnection(LOOPBACK, port))
        with _floor(body) as floor_port:
            yield _measure("floor", os.getpid(), floor_port, "/")
        before = _cpu_seconds(exporter.pid)
        time.sleep(BACKGROUND_SECONDS)
        busy = (_cpu_seconds(exporter.pid) - before) / BACKGROUND_SECONDS
        yield _measure("wattgov-exporter", exporter.pid, port, "/metrics", 100 * busy)
    node_exporter = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")
    if node_exporter:
        with _started(
            Command(
                "node",
                (node_exporter, f"--web.listen-address={LOOPBACK}:{port}"),
                f"http://{LOOPBACK}:{port}/",
            ),
            folder,
        ) as node:
            yield _measure("node_exporter", node.pid, port, "/metrics")


def _exporter(port: int, environment: dict[str, str]) -> Command:
    return Command(
        "exporter",
        (sys.executable, "-m", "wattgov_exporter", "run", "--listen", f"{LOOPBACK}:{port}"),
        f"http://{LOOPBACK}:{port}/-/ready",
        tuple(environment.items()),
    )


@contextmanager
def _started(command: Command, folder: Path) -> Iterator[Process]:
    process = Process(command, folder)
    try:
        process.wait_ready()
        yield process
    finally:
        process.stop()


@contextmanager
def _floor(body: bytes) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def _measure(name: str, pid: int, port: int, path: str, background: float | None = None) -> Cost:
    connection = http.client.HTTPConnection(LOOPBACK, port)
    body = _scrape(connection, path)
    before = _cpu_seconds(pid)
    times = []
    for _ in range(SCRAPES):
        began = time.perf_counter()
        _scrape(connection, path)
        times.append(time.perf_counter() - began)
    used = _cpu_seconds(pid) - before
    connection.close()
    cuts = statistics.quantiles(times, n=100)
    series = sum(1 for line in body.splitlines() if line and not line.startswith(b"#"))
    return Cost(name, series, cuts[49] * 1e3, cuts[98] * 1e3, used, _resident(pid), background)


def _scrape(connection: http.client.HTTPConnection, path: str = "/metrics") -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0
