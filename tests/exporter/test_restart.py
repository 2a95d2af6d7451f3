"""The command goes on counting after a restart, and its doctor sees what its meter sees."""

import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from plant import load, machine, process
from waiting import until
from wattgov_exporter.cli import main
from wattgov_stack.ask import direct
from wattgov_stack.layout import LOOPBACK, free_ports


@contextmanager
def running(config: Path, root: Path, end: signal.Signals = signal.SIGTERM) -> Iterator[str]:
    """Run the exporter on a planted machine; give its URL; end it as systemd would, or so."""
    port = free_ports().exporter
    words = ("--config", str(config), "--listen", f"{LOOPBACK}:{port}")
    roots = ("--path.sysfs", str(root / "sys"), "--path.procfs", str(root / "proc"))
    with subprocess.Popen(
        [sys.executable, "-m", "wattgov_exporter", "run", *words, *roots], stderr=subprocess.PIPE
    ) as exporter:
        try:
            assert exporter.stderr is not None
            assert b"serves" in exporter.stderr.readline()
            yield f"http://{LOOPBACK}:{port}/metrics"
        finally:
            exporter.send_signal(end)
            assert (0 if end is signal.SIGTERM else -end) == exporter.wait(30)


def value(url: str, name: str, **labels: str) -> float:
    """Return what a series shows, 0 while there is none."""
    answer = direct().get(url, timeout=30)
    families = text_string_to_metric_families(answer.text if answer.ok else "")
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    )


def joules(url: str) -> float:
    """Return the CPUs' joules, 0 while there are none."""
    return value(url, "node_energy_joules_total", component="cpu")


def count(root: Path, total: float) -> None:
    """Let the first package's counter show *total* joules beyond its recorded value."""
    zone = root / "sys/class/powercap/intel-rapl:0/energy_uj"
    zone.write_text(f"{240422366267 + total * 1e6:.0f}\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a planted machine with one process."""
    made = machine("xeon-2-sockets", tmp_path / "machine")
    process(made / "proc", 1, "init", 0)
    load(made / "proc", 0, 0)
    return made


def test_totals_survive_a_restart(tmp_path: Path, root: Path) -> None:
    """Counters go on where they were; what ran while nobody looked is not added."""
    config = tmp_path / "exporter.yml"
    config.write_text(f"version: 1\ninterval: 100ms\nstate_file: {tmp_path}/totals.json\n")
    with running(config, root) as url:
        until(lambda: "node_energy" in direct().get(url, timeout=10).text, "a first sample")
        count(root, 300)
        until(lambda: joules(url) == pytest.approx(300), "300 J")
    count(root, 800)

    with running(config, root) as url:
        until(lambda: joules(url) == pytest.approx(300), "the same 300 J")
        count(root, 900)
        until(lambda: joules(url) == pytest.approx(400), "100 J more")


def test_after_a_crash_counters_start_at_zero(tmp_path: Path, root: Path) -> None:
    """Totals that were saved before what was published last would fall, and count twice."""
    config = tmp_path / "exporter.yml"
    config.write_text(f"version: 1\ninterval: 100ms\nstate_file: {tmp_path}/totals.json\n")
    with running(config, root) as url:
        until(lambda: "node_energy" in direct().get(url, timeout=10).text, "a first sample")
        count(root, 300)
        until(lambda: joules(url) == pytest.approx(300), "300 J")
    with running(config, root, signal.SIGKILL) as url:
        until(lambda: joules(url) == pytest.approx(300), "the same 300 J")
        count(root, 400)
        until(lambda: joules(url) == pytest.approx(400), "100 J more")

    with running(config, root) as url:
        until(lambda: "node_energy" in direct().get(url, timeout=10).text, "a first sample")
        assert 0.0 == joules(url)


def test_our_own_joules_in_a_container(tmp_path: Path, root: Path) -> None:
    """The host's /proc has another number for us than we have: whose that is here uses nothing."""
    config = tmp_path / "exporter.yml"
    config.write_text("version: 1\ninterval: 100ms\nidle_watts: {cpu: 0}\n")
    process(root / "proc", 77, "ours", 0)
    (root / "proc/self").symlink_to("77")
    seconds = itertools.count(1)

    def has_own(url: str) -> bool:
        worked = next(seconds)
        load(root / "proc", worked, 0)
        process(root / "proc", 77, "ours", 50 * worked)
        count(root, 30 * worked)
        return value(url, "wattgov_exporter_energy_joules_total") > 0

    with running(config, root) as url:
        until(lambda: has_own(url), "joules of our own")


def test_the_doctor(root: Path) -> None:
    """On a machine with RAPL and no GPU the doctor says so, and how it knows."""
    roots = ["--path.sysfs", str(root / "sys"), "--path.procfs", str(root / "proc")]
    ended = threading.Event()

    def draw() -> None:
        zones = {zone: int(zone.read_text()) for zone in root.rglob("intel-rapl:*/energy_uj")}
        for microjoules in itertools.count(10**6, 10**6):
            if ended.wait(0.05):
                return
            for zone, start in zones.items():
                aside = zone.with_suffix(".new")
                aside.write_text(f"{start + microjoules}\n")
                aside.replace(zone)

    drawing = threading.Thread(target=draw)
    drawing.start()
    try:
        result = CliRunner().invoke(main, ["doctor", *roots])
    finally:
        ended.set()
        drawing.join()

    assert 0 == result.exit_code
    assert "rapl        on" in result.output.splitlines()
    assert "cpu         is metered by rapl, measured" in result.output.splitlines()
    assert "cpu_model   on" in result.output.splitlines()
