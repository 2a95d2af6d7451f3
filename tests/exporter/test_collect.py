"""A tick on a planted machine: chosen meters, closed books, stale and failing sources."""

import math
from pathlib import Path

import pytest

from plant import load, machine, process
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import App, Config
from wattgov_exporter.reading import Component, Method, Reason
from wattgov_exporter.snapshot import Snapshot
from wattgov_exporter.sources import Machine

INTERVAL_SECONDS = 20.0
"""Long, so that a tick waits for its sources however slow this machine is."""

CHAT = App("chat", process="vllm")


class Bench:
    """A planted two-socket machine whose meters and clock move by hand.

    The packages' counters stand still, or are broken by the test, while *live* is false. Each one's
    memory draws 10 W.
    """

    def __init__(self, root: Path) -> None:
        self.root = machine("xeon-2-sockets", root)
        self.now = 1000.0
        self.busy, self.idle = 0.0, 0.0
        self.joules = [1000.0, 2000.0]
        self.ticks = {10: 0, 11: 0}
        self.live = True
        self._write()
        self.collector = self.restarted()

    def restarted(self) -> Collector:
        """Return a new collector on this machine."""
        config = Config(INTERVAL_SECONDS, idle_watts={"cpu": 40.0}, apps=(CHAT,))
        sysfs, proc = self.root / "sys", self.root / "proc"
        where = Machine(sysfs, proc, lambda: self.now, lambda: 1.7e9 + self.now)
        return Collector(config, where, own_pid=11)

    def _write(self) -> None:
        load(self.root / "proc", self.busy, self.idle)
        for package, joules in enumerate(self.joules if self.live else ()):
            self.zone(package).write_text(f"{joules * 1e6:.0f}\n")
        for memory in ("0:0", "1:0"):
            if self.live:
                self.zone(memory).write_text(f"{10e6 * self.now:.0f}\n")
        process(self.root / "proc", 10, "vllm", self.ticks[10])
        process(self.root / "proc", 11, "exporter", self.ticks[11])

    def zone(self, package: int | str) -> Path:
        """Return the energy file of a package, or of a zone in it."""
        return self.root / f"sys/class/powercap/intel-rapl:{package}/energy_uj"

    def second(self, watts: float = 100.0, chat: float = 0.5, own: float = 0.1) -> Snapshot:
        """Let one second pass in which each package draws *watts*; return the tick after it."""
        self.now += 1
        self.busy += chat + own + 0.1
        self.idle += 1 - (chat + own + 0.1)
        self.joules = [joules + watts for joules in self.joules]
        self.ticks = {10: self.ticks[10] + int(chat * 100), 11: self.ticks[11] + int(own * 100)}
        self._write()
        return self.collector.tick()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a machine that was looked at once."""
    made = Bench(tmp_path)
    made.collector.tick()
    return made


def component_sum(snapshot: Snapshot, component: Component) -> float:
    """Return all apps' joules of a component."""
    return math.fsum(
        joules for (_, one, _), joules in snapshot.app_joules.items() if one is component
    )


def test_measured_beats_estimated(bench: Bench) -> None:
    """With RAPL there, the model counts nothing and is not published."""
    snapshot = bench.second()

    assert (Method.MEASURED, "rapl") == (
        snapshot.chosen[Component.CPU].method,
        snapshot.chosen[Component.CPU].source,
    )
    assert {"rapl"} == {state.meter.source for state in snapshot.meters}
    assert 200.0 == pytest.approx(snapshot.node_joules[Component.CPU])
    assert snapshot.total is not None
    assert "sum" == snapshot.total[0]
    assert 220.0 == pytest.approx(snapshot.total[1])


def test_the_books_close_over_many_ticks(bench: Bench) -> None:
    """The sum over apps is the node's counter, and the chat has its part of the active joules."""
    for second in range(50):
        snapshot = bench.second(watts=60 + second, chat=0.2 + second / 100)
        for component, joules in snapshot.node_joules.items():
            assert math.isclose(joules, component_sum(snapshot, component), rel_tol=1e-12)

    active = sum(v for (_, _, share), v in snapshot.app_joules.items() if share == "active")
    chat = snapshot.app_joules["chat", Component.CPU, "active"]
    cpu = snapshot.apps.cpu_seconds["chat"] / bench.busy
    assert 0.8 * cpu < chat / active < 1.2 * cpu
    assert snapshot.own_joules > 0


def test_a_failing_meter_is_replaced_and_nothing_counts_twice(bench: Bench) -> None:
    """While RAPL cannot be read the model counts; when it is back it counts from there on."""
    measured = bench.second().node_joules[Component.CPU]
    for package in (0, 1):
        zone = bench.zone(package)
        zone.unlink()
        zone.mkdir()  # a read gives EISDIR, for root too
    bench.live = False
    gap = bench.second()
    assert gap.chosen[Component.CPU].source == "cpu_model"
    assert gap.chosen[Component.DRAM].source == "rapl"
    estimated = gap.node_joules[Component.CPU] - measured
    assert 0 < estimated < 10
    bench.live = True
    for package in (0, 1):
        bench.zone(package).rmdir()

    back = bench.second()
    after = bench.second()

    assert back.chosen[Component.CPU].source == "rapl"
    cpus = {one.meter.source for one in after.meters if one.meter.component is Component.CPU}
    assert {"rapl"} == cpus  # a sum over all sources counts nothing twice
    assert back.node_joules[Component.CPU] == pytest.approx(gap.node_joules[Component.CPU] + 200)
    assert after.node_joules[Component.CPU] == pytest.approx(back.node_joules[Component.CPU] + 200)


def test_a_sources_series_end_but_its_age_stays(bench: Bench) -> None:
    """Three intervals without a good read: no series of that source, only when it was last read."""
    bench.second()
    seen = 1.7e9 + bench.now
    for package in (0, 1):
        bench.zone(package).write_text("?")
    bench.live = False
    for name in ("0:0", "0:1", "1:0", "2"):
        (bench.root / f"sys/class/powercap/intel-rapl:{name}/energy_uj").write_text("?")

    for _ in range(4):
        bench.now += INTERVAL_SECONDS
        snapshot = bench.second()

    assert {"cpu_model", "dram_model"} == {state.meter.source for state in snapshot.meters}
    assert {"rapl": Reason.INVALID, "cpu_model": Reason.OK} == {
        one.name: one.reason for one in snapshot.sources if one.name in {"rapl", "cpu_model"}
    }
    (last,) = [one.last_good for one in snapshot.sources if one.name == "rapl"]
    assert last == pytest.approx(seen)


def test_who_was_active(bench: Bench) -> None:
    """An app at rest keeps the time at which it last worked."""
    worked = bench.second().apps.last_active["chat"]

    assert worked == bench.second(chat=0.0).apps.last_active["chat"]
    assert worked < bench.second().apps.last_active["chat"]


def test_totals_go_on_after_a_restart(bench: Bench) -> None:
    """A new exporter with the old totals continues every counter, and the books still close."""
    before = bench.second()
    totals = bench.collector.totals()
    bench.second(watts=400.0)  # counted by the hardware while nobody looks

    again = bench.restarted()
    again.restore(totals)
    bench.collector = again
    again.tick()
    after = bench.second()

    assert after.node_joules[Component.CPU] == pytest.approx(
        before.node_joules[Component.CPU] + 200.0
    )
    for component, joules in after.node_joules.items():
        assert math.isclose(joules, component_sum(after, component), rel_tol=1e-12)
    assert after.apps.cpu_seconds["chat"] == pytest.approx(before.apps.cpu_seconds["chat"] + 0.5)
    old = {one.meter: one.joules for one in before.meters}
    assert all(one.joules >= old[one.meter] for one in after.meters if one.meter in old)
