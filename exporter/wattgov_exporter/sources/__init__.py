"""The sources, in order of preference: for each component the first that reads is the meter.

To add one: a file here with a class after the protocol `Source`, and a line in SOURCES.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wattgov_exporter.config import Sources
from wattgov_exporter.procfs import ReadBytes, read_bytes
from wattgov_exporter.reading import Clock, Source
from wattgov_exporter.sources.amdsmi import Amdsmi
from wattgov_exporter.sources.cpu_model import CpuModel
from wattgov_exporter.sources.dram_model import DramModel
from wattgov_exporter.sources.hwmon import Hwmon
from wattgov_exporter.sources.nvml import Nvml
from wattgov_exporter.sources.rapl import Rapl


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a source finds the machine it reads.

    *read* is for files of the whole machine, which others read too; *table* is a replay's, in place
    of SOURCES.
    """

    sysfs: Path
    proc: Path
    monotonic: Clock
    wall: Clock
    table: "Mapping[str, Callable[[Machine, Sources], Sequence[Source]]] | None" = None
    read: ReadBytes = read_bytes


def _redfish(machine: Machine, used: Sources) -> Sequence[Source]:
    if used.redfish is None:
        return ()
    from wattgov_exporter.sources.redfish import Redfish  # noqa: PLC0415  only who has a BMC pays

    return (Redfish(used.redfish, machine.monotonic),)


def _ipmi(machine: Machine, used: Sources) -> Sequence[Source]:
    if used.ipmi is None:
        return ()
    from wattgov_exporter.sources.ipmi import Ipmi  # noqa: PLC0415  only who has a BMC pays

    return (Ipmi(used.ipmi, machine.monotonic),)


def _scraped(machine: Machine, used: Sources) -> Sequence[Source]:
    if not used.scrape:
        return ()
    from wattgov_exporter.sources.scrape import scrapes  # noqa: PLC0415  9 MiB of requests

    return scrapes(used.scrape, machine.monotonic)


def _kubernetes(machine: Machine, used: Sources) -> Sequence[Source]:
    if used.kubernetes is None:
        return ()
    from wattgov_exporter.sources.kubernetes import Kubernetes  # noqa: PLC0415  6 MiB of TLS

    return (Kubernetes(used.kubernetes, machine.monotonic, os.environ.get("NODE_NAME")),)


SOURCES: Mapping[str, Callable[[Machine, Sources], Sequence[Source]]] = {
    "redfish": _redfish,
    "ipmi": _ipmi,
    "nvml": lambda machine, _: (
        Nvml(machine.sysfs, machine.proc, machine.monotonic, machine.wall),
    ),
    "amdsmi": lambda machine, _: (Amdsmi(machine.monotonic),),
    "hwmon": lambda machine, _: (Hwmon(machine.sysfs, machine.monotonic),),
    "rapl": lambda machine, _: (Rapl(machine.sysfs, machine.monotonic),),
    "scrape": _scraped,
    "cpu_model": lambda machine, _: (
        CpuModel(machine.sysfs, machine.proc, machine.monotonic, machine.read),
    ),
    "dram_model": lambda machine, _: (DramModel(machine.proc, machine.monotonic, machine.read),),
    "kubernetes": _kubernetes,
}
"""What each name stands for: nothing where it needs configuration and has none, several where
several are configured."""


def configured(machine: Machine, settings: Sources) -> list[Source]:
    """Return the sources to use, in order of preference."""
    table = SOURCES if machine.table is None else machine.table
    made = (make(machine, settings) for name, make in table.items() if name not in settings.off)
    return [source for several in made for source in several]
