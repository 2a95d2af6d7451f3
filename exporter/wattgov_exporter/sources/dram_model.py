"""Memory energy from its size, where no meter of it can be read; needs no privileges.

0.392 W per GB is Cloud Carbon Footprint's mean of two makers' figures for servers (Crucial 0.375,
Micron 0.408; cloud-carbon-footprint.org, Methodology). Others use 0.375 (codecarbon before 3.0)
or 0.284 (Boavizta). `cpu_model` is of the package alone, so this stands beside it. What others
measured lies on both sides of it, see docs/cpu-model.md.
"""

import re
from pathlib import Path

from wattgov_exporter.procfs import ReadBytes, read_bytes
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

WATTS_PER_GIGABYTE = 0.392

BYTES_PER_GIGABYTE = 2**30
"""A module sold as 32 GB holds 32 x 2^30 bytes."""

_TOTAL = re.compile(rb"^MemTotal:\s+(\d+) kB$", re.MULTILINE)


class DramModel:
    """The energy that memory of this size needs, in use or not, as one counter.

    It is not counted beside a CPU meter that covers the memory (`Meter.covers`).
    """

    name = "dram_model"
    interval_seconds = 0.0
    expected_error = (
        "a factor of several: it knows the size, not the modules nor their use; it takes 0.392 W "
        "per GB, and measured servers have 0.05 to 1.1"
    )

    def __init__(self, proc: Path, clock: Clock, read: ReadBytes = read_bytes) -> None:
        self._meminfo = proc / "meminfo"
        self._clock = clock
        self._read = read
        self._joules = 0.0
        self._last: float | None = None

    def read(self) -> Readings:
        """Advance the estimate by the time since the last read."""
        watts = WATTS_PER_GIGABYTE * self._bytes() / BYTES_PER_GIGABYTE
        now = self._clock()
        last, self._last = now if self._last is None else self._last, now
        self._joules += watts * max(now - last, 0.0)
        meter = Meter(
            source=self.name,
            component=Component.DRAM,
            package="0",
            zone="dram",
            method=Method.ESTIMATED,
            max_watts=watts,
            idle_watts=watts,
        )
        return Readings((Energy(meter, self._joules, now),))

    def _bytes(self) -> int:
        """Return what the kernel manages; read anew each time, for memory can be plugged."""
        try:
            found = _TOTAL.search(self._read(self._meminfo))
        except OSError as error:
            raise NoMeter(Reason.INVALID, f"{self._meminfo}: {error.strerror}") from error
        if found is None:
            raise NoMeter(Reason.INVALID, f"{self._meminfo} states no MemTotal")
        return int(found[1]) * 1024
