"""Other exporters as sources: their names and units, their traps, and HTTP that goes wrong."""

import gzip
import itertools
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conftest import find
from plant import load, machine, process
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import App, Config, Sources
from wattgov_exporter.config import Scrape as Settings
from wattgov_exporter.ledger import Ledger
from wattgov_exporter.reading import (
    Anomaly,
    Clock,
    Component,
    Energy,
    GpuState,
    Method,
    NoMeter,
    Readings,
    Reason,
)
from wattgov_exporter.rows import Own, View
from wattgov_exporter.serving.text import prometheus
from wattgov_exporter.sources import SOURCES, Machine
from wattgov_exporter.sources.scrape import MAX_BYTES, STILL_SECONDS, scrapes

NODE = """\
# HELP node_rapl_package_joules_total Current RAPL package value in joules
# TYPE node_rapl_package_joules_total counter
node_rapl_package_joules_total{index="0",path="/sys/class/powercap/intel-rapl-mmio:0"} 240.5
node_rapl_package_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0"} 240.5
node_rapl_package_joules_total{index="1",path="/sys/class/powercap/intel-rapl:1"} 200
node_rapl_core_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0:1"} 100
node_rapl_dram_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0:0"} 60
node_rapl_psys_joules_total{index="0",path="/sys/class/powercap/intel-rapl:2"} 999
node_cpu_seconds_total{cpu="0",mode="idle"} 1
"""

ONE_METRIC = """\
node_rapl_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0",rapl_zone="package"} 7
node_rapl_joules_total{index="0",path="p",rapl_zone="package-1-die-0"} 8
"""

KEPLER = """\
# TYPE kepler_node_cpu_joules_total counter
kepler_node_cpu_joules_total{node_name="n",path="/sys/class/powercap/intel-rapl:1",zone="package"} 5
kepler_node_cpu_joules_total{node_name="n",path="/sys/class/powercap/intel-rapl:1:0",zone="dram"} 3
kepler_node_cpu_joules_total{node_name="n",path="aggregated-core",zone="core"} 2
kepler_node_cpu_joules_total{node_name="n",path="/sys/class/hwmon/hwmon1",zone="VDD"} 4
kepler_node_cpu_active_joules_total{node_name="n",path="x",zone="package"} 1
kepler_node_gpu_joules_total{gpu="0",gpu_name="L4",gpu_uuid="GPU-a",vendor="nvidia"} 1234
kepler_node_gpu_joules_total{gpu="1",gpu_name="L4",gpu_uuid="GPU-b",vendor="nvidia"} 0
kepler_node_gpu_watts{gpu="0",gpu_name="L4",gpu_uuid="GPU-a",vendor="nvidia"} 66.5
"""

SCAPHANDRE = """\
# TYPE scaph_host_energy_microjoules counter
scaph_host_energy_microjoules 346728467994
scaph_socket_energy_microjoules{socket_id="1"} 246521945562
scaph_socket_rapl_mmio_energy_microjoules{socket_id="1"} 246521945562
scaph_domain_energy_microjoules{domain_name="dram",domain_id="0",socket_id="1"} 49920589217
scaph_domain_energy_microjoules{domain_name="core",domain_id="1",socket_id="1"} 1000000
scaph_host_rapl_psys_microjoules 5000000
scaph_process_power_consumption_microwatts{cmdline="a"b"} broken, and not looked at
"""

CARD = 'gpu="0",UUID="GPU-a",pci_bus_id="00000000:37:00.0",device="nvidia0",modelName="Tesla T4"'
DCGM = f"""\
# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{{CARD}}} 15152422938
DCGM_FI_DEV_POWER_USAGE{{{CARD}}} 68.244
DCGM_FI_DEV_GPU_TEMP{{{CARD}}} 45
DCGM_FI_DEV_GPU_UTIL{{{CARD}}} 97
DCGM_FI_DEV_FB_USED{{{CARD}}} 1024
DCGM_FI_DEV_SM_CLOCK{{{CARD}}} 1590
DCGM_FI_DEV_MEM_CLOCK{{{CARD}}} 5000
DCGM_FI_DEV_ENFORCED_POWER_LIMIT{{{CARD}}} 70
DCGM_FI_DEV_POWER_MGMT_LIMIT_MAX{{{CARD}}} 70
DCGM_FI_DEV_POWER_MGMT_LIMIT_MIN{{{CARD}}} 2147483632
DCGM_FI_DEV_POWER_MGMT_LIMIT{{{CARD}}} NaN
"""


@dataclass
class Peer:
    """An exporter on loopback; each request gets what is here now."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0
    trickle: threading.Event | None = None

    def settings(self, kind: str, timeout: float = 20.0, path: str = "") -> Settings:
        """Return the entry of the configuration that names it."""
        return Settings(f"http://127.0.0.1:{self.port}{path}", kind, timeout_seconds=timeout)


@pytest.fixture
def peer() -> Iterator[Peer]:
    """Serve on a free port while the test lasts."""
    made = Peer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            self.send_response(made.status)
            for key, value in made.headers.items():
                self.send_header(key, value)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(made.body)
                while made.trickle is not None and not made.trickle.wait(0.01):
                    self.wfile.write(b"#")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield made
    if made.trickle is not None:
        made.trickle.set()
    server.shutdown()
    server.server_close()
    thread.join()


class Bench:
    """A source, its peer, and a clock that is moved by hand."""

    def __init__(self, peer: Peer, kind: str) -> None:
        self.now = 100.0
        self.peer = peer
        (self.source,) = scrapes([peer.settings(kind)], lambda: self.now)

    def read(self, text: str, seconds: float = 0.0) -> Readings:
        """Read this text after some seconds."""
        self.now += seconds
        self.peer.body = text.encode()
        return self.source.read()


def meters(readings: Readings) -> dict[tuple[str, str], tuple[Component | None, float]]:
    """Return each meter's component and joules."""
    return {
        (one.meter.package, one.meter.zone): (one.meter.component, one.joules)
        for one in readings.energies
    }


def refused(peer: Peer, clock: Clock = lambda: 0.0, timeout: float = 20.0) -> NoMeter:
    """Return why a read of this peer gives nothing."""
    (source,) = scrapes([peer.settings("node", timeout)], clock)
    with pytest.raises(NoMeter) as raised:
        source.read()
    return raised.value


def test_node_exporter(peer: Peer) -> None:
    """Zones are called as `rapl` does; the MMIO twin is left out; the counter is the hardware's."""
    readings = Bench(peer, "node").read(NODE)

    assert {
        ("0", "package"): (Component.CPU, 240.5),
        ("1", "package"): (Component.CPU, 200.0),
        ("0", "core"): (None, 100.0),
        ("0", "dram"): (Component.DRAM, 60.0),
        ("", "psys"): (Component.PLATFORM, 999.0),
    } == meters(readings)
    assert {Method.MEASURED} == {one.meter.method for one in readings.energies}
    assert {"scrape_node"} == {one.meter.source for one in readings.energies}


def test_node_exporter_with_one_metric_for_all_zones(peer: Peer) -> None:
    """Its flag puts the zone in a label; a die is a package of its own."""
    assert {
        ("0", "package"): (Component.CPU, 7.0),
        ("1-die-0", "package"): (Component.CPU, 8.0),
    } == meters(Bench(peer, "node").read(ONE_METRIC))


def test_the_real_node_exporter(tmp_path: Path) -> None:
    """On a planted machine the program itself is read, and gives what `rapl` would."""
    program = find("prometheus-node-exporter", "prometheus-node-exporter", "node_exporter")
    machine("xeon-2-sockets", tmp_path)
    command = [
        program,
        "--web.listen-address=127.0.0.1:0",
        f"--path.sysfs={tmp_path}/sys",
        "--collector.disable-defaults",
        "--collector.rapl",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = next(
            line.rpartition("address=")[2].split()[0]
            for line in process.stderr
            if "Listening on" in line
        )
        entry = Settings(f"http://{address}", "node", timeout_seconds=20.0)
        try:
            found = meters(scrapes([entry], lambda: 0.0)[0].read())
        finally:
            process.terminate()

    assert {
        ("0", "package"): (Component.CPU, 240422.366267),
        ("0", "dram"): (Component.DRAM, 18821.284256),
        ("0", "core"): (None, 100.0),
        ("1", "package"): (Component.CPU, 200.0),
        ("1", "dram"): (Component.DRAM, 60.0),
        ("", "psys"): (Component.PLATFORM, 999.0),
    } == found


def test_kepler(peer: Peer) -> None:
    """The path tells the hardware's counter from hwmon's power that Kepler has integrated."""
    readings = Bench(peer, "kepler").read(KEPLER)

    assert {
        ("1", "package"): (Component.CPU, 5.0),
        ("1", "dram"): (Component.DRAM, 3.0),
        ("", "core"): (None, 2.0),
        ("", "VDD"): (None, 4.0),
        ("0", "GPU-a"): (Component.GPU, 1234.0),
    } == meters(readings)
    assert ["VDD"] == [
        one.meter.zone for one in readings.energies if one.meter.method is Method.DERIVED
    ]
    assert (GpuState("0", "GPU-a", "L4", power_watts=66.5),) == readings.gpus


def test_scaphandre(peer: Peer) -> None:
    """Microjoules become joules, no content type is needed, and processes are not looked at."""
    readings = Bench(peer, "scaphandre").read(SCAPHANDRE)

    assert {
        ("1", "package"): (Component.CPU, 246521.945562),
        ("1", "dram"): (Component.DRAM, 49920.589217),
        ("1", "core"): (None, 1.0),
        ("", "host"): (None, 346728.467994),
        ("", "psys"): (Component.PLATFORM, 5.0),
    } == meters(readings)


def test_dcgm(peer: Peer) -> None:
    """Base units of millijoules and the like; a blank is an empty field, NaN an anomaly besides."""
    readings = Bench(peer, "dcgm").read(DCGM)

    (energy,) = readings.energies
    assert (Component.GPU, "0", "GPU-a", Method.MEASURED, 70.0, 15152422.938) == (
        energy.meter.component,
        energy.meter.package,
        energy.meter.zone,
        energy.meter.method,
        energy.meter.max_watts,
        energy.joules,
    )
    assert (
        GpuState(
            gpu="0",
            uuid="GPU-a",
            name="Tesla T4",
            power_watts=68.244,
            temperature_celsius=45.0,
            utilization_percent=97.0,
            memory_used_bytes=float(1 << 30),
            limits_watts=(("enforced", 70.0), ("max", 70.0)),
            clocks_hertz=(("sm", 1.59e9), ("memory", 5e9)),
        ),
    ) == readings.gpus
    assert (Anomaly.NAN,) == readings.anomalies


def test_dcgm_repeats_a_card_for_its_parts(peer: Peer) -> None:
    """The card's joules are counted once; what differs from part to part is not the card's."""
    parts = [f'{CARD},GPU_I_ID="{number}",pod="p{number}"' for number in (1, 2)]
    readings = Bench(peer, "dcgm").read(
        "\n".join(
            f"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{{part}}} 5000\n"
            f"DCGM_FI_DEV_POWER_USAGE{{{part}}} 300\n"
            f"DCGM_FI_DEV_FB_USED{{{part}}} {number * 100}"
            for number, part in enumerate(parts)
        )
    )

    assert {("0", "GPU-a"): (Component.GPU, 5.0)} == meters(readings)
    assert [(300.0, None)] == [(one.power_watts, one.memory_used_bytes) for one in readings.gpus]


def test_dcgm_counts_its_cards_anew(peer: Peer) -> None:
    """A card has another number when one before it is gone; its joules go on."""
    bench, ledger = Bench(peer, "dcgm"), Ledger()
    text = f"DCGM_FI_DEV_POWER_USAGE{{{CARD}}} 100\n"
    found = [
        entered(ledger, energy)
        for number in "1100"
        for energy in bench.read(text.replace('gpu="0"', f'gpu="{number}"'), seconds=5).energies
    ]

    assert [0.0, 500.0, 500.0, 500.0] == found
    assert not ledger.anomalies


def test_dcgm_without_its_counter(peer: Peer) -> None:
    """Power is integrated, and marked derived."""
    bench = Bench(peer, "dcgm")
    bench.read(f"DCGM_FI_DEV_POWER_USAGE{{{CARD}}} 100")

    (energy,) = bench.read(f"DCGM_FI_DEV_POWER_USAGE{{{CARD}}} 300", seconds=5).energies

    assert (1000.0, Method.DERIVED) == (energy.joules, energy.meter.method)


def package(joules: float) -> str:
    """Return node_exporter's text for one socket."""
    return f'node_rapl_package_joules_total{{index="0",path="intel-rapl:0"}} {joules}\n'


def counted(bench: Bench, ledger: Ledger, joules: float, seconds: float = 5.0) -> float:
    """Return what the books count for a socket's next value."""
    (energy,) = bench.read(package(joules), seconds).energies
    return entered(ledger, energy)


def entered(ledger: Ledger, energy: Energy) -> float:
    """Return what the books count for a reading that can be."""
    step = ledger.enter(energy)
    assert step is not None
    return step.joules


@pytest.mark.parametrize("end", [65_532.610987, 262_143.32885])
def test_a_counter_that_wraps(peer: Peer, end: float) -> None:
    """Nobody tells its range; AMD's and Intel's are known by where the value falls."""
    bench, ledger = Bench(peer, "node"), Ledger()
    counted(bench, ledger, end - 700)
    counted(bench, ledger, end - 200)

    assert 500.0 == pytest.approx(counted(bench, ledger, 300))
    assert not ledger.anomalies


def test_a_counter_that_starts_anew(peer: Peer) -> None:
    """A fall far from any range's end is a reset: nothing is made up, and counting goes on."""
    bench, ledger = Bench(peer, "node"), Ledger()
    counted(bench, ledger, 149_000)
    counted(bench, ledger, 150_000)

    assert 0.0 == counted(bench, ledger, 40)
    assert 400.0 == pytest.approx(counted(bench, ledger, 440))
    assert {("scrape_node", "reset"): 1} == dict(ledger.anomalies)


def test_kepler_adds_sockets_up_before_it_wraps(peer: Peer) -> None:
    """The sum of two of Intel's sockets wraps at twice their range."""
    bench, ledger = Bench(peer, "kepler"), Ledger()
    text = 'kepler_node_cpu_joules_total{{zone="package",path="aggregated-package"}} {}'
    found = []
    for joules in (2 * 262_143.32885 - 2000, 2 * 262_143.32885 - 1000, 500):
        (energy,) = bench.read(text.format(joules), seconds=5).energies
        found.append(entered(ledger, energy))

    assert [0.0, 0.0, pytest.approx(1500.0)] == found


def test_values_that_a_peer_keeps_for_a_while(peer: Peer) -> None:
    """dcgm-exporter collects every 30 s: joules are of that time, not of the last scrape's.

    In which time it came to the first new value is not known, so that one is where it starts.
    """
    bench, ledger = Bench(peer, "dcgm"), Ledger()
    total = 0.0
    for tick in range(25):
        millijoules = (tick + 5) // 6 * 30 * 600_000
        text = f"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{{CARD}}} {millijoules}"
        (energy,) = bench.read(text, seconds=5).energies
        step = ledger.enter(energy)
        assert step is not None
        assert step.watts in {None, 600.0}
        total += step.joules

    assert 3 * 30 * 600.0 == total
    assert not ledger.anomalies


def test_a_peer_that_serves_old_values(peer: Peer) -> None:
    """A counter that stands still is left out after a while, its card's gauges with it."""
    bench = Bench(peer, "dcgm")
    other = DCGM.replace("GPU-a", "GPU-b").replace("938", "939")
    bench.read(DCGM + other)

    readings = bench.read(DCGM + other.replace("939", "999"), seconds=STILL_SECONDS + 1)

    assert ["GPU-b"] == [one.meter.zone for one in readings.energies]
    assert ["GPU-b"] == [one.uuid for one in readings.gpus]
    with pytest.raises(NoMeter, match="serves old values"):
        bench.read(DCGM + other.replace("939", "999"), seconds=STILL_SECONDS + 1)


def test_a_socket_that_is_no_number(peer: Peer) -> None:
    """It is left out, counted and told of; alone it is no meter."""
    bench = Bench(peer, "node")
    broken = 'node_rapl_package_joules_total{index="1",path="intel-rapl:1"} NaN\n'

    readings = bench.read(package(300.0) + broken)

    assert {("0", "package"): (Component.CPU, 300.0)} == meters(readings)
    assert (Anomaly.NAN,) == readings.anomalies
    assert ["1"] == [one.meter.package for one in readings.refused]
    with pytest.raises(NoMeter, match="package 1 shows nan J") as raised:
        bench.read(broken)
    assert Anomaly.NAN is raised.value.anomaly


def test_a_socket_that_stands_still_beside_one_that_moves(peer: Peer) -> None:
    """It is refused and told of; a card that stands may sleep."""
    bench = Bench(peer, "node")
    other = 'node_rapl_package_joules_total{index="1",path="intel-rapl:1"} 700\n'
    bench.read(package(300.0) + other)

    readings = bench.read(package(400.0) + other, seconds=STILL_SECONDS + 1)

    assert ["1"] == [one.meter.package for one in readings.refused]
    assert "has not moved" in readings.refused[0].detail


def test_a_graphics_core_that_nobody_uses(peer: Peer) -> None:
    """It draws nothing beside a package that moves, and is told of no less."""
    bench, ledger = Bench(peer, "node"), Ledger()
    rest = 'node_rapl_uncore_joules_total{index="0",path="intel-rapl:0:1"} 70\n'
    for joules in (200.0, 300.0):
        for energy in bench.read(package(joules) + rest, seconds=5).energies:
            ledger.enter(energy)

    readings = bench.read(package(400.0) + rest, seconds=STILL_SECONDS + 1)

    steps = [ledger.enter(energy) for energy in readings.energies]
    watts = {step.meter.zone: step.watts for step in steps if step is not None}
    assert () == readings.refused
    assert {"package": pytest.approx(100 / (STILL_SECONDS + 1)), "uncore": 0.0} == watts
    with pytest.raises(NoMeter, match="package 0 has not moved"):
        bench.read(package(400.0) + rest, seconds=STILL_SECONDS + 1)


def test_a_psys_that_leads_nowhere(peer: Peer) -> None:
    """One that never counted is missed by nobody; one that did is."""
    bench = Bench(peer, "node")
    board = 'node_rapl_psys_joules_total{index="0",path="intel-rapl:1"} 77\n'
    bench.read(package(300.0) + board)

    readings = bench.read(package(400.0) + board, seconds=STILL_SECONDS + 1)
    assert ({("0", "package"): (Component.CPU, 400.0)}, ()) == (meters(readings), readings.refused)

    bench.read(package(500.0) + board.replace("77", "78"), seconds=5)
    readings = bench.read(package(600.0) + board, seconds=5)
    readings = bench.read(package(700.0) + board, seconds=STILL_SECONDS + 1)
    assert ["psys"] == [one.meter.zone for one in readings.refused]


def test_a_card_that_was_not_seen_for_a_while(peer: Peer, tmp_path: Path) -> None:
    """Where power is integrated a gap is no 0 W: neither shown nor learned as the idle draw."""
    off = tuple(name for name in SOURCES if name != "scrape")
    used = Sources(off=off, scrape=(peer.settings("dcgm"),))
    now = 100.0
    load(tmp_path / "proc", 0, 0)
    where = Machine(tmp_path / "sys", tmp_path / "proc", lambda: now, lambda: 1.7e9)
    collector = Collector(Config(60.0, sources=used), where, own_pid=1)
    totals = []
    for peer.status in (200, 200, 200, 500, 500, 500, 500, 500, 500, 200, 200):
        peer.body = f"DCGM_FI_DEV_POWER_USAGE{{{CARD}}} 100\n".encode()
        now += 5.0
        snapshot = collector.tick()
        totals.append(snapshot.total)
    collector.close()

    assert {None, ("sum", 100.0)} == set(totals)
    assert ("sum", 100.0) == totals[-1]
    assert 100.0 == snapshot.idle[Component.GPU].watts
    assert 1500.0 == snapshot.node_joules[Component.GPU]


def test_power_at_rest_stands_between_two_scrapes(peer: Peer, tmp_path: Path) -> None:
    """It is shown at each tick, and no more when its card is gone."""
    off = tuple(name for name in SOURCES if name != "scrape")
    used = Sources(off=off, scrape=(peer.settings("dcgm"),))
    now = 100
    load(tmp_path / "proc", 0, 0)
    where = Machine(tmp_path / "sys", tmp_path / "proc", lambda: float(now), lambda: 1.7e9)
    collector = Collector(Config(60.0, sources=used), where, own_pid=1)
    shown = []
    for now in (*range(100, 130), 400):
        peer.status = 200 if now < 130 else 500
        peer.body = f"DCGM_FI_DEV_POWER_USAGE{{{CARD}}} 100\n".encode()
        shown.append(Component.GPU in collector.tick().idle)
    collector.close()

    assert {True} == set(shown[6:-1])
    assert not shown[-1]


def test_what_ran_between_two_scrapes(peer: Peer, tmp_path: Path) -> None:
    """Joules of five seconds go to who worked in them, not in the last one alone."""
    off = tuple(name for name in SOURCES if name != "scrape")
    used = Sources(off=off, scrape=(peer.settings("node"),))
    apps = (App("long", process="long"), App("short", process="short"))
    proc, now = tmp_path / "proc", 100
    where = Machine(tmp_path / "sys", proc, lambda: float(now), lambda: 1.7e9)
    process(proc, 1, "init", 0)
    load(proc, 0, 0)
    collector = Collector(Config(60.0, apps=apps, sources=used), where, own_pid=1)
    worked = {"long": 0, "short": 0}
    for now in range(100, 151):
        worked["short" if now % 5 == 0 else "long"] += 100
        for pid, (comm, ticks) in enumerate(worked.items(), start=10):
            process(proc, pid, comm, ticks)
        load(proc, now, now)
        peer.body = package(40.0 * now).encode()
        snapshot = collector.tick()
    collector.close()

    joules = snapshot.app_joules
    active = {app: joules[app, Component.CPU, "active"] for app in worked}
    assert 5 * peer.asked.count("/metrics") == 55
    assert active["long"] == pytest.approx(4 * active["short"])
    assert sum(active.values()) > 0


def test_a_psys_of_a_peer_is_shown_as_our_own_is(peer: Peer, tmp_path: Path) -> None:
    """It is a CPU zone, and the basis of the node's total."""
    peer.body = NODE.encode()
    machine("xeon-2-sockets", tmp_path)
    off = tuple(name for name in SOURCES if name != "scrape")
    used = Sources(off=off, scrape=(peer.settings("node"),))
    now = 100.0
    where = Machine(tmp_path / "sys", tmp_path / "proc", lambda: now, lambda: 1.7e9)
    collector = Collector(Config(60.0, sources=used), where, own_pid=1)
    for board in (999, 9999, 18999):
        now += 60.0
        peer.body = NODE.replace("240.5", f"{board}").replace("999", f"{board}").encode()
        snapshot = collector.tick()
    collector.close()

    page = prometheus(View(snapshot, Config(), Own("1", 0.0))).decode()
    zone = 'node_cpu_energy_joules_total{package="",source="scrape_node",zone="psys"}'
    assert f"{zone} 9000.0\n" in page
    assert 'node_total_power_watts{basis="psys"} 150.0\n' in page
    assert "node_platform_" not in page


def test_a_card_whose_watts_cannot_be(peer: Peer) -> None:
    """Kepler's gauge is no series then, and its counter goes on."""
    text = KEPLER.replace('vendor="nvidia"} 66.5', 'vendor="nvidia"} NaN')

    readings = Bench(peer, "kepler").read(text)

    assert [None] == [gpu.power_watts for gpu in readings.gpus]
    assert (Anomaly.NAN,) == readings.anomalies
    assert 1234.0 == meters(readings)["0", "GPU-a"][1]


def test_several_entries(peer: Peer) -> None:
    """Each is a source with a name and an interval of its own, and fails alone."""
    peer.body = NODE.encode()
    kinds = ("node", "dcgm", "node")

    first, second, third = scrapes([peer.settings(kind) for kind in kinds], lambda: 0.0)

    assert ["scrape_node", "scrape_dcgm", "scrape_node_2"] == [
        one.name for one in (first, second, third)
    ]
    assert 5 == len(first.read().energies)
    assert {"scrape_node_2"} == {one.meter.source for one in third.read().energies}
    with pytest.raises(NoMeter, match=r"shows no DCGM_FI_DEV_\*") as raised:
        second.read()
    assert raised.value.reason is Reason.UNSUPPORTED


def test_which_page_is_asked_for(peer: Peer) -> None:
    """A bare address means /metrics; a path is taken as it is."""
    peer.body = NODE.encode()
    for path in ("", "/other"):
        scrapes([peer.settings("node", path=path)], lambda: 0.0)[0].read()

    assert ["/metrics", "/other"] == peer.asked


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (500, Reason.INVALID),
        (404, Reason.INVALID),
        (403, Reason.PERMISSION),
        (401, Reason.PERMISSION),
        (504, Reason.TIMEOUT),
        (204, Reason.INVALID),
        (304, Reason.INVALID),
    ],
)
def test_an_answer_that_is_none(peer: Peer, status: int, reason: Reason) -> None:
    """Anything but 200 is told by its number."""
    peer.status = status

    said = refused(peer)

    assert said.reason is reason
    assert f"answered {status}" in said.detail


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        ("text/html", b"<html>", "answered text/html, not metrics"),
        ("application/json", b"{}", "answered application/json, not metrics"),
        ("text/plain", b"", "shows no node_rapl_"),
        ("text/plain", b"node_rapl_package_joules_total{index=0} x", "a broken line"),
        ("text/plain", b'node_rapl_package_joules_total{index="0"} \xff', "a broken line"),
    ],
)
def test_a_page_that_is_no_metrics(peer: Peer, content_type: str, body: bytes, words: str) -> None:
    """A page for people, another API, an empty or a broken one: said in words."""
    peer.headers = {"Content-Type": content_type}
    peer.body = body

    assert words in refused(peer).detail


def test_a_body_without_an_end(peer: Peer) -> None:
    """More than the bound is not read."""
    peer.body = b"#" * (MAX_BYTES + 65536)

    assert "more than 16 MiB" in refused(peer).detail


def test_a_small_body_that_grows(peer: Peer) -> None:
    """The bound is on what comes out of the compression."""
    peer.headers = {"Content-Encoding": "gzip"}
    peer.body = gzip.compress(b"#" * (MAX_BYTES + 65536))

    assert "more than 16 MiB" in refused(peer).detail


def test_a_compressed_body(peer: Peer) -> None:
    """It is read like a plain one."""
    peer.headers = {"Content-Encoding": "gzip"}
    peer.body = gzip.compress(NODE.encode())

    assert 5 == len(scrapes([peer.settings("node")], lambda: 0.0)[0].read().energies)


def test_a_body_that_breaks_off(peer: Peer) -> None:
    """Half an answer is no answer."""
    peer.headers = {"Content-Length": "100000"}
    peer.body = NODE.encode()

    assert refused(peer).reason is Reason.INVALID


def test_a_redirect_on_the_same_host_is_followed(peer: Peer) -> None:
    """In a circle it is not followed for ever."""
    peer.status = 302
    peer.headers = {"Location": "/metrics/"}

    assert "redirects in a circle" in refused(peer).detail
    assert ["/metrics", "/metrics/", "/metrics/"] == peer.asked


@pytest.mark.parametrize("place", ["http://127.0.0.2:1/metrics", "//other.example/", "https://x/"])
def test_a_redirect_elsewhere_is_not(peer: Peer, place: str) -> None:
    """Another host, port or scheme is not asked; the user is told to name it."""
    peer.status = 301
    peer.headers = {"Location": place}

    assert "redirects to another host" in refused(peer).detail


def test_nobody_there(peer: Peer) -> None:
    """A refused connection is an absent peer."""
    peer.port = 1

    assert refused(peer).reason is Reason.ABSENT


def test_a_peer_that_hangs(peer: Peer) -> None:
    """No answer within the time is a timeout."""
    peer.headers = {"Content-Length": "10"}
    peer.trickle = threading.Event()
    peer.body = b"#"

    said = refused(peer, clock=itertools.count().__next__, timeout=5.0)

    assert said.reason is Reason.TIMEOUT
    assert "did not answer within 5 s" in said.detail


def test_a_peer_that_says_nothing() -> None:
    """A connection that is taken and left alone ends by the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        entry = Settings(f"http://127.0.0.1:{deaf.getsockname()[1]}", "node", timeout_seconds=0.2)
        with pytest.raises(NoMeter, match="did not answer within") as raised:
            scrapes([entry], lambda: 0.0)[0].read()

    assert raised.value.reason is Reason.TIMEOUT
