"""A meter that tells nothing true is told of, hides no other, and its silence is never 0 W."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from plant import load, plant
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import Config
from wattgov_exporter.doubt import SOCKET_STILL_SECONDS
from wattgov_exporter.reading import Component, Reason
from wattgov_exporter.rows import Own, View
from wattgov_exporter.serving.text import prometheus
from wattgov_exporter.snapshot import Snapshot, SourceState
from wattgov_exporter.sources import Machine

WATTS = 50.0
INTERVAL_SECONDS = 20.0
"""Long, so that a tick waits for its sources however slow this machine is."""


@dataclass
class Node:
    """A machine with the zones that a test gives it; each draws WATTS unless it is *stuck*."""

    root: Path
    zones: dict[str, str]
    range_microjoules: int = 262_143_328_850
    stuck: dict[str, str] = field(default_factory=dict)
    now: float = 1000.0
    busy: float = 0.0
    idle: float = 0.0
    collector: Collector = field(init=False)

    def __post_init__(self) -> None:
        for zone, name in self.zones.items():
            folder = f"sys/class/powercap/{zone}"
            reach = self.range_microjoules
            plant(f"{folder}/name = {name}\n{folder}/max_energy_range_uj = {reach}", self.root)
        (self.root / "proc").mkdir()
        (self.root / "proc/cpuinfo").write_text("processor\t: 0\n")
        (self.root / "proc/meminfo").write_text("MemTotal: 8388608 kB\n")
        config = Config(INTERVAL_SECONDS)
        clock = lambda: self.now  # noqa: E731
        machine = Machine(self.root / "sys", self.root / "proc", clock, clock)
        self.collector = Collector(config, machine, own_pid=1)

    def tick(self, seconds: int = 1) -> Snapshot:
        """Let so many seconds pass, with a tick after each; return the last."""
        for _ in range(seconds):
            self.now += 1
            self.busy, self.idle = self.busy + 2, self.idle + 2
            load(self.root / "proc", self.busy, self.idle)
            for zone in self.zones:
                shows = self.stuck.get(zone, f"{WATTS * 1e6 * self.now:.0f}")
                (self.root / f"sys/class/powercap/{zone}/energy_uj").write_text(f"{shows}\n")
            snapshot = self.collector.tick()
        return snapshot


def source(snapshot: Snapshot, name: str) -> SourceState:
    """Return a source's health."""
    return next(one for one in snapshot.sources if one.name == name)


def page(snapshot: Snapshot) -> str:
    """Return what a scrape gets."""
    return prometheus(View(snapshot, Config(), Own("1.2.3", 0.5))).decode()


def meter(snapshot: Snapshot, component: Component) -> str:
    """Return which source meters a component."""
    return snapshot.chosen[component].source


PACKAGE = {"intel-rapl:0": "package-0"}
TWO = {**PACKAGE, "intel-rapl:1": "package-1"}
MEMORY = {**PACKAGE, "intel-rapl:0:0": "dram"}
PSYS = {**PACKAGE, "intel-rapl:1": "psys"}
TICKS = int(SOCKET_STILL_SECONDS) + 2


@pytest.mark.parametrize("shows", ["0", "77000000", "18446744073709551615", "-1", "?"])
def test_a_package_that_never_counts_leaves_the_cpu_to_the_model(
    tmp_path: Path, shows: str
) -> None:
    """It has the reason, the model has all joules since the start, and nothing says 0 W."""
    node = Node(tmp_path, PACKAGE, stuck={"intel-rapl:0": shows})
    pages = [page(node.tick()) for _ in range(TICKS)]
    snapshot = node.tick()

    assert "cpu_model" == meter(snapshot, Component.CPU)
    assert Reason.INVALID is source(snapshot, "rapl").reason
    assert not any(
        "power_watts" in line and line.endswith(" 0.0") for line in "\n".join(pages).split("\n")
    )
    (model,) = [one for one in snapshot.meters if one.meter.component is Component.CPU]
    assert model.watts is not None
    # The load is steady and the first tick is where it starts.
    assert snapshot.node_joules[Component.CPU] == pytest.approx(model.watts * TICKS)


def test_a_package_that_gets_stuck_and_moves_again(tmp_path: Path) -> None:
    """Each moment counts once: its own up to where it stood, the model's, its own again."""
    node = Node(tmp_path, PACKAGE)
    before = node.tick(5)
    node.stuck["intel-rapl:0"] = f"{WATTS * 1e6 * node.now:.0f}"
    stands = node.tick(int(SOCKET_STILL_SECONDS))
    assert "rapl" == meter(stands, Component.CPU)
    assert before.node_joules[Component.CPU] == stands.node_joules[Component.CPU]
    # Unknown is no fall of the power.
    watts = [one.watts for one in stands.meters if one.meter.component is Component.CPU]
    assert [pytest.approx(WATTS)] == watts

    gone = node.tick(2)

    assert "cpu_model" == meter(gone, Component.CPU)
    (model,) = [one for one in gone.meters if one.meter.component is Component.CPU]
    assert model.watts is not None
    estimated = gone.node_joules[Component.CPU] - before.node_joules[Component.CPU]
    assert estimated == pytest.approx(model.watts * TICKS)
    del node.stuck["intel-rapl:0"]
    back = node.tick()
    assert "rapl" == meter(back, Component.CPU)
    assert Reason.OK is source(back, "rapl").reason
    counted = back.node_joules[Component.CPU] - gone.node_joules[Component.CPU]
    assert counted == pytest.approx(WATTS)


@pytest.mark.parametrize("shows", ["0", "18446744073709551615", "?"])
def test_dead_memory_is_estimated_and_told_of(tmp_path: Path, shows: str) -> None:
    """The model stands in for the zone, the source is partial and says which file."""
    snapshot = Node(tmp_path, MEMORY, stuck={"intel-rapl:0:0": shows}).tick(TICKS)

    assert "rapl" == meter(snapshot, Component.CPU)
    assert "dram_model" == meter(snapshot, Component.DRAM)
    assert Reason.PARTIAL is source(snapshot, "rapl").reason
    assert "intel-rapl:0:0/energy_uj" in source(snapshot, "rapl").detail
    assert 'energy_source_up{reason="partial",source="rapl"} 0.0' in page(snapshot)


@pytest.mark.parametrize("shows", ["0", "18446744073709551615"])
def test_a_psys_that_leads_nowhere_is_no_platform(tmp_path: Path, shows: str) -> None:
    """It hides no estimate of the memory, and is no fault."""
    snapshot = Node(tmp_path, PSYS, stuck={"intel-rapl:1": shows}).tick(TICKS)

    assert "dram_model" == meter(snapshot, Component.DRAM)
    assert Component.PLATFORM not in snapshot.chosen
    assert Component.REST not in snapshot.node_joules
    assert Reason.OK is source(snapshot, "rapl").reason


def test_a_psys_that_counts_every_other_second(tmp_path: Path) -> None:
    """While it stands its parts are not forgotten, so the rest is what they leave of it."""
    node = Node(tmp_path, PSYS)
    node.tick(2)
    for _ in range(4):
        node.stuck["intel-rapl:1"] = f"{WATTS * 1e6 * node.now:.0f}"
        node.tick()
        del node.stuck["intel-rapl:1"]
        snapshot = node.tick()

    assert snapshot.node_joules[Component.REST] == pytest.approx(0.0, abs=1e-6)


def test_a_range_of_zero_is_an_unknown_one(tmp_path: Path) -> None:
    """The package counts all the same."""
    snapshot = Node(tmp_path, PACKAGE, range_microjoules=0).tick(TICKS)

    assert "rapl" == meter(snapshot, Component.CPU)
    assert snapshot.node_joules[Component.CPU] == pytest.approx(WATTS * (TICKS - 1))
    assert {} == snapshot.anomalies


@pytest.mark.parametrize(("shows", "kind"), [("?", "nan"), ("18446744073709551615", "sentinel")])
def test_one_socket_of_two_that_fails_is_told_of(tmp_path: Path, shows: str, kind: str) -> None:
    """Each bad value counts, the source is partial, and what it missed is caught up with."""
    node = Node(tmp_path, TWO)
    before = node.tick(5)
    node.stuck["intel-rapl:1"] = shows

    half = node.tick(4)

    assert {("rapl", kind): 4} == half.anomalies
    assert Reason.PARTIAL is source(half, "rapl").reason
    assert "intel-rapl:1/energy_uj" in source(half, "rapl").detail
    del node.stuck["intel-rapl:1"]
    whole = node.tick()
    assert Reason.OK is source(whole, "rapl").reason
    counted = whole.node_joules[Component.CPU] - before.node_joules[Component.CPU]
    assert counted == pytest.approx(2 * 5 * WATTS)


def test_power_is_unknown_until_an_interval_is_over(tmp_path: Path) -> None:
    """The first tick has counters that start, and no watts of a meter or of the node."""
    node = Node(tmp_path, MEMORY)
    first, second = page(node.tick()), page(node.tick())

    assert 'node_cpu_energy_joules_total{package="0",source="rapl",zone="package"} 0.0' in first
    assert "node_cpu_power_watts{" not in first
    assert "node_total_power_watts{" not in first
    assert 'node_cpu_power_watts{package="0",source="rapl",zone="package"} 50.0' in second
    assert 'node_total_power_watts{basis="sum"} 100.0' in second
