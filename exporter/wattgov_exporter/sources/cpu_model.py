"""CPU energy from a model of the load, where no meter can be read; needs no privileges.

P = idle + load x (full - idle) watts per hardware thread, the form of Cloud Carbon Footprint.
The coefficients in cpu_models.csv are per thread: `ccf` from cloud-carbon-footprint/
ccf-coefficients (Apache-2.0), `specpower-median` medians of SPECpower_ssj2008 results where the
mean of that file is spoilt by outliers (Haswell) or by a known fault (EPYC 5th Gen). They are
AC watts of whole servers, memory included: nothing is to be added to them for memory.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from wattgov_exporter.procfs import CpuTimes, cpu_times, read_bytes
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


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Watts of one hardware thread at rest and at full load."""

    name: str
    idle_watts: float
    full_watts: float


class CpuModel:
    """The energy that a CPU of this model needs for this load, as one counter.

    The counter grows by idle watts x seconds owned + extra watts x seconds busy, so it is exact
    for the model at any sampling interval. Stolen seconds are not ours and cost nothing.
    """

    name = "cpu_model"
    interval_seconds = 0.0
    expected_error = (
        "tens of per cent: it knows the load, not what the load is; TDP-like models "
        "err by 27 to 37 % (arXiv 2506.14551)"
    )

    def __init__(self, proc: Path, clock: Clock) -> None:
        self._proc = proc
        self._clock = clock
        self._coefficients: Coefficients | None = None
        self._last: CpuTimes | None = None
        self._joules = 0.0

    def read(self) -> Readings:
        """Advance the estimate by the load since the last read."""
        try:
            times = cpu_times(self._proc)
            model = self._coefficients or identify(read_bytes(self._proc / "cpuinfo").decode())
        except (OSError, ValueError, IndexError) as error:
            raise NoMeter(Reason.INVALID, f"{self._proc}: cannot read the load: {error}") from error
        self._coefficients = model
        last, self._last = self._last or times, times
        # The kernel lets idle and iowait fall now and then (proc_stat(5)): a fall is no time.
        busy = max(times.busy - last.busy, 0.0)
        owned = busy + max(times.idle - last.idle, 0.0)
        self._joules += model.idle_watts * owned + (model.full_watts - model.idle_watts) * busy
        meter = Meter(
            source=self.name,
            component=Component.CPU,
            package="0",
            zone="package",
            method=Method.ESTIMATED,
            max_watts=model.full_watts * times.cpus,
            idle_watts=model.idle_watts * times.cpus,
            covers=frozenset({Component.DRAM}),
        )
        return Readings((Energy(meter, self._joules, self._clock()),))


def identify(cpuinfo: str) -> Coefficients:
    """Return the coefficients for the first CPU in a /proc/cpuinfo text."""
    first, _, _ = cpuinfo.partition("\n\n")
    pairs = (line.partition(":") for line in first.splitlines())
    facts = {key.strip(): value.strip() for key, _, value in pairs}
    return choose(
        vendor=facts.get("vendor_id") or facts.get("CPU implementer", ""),
        family=facts.get("cpu family") or facts.get("CPU architecture", ""),
        model=_number(facts.get("model") or facts.get("CPU part", "")),
        stepping=_number(facts.get("stepping", "")),
    )


def choose(vendor: str, family: str, model: int, stepping: int) -> Coefficients:
    """Return the first row that fits; the last row fits every CPU."""
    table = files("wattgov_exporter.sources") / "cpu_models.csv"
    for row in csv.DictReader(table.read_text().splitlines()):
        fits = row["vendor"] in ("", vendor) and row["family"] in ("", family)
        if fits and _within(model, row["models"]) and _within(stepping, row["steppings"]):
            return Coefficients(row["name"], float(row["idle_watts"]), float(row["full_watts"]))
    raise LookupError("cpu_models.csv has lost its last row, which fits every CPU")


def _within(number: int, spans: str) -> bool:
    """Tell whether *number* is in spans such as `17 160-175`; no spans hold every number."""
    ends: Iterable[tuple[str, str]] = (
        (low, high or low) for low, _, high in (span.partition("-") for span in spans.split())
    )
    return not spans or any(int(low, 0) <= number <= int(high, 0) for low, high in ends)


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        return -1
