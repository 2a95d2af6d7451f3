"""Two makers' cards on one node, and one card in two sources: each metered once."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant import load, plant, process
from testbed.nvml import VirtualGpus
from wattgov_exporter.cards import Card
from wattgov_exporter.choice import choose
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import App, Config
from wattgov_exporter.reading import Component, Energy, Meter, Method, Readings
from wattgov_exporter.snapshot import Snapshot
from wattgov_exporter.sources import Machine

pytest_plugins = ["testbed.fixtures"]

INTERVAL_SECONDS = 20.0
"""Long, so that a tick waits for its sources however slow this machine is."""

ADDRESS, OTHER_ADDRESS = "0000:10:00.0", "0000:c3:00.0"
CHIP = """
sys/class/hwmon/hwmon1/name = amdgpu
sys/class/hwmon/hwmon1/power1_average = 150000000
sys/class/hwmon/hwmon1/power1_cap = 300000000
sys/class/hwmon/hwmon1/device/uevent = PCI_SLOT_NAME=0000:c3:00.0
sys/class/hwmon/hwmon1/device/gpu_busy_percent = 40
proc/cpuinfo = processor	: 0
proc/meminfo = MemTotal:       1966080 kB
"""


def said(*cards: tuple[str, str, str]) -> dict[str, Readings | None]:
    """Return what sources said: source, zone and PCI address of each card."""
    names = dict.fromkeys(source for source, _, _ in cards)
    return {
        name: Readings(
            tuple(
                Energy(
                    Meter(name, Component.GPU, "0", zone, Method.MEASURED, 700.0, pci=pci), 1.0, 1.0
                )
                for source, zone, pci in cards
                if source == name
            )
        )
        for name in names
    }


def chosen(*cards: tuple[str, str, str]) -> list[tuple[str, str]]:
    """Return the source and the zone of each meter that counts."""
    return [(one.source, one.zone) for one in choose(said(*cards))[Component.GPU].cards]


def test_another_exporters_figure_of_a_card_counts_nothing() -> None:
    """DCGM's card of the same uuid is left out; one that only it shows is counted."""
    assert [("nvml", "GPU-a"), ("scrape_dcgm", "GPU-b")] == chosen(
        ("nvml", "GPU-a", ADDRESS), ("scrape_dcgm", "GPU-a", ""), ("scrape_dcgm", "GPU-b", "")
    )


def test_an_address_tells_cards_apart() -> None:
    """A card of hwmon is known by its address: the same as NVML's, or another maker's."""
    assert [("nvml", "GPU-a"), ("hwmon", OTHER_ADDRESS)] == chosen(
        ("nvml", "GPU-a", ADDRESS), ("hwmon", ADDRESS.upper(), ""), ("hwmon", OTHER_ADDRESS, "")
    )


def test_what_cannot_be_told_apart_is_one_card() -> None:
    """A uuid alone and an address alone may be one card, so only the first counts."""
    assert [("amdsmi", "c4ff74b5")] == chosen(
        ("amdsmi", "c4ff74b5", ""), ("hwmon", OTHER_ADDRESS, "")
    )


CARDS = st.builds(
    Card,
    st.sampled_from(["GPU-a", "GPU-b", ADDRESS, OTHER_ADDRESS]),
    st.sampled_from(["", ADDRESS, OTHER_ADDRESS]),
)


@given(one=CARDS, other=CARDS)
def test_to_be_the_same_is_mutual(one: Card, other: Card) -> None:
    """Who is asked does not matter, and a card is itself."""
    assert one.is_same(one)
    assert one.is_same(other) == other.is_same(one)


class Bench:
    """A planted machine with an AMD card, and two virtual NVIDIA cards, on one clock."""

    def __init__(self, root: Path, gpus: VirtualGpus) -> None:
        self.root = plant(CHIP, root)
        self.gpus = gpus
        gpus.reset(2, clock_ns=10**9)
        gpus.set_load(0, 400.0)
        gpus.set_load(1, 300.0)
        gpus.hold(0, 10, 8 << 30)
        process(root / "proc", 10, "vllm", 0)
        load(root / "proc", 1.0, 1.0)
        where = Machine(root / "sys", root / "proc", self.now, self.now)
        config = Config(INTERVAL_SECONDS, apps=(App("chat", process="vllm"),))
        self.collector = Collector(config, where, own_pid=11)

    def now(self) -> float:
        """Return the virtual seconds."""
        return self.gpus.now_ns() / 1e9

    def second(self) -> Snapshot:
        """Let a second pass; look."""
        self.gpus.advance(1.0)
        self.gpus.sample(0, 10, 50)
        return self.collector.tick()


@pytest.fixture
def bench(tmp_path: Path, gpus: VirtualGpus) -> Bench:
    """Return a machine that was looked at once."""
    made = Bench(tmp_path, gpus)
    made.collector.tick()
    return made


def test_two_makers_cards_are_all_metered(bench: Bench) -> None:
    """700 W on NVIDIA's and 150 W on AMD's are 850 W of the node, and the books close."""
    for _ in range(10):
        snapshot = bench.second()

    assert snapshot.node_joules[Component.GPU] == pytest.approx(8500.0)
    assert [("nvml", Method.MEASURED), ("hwmon", Method.DERIVED)] == (
        snapshot.chosen[Component.GPU].sources
    )
    assert {"nvml": 2, "hwmon": 1} == {
        source: list(snapshot.gpu_sources.values()).count(source)
        for source in snapshot.gpu_sources.values()
    }
    assert 3 == len(snapshot.gpus)
    assert math.isclose(
        snapshot.node_joules[Component.GPU],
        math.fsum(v for (_, one, _), v in snapshot.app_joules.items() if one is Component.GPU),
        rel_tol=1e-12,
    )
    cards = [one for one in snapshot.meters if one.meter.component is Component.GPU]
    watts = sum(one.watts for one in cards if one.watts is not None)
    assert watts == pytest.approx(850.0)


def test_one_makers_source_that_fails_costs_its_cards_alone(bench: Bench) -> None:
    """While NVML fails AMD's card counts on; when it is back its gap is in the counter, once."""
    before = bench.second().node_joules[Component.GPU]
    bench.gpus.inject("nvmlDeviceGetCount_v2", code=999, count=1)
    gap = bench.second()
    back = bench.second()

    assert gap.node_joules[Component.GPU] - before == pytest.approx(150.0)
    assert {"nvml", "hwmon"} == {
        one.meter.source for one in gap.meters if one.meter.component is Component.GPU
    }  # late this once: still shown
    assert back.node_joules[Component.GPU] - before == pytest.approx(2 * 850.0)
