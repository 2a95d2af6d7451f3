"""The long-term limit of a CPU package, on a fake powercap tree."""

from pathlib import Path

import pytest

from actuator.bench import Bench
from actuator.stands import STANDS
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs.cpu_power_limit import NAME, CpuPowerLimit
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError

ZONE = "class/powercap/intel-rapl:0"
LIMIT = f"{ZONE}/constraint_1_power_limit_uw"


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """Return the /sys of two packages; the first limits the long term as its second constraint."""
    STANDS[NAME].plant(tmp_path)
    return tmp_path / "sys"


@pytest.fixture
def knob(sysfs: Path) -> CpuPowerLimit:
    """Return the knob of this machine."""
    return CpuPowerLimit(Machine(sysfs))


def test_each_package_is_a_target(knob: CpuPowerLimit) -> None:
    """Neither memory nor psys nor the twin by MMIO is one; a fifth of the maximum is the floor."""
    probe = knob.probe()
    first, second = probe.targets

    assert ("package-0", {"package": "0"}) == (first.name, first.labels)
    assert (37, 185, "watts") == (first.low, first.high, first.unit)
    assert ("package-1", 165, "") == (second.name, second.high, probe.note)


def test_the_long_term_limit_is_found_by_its_name(knob: CpuPowerLimit, sysfs: Path) -> None:
    """Constraint 0 is the short term here, and stays what it is; another limit counts too."""
    assert InForce(165.000123, 150, "165000123") == knob.read("package-0")

    knob.write("package-0", 140)

    assert "140000000" == (sysfs / LIMIT).read_text()
    assert InForce(140, 140, "140000000") == knob.read("package-0")
    assert "198000000" == (sysfs / ZONE / "constraint_0_power_limit_uw").read_text().strip()


def test_it_is_put_back_to_the_letter(tmp_path: Path, sysfs: Path, knob: CpuPowerLimit) -> None:
    """In microwatts, which is finer than the rules think."""
    bench = Bench(tmp_path, NAME, lambda: knob)
    bench.act(140)
    bench.writer.restore()

    assert "165000123" == (sysfs / LIMIT).read_text().strip()
    bench.close()


def test_a_package_that_states_no_maximum_keeps_the_highest_seen(knob: CpuPowerLimit) -> None:
    """Its own limit before us; the range does not shrink with each step down."""
    knob.probe()
    knob.write("package-1", 100)

    assert 165 == knob.probe().targets[1].high


def test_a_limit_that_is_switched_off_is_no_target(knob: CpuPowerLimit, sysfs: Path) -> None:
    """As where the firmware has locked it; the note says where it shows."""
    (sysfs / ZONE / "enabled").write_text("0\n")
    probe = knob.probe()

    assert ["package-1"] == [target.name for target in probe.targets]
    assert probe.note.startswith("package-0: its limits are off, or locked by the firmware")


def test_a_package_with_energy_only_is_no_target(knob: CpuPowerLimit, sysfs: Path) -> None:
    """As on AMD."""
    (sysfs / ZONE / "constraint_1_name").unlink()

    assert "intel-rapl:0 has no long_term limit, only energy" == knob.probe().note


def test_a_machine_without_powercap_is_a_note(tmp_path: Path) -> None:
    """It is no error to have none."""
    probe = CpuPowerLimit(Machine(tmp_path)).probe()

    assert ((), f"{tmp_path}/class/powercap has no CPU package; load intel_rapl_msr, or this") == (
        probe.targets,
        probe.note.removesuffix(" is no PC"),
    )


def test_a_package_that_is_gone_is_lost(knob: CpuPowerLimit, sysfs: Path) -> None:
    """The module was unloaded; no file is made in its place."""
    for file in (sysfs / ZONE).iterdir():
        file.unlink()
    (sysfs / ZONE).rmdir()
    with pytest.raises(KnobError, match="has no package-0 any more") as caught:
        knob.write("package-0", 100)

    assert Fault.LOST == caught.value.fault
    assert not (sysfs / LIMIT).exists()


def test_a_person_at_the_limit_is_respected(tmp_path: Path, sysfs: Path) -> None:
    """A value that is neither ours nor the prior one is left alone."""
    bench = Bench(tmp_path, NAME, lambda: CpuPowerLimit(Machine(sysfs)))
    bench.act(140)
    (sysfs / LIMIT).write_text("120000000\n")
    (left,) = bench.writer.restore()

    assert (Reason.CONFLICT, "120000000") == (left.reason, (sysfs / LIMIT).read_text().strip())
    bench.close()
