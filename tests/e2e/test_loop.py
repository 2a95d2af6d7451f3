"""The whole loop: meters to Prometheus to a rule to the card, a crash, and all is put back."""

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from plant import machine
from testbed.nvml import VirtualGpus
from waiting import Asker, until
from wattgov_stack.layout import CHECKOUT, Layout, free_ports
from wattgov_stack.stack import Stack

pytest_plugins = ["testbed.fixtures"]
pytestmark = pytest.mark.e2e

CARDS = range(4)
RANGE_MICROJOULES = 262143328850
TICK_SECONDS = 0.05

EXPORTER = """\
version: 1
interval: 200ms
site: {carbon_intensity: 473, pue: 1.2, price: 0.15}
apps:
  - {name: work, command: no-such-command}
"""

RULES = """\
version: 1
groups:
  - name: cap
    interval: 1s
    protect: {max_age: 10s}
    rules:
      - action: trim
        expr: node_gpu_power_watts > 300
        knob: gpu_power_limit
        step: -100W
        min: 400W
        cooldown: 1s
"""


class Packages(threading.Thread):
    """Two CPU packages of a planted machine that draw 100 W each; the first wraps soon."""

    def __init__(self, root: Path) -> None:
        super().__init__(daemon=True)
        zones = root / "sys/class/powercap"
        self._files = [zones / f"intel-rapl:{package}/energy_uj" for package in (0, 1)]
        self._ended = threading.Event()
        self.wrapped = threading.Event()

    def run(self) -> None:
        """Count microjoules, in whole writes, until stopped."""
        counters = [RANGE_MICROJOULES - 300_000_000, 0]
        while not self._ended.wait(TICK_SECONDS):
            counters = [(one + int(100e6 * TICK_SECONDS)) for one in counters]
            for file, counter in zip(self._files, counters, strict=True):
                aside = file.with_suffix(".new")
                aside.write_text(f"{counter % RANGE_MICROJOULES}\n")
                aside.replace(file)  # a reader sees the old or the new number, never half of one
            if counters[0] > RANGE_MICROJOULES:
                self.wrapped.set()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self.join()


def hasty_alerting(folder: Path) -> Path:
    """Return the shipped alerting folder with its waiting times cut to seconds, nothing else."""
    shutil.copytree(CHECKOUT / "alerting", folder)
    for path in (folder / "rules").glob("*.yml"):
        rules = yaml.safe_load(path.read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                rule["for"] = "2s"
        path.write_text(yaml.safe_dump(rules))
    config = yaml.safe_load((folder / "alertmanager.yml").read_text())
    for route in (config["route"], *config["route"].get("routes", ())):
        route["group_wait"] = "1s"
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Packages]:
    """Return the CPU packages of a planted machine, counting."""
    running = Packages(machine("xeon-2-sockets", tmp_path / "machine"))
    running.start()
    yield running
    running.stop()


@pytest.mark.usefixtures("prometheus", "alertmanager")
def test_a_cap_is_set_and_after_a_crash_put_back(
    tmp_path: Path, gpus: VirtualGpus, packages: Packages
) -> None:
    """A rule lowers the caps; the actuator dies; an alert says so; the next start restores."""
    (tmp_path / "exporter.yml").write_text(EXPORTER)
    (tmp_path / "rules.yml").write_text(RULES)
    layout = Layout(
        state=tmp_path / "state",
        ports=free_ports(),
        exporter_config=tmp_path / "exporter.yml",
        actuator_rules=(tmp_path / "rules.yml",),
        alerting=hasty_alerting(tmp_path / "alerting"),
        scrape_seconds=1,
        enforce=True,
        exporter_options=("--path.sysfs", str(tmp_path / "machine" / "sys")),
        actuator_options=("--run-dir", str(tmp_path / "run")),
    )
    for card in CARDS:
        gpus.set_load(card, 600.0)
    prometheus = Asker(layout.ports)

    def limits() -> set[float]:
        return {gpus.card(card).limit_watts for card in CARDS}

    with Stack(layout, os.environ, print, extra=tuple(gpus.environment().items())) as stack:
        actuator = stack.start_actuator()
        until(lambda: limits() == {400.0}, "all four cards at the rule's floor")
        for source in ("nvml", "rapl"):
            prometheus.first(f'max(energy_source_info{{source="{source}",method="measured"}})')
        prometheus.first("wattgov_actuator_open_undos == 4")
        prometheus.first('max(node_gpu_power_limit_watts{limit="current"}) == 400')

        actuator.kill()
        assert stack.receiver is not None
        with stack.receiver.arrived:
            assert stack.receiver.arrived.wait_for(
                lambda: ("ActuatorDown", "firing") in {(n.name, n.status) for n in stack.notices},
                timeout=90,
            )
        assert {400.0} == limits()  # nobody put them back yet: that is what the alert is about

        stack.layout = replace(layout, enforce=False)
        stack.start_actuator()
        until(lambda: limits() == {700.0}, "the prior limits, after the next start")
        prometheus.first("wattgov_actuator_open_undos == 0")
        books(prometheus)
        assert packages.wrapped.wait(30)
        watts = 'sum(rate(node_energy_joules_total{component="cpu"}[5s]))'
        assert prometheus.first(f"{watts} > 150") < 250  # two packages of 100 W each
        assert 0 == prometheus.first('max(resets(node_energy_joules_total{component="cpu"}[10m]))')


def books(prometheus: Asker) -> None:
    """Check that every joule of every meter is given to somebody."""
    node = "sum by (component) (node_energy_joules_total)"
    gap = prometheus.first(
        f"max(abs(sum by (component) (app_energy_joules_total) - {node}) / {node})"
    )
    assert gap < 1e-6
