"""The doctor tells the truth: what is on, how it knows, what is off and what would help."""

from pathlib import Path

from plant import load, machine, plant
from wattgov_exporter.doctor import Finding, examined, report
from wattgov_exporter.poll import read
from wattgov_exporter.reading import Component, Energy, Meter, Method, Readings, Source
from wattgov_exporter.sources.cpu_model import CpuModel
from wattgov_exporter.sources.rapl import Rapl


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def examine(root: Path, clock: Clock, *sources: Source) -> list[str]:
    """Read the sources twice, two seconds apart, with 10 busy CPU-seconds in between."""
    load(root / "proc", 0, 0)
    first = [read(source, clock) for source in sources]
    clock.now += 2
    load(root / "proc", 10, 0)
    zone = root / "sys/class/powercap/intel-rapl:1/energy_uj"
    if zone.exists():
        zone.write_text("400000000\n")  # 200 J more
    second = [read(source, clock) for source in sources]
    return list(report([Finding(*one) for one in zip(sources, first, second, strict=True)]))


def test_what_is_refused_and_what_stands_still(tmp_path: Path) -> None:
    """A zone that says nothing true is told with its file; what tells nothing new has no watts."""
    root, clock = machine("xeon-2-sockets", tmp_path), Clock()
    (root / "sys/class/powercap/intel-rapl:0:0/energy_uj").write_text("?")

    text = " ".join(" ".join(examine(root, clock, Rapl(root / "sys", clock))).split())

    assert "0 package: stands still, measured" in text
    assert "1 package: 100.0 W, measured" in text
    assert "warning: " in text
    assert "intel-rapl:0:0/energy_uj: invalid literal" in text


def test_a_counter_that_stands_still_is_looked_at_longer(tmp_path: Path) -> None:
    """What `run` will refuse is not told to be the meter; what moves costs no second wait."""
    zone = "sys/class/powercap/intel-rapl:0"
    root = plant(f"{zone}/name = package-0\n{zone}/energy_uj = 5000000\n", tmp_path)
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text("processor\t: 0\n")
    clock = Clock()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += seconds
        load(root / "proc", clock.now, 0)

    load(root / "proc", clock.now, 0)
    sources: list[Source] = [
        Rapl(root / "sys", clock),
        CpuModel(root / "sys", root / "proc", clock),
    ]
    answers = examined(sources, clock, sleep)

    lines = list(report([Finding(*one) for one in zip(sources, *answers, strict=True)]))
    assert "rapl        off: invalid" in lines
    assert "its counter is stuck" in " ".join(lines)
    assert "cpu         is metered by cpu_model, estimated" in lines
    assert 2 == len(slept)
    slept.clear()
    examined(sources[1:], clock, sleep)
    assert 1 == len(slept)


class Slow:
    """A source of 100 W that is read each minute."""

    name, interval_seconds, expected_error = "slow", 60.0, "none"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def read(self) -> Readings:
        """Read it now."""
        meter = Meter("slow", Component.PLATFORM, "", "board", Method.MEASURED, 1e3)
        return Readings((Energy(meter, 100.0 * self._clock.now, self._clock.now),))


def test_a_slow_source_is_read_twice() -> None:
    """A BMC that is read each 10 s has watts after two, and does not stand still."""
    clock = Clock()
    source = Slow(clock)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    first, second = examined([source], clock, sleep)

    lines = list(report([Finding(source, first[0], second[0])]))
    assert "            board: 100.0 W, measured" in lines


def test_a_machine_with_meters(tmp_path: Path) -> None:
    """Each zone has its watts; zones that overlap are said to be published only."""
    root, clock = machine("xeon-2-sockets", tmp_path), Clock()

    lines = examine(
        root, clock, Rapl(root / "sys", clock), CpuModel(root / "sys", root / "proc", clock)
    )

    assert "rapl        on" in lines
    assert "            1 package: 100.0 W, measured" in lines
    assert "            0 core: 0.0 W, measured, published only: it overlaps another zone" in lines
    assert "cpu         is metered by rapl, measured" in lines
    assert "            0 package: 18.3 W, estimated" in lines  # a thread busy for 10 s in 2
    assert any("expected error: about 20 %" in line for line in lines)


def test_a_machine_without(tmp_path: Path) -> None:
    """Without RAPL the reason and the way out are there, and the estimate is labelled one."""
    root, clock = machine("xeon-2-sockets", tmp_path), Clock()

    lines = examine(
        root, clock, Rapl(tmp_path / "none", clock), CpuModel(root / "sys", root / "proc", clock)
    )

    assert "rapl        off: absent" in lines
    assert any("`modprobe intel_rapl_msr`" in line for line in lines)
    assert "cpu         is metered by cpu_model, estimated" in lines
    assert all(len(line) <= 100 for line in lines)


def test_nothing_at_all(tmp_path: Path) -> None:
    """A machine of which nothing can be told is told so."""
    clock = Clock()

    lines = examine(tmp_path, clock, Rapl(tmp_path / "none", clock))

    assert "nothing on this machine can be metered or estimated" == lines[-1]
