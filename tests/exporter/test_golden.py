"""A recorded machine and its exact exposition; a new file in tests/machines is a new test.

`pytest tests/exporter/test_golden.py --update` writes the expositions anew; review the diff.
"""

import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector as Registered

from plant import MACHINES, later, machine, process
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import App, Config, Site, Sources
from wattgov_exporter.exposition import families
from wattgov_exporter.rows import Own, Reloads, View
from wattgov_exporter.sources import Machine

NAMES = sorted(path.stem for path in MACHINES.glob("*.txt"))
STARTED_SECONDS = 1000.0
LATER_SECONDS = 10.0
UNIX_SECONDS = 1.7e9
CONFIG = Config(
    interval_seconds=60.0,  # long, so that a tick waits for its sources on a slow machine too
    site=Site("FR", 56.0, 1.2, 0.2, "EUR"),
    sources=Sources(off=("nvml", "amdsmi")),  # what this machine has is not in the recording
    apps=(App("chat", process="vllm"),),
)


class _Once(Registered):
    def __init__(self, view: View) -> None:
        self._view = view

    def collect(self) -> list[Metric]:
        return list(families(self._view))


def exposition(name: str, root: Path) -> bytes:
    """Return what the exporter shows of a machine, ten seconds after the first look."""
    now = [STARTED_SECONDS]
    machine(name, root)
    process(root / "proc", 10, "vllm", 0)
    where = Machine(root / "sys", root / "proc", lambda: now[0], lambda: UNIX_SECONDS + now[0])
    collector = Collector(CONFIG, where, own_pid=11)
    collector.tick()
    later(name, root)
    process(root / "proc", 10, "vllm", 200)
    now[0] += LATER_SECONDS
    view = View(collector.tick(), CONFIG, Own("0", 0.0, Reloads(True, UNIX_SECONDS, None)))
    registry = CollectorRegistry()
    registry.register(_Once(view))
    return generate_latest(registry)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_machine_shows(
    name: str, tmp_path: Path, promtool: str, request: pytest.FixtureRequest
) -> None:
    """The exposition is the recorded one, and promtool finds no fault in it."""
    golden = MACHINES / f"{name}.metrics"
    shown = exposition(name, tmp_path)
    if request.config.getoption("--update"):
        golden.write_bytes(shown)

    assert golden.read_bytes() == shown
    done = subprocess.run(
        [promtool, "check", "metrics"], input=shown, capture_output=True, check=False
    )
    assert (0, b"") == (done.returncode, done.stderr)
