"""CPU package and memory energy from RAPL, through the kernel's powercap files.

Source: Documentation/power/powercap/powercap.rst. `energy_uj` counts microjoules and wraps at
`max_energy_range_uj` (Intel 262 kJ, AMD 65 kJ: minutes under load).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from wattgov_exporter.doubt import Standing, impossible
from wattgov_exporter.procfs import read_bytes
from wattgov_exporter.reading import (
    Clock,
    Component,
    Energy,
    Meter,
    Method,
    NoMeter,
    Readings,
    Reason,
    Refused,
)
from wattgov_exporter.sysfs import read_millionths

COMPONENTS = {
    "package": Component.CPU,
    "dram": Component.DRAM,
    "psys": Component.PLATFORM,
}
"""core and uncore are inside package: published, never added. psys holds them all."""

MAX_WATTS = 500.0
"""A package's plausible power where the kernel states less.

The stated limit is the long-term one, and short bursts go to several times a laptop's.
"""

NODE_WATTS = 5_000.0
"""The same for psys, which holds several packages, and cards with them."""


class Rapl:
    """All powercap zones of the `intel-rapl` control type, which AMD's driver uses too."""

    name = "rapl"
    interval_seconds = 0.0
    expected_error = (
        "no public figure for the zone itself; it sees 30 to 70 % of what a small "
        "machine draws at the wall (reports to kepler and scaphandre)"
    )

    def __init__(self, sysfs: Path, clock: Clock) -> None:
        self._root = sysfs / "class" / "powercap"
        self._clock = clock
        self._standing = Standing()

    def read(self) -> Readings:
        """Read every zone; NoMeter tells why when none can be read."""
        energies: list[Energy] = []
        refused: list[tuple[Meter, NoMeter]] = []
        for folder, meter in self._zones():
            try:
                energies.append(self._energy(folder / "energy_uj", meter))
            except NoMeter as fault:
                refused.append((meter, fault))
        if energies:
            return Readings(
                tuple(energies),
                anomalies=tuple(fault.anomaly for _, fault in refused if fault.anomaly),
                refused=tuple(
                    Refused(meter, fault.detail)
                    for meter, fault in refused
                    if not self._is_unwired(meter)
                ),
            )
        if refused:
            raise refused[0][1]
        raise NoMeter(
            Reason.ABSENT,
            f"no intel-rapl zone under {self._root}: `modprobe intel_rapl_msr` makes them where "
            "the CPU has any; virtual machines have none",
        )

    def _energy(self, path: Path, meter: Meter) -> Energy:
        """Return what a zone counted, as of when its counter came to that."""
        joules = read_millionths(path, " (since CVE-2020-8694)")
        now = self._clock()
        anomaly = impossible(joules, meter.range_joules)
        if anomaly is not None:
            words = f"{path} shows {joules:g} J, which its counter cannot"
            raise NoMeter(Reason.INVALID, words, anomaly)
        if meter.component is None:  # a graphics core that nobody uses may draw nothing
            return Energy(meter, joules, now)
        since = self._standing.moved((meter.package, meter.zone), joules, now, path)
        return Energy(meter, joules, since)

    def _is_unwired(self, meter: Meter) -> bool:
        """Tell a psys that never counted: on many boards it leads nowhere, which is no fault."""
        key = meter.package, meter.zone
        return meter.component is Component.PLATFORM and not self._standing.has_moved(key)

    def _zones(self) -> Iterator[tuple[Path, Meter]]:
        # `intel-rapl-mmio:*` shows package-0 a second time: not matched, not counted twice.
        for folder in sorted(self._root.glob("intel-rapl:*")):
            label = _text(folder / "name")
            if not label:
                continue
            parent = folder.name.rsplit(":", 1)[0]
            owner = label if parent == "intel-rapl" else _text(self._root / parent / "name")
            if not owner:
                continue  # two sockets' memory would be one meter; it is caught up when it is told
            zone, _, number = label.partition("-")
            package = number or owner.partition("-")[2]
            stated = [_watts(path) for path in folder.glob("constraint_*_power_*uw")]
            least = NODE_WATTS if zone == "psys" else MAX_WATTS
            range_microjoules = _text(folder / "max_energy_range_uj")
            yield (
                folder,
                Meter(
                    source=self.name,
                    component=COMPONENTS.get(zone),
                    package=package,
                    zone=zone,
                    method=Method.MEASURED,
                    max_watts=max([least, *(2 * watts for watts in stated)]),
                    # 0 is a kernel that does not know it.
                    range_joules=int(range_microjoules) / 1e6 or None
                    if range_microjoules.isdigit()
                    else None,
                ),
            )


def _text(path: Path) -> str:
    """Return a describing file's text; one that is missing says nothing."""
    try:
        return re.sub(r"[^ -~]", "", read_bytes(path).decode("ascii", "replace")).strip()
    except OSError:
        return ""


def _watts(path: Path) -> float:
    text = _text(path)
    # Some firmware states an absurd limit (kepler: 4294967295000 uW); it bounds nothing.
    watts = int(text) / 1e6 if text.isdigit() else 0.0
    return watts if watts < 10 * MAX_WATTS else 0.0
