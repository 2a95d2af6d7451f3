"""CPU energy from a model of load and clock, where no meter can be read; needs no privileges.

The curve is in cpu_power.py. A tick reads /proc/stat, the clock of the one CPU that worked most,
and each package's power limit; /proc/cpuinfo is read when the CPUs change.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wattgov_exporter.procfs import ReadBytes, each_cpu, read_bytes, read_long
from wattgov_exporter.reading import (
    Clock,
    Component,
    Energy,
    Meter,
    Method,
    NoMeter,
    Readings,
    Reason,
)
from wattgov_exporter.sources.cpu_power import Family, choose


@dataclass(frozen=True, slots=True)
class Cpus:
    """What /proc/cpuinfo says: the family, whether it is rented, and each CPU's package and core.

    A *rented* CPU is one of a virtual machine: some threads of a package that others use too. Its
    topology is made up, and so is its clock.
    """

    family: Family
    rented: bool
    places: Mapping[int, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Worked:
    """What one CPU did between two reads."""

    busy: float
    owned: float

    @property
    def load(self) -> float:
        """Return the busy part (0..1) of the seconds that were its own."""
        return self.busy / self.owned if self.owned > 0 else 0.0


class CpuModel:
    """The energy that CPUs of this kind need for this load, one counter per package.

    Between two reads the load is taken as constant: exact where it is, too much by the curve's
    bend where it is not, so a tick should be short against the load's changes (1 s is). Seconds
    are those the kernel accounted, so a late tick loses none; stolen ones are not ours.
    """

    name = "cpu_model"
    interval_seconds = 0.0
    expected_error = (
        "about 20 % for a known kind of CPU at work, 35 % at rest, a factor of 2 for an unknown "
        "kind; 14 to 19 % over load curves of two CPUs' RAPL, up to 70 % where the clock cannot "
        "be read"
    )

    def __init__(self, sysfs: Path, proc: Path, clock: Clock, read: ReadBytes = read_long) -> None:
        self._sysfs = sysfs
        self._proc = proc
        self._clock = clock
        self._read = read
        self._cpus: Cpus | None = None
        self._last: Mapping[int, tuple[float, float]] = {}
        self._joules: dict[str, float] = defaultdict(float)

    def read(self) -> Readings:
        """Advance the estimate by the load since the last read."""
        try:
            times = each_cpu(self._proc, self._read)
            if not times:
                raise NoMeter(Reason.INVALID, f"{self._proc}/stat shows no CPU")
            if self._cpus is None or times.keys() != self._last.keys():
                text = (self._proc / "cpuinfo").read_text()
                self._cpus = identify(text, times)
        except (OSError, ValueError, IndexError) as error:
            raise NoMeter(Reason.INVALID, f"{self._proc}: cannot read the load: {error}") from error
        cpus, last, self._last = self._cpus, self._last, times
        worked = {cpu: _worked(last.get(cpu, now), now) for cpu, now in times.items()}
        energies = self._rented(cpus, worked) if cpus.rented else self._owned(cpus, worked)
        return Readings(tuple(energies))

    def _rented(self, cpus: Cpus, worked: Mapping[int, Worked]) -> Iterable[Energy]:
        """Each thread has its share of the package, and half a core's watts while it works."""
        family = cpus.family
        rest, work = family.rented_idle_watts(), family.rented_busy_watts()
        self._joules["0"] += sum(rest * one.owned + work * one.busy for one in worked.values())
        yield self._energy("0", rest * len(worked), family.most_watts(len(worked)))

    def _owned(self, cpus: Cpus, worked: Mapping[int, Worked]) -> Iterable[Energy]:
        """Each package is the curve's, at the clock of the CPU that worked most."""
        gigahertz = self._gigahertz(max(worked, key=lambda cpu: worked[cpu].busy))
        packages: dict[str, dict[str, list[Worked]]] = defaultdict(lambda: defaultdict(list))
        for cpu, one in worked.items():
            package, core = cpus.places.get(cpu, ("0", f"cpu{cpu}"))
            packages[package][core].append(one)
        for package, cores in packages.items():
            loads = [[one.load for one in core] for core in cores.values()]
            watts = min(cpus.family.package_watts(loads, gigahertz), self._limit_watts(package))
            threads = [one.owned for core in cores.values() for one in core]
            self._joules[package] += watts * sum(threads) / len(threads)
            most = cpus.family.most_watts(len(cores))
            yield self._energy(package, cpus.family.idle_watts, most)

    def _energy(self, package: str, idle_watts: float, most_watts: float) -> Energy:
        meter = Meter(
            source=self.name,
            component=Component.CPU,
            package=package,
            zone="package",
            method=Method.ESTIMATED,
            max_watts=most_watts,
            idle_watts=idle_watts,
        )
        return Energy(meter, self._joules[package], self._clock())

    def _gigahertz(self, cpu: int) -> float | None:
        """Return a CPU's clock; None where the kernel does not show it (many a machine)."""
        frequency = f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"
        try:
            return int(read_bytes(self._sysfs / frequency)) / 1e6
        except (OSError, ValueError):
            return None

    def _limit_watts(self, package: str) -> float:
        """Return the package's long-term limit, which anyone may read where RAPL is root's."""
        limit = f"class/powercap/intel-rapl:{package}/constraint_0_power_limit_uw"
        try:
            return int(read_bytes(self._sysfs / limit)) / 1e6 or float("inf")
        except (OSError, ValueError):
            return float("inf")


def identify(cpuinfo: str, online: Iterable[int]) -> Cpus:
    """Return what a /proc/cpuinfo text says of the CPUs *online*."""
    blocks = [_facts(block) for block in cpuinfo.split("\n\n") if block.strip()]
    first = blocks[0] if blocks else {}
    family = choose(
        vendor=first.get("vendor_id") or first.get("CPU implementer", ""),
        family=first.get("cpu family") or first.get("CPU architecture", ""),
        model=_number(first.get("model") or first.get("CPU part", "")),
        stepping=_number(first.get("stepping", "")),
        brand=first.get("model name", ""),
    )
    flags = first.get("flags")
    # x86 says that it is a guest. ARM and some sandboxes do not: part of a package is a guest's.
    part = flags is None and len(list(online)) < family.threads
    return Cpus(
        family=family,
        rented=part or "hypervisor" in (flags or "").split(),
        places={
            int(block["processor"]): (block["physical id"], block["core id"])
            for block in blocks
            if {"processor", "physical id", "core id"} <= block.keys()
        },
    )


def _worked(last: tuple[float, float], now: tuple[float, float]) -> Worked:
    # The kernel lets idle and iowait fall now and then (proc_stat(5)): a fall is no time.
    busy = max(now[0] - last[0], 0.0)
    return Worked(busy, busy + max(now[1] - last[1], 0.0))


def _facts(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        return -1
