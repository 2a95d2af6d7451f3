"""What the admission limiter costs a request, and what a crowd before a sleeping server does.

The same load goes to the server directly, through a relay that reads nothing (what one more hop
costs on this machine), and through the limiter, in turns, so that what else the machine does meets
all three. Server, way and load are processes of their own.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from rich import box
from rich.console import Console
from rich.table import Table

from actuator.proxy.playing import listening
from actuator.proxy.test_command import many_files, running

ENDS = str(Path(__file__).with_name("ends.py"))
RATE, SECONDS, TURNS = 500, 4.0, 5
BUDGET_P50_MS, BUDGET_P99_MS = 1.0, 3.0
CROWD, LIMIT = 10_000, 64
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def show(console: Console) -> None:
    """Measure and print."""
    with ExitStack() as stack:
        server = stack.enter_context(_started(ENDS, "server"))
        relay = stack.enter_context(_started(ENDS, "relay", server[1]))
        limiter = stack.enter_context(_limiter(server[1]))
        with console.status("asking ..."):
            _show_latency(console, {"directly": server, "a bare relay": relay, "ours": limiter})
    with console.status("crowding ..."):
        _show_crowd(console)


def _show_latency(console: Console, ways: dict[str, tuple[int, str]]) -> None:
    took: dict[str, list[list[float]]] = {name: [] for name in ways}
    used = dict.fromkeys(ways, 0.0)
    for _ in range(TURNS):
        for name, (pid, port) in ways.items():
            before = _cpu_seconds(pid)
            words = [sys.executable, ENDS, "load", port, str(RATE), str(SECONDS)]
            text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            took[name].append([float(each) for each in text.split()])
            used[name] += _cpu_seconds(pid) - before
    title = f"{RATE} requests a second, the median of {TURNS} turns of {SECONDS:g} s, two cores"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for column in ("way", "p50 ms", "added", "p99 ms", "added", "CPU ms a request"):
        table.add_column(column, justify="left" if column == "way" else "right")
    base = [_centile(took["directly"], part) for part in (0.5, 0.99)]
    for name, turns in took.items():
        half, most = (_centile(turns, part) for part in (0.5, 0.99))
        cpu = 1e3 * used[name] / sum(map(len, turns))
        added = (f"{half - base[0]:.2f}", f"{most - base[1]:.2f}")
        table.add_row(name, f"{half:.2f}", added[0], f"{most:.2f}", added[1], f"{cpu:.2f}")
    console.print(table)
    console.print(f"asked: at most {BUDGET_P50_MS:g} ms added at p50, {BUDGET_P99_MS:g} at p99\n")


def _show_crowd(console: Console) -> None:
    with many_files() as allowed:
        crowd = min(CROWD, allowed - 1000)
        seconds, wakes, lost = asyncio.run(_crowd(crowd))
    console.print(
        f"{crowd} requests at once, each on its own connection, before a server that sleeps, limit "
        f"{LIMIT}: {wakes} wake, {lost} lost, all answered {seconds:.1f} s after the wake "
        f"(open files allowed to a process: {allowed})\n"
    )


async def _crowd(crowd: int) -> tuple[float, int, int]:
    """Return how long the answers took, how many wakes there were, and what was lost."""
    wakes, queued = 0, asyncio.Event()

    async def wake(_: web.Request) -> web.Response:
        nonlocal wakes
        wakes += 1
        await queued.wait()
        return web.Response()

    async def server(request: web.Request) -> web.Response:
        return web.Response(text=request.query_string)

    options = ("--queue", str(crowd), "--limit", str(LIMIT), "--deadline", "10m")
    async with (
        listening(server) as upstream,
        listening(wake) as actuator,
        running(upstream, "--wake", actuator, *options) as proxy,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout()
        ) as client,
    ):

        async def ask(number: int) -> bool:
            async with client.get(f"{proxy.url}/?{number}") as answer:
                return str(number) == await answer.text()

        tasks = [asyncio.create_task(ask(number)) for number in range(crowd)]
        while (await proxy.state(client))["queued"] < crowd:  # noqa: ASYNC110 (in another process)
            await asyncio.sleep(0.2)
        began = time.perf_counter()
        queued.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        return time.perf_counter() - began, wakes, crowd - found.count(True)


@contextmanager
def _started(*words: str) -> Iterator[tuple[int, str]]:
    """Start a program that prints its port; give its process and the port."""
    command = [sys.executable, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.pid, process.stdout.readline().strip()
        finally:
            process.kill()


@contextmanager
def _limiter(server_port: str) -> Iterator[tuple[int, str]]:
    words = ["-m", "wattgov_actuator", "proxy", "--app", "chat", "--limit", "64"]
    words += ["--upstream", f"http://127.0.0.1:{server_port}"]
    words += ["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]
    command = [sys.executable, *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            yield process.pid, line.partition("listen=")[2].split()[0].rpartition(":")[2]
        finally:
            process.kill()


def _centile(turns: list[list[float]], part: float) -> float:
    return statistics.median(turn[int(part * (len(turn) - 1))] for turn in turns)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
