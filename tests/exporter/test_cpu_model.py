"""The estimate of the CPU: the curve's watts for what the kernel accounts, packages and VMs."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from plant import plant
from wattgov_exporter.procfs import each_cpu
from wattgov_exporter.reading import Energy, Method, NoMeter
from wattgov_exporter.sources.cpu_model import CpuModel
from wattgov_exporter.sources.cpu_power import choose

SKYLAKE = choose("GenuineIntel", "6", 85, 4)
GENOA = choose("AuthenticAMD", "25", 17, 1)
KIND = "vendor_id : GenuineIntel\\ncpu family : 6\\nmodel : 85\\nstepping : 4"
XEON = f"{KIND}\\nflags : fpu lm"
CLOCK = "sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq = {}"
LIMIT = "sys/class/powercap/intel-rapl:{}/constraint_0_power_limit_uw = {}"


def cpuinfo(*places: tuple[int, int], facts: str = XEON) -> str:
    """Return a line to plant: one CPU for each (package, core)."""
    blocks = (
        f"processor : {cpu}\\n{facts}\\nphysical id : {package}\\ncore id : {core}"
        for cpu, (package, core) in enumerate(places)
    )
    return "proc/cpuinfo = " + "\\n\\n".join(blocks)


def stat(root: Path, *cpus: tuple[float, float], steal: float = 0.0) -> None:
    """Write (busy, idle) seconds so far of each CPU, each with as much steal."""
    lines = [
        f"cpu{number} {busy * 100:.0f} 0 0 {idle * 100:.0f} 0 0 0 {steal * 100:.0f} 0 0"
        for number, (busy, idle) in enumerate(cpus)
    ]
    (root / "proc/stat").write_text("\n".join(["cpu  0 0 0 0 0 0 0 0 0 0", *lines, "intr 1 0\n"]))


def after(root: Path, *cpus: tuple[float, float], steal: float = 0.0) -> Sequence[Energy]:
    """Return what a source says that has seen these CPUs from their first second on."""
    source = CpuModel(root / "sys", root / "proc", lambda: 0.0)
    stat(root, *[(0.0, 0.0)] * len(cpus))
    source.read()
    stat(root, *cpus, steal=steal)
    return source.read().energies


def test_energy_of_a_load(tmp_path: Path) -> None:
    """Ten seconds of two cores, one of them busy, cost what the curve says."""
    root = plant(cpuinfo((0, 0), (0, 1)), tmp_path)

    (energy,) = after(root, (10, 0), (0, 10))

    assert energy.joules == pytest.approx(10 * SKYLAKE.package_watts([[1.0], [0.0]], None))
    assert energy.meter.method is Method.ESTIMATED
    assert energy.meter.idle_watts == pytest.approx(SKYLAKE.idle_watts)


def test_the_package_alone(tmp_path: Path) -> None:
    """The estimate covers no memory: it is of the package, as RAPL's package zone is."""
    (energy,) = after(plant(cpuinfo((0, 0)), tmp_path), (1, 0))

    assert frozenset() == energy.meter.covers


def test_a_late_tick_loses_nothing(tmp_path: Path) -> None:
    """At a steady load one tick of ten seconds counts what ticks of 1, 2 and 7 seconds do."""
    root = plant(cpuinfo((0, 0), (0, 1)), tmp_path)
    source = CpuModel(root / "sys", root / "proc", lambda: 0.0)
    for seconds in (0, 1, 3, 10):
        stat(root, (0.5 * seconds, 0.5 * seconds), (0.2 * seconds, 0.8 * seconds))
        (energy,) = source.read().energies

    (late,) = after(root, (5, 5), (2, 8))

    assert late.joules == pytest.approx(energy.joules)


def test_two_packages(tmp_path: Path) -> None:
    """Each package has its own counter; a busy one does not wake the other."""
    root = plant(cpuinfo((0, 0), (1, 0)), tmp_path)

    first, second = after(root, (10, 0), (0, 10))

    assert ("0", "1") == (first.meter.package, second.meter.package)
    assert second.joules == pytest.approx(10 * SKYLAKE.idle_watts)


def test_threads_of_one_core(tmp_path: Path) -> None:
    """Two busy threads of one core cost less than two busy cores."""
    (one,) = after(plant(cpuinfo((0, 0), (0, 0)), tmp_path / "a"), (10, 0), (10, 0))
    (two,) = after(plant(cpuinfo((0, 0), (0, 1)), tmp_path / "b"), (10, 0), (10, 0))

    assert one.joules == pytest.approx(10 * SKYLAKE.package_watts([[1.0, 1.0]], None))
    assert one.joules < two.joules


def test_the_clock_of_the_cpu_that_worked(tmp_path: Path) -> None:
    """A busy CPU at half the clock costs less; the clock of one at rest does not count."""
    root = plant(cpuinfo((0, 0), (0, 1)), tmp_path)
    plant(f"{CLOCK.format(0, 3700000)}\n{CLOCK.format(1, 1250000)}", root)

    (energy,) = after(root, (0, 10), (10, 0))

    assert energy.joules == pytest.approx(10 * SKYLAKE.package_watts([[0.0], [1.0]], 1.25))


def test_a_power_limit(tmp_path: Path) -> None:
    """A package draws no more than the limit that the kernel shows, a cap of ours included."""
    root = plant(cpuinfo((0, 0), (0, 1)), tmp_path)
    plant(LIMIT.format(0, 30000000), root)

    (energy,) = after(root, (10, 0), (10, 0))

    assert energy.joules == pytest.approx(10 * 30.0)


@pytest.mark.parametrize("content", ["", "<unknown>", "-"])
def test_a_clock_that_is_none(tmp_path: Path, content: str) -> None:
    """A clock or a limit that cannot be read changes nothing."""
    root = plant(cpuinfo((0, 0)), tmp_path)
    plant(f"{CLOCK.format(0, content)}\n{LIMIT.format(0, content)}", root)

    (energy,) = after(root, (10, 0))

    assert energy.joules == pytest.approx(10 * SKYLAKE.package_watts([[1.0]], None))


def test_a_virtual_machine_has_its_threads_share(tmp_path: Path) -> None:
    """Two vCPUs of a package of 192 threads carry 2/192 of its rest, each half a core's work."""
    facts = "vendor_id : AuthenticAMD\\ncpu family : 25\\nmodel : 17\\nstepping : 1"
    guest = cpuinfo((0, 0), (1, 0), facts=f"{facts}\\nflags : fpu hypervisor lm")
    root = plant(guest, tmp_path)
    plant(CLOCK.format(0, 9000000), root)  # a guest's clock is made up

    (energy,) = after(root, (10, 0), (0, 10))

    rest = 2 * (GENOA.idle_watts + GENOA.wake_watts) / 192
    assert energy.joules == pytest.approx(10 * rest + 10 * GENOA.core_watts / 2)
    assert energy.meter.idle_watts == pytest.approx(rest)


def test_stolen_time_is_not_ours(tmp_path: Path) -> None:
    """Seconds that the host gave to others add nothing."""
    facts = f"{KIND}\\nflags : hypervisor"
    root = plant(cpuinfo((0, 0), facts=facts), tmp_path)

    (without,) = after(root, (10, 20))
    (stolen,) = after(root, (10, 20), steal=30)

    assert without.joules == stolen.joules


@pytest.mark.parametrize(("cpus", "rented"), [(2, True), (80, False)])
def test_a_guest_on_arm(tmp_path: Path, cpus: int, rented: bool) -> None:
    """ARM's kernel does not tell a guest; one with part of a package's CPUs is taken for one."""
    facts = "CPU implementer : 0x41\\nCPU architecture: 8\\nCPU part : 0xd0c"
    root = plant(cpuinfo(*[(0, core) for core in range(cpus)], facts=facts), tmp_path)
    family = choose("0x41", "8", 0xD0C, 1)

    (energy,) = after(root, *[(0, 10)] * cpus)

    rest = cpus * family.rented_idle_watts() if rented else family.idle_watts
    assert energy.joules == pytest.approx(10 * rest)


def test_idle_time_that_falls_back(tmp_path: Path) -> None:
    """The kernel's iowait may fall; the counter does not."""
    root = plant(cpuinfo((0, 0)), tmp_path)
    source = CpuModel(root / "sys", root / "proc", lambda: 0.0)
    stat(root, (10, 100))
    before = source.read().energies[0].joules
    stat(root, (11, 90))

    after_fall = source.read().energies[0].joules

    assert after_fall == pytest.approx(before + SKYLAKE.package_watts([[1.0]], None))


def test_a_cpu_that_comes_later(tmp_path: Path) -> None:
    """A CPU that is plugged in counts from then on, and what was counted stays."""
    root = plant(cpuinfo((0, 0), (0, 1)), tmp_path)
    source = CpuModel(root / "sys", root / "proc", lambda: 0.0)
    stat(root, (0, 0))
    source.read()
    stat(root, (0, 10), (500, 500))
    before = source.read().energies[0].joules
    stat(root, (0, 20), (510, 500))

    joules = source.read().energies[0].joules - before

    assert joules == pytest.approx(10 * SKYLAKE.package_watts([[0.0], [1.0]], None))


@pytest.mark.parametrize(
    ("content", "says"), [("cpu  1 2 3\n", "shows no CPU"), ("cpu  1\ncpu0 x\n", "cannot read")]
)
def test_no_load(tmp_path: Path, content: str, says: str) -> None:
    """A /proc/stat without CPUs, or with garbage, is told in a sentence."""
    root = plant(cpuinfo((0, 0)), tmp_path)
    (root / "proc/stat").write_text(content)

    with pytest.raises(NoMeter, match=says):
        CpuModel(root / "sys", root / "proc", lambda: 0.0).read()


def test_no_proc(tmp_path: Path) -> None:
    """Without /proc/stat there is no load, and the source says which file it missed."""
    with pytest.raises(NoMeter, match="stat"):
        CpuModel(tmp_path, tmp_path, lambda: 0.0).read()


def test_a_machine_of_thousands_of_cpus(tmp_path: Path) -> None:
    """Each CPU is seen, though their lines are longer than any other file that is read."""
    (tmp_path / "proc").mkdir()
    stat(tmp_path, *[(12345.67, 1234567.89)] * 4096)

    assert 4096 == len(each_cpu(tmp_path / "proc"))


def test_each_cpu(tmp_path: Path) -> None:
    """User, nice, system and interrupts are busy, idle and iowait are idle, steal is neither."""
    (tmp_path / "stat").write_text(
        "cpu  9 9 9 9 9 9 9 9 0 0\ncpu3 100 200 300 400 500 600 700 800 0 0\nintr 5 1 1\n"
    )

    assert {3: (19.0, 9.0)} == each_cpu(tmp_path)
