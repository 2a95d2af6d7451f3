"""What a source leaves out is counted by kind, once for each read, and nothing is added for it."""

from pathlib import Path

import pytest

from fakes.redfish import Bmc, Resource, chassis, serving, tree
from plant import machine, plant
from waiting import until
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import Config, Redfish, Sources
from wattgov_exporter.integral import wrong
from wattgov_exporter.reading import Anomaly, Component
from wattgov_exporter.snapshot import Snapshot
from wattgov_exporter.sources import Machine

METRICS = "/redfish/v1/Chassis/1U/EnvironmentMetrics"
RAPL = "sys/class/powercap/intel-rapl:0/energy_uj"
SUPPLY = "sys/class/hwmon/hwmon0/power1_average"


class Node:
    """A planted machine and a clock moved by hand."""

    def __init__(self, root: Path, sources: Sources) -> None:
        self.root = machine("xeon-2-sockets", root)
        plant(f"sys/class/hwmon/hwmon0/name = power_meter\n{SUPPLY} = 300000000", root)
        self.now = 1000.0
        where = Machine(root / "sys", root / "proc", lambda: self.now, lambda: self.now)
        self.collector = Collector(Config(20.0, sources=sources), where, own_pid=1)

    def tick(self, seconds: float = 1.0) -> Snapshot:
        """Let time pass; tick."""
        self.now += seconds
        return self.collector.tick()

    def shows(self, file: str, text: str) -> dict[tuple[str, str], int]:
        """Have a meter show this; return the anomalies after the next tick."""
        (self.root / file).write_text(f"{text}\n")
        return dict(self.tick().anomalies)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Return a machine that was looked at once."""
    made = Node(tmp_path, Sources(off=("nvml",)))
    made.tick()
    return made


@pytest.mark.parametrize(
    ("file", "text", "key"),
    [
        (RAPL, "-5", ("rapl", "negative")),
        (RAPL, "18446744073709551615", ("rapl", "sentinel")),
        (RAPL, "9000000000", ("rapl", "reset")),
        (RAPL, "250000000000", ("rapl", "spike")),
        (SUPPLY, "4294967295000", ("hwmon", "sentinel")),
        (SUPPLY, "-1", ("hwmon", "negative")),
        (SUPPLY, "90000000000", ("hwmon", "spike")),
    ],
)
def test_each_kind(node: Node, file: str, text: str, key: tuple[str, str]) -> None:
    """A counter's and a gauge's: the node's joules do not move for it."""
    before = node.tick().node_joules.get(Component.CPU)

    assert {key: 1} == node.shows(file, text)

    assert before == node.tick().node_joules.get(Component.CPU)


def test_a_sentinel_that_stays_is_counted_at_each_read(node: Node) -> None:
    """So a rate tells it from one glitch."""
    assert {("hwmon", "sentinel"): 1} == node.shows(SUPPLY, "4294967295000")
    assert {("hwmon", "sentinel"): 2} == dict(node.tick().anomalies)
    assert {("hwmon", "sentinel"): 2} == node.shows(SUPPLY, "300000000")


def test_a_slow_sources_answer_is_counted_once(tmp_path: Path) -> None:
    """A BMC answers every ten seconds, and the ticks between see the same answer."""
    empty: Resource = {"PowerWatts": {"Reading": 65535}}
    bmc = Bmc(tree(chassis("1U", EnvironmentMetrics=empty)))
    password = tmp_path / "password"
    password.write_text("correct horse")
    with serving(bmc) as url:
        settings = Redfish(url, "meter", password)
        node = Node(tmp_path, Sources(off=("nvml", "hwmon"), redfish=settings))

        counts = [node.tick(seconds).anomalies for seconds in (0, 1, 1)]
        node.tick(10)
        until(lambda: node.tick(0).anomalies["redfish", "sentinel"] == 2, "the next answer")
        node.collector.close()

    assert [1, 1, 1] == [one["redfish", "sentinel"] for one in counts]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (float("nan"), Anomaly.NAN),
        (-0.1, Anomaly.NEGATIVE),
        (2**16 - 1, Anomaly.SENTINEL),
        (2**32 - 1, Anomaly.SENTINEL),
        (float("inf"), Anomaly.SPIKE),
        (10**400, Anomaly.SPIKE),
        (1001, Anomaly.SPIKE),
        (1000, None),
        (0, None),
    ],
)
def test_what_is_wrong_with_a_gauge(value: float, kind: Anomaly | None) -> None:
    """One word for each way in which a value cannot be, of any size."""
    assert kind is wrong(value, 1000)
