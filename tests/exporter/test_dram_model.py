"""The estimate of memory: by size and time, and never beside a meter that covers it."""

from pathlib import Path

import pytest

from plant import load, plant
from wattgov_exporter.choice import Chosen, choose
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import Config, Sources
from wattgov_exporter.reading import (
    Component,
    Energy,
    Meter,
    Method,
    NoMeter,
    Readings,
    Reason,
)
from wattgov_exporter.sources import Machine
from wattgov_exporter.sources.dram_model import DramModel

SIZE = "proc/meminfo = MemTotal:       67108864 kB\\nMemFree:        1234 kB"
WATTS = 64 * 0.392


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def said(energy: Energy) -> Readings:
    """Return what a source with one meter says."""
    return Readings((energy,))


def meter(component: Component, method: Method, *covers: Component) -> Energy:
    """Return a reading of a meter."""
    return Energy(
        Meter("any", component, "0", "zone", method, 500.0, covers=frozenset(covers)), 0.0, 0.0
    )


def test_energy_of_a_size(tmp_path: Path) -> None:
    """Sixty-four gigabytes for ten seconds cost what the coefficient says, none of it by use."""
    clock = Clock()
    source = DramModel(plant(SIZE, tmp_path) / "proc", clock)
    before = source.read().energies[0].joules
    clock.now += 10

    (energy,) = source.read().energies

    assert energy.joules - before == pytest.approx(10 * WATTS)
    assert (Component.DRAM, Method.ESTIMATED) == (energy.meter.component, energy.meter.method)
    assert energy.meter.idle_watts == pytest.approx(WATTS)


def test_a_clock_that_falls_back(tmp_path: Path) -> None:
    """The counter never falls."""
    clock = Clock()
    source = DramModel(plant(SIZE, tmp_path) / "proc", clock)
    source.read()
    clock.now -= 50

    assert source.read().energies[0].joules == 0.0


@pytest.mark.parametrize("content", ["", "MemFree: 12 kB", "MemTotal: many kB"])
def test_no_size(tmp_path: Path, content: str) -> None:
    """Without a size there is no estimate, and the source names the file."""
    plant(f"proc/meminfo = {content}", tmp_path)

    with pytest.raises(NoMeter, match="meminfo") as raised:
        DramModel(tmp_path / "proc", Clock()).read()

    assert raised.value.reason is Reason.INVALID


def test_no_file(tmp_path: Path) -> None:
    """A missing file is told by name."""
    with pytest.raises(NoMeter, match=r"meminfo: No such file"):
        DramModel(tmp_path, Clock()).read()


def test_no_estimate_beside_a_meter_that_covers_memory() -> None:
    """EPYC's socket meter holds the memory; a package meter does not; a measurement stays."""
    socket = said(meter(Component.CPU, Method.MEASURED, Component.DRAM))
    rapl = said(meter(Component.CPU, Method.MEASURED))
    dram_model = said(meter(Component.DRAM, Method.ESTIMATED))
    dimms = said(meter(Component.DRAM, Method.MEASURED))

    assert {Component.CPU} == set(choose({"socket": socket, "dram_model": dram_model}))
    assert {Component.CPU} == set(choose({"dram_model": dram_model, "socket": socket}))
    assert {
        Component.CPU: Chosen("rapl", Method.MEASURED),
        Component.DRAM: Chosen("dram_model", Method.ESTIMATED),
    } == choose({"rapl": rapl, "socket": socket, "dram_model": dram_model})
    assert Component.DRAM in choose({"socket": socket, "dimms": dimms})


def test_a_machine_without_meters_counts_its_memory_beside_its_cpu(tmp_path: Path) -> None:
    """The CPU's estimate is of the package alone, so the books have the memory's too, once."""
    root, clock = plant(SIZE, tmp_path), Clock()
    load(root / "proc", 0, 0)
    plant("proc/cpuinfo = vendor_id : GenuineIntel", root)
    where = Machine(root / "sys", root / "proc", clock, clock)
    collector = Collector(Config(20.0, sources=Sources(off=("nvml",))), where, own_pid=1)
    collector.tick()
    clock.now += 1
    load(root / "proc", 1, 0)

    snapshot = collector.tick()

    assert {Component.CPU, Component.DRAM} == set(snapshot.chosen)
    assert snapshot.node_joules[Component.DRAM] == pytest.approx(WATTS)
