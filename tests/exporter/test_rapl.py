"""RAPL by the kernel's files: zones told apart, trouble told in words."""

from pathlib import Path

import pytest

from plant import machine, plant
from wattgov_exporter.counters import Counter, Mark, advance
from wattgov_exporter.reading import Component, NoMeter, Reason
from wattgov_exporter.sources.rapl import Rapl


def rapl(root: Path) -> Rapl:
    """Return the source on a planted tree, at 7 s."""
    return Rapl(root / "sys", lambda: 7.0)


def test_zones_of_two_sockets(tmp_path: Path) -> None:
    """Packages, memory and psys have components, core has none, the MMIO twin is left out."""
    readings = rapl(machine("xeon-2-sockets", tmp_path)).read()

    found = {
        (one.meter.package, one.meter.zone): (one.meter.component, one.joules)
        for one in readings.energies
    }
    assert {
        ("0", "package"): (Component.CPU, 240422.366267),
        ("0", "dram"): (Component.DRAM, 18821.284256),
        ("0", "core"): (None, 100.0),
        ("1", "package"): (Component.CPU, 200.0),
        ("1", "dram"): (Component.DRAM, 60.0),
        ("", "psys"): (Component.PLATFORM, 999.0),
    } == found


def test_range_and_plausible_power(tmp_path: Path) -> None:
    """The counter's range is the kernel's, the plausible power is never below a burst's."""
    first = rapl(machine("xeon-2-sockets", tmp_path)).read().energies[0]

    assert first.meter.range_joules == 262143.32885
    assert first.meter.max_watts == 500.0
    assert first.at == 7.0


def test_a_node_may_draw_more_than_a_package(tmp_path: Path) -> None:
    """Of psys, 2 kW for most of a minute are no fault."""
    (psys,) = [
        one
        for one in rapl(machine("xeon-2-sockets", tmp_path)).read().energies
        if one.meter.zone == "psys"
    ]
    start = Counter(Mark(psys.joules, psys.at))

    _, joules, anomaly = advance(start, psys.meter, psys.joules + 80_000.0, psys.at + 40.0)

    assert anomaly is None
    assert 80_000.0 == pytest.approx(joules)


def test_absent(tmp_path: Path) -> None:
    """A machine without RAPL says so, with what could be done."""
    with pytest.raises(NoMeter, match="no intel-rapl zone") as raised:
        rapl(tmp_path).read()

    assert raised.value.reason is Reason.ABSENT


@pytest.mark.parametrize("content", ["", "garbage", "12.5.3"])
def test_unreadable_content(tmp_path: Path, content: str) -> None:
    """An empty or garbled counter is `invalid`, with the file's name."""
    plant(
        f"sys/class/powercap/intel-rapl:0/name = package-0\n"
        f"sys/class/powercap/intel-rapl:0/energy_uj = {content}",
        tmp_path,
    )

    with pytest.raises(NoMeter, match="energy_uj") as raised:
        rapl(tmp_path).read()

    assert raised.value.reason is Reason.INVALID


def test_one_bad_zone_keeps_the_others(tmp_path: Path) -> None:
    """A zone that cannot be read takes no other with it."""
    root = machine("xeon-2-sockets", tmp_path)
    (root / "sys/class/powercap/intel-rapl:1/energy_uj").write_text("?")

    packages = {
        one.meter.package for one in rapl(root).read().energies if one.meter.zone == "package"
    }

    assert {"0"} == packages


def test_a_zone_of_a_package_without_a_name(tmp_path: Path) -> None:
    """Memory of which socket cannot be told: it waits, so that it is no other meter meanwhile."""
    source = rapl(machine("xeon-2-sockets", tmp_path))
    name = tmp_path / "sys/class/powercap/intel-rapl:1/name"
    name.unlink()

    zones = [(one.meter.package, one.meter.zone) for one in source.read().energies]

    assert {("0", "package"), ("0", "core"), ("0", "dram"), ("", "psys")} == set(zones)
    name.write_text("package-1\n")
    assert 6 == len(source.read().energies)
