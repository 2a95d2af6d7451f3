"""Counters that wrap are read often enough, or it is said that they are not."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from plant import machine
from wattgov_exporter.cli import main
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import Config, Scrape, Sources
from wattgov_exporter.doctor import Finding, report
from wattgov_exporter.loop import Events, Loaded, Loop
from wattgov_exporter.pace import AMD_RANGE_JOULES, of_config, too_slow
from wattgov_exporter.poll import read
from wattgov_exporter.reading import Component, Meter, Method
from wattgov_exporter.rhythm import Callers
from wattgov_exporter.sources import SOURCES, Machine
from wattgov_exporter.sources.rapl import Rapl

PACKAGE = Meter(
    "scrape_node", Component.CPU, "0", "package", Method.MEASURED, 500.0, AMD_RANGE_JOULES
)
ALWAYS = 1000.0


@pytest.mark.parametrize(
    ("seconds", "changes", "slow"),
    [
        (1.0, {}, False),
        (60.0, {}, False),  # 65.5 s are half a turn at 500 W
        (70.0, {}, True),
        (60.0, {"max_watts": 800.0}, True),
        (60.0, {"max_watts": 800.0, "range_joules": 4 * AMD_RANGE_JOULES}, False),
        (3600.0, {"range_joules": None}, False),
    ],
)
def test_half_a_turn(seconds: float, changes: dict[str, float | None], slow: bool) -> None:
    """Between two reads no counter may go half round at full power."""
    sentence = too_slow(replace(PACKAGE, **changes), seconds)  # type: ignore[arg-type]

    assert slow == (sentence is not None)


def test_the_sentence() -> None:
    """It names the meter, what is wrong, and what would be right."""
    assert (
        "scrape_node 0 package: read every 70 s, but its counter wraps at 65533 J, which 500 W "
        "fill in 131 s: joules may be lost; read it at least every 66 s"
    ) == too_slow(PACKAGE, 70.0)


def small(root: Path) -> Path:
    """Plant a machine whose counters wrap within seconds; psys has more to count, and room."""
    machine("xeon-2-sockets", root)
    for file in root.glob("sys/class/powercap/*/max_energy_range_uj"):
        whole = file.with_name("name").read_text().startswith("psys")
        file.write_text("50000000000\n" if whole else "5000000000\n")
    return root


def test_the_log_says_it_once(tmp_path: Path) -> None:
    """At the start each meter is told, once; what is read often enough is not."""
    small(tmp_path)
    where = Machine(tmp_path / "sys", tmp_path / "proc", lambda: ALWAYS, lambda: ALWAYS)
    config = Config(10.0, sources=Sources(off=("nvml", "hwmon")))
    collector = Collector(config, where, own_pid=1)
    log: list[str] = []
    events: Events = Events()
    ticks = iter([False, False, True])

    def publish(*_: object) -> None:
        if next(ticks):
            events.put(None)

    Loop(
        collector,
        Loaded(config),
        publish,
        path=None,
        sources=SOURCES,
        monotonic=iter(range(0, 10_000, 20)).__next__,
        wall=lambda: ALWAYS,
        log=log.append,
        callers=Callers(lambda: ALWAYS),
    ).run(events)

    told = [line.partition(":")[0] + ":" + line.split(":")[1] for line in log]
    assert sorted({*told}) == sorted(told)
    assert "warning: rapl 0 package" in told
    assert all(line.startswith("warning: rapl ") for line in log)


def test_the_doctor_says_it(tmp_path: Path) -> None:
    """For the interval in force, beside the meter."""
    source = Rapl(small(tmp_path) / "sys", lambda: ALWAYS)
    answer = read(source, lambda: ALWAYS)

    slow = "\n".join(report([Finding(source, answer, answer)], interval_seconds=10.0))
    quick = "\n".join(report([Finding(source, answer, answer)], interval_seconds=1.0))

    assert "warning: rapl 0 package: read every 10 s" in slow
    assert "warning" not in quick


@pytest.mark.parametrize(
    ("kind", "seconds", "warned"), [("node", 60, 0), ("node", 120, 1), ("dcgm", 120, 0)]
)
def test_what_the_configuration_shows(
    tmp_path: Path, kind: str, seconds: float, warned: int
) -> None:
    """`check` warns of a scraped RAPL counter that may turn unseen, and finds the file good."""
    url = "http://127.0.0.1:9100/metrics"
    config = Config(sources=Sources(scrape=(Scrape(url, kind, interval_seconds=seconds),)))
    file = tmp_path / "exporter.yml"
    file.write_text(
        f"version: 1\nsources: {{scrape: [{{url: '{url}', kind: {kind}, interval: {seconds}s}}]}}\n"
    )

    done = CliRunner().invoke(main, ["check", str(file)])

    assert warned == len(list(of_config(config)))
    assert (0, warned) == (done.exit_code, done.output.count("warning: sources.scrape"))
