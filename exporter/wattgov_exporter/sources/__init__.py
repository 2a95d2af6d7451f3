"""The sources, in order of preference: for each component the first that reads is the meter.

To add one: a file here with a class after the protocol `Source`, and a line in SOURCES.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wattgov_exporter.config import Sources
from wattgov_exporter.reading import Clock, Source
from wattgov_exporter.sources.amdsmi import Amdsmi
from wattgov_exporter.sources.cpu_model import CpuModel
from wattgov_exporter.sources.dram_model import DramModel
from wattgov_exporter.sources.hwmon import Hwmon
from wattgov_exporter.sources.ipmi import Ipmi
from wattgov_exporter.sources.nvml import Nvml
from wattgov_exporter.sources.rapl import Rapl
from wattgov_exporter.sources.redfish import Redfish


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a source finds the machine it reads."""

    sysfs: Path
    proc: Path
    monotonic: Clock
    wall: Clock


def _scraped(machine: Machine, used: Sources) -> Sequence[Source]:
    if not used.scrape:
        return ()
    from wattgov_exporter.sources.scrape import scrapes  # noqa: PLC0415  9 MiB of requests

    return scrapes(used.scrape, machine.monotonic)


SOURCES: Mapping[str, Callable[[Machine, Sources], Sequence[Source]]] = {
    "redfish": lambda machine, used: (
        (Redfish(used.redfish, machine.monotonic),) if used.redfish else ()
    ),
    "ipmi": lambda machine, used: (Ipmi(used.ipmi, machine.monotonic),) if used.ipmi else (),
    "nvml": lambda machine, _: (Nvml(machine.monotonic, machine.wall),),
    "amdsmi": lambda machine, _: (Amdsmi(machine.monotonic),),
    "hwmon": lambda machine, _: (Hwmon(machine.sysfs, machine.monotonic),),
    "rapl": lambda machine, _: (Rapl(machine.sysfs, machine.monotonic),),
    "scrape": _scraped,
    "cpu_model": lambda machine, _: (CpuModel(machine.proc, machine.monotonic),),
    "dram_model": lambda machine, _: (DramModel(machine.proc, machine.monotonic),),
}
"""What each name stands for: nothing where it needs configuration and has none, several where
several are configured."""


def configured(machine: Machine, settings: Sources) -> list[Source]:
    """Return the sources to use, in order of preference."""
    made = (make(machine, settings) for name, make in SOURCES.items() if name not in settings.off)
    return [source for several in made for source in several]
