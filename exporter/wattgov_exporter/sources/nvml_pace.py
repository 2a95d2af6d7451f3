"""How often a card is looked at: a GPU at rest is not kept awake by being watched."""

from collections.abc import Iterator
from pathlib import Path

from wattgov_exporter.procfs import read_bytes

QUIET_SECONDS = 60.0
"""A card that did nothing for so long is at rest."""

REST_SECONDS = 10.0
"""How often a card at rest is read; its energy counter loses nothing in between."""

NEAR_IDLE = 1.25
"""A card is at rest only below so many times the least power that it ever showed."""

NVIDIA = "0x10de"
DISPLAY = "0x03"
"""PCI's vendor, and its class of display controllers (VGA and 3D); not the sound beside them."""


class Pace:
    """When one card is due."""

    def __init__(self) -> None:
        self._read_at: float | None = None
        self._quiet_since: float | None = None
        self._least_watts = float("inf")

    def due(self, now: float) -> bool:
        """Tell whether the card is to be read now."""
        if self._read_at is None or self._quiet_since is None:
            return True
        at_rest = self._read_at - self._quiet_since >= QUIET_SECONDS
        return not at_rest or now - self._read_at >= REST_SECONDS

    def seen(self, now: float, watts: float | None, *, works: bool) -> float | None:
        """Take what was read; return the seconds since the last read.

        *works*: it is busy, somebody holds memory to compute there, or nobody counts its joules.
        """
        seconds = None if self._read_at is None else now - self._read_at
        self._read_at = now
        if watts is not None:
            self._least_watts = min(self._least_watts, watts)
        warm = watts is not None and watts > NEAR_IDLE * self._least_watts
        if works or warm:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        return seconds

    def woken(self) -> None:
        """Read the card at the next look: it slept."""
        self._quiet_since = None


class Bus:
    """The PCI devices as the kernel shows them; looking there wakes nothing."""

    def __init__(self, sysfs: Path) -> None:
        self._devices = sysfs / "bus" / "pci" / "devices"

    def cards(self) -> frozenset[str]:
        """Return the addresses of NVIDIA's display controllers."""
        return frozenset(self._cards())

    def status(self, address: str) -> Path | None:
        """Return the file that tells whether a card sleeps; None where it is not allowed to."""
        file = self._devices / address / "power/runtime_status"
        may = self._fact(address, "power/control") != "on" and file.exists()
        return file if may else None

    def all_asleep(self) -> bool:
        """Tell whether there are cards and all of them sleep: to open NVML would wake them."""
        files = [self.status(one) for one in self.cards()]
        return bool(files) and all(file is not None and asleep(file) for file in files)

    def _cards(self) -> Iterator[str]:
        if not self._devices.is_dir():
            return
        for device in self._devices.iterdir():
            is_ours = self._fact(device.name, "vendor") == NVIDIA
            if is_ours and self._fact(device.name, "class").startswith(DISPLAY):
                yield device.name

    def _fact(self, address: str, name: str) -> str:
        """Return a file's text; one that is missing (or the device with it) says nothing."""
        return _text(self._devices / address / name)


def asleep(status: Path) -> bool:
    """Tell a card that is powered down: any question to its driver would wake it."""
    return _text(status) == "suspended"


def _text(path: Path) -> str:
    try:
        return read_bytes(path).decode("ascii", "replace").strip()
    except OSError:
        return ""
