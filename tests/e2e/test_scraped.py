"""What recorded machines show is taken, whole, by Prometheus and by VictoriaMetrics."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from plant import MACHINES
from waiting import until
from wattgov_stack.ask import direct, query
from wattgov_stack.layout import LOOPBACK, free_ports
from wattgov_stack.processes import Command, Process

pytestmark = pytest.mark.e2e

PAGES = sorted(MACHINES.glob("*.metrics"))

SCRAPES = """\
scrape_configs:
  - job_name: machines
    scrape_interval: 1s
    honor_timestamps: false
    static_configs:
"""

TARGET = """\
      - targets: ["{address}"]
        labels: {{__metrics_path__: /{page}, instance: {page}}}
"""


@contextmanager
def served() -> Iterator[str]:
    """Serve every recorded page under its name, as the exporter would; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (MACHINES / f"{Path(self.path).name}.metrics").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def scraping(address: str, folder: Path) -> Path:
    """Write the scrape configuration."""
    file = folder / "scrape.yml"
    targets = (TARGET.format(address=address, page=page.stem) for page in PAGES)
    file.write_text(SCRAPES + "".join(targets))
    return file


@contextmanager
def running(command: Command, folder: Path) -> Iterator[None]:
    """Run a server until the test ends."""
    process = Process(command, folder)
    try:
        process.wait_ready()
        yield
    finally:
        process.stop()


def check(url: str) -> None:
    """Wait until every machine was scraped, and compare how much was taken with the pages."""
    session = direct()

    def taken(expr: str) -> dict[str, float]:
        found = query(session, url, expr)  # VictoriaMetrics answers its API at the same paths
        return {sample.labels["instance"]: sample.value for sample in found}

    def all_up() -> bool:
        return taken("up") == {page.stem: 1.0 for page in PAGES}

    until(all_up, "all machines scraped")
    samples = {
        page.stem: float(sum(not line.startswith("#") for line in page.read_text().splitlines()))
        for page in PAGES
    }
    assert samples == taken("scrape_samples_scraped")
    joules = taken("sum by (instance) (node_energy_joules_total)")
    apps = taken("sum by (instance) (app_energy_joules_total)")
    assert joules == pytest.approx(apps, rel=1e-9)
    assert {page.stem for page in PAGES} == joules.keys()


def test_prometheus(each_prometheus: str, tmp_path: Path) -> None:
    """Every sample is taken, and the books close in PromQL."""
    port = free_ports().prometheus
    with served() as address:
        words = (
            *(each_prometheus, f"--config.file={scraping(address, tmp_path)}"),
            *(
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address={LOOPBACK}:{port}",
            ),
        )
        url = f"http://{LOOPBACK}:{port}"
        with running(Command("prometheus", words, f"{url}/-/ready"), tmp_path):
            check(url)


def test_victoria_metrics(victoria_metrics: str, tmp_path: Path) -> None:
    """As Prometheus; it is told not to hide what is younger than half a minute."""
    port = free_ports().prometheus
    with served() as address:
        words = (
            *(victoria_metrics, f"-promscrape.config={scraping(address, tmp_path)}"),
            *(f"-storageDataPath={tmp_path / 'data'}", f"-httpListenAddr={LOOPBACK}:{port}"),
            "-search.latencyOffset=0s",
        )
        url = f"http://{LOOPBACK}:{port}"
        with running(Command("victoria", words, f"{url}/health"), tmp_path):
            check(url)
