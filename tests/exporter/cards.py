"""Virtual cards on a virtual clock, and the source that reads them."""

from pathlib import Path

from testbed.nvml import VirtualGpus
from wattgov_exporter.reading import Energy, GpuUse, Readings
from wattgov_exporter.sources.nvml import Nvml

GIB = 1 << 30
PCI = "sys/bus/pci/devices"


class Node:
    """Virtual cards at 1 s, what the kernel shows of them under *root*, and the source."""

    def __init__(self, gpus: VirtualGpus, root: Path, cards: int = 4) -> None:
        self.gpus = gpus
        self.root = root
        gpus.reset(cards, clock_ns=10**9)
        self.source = Nvml(root / "sys", root / "proc", self.now, self.now)

    def now(self) -> float:
        """Return the virtual seconds."""
        return self.gpus.now_ns() / 1e9

    def second(self, seconds: float = 1.0) -> Readings:
        """Let a second pass; read."""
        self.gpus.advance(seconds)
        return self.source.read()

    def seconds(self, count: int) -> Readings:
        """Let seconds pass with a read after each."""
        for _ in range(count):
            readings = self.second()
        return readings

    def joules(self, gpu: int = 0) -> Energy:
        """Read one card's energy now."""
        return self.source.read().energies[gpu]

    def plant(self, gpu: int, status: str = "active") -> None:
        """Show a card on the PCI bus, with its runtime power state."""
        folder = self.root / PCI / f"0000:{0x10 + gpu:02x}:00.0"
        (folder / "power").mkdir(parents=True, exist_ok=True)
        (folder / "vendor").write_text("0x10de\n")
        (folder / "class").write_text("0x030200\n")
        (folder / "power/runtime_status").write_text(f"{status}\n")

    def process(self, pid: int) -> None:
        """Show a process in /proc."""
        (self.root / "proc" / str(pid)).mkdir(parents=True, exist_ok=True)


def active(readings: Readings) -> dict[int, float]:
    """Return each process's activity."""
    return {use.pid: use.activity for use in readings.gpu_uses}


def use_of(readings: Readings, pid: int) -> GpuUse:
    """Return what one process did."""
    (use,) = [use for use in readings.gpu_uses if use.pid == pid]
    return use
