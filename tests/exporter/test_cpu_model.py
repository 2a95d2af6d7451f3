"""The estimate: right coefficients, exact for the model, honest about stolen time."""

from pathlib import Path

import pytest

from plant import machine
from wattgov_exporter.reading import Method, NoMeter
from wattgov_exporter.sources.cpu_model import CpuModel, choose

IDLE, FULL = 0.6130, 4.1042
"""Skylake, watts per thread."""


def stat(root: Path, busy: float, idle: float, steal: float = 0.0) -> None:
    """Write the load so far, in CPU-seconds of one CPU."""
    fields = f"{busy * 100:.0f} 0 0 {idle * 100:.0f} 0 0 0 {steal * 100:.0f} 0 0"
    (root / "proc/stat").write_text(f"cpu  {fields}\ncpu0 {fields}\n")


def test_energy_of_a_load(tmp_path: Path) -> None:
    """Ten busy and thirty idle seconds cost what the coefficients say."""
    root = machine("xeon-2-sockets", tmp_path)
    source = CpuModel(root / "proc", lambda: 0.0)
    stat(root, busy=0, idle=0)
    source.read()
    stat(root, busy=10, idle=30)

    (energy,) = source.read().energies

    assert energy.joules == pytest.approx(10 * FULL + 30 * IDLE)
    assert energy.meter.method is Method.ESTIMATED
    assert energy.meter.idle_watts == pytest.approx(IDLE)


def test_stolen_time_is_not_ours(tmp_path: Path) -> None:
    """Seconds that the host gave to others add nothing."""
    root = machine("xeon-2-sockets", tmp_path)
    source = CpuModel(root / "proc", lambda: 0.0)
    stat(root, busy=0, idle=0)
    source.read()
    stat(root, busy=10, idle=0, steal=30)

    assert source.read().energies[0].joules == pytest.approx(10 * FULL)


def test_idle_time_that_falls_back(tmp_path: Path) -> None:
    """The kernel's iowait may fall; the counter does not."""
    root = machine("xeon-2-sockets", tmp_path)
    source = CpuModel(root / "proc", lambda: 0.0)
    stat(root, busy=10, idle=100)
    before = source.read().energies[0].joules
    stat(root, busy=11, idle=90)

    assert source.read().energies[0].joules == pytest.approx(before + FULL)


@pytest.mark.parametrize(
    ("vendor", "family", "model", "stepping", "name"),
    [
        ("GenuineIntel", "6", 85, 4, "Skylake"),
        ("GenuineIntel", "6", 85, 7, "Cascade Lake"),
        ("GenuineIntel", "6", 143, 8, "Sapphire Rapids"),
        ("AuthenticAMD", "25", 17, 1, "EPYC 4th Gen"),
        ("AuthenticAMD", "25", 160, 2, "EPYC 4th Gen"),
        ("AuthenticAMD", "26", 2, 1, "EPYC 5th Gen"),
        ("0x41", "8", 0xD0C, 1, "Neoverse N1"),
        ("", "", -1, -1, "unknown CPU"),
    ],
)
def test_a_cpu_is_known(vendor: str, family: str, model: int, stepping: int, name: str) -> None:
    """CPUs are told apart by vendor, family, model and stepping; any other has an average."""
    assert name == choose(vendor, family, model, stepping).name


def test_no_proc(tmp_path: Path) -> None:
    """Without /proc/stat there is no load, and the source says which file it missed."""
    with pytest.raises(NoMeter, match="stat"):
        CpuModel(tmp_path, lambda: 0.0).read()
