"""All files of a machine that a recording has, from look to look."""

import errno
import re
from collections.abc import Iterator
from pathlib import Path

from wattgov_exporter.recording import files, processes
from wattgov_exporter.recording.files import Take, in_order, lines, number, read, texts
from wattgov_exporter.recording.format import GONE, Fact
from wattgov_exporter.recording.standins import StandIns

CPU_FACTS = (
    *("vendor_id", "cpu family", "model", "model name", "stepping", "siblings", "cpu cores"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part"),
)
"""Of the first CPU; a board's serial number, which some kernels print too, is none of them."""

PLACE_FACTS = ("processor", "physical id", "core id")

FLAGS = ("hypervisor",)
"""The flags that are read."""

CORE_FACTS = ("cpu_capacity", "acpi_cppc/highest_perf", "cpufreq/cpuinfo_max_freq")

CLOCKS = 4
"""So many CPUs, those that worked most since the last look, are asked for their clock: to ask one
that rests would wake it."""


class Files:
    """Looks at the files; remembers who worked, and which clocks it has read."""

    def __init__(
        self, sysfs: Path, proc: Path, hidden: StandIns, *, with_processes: bool = False
    ) -> None:
        self._sysfs = sysfs
        self._proc = proc
        self._hidden = hidden
        self._with_processes = with_processes
        self._busy: dict[str, int] = {}
        self._clocks: dict[str, Fact] = {}

    def look(self) -> dict[str, Fact]:
        """Return what the files show now; the unreadable ones with the error's name."""
        found = {
            **dict(files.powercap(self._sysfs)),
            **dict(files.hwmon(self._sysfs, self._hidden)),
            **dict(self._proc_facts()),
            **dict(self._core_facts()),
        }
        self._ask_clocks(found["proc/stat"].content)
        found |= self._clocks
        if self._with_processes:
            found |= dict(processes.look(self._proc, self._hidden))
        return {path: fact for path, fact in found.items() if fact.error != GONE}

    def _proc_facts(self) -> Iterator[tuple[str, Fact]]:
        yield "proc/stat", read(self._proc / "stat", lines(rb"cpu\d* [\d ]+"))
        yield "proc/meminfo", read(self._proc / "meminfo", lines(rb"Mem(Total|Available):[ \d]+kB"))
        yield "proc/cpuinfo", self._cpuinfo()

    def _cpuinfo(self) -> Fact:
        try:
            raw = (self._proc / "cpuinfo").read_bytes()  # with many CPUs more than `read` takes
        except OSError as error:
            return Fact(error=errno.errorcode.get(error.errno or 0, "EIO"))
        first, *others = raw.strip(b"\n").split(b"\n\n")
        kept = [_facts((*PLACE_FACTS, *CPU_FACTS))(first) + _flags(first)]
        kept += [_facts(PLACE_FACTS)(block) for block in others]
        return Fact(texts(self._hidden)(b"\n".join(kept)))

    def _core_facts(self) -> Iterator[tuple[str, Fact]]:
        for core in in_order((self._sysfs / "devices/system/cpu").glob("cpu[0-9]*")):
            for name in CORE_FACTS:
                yield f"sys/devices/system/cpu/{core.name}/{name}", read(core / name, number)

    def _ask_clocks(self, stat: bytes) -> None:
        busy = {
            words[0].decode(): sum(map(int, (*words[1:4], *words[6:8])))
            for words in map(bytes.split, stat.splitlines())
            if words[0] != b"cpu"
        }
        worked = {cpu: ticks - self._busy.get(cpu, ticks) for cpu, ticks in busy.items()}
        self._busy = busy
        for cpu in sorted(worked, key=lambda cpu: -worked[cpu])[:CLOCKS]:
            file = f"devices/system/cpu/{cpu}/cpufreq/scaling_cur_freq"
            self._clocks[f"sys/{file}"] = read(self._sysfs / file, number)


def _facts(names: tuple[str, ...]) -> Take:
    return lines(rb"(?:" + "|".join(map(re.escape, names)).encode() + rb")\s*:.*")


def _flags(block: bytes) -> bytes:
    found = re.search(rb"^flags\s*:(.*)$", block, re.MULTILINE)
    kept = [flag for flag in (found[1].split() if found else []) if flag.decode() in FLAGS]
    return b"flags\t\t: " + b" ".join(kept) + b"\n" if found else b""
