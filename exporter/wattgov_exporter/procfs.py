"""Files of the kernel, read at one go, and the times of the CPUs in /proc/stat."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_READ_BYTES = 65536
_LONG_BYTES = 1 << 20  # a CPU takes about a hundred, and there are machines with thousands
ReadBytes = Callable[[Path], bytes]

LEAST_WORDS = 5
"""`cpu` and the four times that every kernel tells."""


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU-seconds since boot, over all CPUs.

    *busy* excludes steal: a stolen second ran somebody else's work on the host. It includes
    interrupts, which are no process's.
    """

    busy: float
    idle: float


def read_bytes(path: Path | str, most: int = _READ_BYTES) -> bytes:
    """Return a small kernel file in one read.

    One `read` gives one consistent text, and a driver that answers EAGAIN cannot make us poll.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, most)
    finally:
        os.close(descriptor)


def read_long(path: Path | str) -> bytes:
    """Return a kernel file that grows with the machine, in one read too."""
    text = read_bytes(path)
    return text if len(text) < _READ_BYTES else read_bytes(path, _LONG_BYTES)


def own_pid(proc: Path) -> int:
    """Return the number that we have in *proc*; in a container the host's has another one for us.

    0 where that is not told: *proc* shows another machine.
    """
    try:
        return int(os.readlink(proc / "self"))  # noqa: PTH115  a number, no path
    except (OSError, ValueError):
        return 0


def cpu_times(proc: Path, read: ReadBytes = read_bytes) -> CpuTimes:
    """Read /proc/stat; OSError or ValueError when it cannot be read or parsed.

    Fields after `cpu` are user nice system idle iowait irq softirq steal guest guest_nice
    (proc_stat(5)); guest time is already inside user time.
    """
    line = read(proc / "stat").partition(b"\n")[0]
    name, *texts = line.split(maxsplit=8)[:8] or [b""]
    if name != b"cpu" or len(texts) + 1 < LEAST_WORDS:
        raise ValueError(f"{proc}/stat does not begin with the times of all CPUs")
    fields = [int(text) / TICKS_PER_SECOND for text in texts]
    user, nice, system, idle, iowait, irq, softirq = fields + [0.0] * (7 - len(fields))
    return CpuTimes(user + nice + system + irq + softirq, idle + iowait)


def each_cpu(proc: Path, read: ReadBytes = read_long) -> dict[int, tuple[float, float]]:
    """Return the busy and idle seconds of each CPU that is online, fields as in `cpu_times`."""
    seconds = {}
    for line in read(proc / "stat").splitlines():
        name, *texts = line.split(maxsplit=8)[:8]
        if not name.startswith(b"cpu"):
            break
        if name != b"cpu":
            user, nice, system, idle, iowait, irq, softirq = map(int, texts)
            busy = user + nice + system + irq + softirq
            seconds[int(name[3:])] = busy / TICKS_PER_SECOND, (idle + iowait) / TICKS_PER_SECOND
    return seconds
