"""The files that the sources read, as facts: only these, and of each only what is read of it.

A list of what is let in, not of what is kept out: another file of a chip, another line of
/proc/cpuinfo (a board's serial number) or of a device's uevent is not in a recording.
"""

import errno
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from wattgov_exporter.procfs import read_bytes
from wattgov_exporter.recording.format import Fact
from wattgov_exporter.recording.standins import StandIns

Take = Callable[[bytes], bytes]

UEVENT_FACTS = ("DRIVER", "PCI_CLASS", "PCI_ID", "PCI_SUBSYS_ID", "PCI_SLOT_NAME")

OEM_WORDS = (b"Grace Power", b"Module Power", b"CPU Power", b"SysIO Power")
"""What the source of hwmon looks for; other words of a maker may hold a serial number."""

WITHHELD = b"(withheld)\n"

_POWERCAP = re.compile(r"energy_uj|max_energy_range_uj|constraint_\d+_(power_limit|max_power)_uw")
_METER = re.compile(r"(energy\d+|power\d+)_(input|average)")
_NUMBERS = re.compile(
    r"(energy|power|temp|freq)\d+_input|power\d+_(average|cap|cap_default|cap_min|cap_max)"
    r"|power\d+_is_battery|gpu_busy_percent|mem_info_vram_used"
)
_TEXTS = re.compile(r"(energy|power|temp|freq)\d+_label|name")
_OEM_INFO = re.compile(r"power\d+_oem_info")


def read(file: Path, take: Take) -> Fact:
    """Return what a file shows, through *take*, or the error."""
    try:
        return Fact(take(read_bytes(file)))
    except OSError as error:
        return Fact(error=errno.errorcode.get(error.errno or 0, "EIO"))


def number(raw: bytes) -> bytes:
    """Let a number through, and of anything else only that it is none."""
    return raw if re.fullmatch(rb"-?\d{0,20}\n?", raw) else b"(not a number)\n"


def texts(hidden: StandIns) -> Take:
    """Return what lets a text through, without names."""

    def take(raw: bytes) -> bytes:
        return hidden.text(raw.decode("utf-8", "replace")).encode()

    return take


def powercap(sysfs: Path) -> Iterator[tuple[str, Fact]]:
    """Yield the zones of RAPL."""

    def zone_name(raw: bytes) -> bytes:
        return (
            raw
            if re.fullmatch(rb"(package|core|uncore|dram|psys)(-\w{1,8})*\n", raw)
            else (WITHHELD)
        )

    def limit_name(raw: bytes) -> bytes:
        return raw if re.fullmatch(rb"[a-z_]{1,20}\n", raw) else WITHHELD

    # The MMIO twins too: a source must be seen to leave them out.
    for zone in sorted((sysfs / "class/powercap").glob("intel-rapl*:*")):
        for file in sorted(zone.glob("*")):
            path = f"sys/class/powercap/{zone.name}/{file.name}"
            if _POWERCAP.fullmatch(file.name):
                yield path, read(file, number)
            elif file.name == "name":
                yield path, read(file, zone_name)
            elif re.fullmatch(r"constraint_\d+_name", file.name):
                yield path, read(file, limit_name)


def hwmon(sysfs: Path, hidden: StandIns) -> Iterator[tuple[str, Fact]]:
    """Yield the chips: of those with a meter all sensors, of the others their names."""
    for chip in in_order((sysfs / "class/hwmon").glob("hwmon*")):
        base = f"sys/class/hwmon/{chip.name}"
        device = chip / "device"
        status = read(device / "power/runtime_status", _status)
        yield f"{base}/device/power/runtime_status", status
        if device.is_symlink():
            yield f"{base}/device", Fact(link=hidden.text(device.resolve().name))
        yield f"{base}/name", read(chip / "name", texts(hidden))
        # To read the sensors of a device that sleeps would wake it.
        if status.content != b"suspended\n":
            yield from _chip(chip, base, hidden)


def _chip(chip: Path, base: str, hidden: StandIns) -> Iterator[tuple[str, Fact]]:
    folders = {base: list(chip.glob("*")), f"{base}/device": list((chip / "device").glob("*"))}
    if not any(_METER.fullmatch(file.name) for each in folders.values() for file in each):
        return
    for path, files in folders.items():
        labels = {
            file.name.partition("_")[0]: read(file, texts(hidden))
            for file in files
            if file.name.endswith("_label")
        }
        for file in in_order(files):
            sensor = file.name.partition("_")[0]
            # A core's counter is in no source: reading it would wake the core.
            core = labels.get(sensor, Fact()).content.startswith(b"Ecore")
            if _NUMBERS.fullmatch(file.name) and not core:
                yield f"{path}/{file.name}", read(file, number)
            elif _TEXTS.fullmatch(file.name) and file != chip / "name":
                yield f"{path}/{file.name}", read(file, texts(hidden))
            elif _OEM_INFO.fullmatch(file.name):
                yield f"{path}/{file.name}", read(file, _oem_info)
    yield f"{base}/device/uevent", read(chip / "device/uevent", _uevent)


def lines(shape: bytes) -> Take:
    """Return what lets only lines of one shape through."""

    def take(raw: bytes) -> bytes:
        kept = [line for line in raw.splitlines() if re.fullmatch(shape, line)]
        return b"".join(line + b"\n" for line in kept)

    return take


def _uevent(raw: bytes) -> bytes:
    return lines(rb"(?:" + "|".join(UEVENT_FACTS).encode() + rb")=[\w:.-]*")(raw)


def _oem_info(raw: bytes) -> bytes:
    shape = rb"(?:" + b"|".join(OEM_WORDS) + rb")(?: Socket \d+)?\n?"
    return raw if re.fullmatch(shape, raw) else WITHHELD


def _status(raw: bytes) -> bytes:
    return raw if re.fullmatch(rb"[a-z]{1,12}\n", raw) else WITHHELD


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Sort so that hwmon10 comes after hwmon9."""
    return sorted(paths, key=lambda path: (len(path.name), path.name))
