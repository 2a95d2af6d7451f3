"""What the meter costs: figures side by side in one run, so that ratios hold on a noisy machine.

Eight virtual GPUs, the real exporter sampling once a second, and a flock of processes beside it.
Compared with the cheapest server that could be written (it sends the same bytes and measures
nothing), and with the peers that are installed.
"""

import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

import peers
from testbed import nvml
from wattgov_stack.layout import LOOPBACK, free_ports
from wattgov_stack.processes import Command, Process
from wattgov_stack.trouble import Trouble

GPUS = 8
SCRAPES = 1000
BACKGROUND_SECONDS = 15.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SETTLE_SECONDS = 6.0
"""At the first looks all processes are read, and named."""

READ_BYTES = 1 << 20
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
LAST_CHUNK = b"0\r\n\r\n"

FLOCK = Path(__file__).with_name("flock.py")
CURVE = (500, 1000, 2000, 5000, 10_000)
CHART_COLUMNS = 40

NODE = """\
version: 1
apps_by: [command]
budget: {{apps: {apps}}}
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """How many processes there are, of how many apps; *named* of the apps have series.

    0 named is an exporter without a configuration, which loads no YAML (1 MiB) and no OpenSSL (4).
    """

    processes: int
    apps: int
    named: int


SIDE_BY_SIDE = (Scene(40, 5, 0), Scene(500, 5, 0), Scene(500, 200, 200))


@dataclass(frozen=True, slots=True)
class Cost:
    """What one server cost."""

    name: str
    scene: Scene
    series: int
    p50_ms: float
    p99_ms: float
    cpu_seconds: float
    resident_mib: float
    background_percent: float | None


def show(console: Console) -> None:
    """Measure and print."""
    table = Table(title=f"{SCRAPES} scrapes each, one kept connection", box=box.SIMPLE_HEAD)
    for column in (
        "processes",
        "",
        "series",
        "p50 ms",
        "to floor",
        "p99 ms",
        "CPU s",
        "MiB",
        "rest CPU %",
    ):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    absent: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, console.status("measuring ...") as status:
        library = nvml.build(Path(folder))
        for scene in SIDE_BY_SIDE:
            status.update(f"{scene.processes} processes, {scene.named} apps ...")
            costs = list(_costs(Path(folder), library, scene, absent))
            for one in costs:
                _row(table, one, costs[0].p50_ms)
            table.add_section()
    console.print(table)
    for name, why in absent.items():
        console.print(f"not measured: {name}: {why}")
    _show_curve(console)


def _row(table: Table, one: Cost, floor_ms: float) -> None:
    rest = "-" if one.background_percent is None else f"{one.background_percent:.2f}"
    table.add_row(
        *(str(one.scene.processes), one.name, str(one.series), f"{one.p50_ms:.2f}"),
        *(f"{one.p50_ms / floor_ms:.1f}x", f"{one.p99_ms:.2f}", f"{one.cpu_seconds:.2f}"),
        *(f"{one.resident_mib:.1f}", rest),
    )


def _costs(folder: Path, library: Path, scene: Scene, absent: dict[str, str]) -> Iterator[Cost]:
    port = free_ports().exporter
    with _machine(folder, library, scene) as gpus, _flock(scene):
        with _started(_exporter(port, gpus.environment(), folder, scene), folder) as exporter:
            with closing(Scraper(port)) as scraper:
                body = scraper.scrape()
            with _floor(body) as floor_port:
                yield _measure("floor", scene, os.getpid(), floor_port, "/")
            rest = 100 * _background(exporter.pid)
            yield _measure("wattgov-exporter", scene, exporter.pid, port, "/metrics", rest)
        for peer in peers.PEERS:
            try:
                with ExitStack() as stack:
                    command = stack.enter_context(peer.command(port, gpus.environment(), folder))
                    process = stack.enter_context(_started(command, folder))
                    rest = 100 * _background(process.pid)
                    yield _measure(peer.name, scene, process.pid, port, peer.path, rest)
            except (peers.Absent, Trouble) as why:
                absent[peer.name] = str(why)


def _show_curve(console: Console) -> None:
    """Print how the cost of sampling grows with the processes of the machine."""
    table = Table(title="Background against processes, once a second", box=box.SIMPLE_HEAD)
    for column in ("processes", "CPU %", "µs a process", "MiB"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("CPU", no_wrap=True)
    rows: list[tuple[int, float, float]] = []
    with tempfile.TemporaryDirectory() as folder, console.status("measuring ...") as status:
        library = nvml.build(Path(folder))
        for count in CURVE:
            status.update(f"{count} processes ...")
            scene = Scene(count, 20, 0)
            port = free_ports().exporter
            with (
                _machine(Path(folder), library, scene) as gpus,
                _flock(scene),
                _started(
                    _exporter(port, gpus.environment(), Path(folder), scene), Path(folder)
                ) as exporter,
            ):
                rows.append((count, _background(exporter.pid), _resident(exporter.pid)))
    most = max(busy for _, busy, _ in rows)
    for count, busy, resident in rows:
        bar = "█" * max(round(CHART_COLUMNS * busy / most), 1)
        figures = f"{100 * busy:.2f}", f"{1e6 * busy / count:.1f}", f"{resident:.1f}"
        table.add_row(str(count), *figures, bar)
    console.print(table)


@contextmanager
def _machine(folder: Path, library: Path, scene: Scene) -> Iterator[nvml.VirtualGpus]:
    """Give eight busy cards."""
    state = folder / f"gpus-{scene.processes}-{scene.apps}"
    with nvml.VirtualGpus(library, state, gpus=GPUS) as gpus:
        for card in range(GPUS):
            gpus.set_load(card, 400.0)
        yield gpus


@contextmanager
def _flock(scene: Scene) -> Iterator[None]:
    words = [sys.executable, "-S", "-E", str(FLOCK), str(scene.processes), str(scene.apps)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as flock:
        try:
            if flock.stdout is None or not flock.stdout.readline():
                raise Trouble(f"{scene.processes} processes could not be started")
            yield
        finally:
            flock.kill()


def _exporter(port: int, environment: dict[str, str], folder: Path, scene: Scene) -> Command:
    words = [sys.executable, "-m", "wattgov_exporter", "run", "--listen", f"{LOOPBACK}:{port}"]
    if scene.named:
        config = folder / f"exporter-{scene.named}.yml"
        config.write_text(NODE.format(apps=scene.named + 50))
        words += ["--config", str(config)]
    return Command(
        "exporter",
        tuple(words),
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


def _background(pid: int) -> float:
    """Return the part of one core that a server takes while nobody asks it."""
    time.sleep(SETTLE_SECONDS)
    before = _thread_seconds(pid)
    time.sleep(BACKGROUND_SECONDS)
    return (_thread_seconds(pid) - before) / BACKGROUND_SECONDS


def _measure(
    name: str, scene: Scene, pid: int, port: int, path: str, background: float | None = None
) -> Cost:
    with closing(Scraper(port, path)) as scraper:
        body = scraper.scrape()
        before = _cpu_seconds(pid)
        times = []
        for _ in range(SCRAPES):
            began = time.perf_counter()
            scraper.scrape()
            times.append(time.perf_counter() - began)
        used = _cpu_seconds(pid) - before
    cuts = statistics.quantiles(times, n=100)
    series = sum(1 for line in body.splitlines() if line and not line.startswith(b"#"))
    return Cost(
        name, scene, series, cuts[49] * 1e3, cuts[98] * 1e3, used, _resident(pid), background
    )


class Scraper:
    """Asks over one kept connection, anew where the server closes it.

    A client that parsed more than this would be half of what is measured.
    """

    def __init__(self, port: int, path: str = "/metrics") -> None:
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\n\r\n".encode()
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def scrape(self) -> bytes:
        """Return the body."""
        if self._socket is None:
            self._socket = socket.create_connection((LOOPBACK, self._port))
        self._socket.sendall(self._request)
        answer = self._socket.recv(READ_BYTES)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        while len(body) < int(length[1]) if length else not body.endswith(LAST_CHUNK):
            more = self._socket.recv(READ_BYTES)
            if not more:
                break
            body += more
        if head.startswith(b"HTTP/1.0"):
            self.close()
        return body


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, of threads that have ended too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def _thread_seconds(pid: int) -> float:
    """Return the CPU time of the threads that live, to the nanosecond; a tick is too coarse."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0
