"""The sources, in order of preference: for each component the first that reads is the meter.

To add one: a file here with a class that has `name` and `read()`, and a line in SOURCES.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wattgov_exporter.config import Sources
from wattgov_exporter.reading import Clock, Source
from wattgov_exporter.sources.cpu_model import CpuModel
from wattgov_exporter.sources.nvml import Nvml
from wattgov_exporter.sources.rapl import Rapl


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a source finds the machine it reads."""

    sysfs: Path
    proc: Path
    monotonic: Clock
    wall: Clock


SOURCES: Mapping[str, Callable[[Machine, Sources], Source | None]] = {
    "rapl": lambda machine, _: Rapl(machine.sysfs, machine.monotonic),
    "nvml": lambda machine, _: Nvml(machine.monotonic, machine.wall),
    "cpu_model": lambda machine, _: CpuModel(machine.proc, machine.monotonic),
}
"""A source that needs configuration and has none is None: not used, and no news."""


def configured(machine: Machine, settings: Sources) -> list[Source]:
    """Return the sources to use, in order of preference."""
    made = (make(machine, settings) for name, make in SOURCES.items() if name not in settings.off)
    return [source for source in made if source is not None]
