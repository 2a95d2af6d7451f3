"""The power limit of an AMD GPU, on a fake hwmon tree."""

import shutil
from pathlib import Path

import pytest

from actuator.bench import Bench
from actuator.stands import STANDS
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs.amd_gpu_power_limit import NAME, AmdGpuPowerLimit
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError

UUID = "d0ff74a1-0000-1000-806a-1b2c3d4e5f60"
HWMON = "class/drm/card0/device/hwmon/hwmon3"


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """Return the /sys of one AMD card, an integrated one, another maker's and a connector."""
    STANDS[NAME].plant(tmp_path)
    return tmp_path / "sys"


@pytest.fixture
def knob(sysfs: Path) -> AmdGpuPowerLimit:
    """Return the knob of this machine."""
    return AmdGpuPowerLimit(Machine(sysfs))


def test_a_card_with_a_limit_is_a_target(knob: AmdGpuPowerLimit) -> None:
    """Called as AMD SMI calls it; what has no limit is none."""
    (card,) = knob.probe().targets

    assert (UUID, {"uuid": UUID}) == (card.name, card.labels)
    assert (100, 750, "watts") == (card.low, card.high, card.unit)


def test_a_limit_is_set_and_put_back(tmp_path: Path, sysfs: Path, knob: AmdGpuPowerLimit) -> None:
    """In microwatts."""
    bench = Bench(tmp_path, NAME, lambda: knob)
    done = bench.act(400)

    assert (Reason.APPLIED, InForce(400, text="400000000")) == (done.reason, knob.read(UUID))
    bench.writer.restore()
    assert "560000000" == (sysfs / HWMON / "power1_cap").read_text()
    bench.close()


def test_a_card_without_a_number_is_called_by_its_place(sysfs: Path) -> None:
    """As on boards for the home; the link leads to its address on the bus."""
    device = sysfs / "class/drm/card0/device"
    (device / "unique_id").unlink()
    place = sysfs / "devices/pci0000:00/0000:03:00.0"
    place.parent.mkdir(parents=True)
    device.rename(place)
    device.symlink_to(place)
    (card,) = AmdGpuPowerLimit(Machine(sysfs)).probe().targets

    assert "0000:03:00.0" == card.name


def test_a_card_without_a_range_is_no_target(sysfs: Path, knob: AmdGpuPowerLimit) -> None:
    """What cannot be clamped is not written."""
    (sysfs / HWMON / "power1_cap_max").write_text("0\n")
    probe = knob.probe()

    assert ((), f"{UUID}: the driver states no highest limit") == (probe.targets, probe.note)


def test_a_card_that_is_gone_is_lost(sysfs: Path, knob: AmdGpuPowerLimit) -> None:
    """Taken out, or its driver unloaded."""
    shutil.rmtree(sysfs / "class/drm/card0")

    assert "has no AMD GPU with a power limit" in knob.probe().note
    with pytest.raises(KnobError, match="has no card") as caught:
        knob.read(UUID)
    assert Fault.LOST == caught.value.fault
