"""The highest frequency of a package's cores, on a fake cpufreq tree."""

import shutil
from pathlib import Path

import pytest

from actuator.bench import Bench
from actuator.stands import CEILINGS, STANDS
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs.cpu_frequency import NAME, CpuFrequency
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, KnobError

POLICIES = "devices/system/cpu/cpufreq"


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """Return the /sys of a package of three cores and one of one; one core was held before us."""
    STANDS[NAME].plant(tmp_path)
    return tmp_path / "sys"


@pytest.fixture
def knob(sysfs: Path) -> CpuFrequency:
    """Return the knob of this machine."""
    return CpuFrequency(Machine(sysfs))


def ceilings(sysfs: Path) -> dict[int, int]:
    """Return what each policy is set to, in kilohertz."""
    return {
        int(path.name.removeprefix("policy")): int((path / "scaling_max_freq").read_text())
        for path in sorted((sysfs / POLICIES).glob("policy*"))
    }


def test_each_package_is_a_target_in_hertz(knob: CpuFrequency) -> None:
    """From the highest of the floors to the lowest of what the cores can do."""
    first, second = knob.probe().targets

    assert ("package-0", {"package": "0"}, 0.8e9, 3.5e9) == (
        first.name,
        first.labels,
        first.low,
        first.high,
    )
    assert ("package-1", 3.4e9, "hertz") == (second.name, second.high, second.unit)


def test_the_lowest_ceiling_stands_for_the_package(knob: CpuFrequency) -> None:
    """What somebody holds one core to is not ours to lift; the text has all of them."""
    found = knob.read("package-0")

    assert (2.9e9, "policy0=3500000 policy1=3500000 policy2=2900000") == (found.value, found.text)


def test_a_ceiling_goes_to_every_core_of_the_package(knob: CpuFrequency, sysfs: Path) -> None:
    """And to no other package's."""
    knob.write("package-0", 2.5e9)

    assert {0: 2_500_000, 1: 2_500_000, 2: 2_500_000, 3: 3_400_000} == ceilings(sysfs)
    assert 2.5e9 == knob.read("package-0").value


def test_every_core_gets_its_own_back(tmp_path: Path, sysfs: Path) -> None:
    """They differed before us, and so they do after."""
    bench = Bench(tmp_path, NAME, lambda: CpuFrequency(Machine(sysfs)))
    bench.act(2.5e9)
    bench.restart()
    (back,) = bench.writer.restore()

    assert (Reason.RESTORED, CEILINGS) == (back.reason, ceilings(sysfs))
    bench.close()


def test_back_to_where_it_was_by_steps_is_to_the_letter(tmp_path: Path, sysfs: Path) -> None:
    """A rule that loosens ends at the prior value; it must not become everybody's."""
    bench = Bench(tmp_path, NAME, lambda: CpuFrequency(Machine(sysfs)))
    bench.act(2.5e9)
    bench.act(2.895e9)

    assert (CEILINGS, ()) == (ceilings(sysfs), bench.journal.undos())
    bench.close()


def test_a_write_that_fails_half_way_is_no_success(tmp_path: Path, sysfs: Path) -> None:
    """The lowest reads as wanted, but one core refused: told, and all is put back later."""
    bench = Bench(tmp_path, NAME, lambda: CpuFrequency(Machine(sysfs)))
    odd = sysfs / POLICIES / "policy1" / "scaling_max_freq"

    class Stubborn(CpuFrequency):
        """A machine on which the second core's file cannot be written for a moment."""

        def write(self, target: str, value: float) -> None:
            aside = odd.rename(odd.with_name("aside"))
            shutil.copy(aside, odd.with_name("copy"))
            odd.mkdir()
            try:
                super().write(target, value)
            finally:
                odd.rmdir()
                aside.rename(odd)

    bench.knob = lambda: Stubborn(Machine(sysfs))
    bench.restart()
    done = bench.act(2.5e9)

    assert Reason.REFUSED == done.reason
    assert 2_500_000 == ceilings(sysfs)[0]
    bench.writer.restore()
    assert CEILINGS == ceilings(sysfs)
    bench.close()


def test_a_core_taken_offline_does_not_stop_the_others(tmp_path: Path, sysfs: Path) -> None:
    """Its policy is gone when we put back."""
    bench = Bench(tmp_path, NAME, lambda: CpuFrequency(Machine(sysfs)))
    bench.act(2.5e9)
    shutil.rmtree(sysfs / POLICIES / "policy0")
    (back,) = bench.writer.restore()

    assert Reason.RESTORED == back.reason
    assert {each: CEILINGS[each] for each in (1, 2, 3)} == ceilings(sysfs)
    bench.close()


def test_a_machine_without_a_driver_is_a_note(tmp_path: Path, knob: CpuFrequency) -> None:
    """As in most virtual machines."""
    shutil.rmtree(tmp_path / "sys" / POLICIES)

    assert ((), "no driver scales this CPU") == (
        knob.probe().targets,
        knob.probe().note.rpartition(": ")[2],
    )
    with pytest.raises(KnobError, match="has no core of package-0 any more") as caught:
        knob.read("package-0")
    assert Fault.LOST == caught.value.fault
