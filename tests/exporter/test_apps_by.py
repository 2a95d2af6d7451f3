"""From configuration to snapshot: apps that name themselves, within the budget."""

import math
from pathlib import Path

from plant import load, machine, process
from wattgov_exporter.apps.workloads import OTHER
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import App, Budget, Config
from wattgov_exporter.folding import DEAD_SECONDS
from wattgov_exporter.sources import Machine


class Node:
    """A planted machine with a declared app, two units, and a clock moved by hand."""

    def __init__(self, root: Path, apps: int) -> None:
        self.proc = machine("xeon-2-sockets", root) / "proc"
        self.now = 1000.0
        self.ticks = 0
        config = Config(
            20.0, apps=(App("chat", process="vllm"),), apps_by=("unit",), budget=Budget(apps)
        )
        where = Machine(root / "sys", self.proc, lambda: self.now, lambda: self.now)
        self.collector = Collector(config, where, own_pid=1)
        self.step(0.0)

    def step(self, seconds: float) -> None:
        """Let each process use the whole time."""
        self.now += seconds
        self.ticks += int(seconds * 100)
        load(self.proc, 1000.0 + self.ticks * 0.03, 1000.0)
        process(self.proc, 10, "vllm", self.ticks, cgroup="/system.slice/vllm.service")
        process(self.proc, 11, "a", self.ticks, cgroup="/system.slice/a.service")
        process(self.proc, 12, "b", self.ticks, cgroup="/system.slice/b.service")
        self.snapshot = self.collector.tick()

    def closed(self) -> bool:
        """Tell whether the apps' joules are the node's."""
        return math.isclose(
            math.fsum(self.snapshot.node_joules.values()),
            math.fsum(self.snapshot.app_joules.values()),
            rel_tol=1e-9,
        )


def test_units_are_apps(tmp_path: Path) -> None:
    """What no app claims has the name of its unit, in every figure."""
    node = Node(tmp_path, apps=3)

    node.step(1.0)

    names = {"chat", "a.service", "b.service"}
    assert names | {OTHER} == node.snapshot.apps.cpu_seconds.keys()
    assert names == node.snapshot.apps.last_active.keys()
    assert dict.fromkeys(names, 1) | {OTHER: 0} == node.snapshot.apps.processes
    assert node.closed()


def test_a_budget_too_small(tmp_path: Path) -> None:
    """Beyond the budget everything is in `_other`, and the books still close."""
    node = Node(tmp_path, apps=1)

    for _ in range(3):
        node.step(DEAD_SECONDS)

        assert {"chat", OTHER} == node.snapshot.apps.cpu_seconds.keys()
        assert {"chat": 1, OTHER: 2} == node.snapshot.apps.processes
        assert {"chat", OTHER} == node.snapshot.apps.last_active.keys()
        assert node.closed()

    assert 6 * DEAD_SECONDS == node.snapshot.apps.cpu_seconds[OTHER]
