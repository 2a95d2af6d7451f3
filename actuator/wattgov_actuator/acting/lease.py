"""The lease: until when our changes may stand without a sign of life from the loop.

One file for all changed knobs, renewed many times a minute. It is overwritten in place and never
synced: whoever reads it runs on the same kernel, a full disk does not stop it, and after a power
cut its boot is over.
"""

import os
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = Path("sys/kernel/random/boot_id")  # below /proc
WIDTH = 80  # a write of one size needs no new block


@dataclass(frozen=True, slots=True)
class Lease:
    """Until when, by the steady clock of which boot."""

    until: float  # steady seconds, which all processes of one boot share
    boot: str

    def passed(self, steady: float, boot: str) -> bool:
        """Tell whether nobody has renewed it in time, in this boot or before."""
        return boot != self.boot or steady > self.until


def this_boot(procfs: Path) -> str:
    """Return which boot of the machine this is; empty where that is not told."""
    try:
        return (procfs / BOOT_ID).read_text().strip()
    except OSError:
        return ""


class LeaseFile:
    """The lease of one state folder."""

    def __init__(self, folder: Path, procfs: Path) -> None:
        self._path = folder / "lease"
        self.boot = (procfs / BOOT_ID).read_text().strip()

    def renew(self, until: float) -> None:
        """Say that our changes may stand until then, in steady seconds; raises OSError."""
        text = f"{until:.3f} {self.boot}".ljust(WIDTH - 1) + "\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        try:
            file = os.open(self._path, flags, 0o600)
        except PermissionError:  # root's, who has put back by hand; the folder is ours
            self._path.unlink(missing_ok=True)
            file = os.open(self._path, flags, 0o600)
        try:
            os.pwrite(file, text.encode(), 0)
        finally:
            os.close(file)

    def read(self) -> Lease | None:
        """Return the lease; None when nothing is leased. One that cannot be read has passed."""
        try:
            text = self._path.read_text(errors="replace")
        except FileNotFoundError:
            return None
        except OSError:  # somebody else's, or on a disk that fails
            text = ""
        until, _, boot = text.strip().partition(" ")
        try:
            return Lease(float(until), boot)
        except ValueError:
            return Lease(0.0, "")

    def end(self) -> None:
        """Say that nothing of ours is left to be put back."""
        self._path.unlink(missing_ok=True)
