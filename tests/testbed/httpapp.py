"""A small HTTP application with the usual middleware metrics, and a driver that loads it."""

import signal
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from time import perf_counter, thread_time
from urllib.parse import urlsplit

import click
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from testbed import web

MOST_MS = 10_000.0

CONNECT_SECONDS = 30.0


class Middleware:
    """Counts and times requests, as an instrumented web framework does."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests_total",
            "Requests answered.",
            ["handler", "method", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time to the answer.",
            ["handler", "method"],
            registry=self._registry,
        )

    def observe(self, handler: str, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(handler, method, str(status)).inc()
        self._seconds.labels(handler, method).observe(seconds)

    def metrics(self, _query: Mapping[str, str]) -> web.Answer:
        """Render what was counted."""
        return web.Answer(generate_latest(self._registry), content_type=web.METRICS_TYPE)


def work(query: Mapping[str, str]) -> web.Answer:
    """Burn `ms` milliseconds of this thread's CPU time, then answer."""
    try:
        milliseconds = float(query.get("ms", "5"))
    except ValueError:
        milliseconds = -1.0
    if not 0 <= milliseconds <= MOST_MS:
        return web.Answer(f"ms is a number from 0 to {MOST_MS:.0f}\n".encode(), status=400)
    until = thread_time() + milliseconds / 1e3
    turns = 0
    while thread_time() < until:
        turns += 1
    return web.Answer(f"{turns}\n".encode())


def routes(middleware: Middleware) -> Mapping[str, web.Route]:
    """Return the application's paths."""
    return {
        "/work": work,
        "/health": lambda _: web.Answer(b"ok\n"),
        "/metrics": middleware.metrics,
    }


@dataclass(frozen=True, slots=True)
class Drive:
    """What a load gave."""

    answered: int
    """Requests with a status below 400."""
    refused: int
    seconds: float
    latencies_seconds: tuple[float, ...]
    """Of the answered ones, rising."""


def drive(url: str, requests: int, concurrency: int) -> Drive:
    """GET *url* *requests* times, *concurrency* at a time, each on one kept connection.

    OSError when the server cannot be reached.
    """
    began = perf_counter()
    shares = [requests // concurrency + (i < requests % concurrency) for i in range(concurrency)]
    with ThreadPoolExecutor(concurrency) as pool:
        results = list(pool.map(lambda share: _drive_one(url, share), shares))
    latencies = sorted(latency for times, _ in results for latency in times)
    return Drive(
        answered=len(latencies),
        refused=sum(refused for _, refused in results),
        seconds=perf_counter() - began,
        latencies_seconds=tuple(latencies),
    )


def _drive_one(url: str, requests: int) -> tuple[list[float], int]:
    parts = urlsplit(url)
    target = parts._replace(scheme="", netloc="").geturl() or "/"
    connection = HTTPConnection(parts.netloc, timeout=CONNECT_SECONDS)
    latencies, refused = [], 0
    try:
        for _ in range(requests):
            began = perf_counter()
            connection.request("GET", target)
            answer = connection.getresponse()
            answer.read()
            if answer.status < 400:
                latencies.append(perf_counter() - began)
            else:
                refused += 1
    finally:
        connection.close()
    return latencies, refused


@click.command("httpapp")
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="0 takes a free one.")
def command(port: int) -> None:
    """Serve /work?ms=5, /health and /metrics until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own gap
    middleware = Middleware()
    try:
        with web.serving(port, routes(middleware), middleware.observe) as bound:
            click.echo(f"http://127.0.0.1:{bound}/metrics")
            stop.wait()
    except OSError as error:
        raise click.ClickException(str(error)) from error
