"""One writer per state folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Busy(Exception):
    """Another actuator works with this folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; raises Busy. The kernel lets go of it however the process ends."""
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 20).decode(errors="replace").strip() or "unknown"
            raise Busy(
                f"another wattgov-actuator works with {folder}: process {holder}. Stop it, which "
                "puts everything back, or give this one its own --state-dir"
            ) from None
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(file)
