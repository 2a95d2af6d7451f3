"""Real input: a small HTTP server under load on this machine has its joules per request."""

import os
import sys
import threading
from pathlib import Path

import pytest

from testbed.httpapp import drive
from waiting import Asker
from wattgov_stack import configs
from wattgov_stack.layout import LOOPBACK, Layout, free_ports
from wattgov_stack.processes import Command
from wattgov_stack.stack import Stack

pytestmark = pytest.mark.e2e

EXPORTER = """\
version: 1
interval: 500ms
apps:
  - {name: web, command: testbed httpapp}
"""


@pytest.mark.usefixtures("prometheus", "alertmanager")
def test_joules_per_request_of_a_real_server(tmp_path: Path) -> None:
    """J/request appears, the joules follow the CPU seconds, and the books close to 1e-6."""
    (tmp_path / "exporter.yml").write_text(EXPORTER)
    layout = Layout(
        state=tmp_path / "state",
        ports=free_ports(),
        exporter_config=tmp_path / "exporter.yml",
        actuator_rules=(),
        scrape_seconds=1,
    )
    port = free_ports().exporter
    prometheus = Asker(layout.ports)
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            drive(f"http://{LOOPBACK}:{port}/work?ms=8", requests=50, concurrency=2)

    with Stack(layout, os.environ, print) as stack:
        configs.target(layout, "web", f"{LOOPBACK}:{port}")
        stack.start(app(port))
        driver = threading.Thread(target=load)
        driver.start()
        try:
            joules = prometheus.first('energy:app_joules_per_request{app="web"} > 0')
            prometheus.first('app_cpu_seconds_total{app="web"} > 8')
        finally:
            done.set()
            driver.join()
        assert 0 < joules < 100
        of_joules = prometheus.first(
            'sum(app_energy_joules_total{app="web",share="active"})'
            ' / sum(app_energy_joules_total{app!="_unattributed",share="active"})'
        )
        of_seconds = prometheus.first(
            'sum(app_cpu_seconds_total{app="web"}) / sum(app_cpu_seconds_total)'
        )
        assert of_joules == pytest.approx(of_seconds, rel=0.05)
        gap = prometheus.first(
            "abs(sum(app_energy_joules_total) - sum(node_energy_joules_total))"
            " / sum(node_energy_joules_total)"
        )
        assert gap < 1e-6


def app(port: int) -> Command:
    """Return the server's command."""
    return Command(
        "web",
        (sys.executable, "-m", "testbed", "httpapp", "--port", str(port)),
        f"http://{LOOPBACK}:{port}/health",
    )
