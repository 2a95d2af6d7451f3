"""The pages: strict content type, same bytes for all, health that tells the truth."""

import http.client
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from plant import machine
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import App, Config, Site
from wattgov_exporter.exposition import SERIES, Own, View
from wattgov_exporter.server import Pages, Server
from wattgov_exporter.sources import Machine

CONFIG = Config(
    site=Site("FR", 56.0, 1.2, 0.2, "EUR"),
    apps=(
        App("chat", process="vllm", target_joules_per_request=150, target_p95_latency_seconds=1),
    ),
)


@pytest.fixture
def pages() -> Pages:
    """Return pages without a sample."""
    return Pages()


@pytest.fixture
def port(pages: Pages) -> Iterator[int]:
    """Serve the pages; ready when there is a sample."""
    server = Server(("127.0.0.1", 0), pages, lambda: pages.view is not None)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def view(root: Path) -> View:
    """Return two ticks' worth of a planted machine."""
    machine("xeon-2-sockets", root)
    where = Machine(root / "sys", root / "proc", lambda: 1.0, lambda: 1.7e9)
    collector = Collector(CONFIG, where, own_pid=1)
    collector.tick()
    return View(collector.tick(), CONFIG, Own("1.2.3", 0.5))


def get(port: int, path: str, accept: str = "") -> tuple[int, str, bytes]:
    """Return status, content type and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Accept": accept})
    response = connection.getresponse()
    answer = response.status, response.headers["Content-Type"], response.read()
    connection.close()
    return answer


def test_before_the_first_sample(port: int) -> None:
    """No sample is 503 and not an empty page that looks like a node without power."""
    assert 503 == get(port, "/metrics")[0]
    assert 503 == get(port, "/-/ready")[0]
    assert 200 == get(port, "/-/healthy")[0]


def test_metrics(port: int, pages: Pages, tmp_path: Path) -> None:
    """Prometheus's text by default, OpenMetrics when asked, the same bytes for two scrapers."""
    pages.publish(view(tmp_path))

    status, content_type, body = get(port, "/metrics")

    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (status, content_type)
    assert body == get(port, "/metrics")[2]
    assert b'node_cpu_energy_joules_total{package="0",source="rapl",zone="package"}' in body
    assert b'app_target_joules_per_request{app="chat"} 150.0' in body
    _, open_type, open_body = get(port, "/metrics", "application/openmetrics-text;version=1.0.0")
    assert open_type.startswith("application/openmetrics-text; version=1.0.0")
    assert open_body.endswith(b"# EOF\n")


def test_promtool_finds_no_fault(port: int, pages: Pages, tmp_path: Path, promtool: str) -> None:
    """The exposition of a whole machine passes promtool's lint."""
    pages.publish(view(tmp_path))

    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=get(port, "/metrics")[2],
        capture_output=True,
        check=False,
    )

    assert (0, b"") == (done.returncode, done.stderr)


def test_many_scrapes_on_one_connection(port: int, pages: Pages, tmp_path: Path) -> None:
    """The connection stays open from scrape to scrape."""
    pages.publish(view(tmp_path))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.connect()
    local = connection.sock.getsockname()
    for _ in range(3):
        connection.request("GET", "/metrics")
        assert b"energy_source_up" in connection.getresponse().read()
        assert local == connection.sock.getsockname()
    connection.close()


def test_landing_page_and_unknown_path(port: int, pages: Pages, tmp_path: Path) -> None:
    """The first page names each source and why it is off; any other path is told where to look."""
    pages.publish(view(tmp_path))

    status, content_type, body = get(port, "/")

    assert (200, "text/html; charset=utf-8") == (status, content_type)
    assert b"<td>nvml<td>absent<td>" in body
    assert 404 == get(port, "/etc/passwd")[0]


def test_every_series_is_named_once() -> None:
    """The table of metrics holds no name twice, and counters alone end in _total."""
    names = [series.name for series in SERIES]

    assert len(names) == len(set(names))
    assert all(series.meaning.endswith(".") for series in SERIES)
