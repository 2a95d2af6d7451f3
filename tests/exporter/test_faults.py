"""Ordinary bad days: a wedged driver, a lost card, files that go; the rest is unaffected."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plant import load, machine, process
from testbed.nvml import Fault, VirtualGpus
from waiting import until
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import Config
from wattgov_exporter.reading import Component, Reason
from wattgov_exporter.snapshot import Snapshot
from wattgov_exporter.sources import Machine
from wattgov_exporter.sources.nvml import Nvml
from wattgov_exporter.uses import gpu_uses

pytest_plugins = ["testbed.fixtures"]

HANG_MS = 60_000
INTERVAL_SECONDS = 2.0
"""A tick waits half of it for its sources, in real time: long for a file, short for a hang."""

HUNG_TICKS = 7
"""So many virtual seconds are more than three intervals."""


class Node:
    """A planted machine with virtual cards, all on one virtual clock."""

    def __init__(self, root: Path, gpus: VirtualGpus) -> None:
        self.root = machine("xeon-2-sockets", root)
        self.gpus = gpus
        gpus.reset(clock_ns=10**12)
        for card in range(4):
            gpus.set_load(card, 400.0)
        self.joules = 1000.0
        process(self.root / "proc", 10, "vllm", 0)
        self._write()
        where = Machine(root / "sys", root / "proc", self.now, self.now)
        self.collector = Collector(Config(INTERVAL_SECONDS), where, own_pid=1)

    def now(self) -> float:
        """Return the virtual seconds."""
        return self.gpus.now_ns() / 1e9

    def _write(self) -> None:
        load(self.root / "proc", self.now(), 0)
        for package in (0, 1):
            zone = self.root / f"sys/class/powercap/intel-rapl:{package}/energy_uj"
            zone.write_text(f"{self.joules * 1e6:.0f}\n")

    def second(self) -> Snapshot:
        """Let a second pass, 100 W in each package and 400 W in each card; look."""
        self.gpus.advance(1.0)
        self.joules += 100.0
        self._write()
        return self.collector.tick()

    def reason(self, snapshot: Snapshot, source: str) -> Reason:
        """Return what is the matter with a source."""
        return next(one.reason for one in snapshot.sources if one.name == source)


@pytest.fixture
def node(tmp_path: Path, gpus: VirtualGpus) -> Iterator[Node]:
    """Return a node whose sources have all answered."""
    made = Node(tmp_path, gpus)

    def answered() -> bool:
        snapshot = made.second()
        return {Component.CPU, Component.GPU} <= set(snapshot.node_joules)

    until(answered, "RAPL and NVML")
    yield made
    gpus.clear()


def test_a_wedged_driver_delays_nobody(node: Node) -> None:
    """While NVML hangs the CPUs are metered and the reason told; after it no joule is missing."""
    before = node.second()
    node.gpus.inject("nvmlDeviceGetTemperature", delay_ms=HANG_MS)
    first = node.second()
    until(lambda: node.gpus.hanging() > 0, "the call inside the driver")

    for _ in range(HUNG_TICKS):
        wedged = node.second()

    assert Reason.TIMEOUT is node.reason(wedged, "nvml")
    assert Reason.OK is node.reason(wedged, "rapl")
    cpu = wedged.node_joules[Component.CPU] - before.node_joules[Component.CPU]
    assert cpu == pytest.approx((HUNG_TICKS + 1) * 200.0)
    assert first.total == before.total  # one late answer is no dip in the node's power
    assert () == wedged.gpus  # no gauge of a driver that does not answer
    node.gpus.clear()

    def recovered() -> Snapshot | None:
        snapshot = node.second()
        return snapshot if node.reason(snapshot, "nvml") is Reason.OK else None

    back = until(recovered, "NVML again")
    assert back is not None
    last = node.second()
    seconds = (last.node_joules[Component.CPU] - before.node_joules[Component.CPU]) / 200.0
    gpu = last.node_joules[Component.GPU] - before.node_joules[Component.GPU]
    assert gpu == pytest.approx(seconds * 1600.0, rel=1e-6)


def test_a_card_that_falls_off_the_bus_and_comes_back(node: Node) -> None:
    """The others are metered on; the lost one's joules, counted by itself, come when it is back."""
    before = node.second()
    node.gpus.set_fault(2, Fault.LOST)
    lost = node.second()
    assert {"0", "1", "3"} == {gpu.gpu for gpu in lost.gpus}
    node.gpus.set_fault(2, Fault.LOST, on=False)
    node.second()
    back = node.second()

    assert {"0", "1", "2", "3"} == {gpu.gpu for gpu in back.gpus}
    gpu = back.node_joules[Component.GPU] - before.node_joules[Component.GPU]
    assert gpu == pytest.approx(3 * 1600.0, rel=1e-6)


def test_a_driver_that_is_loaded_anew(node: Node) -> None:
    """Energy counters that start at zero are a reset: counted as one, and nothing is invented."""
    node.gpus.advance(60.0)  # a counter that stands well above where it will start anew
    before = node.second()
    node.gpus.reload_driver()
    after = node.second()

    assert after.node_joules[Component.GPU] == pytest.approx(before.node_joules[Component.GPU])
    assert 4 == after.anomalies["nvml", "reset"]
    later = node.second()
    gpu = later.node_joules[Component.GPU] - after.node_joules[Component.GPU]
    assert gpu == pytest.approx(1600.0, rel=1e-6)


def test_two_sources_of_one_card(node: Node) -> None:
    """Another exporter that shows the same card takes it from no app: NVML knows who uses it."""
    node.gpus.hold(0, 10, 8 << 30)
    node.gpus.sample(0, 10, 50)
    readings = Nvml(node.root / "sys", node.root / "proc", node.now, node.now).read()
    elsewhere = replace(readings, gpu_uses=())

    said = {"nvml": readings, "scrape_dcgm": elsewhere}
    sources = {gpu.uuid: "nvml" for gpu in readings.gpus}
    uses = gpu_uses(said, sources, {10: "chat"}, {})

    assert {"chat": float(8 << 30)} == uses[readings.gpus[0].uuid].held
