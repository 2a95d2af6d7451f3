"""One writer per state folder."""

import fcntl
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = "lock"


class Busy(Exception):
    """Another actuator works with this folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; raises Busy. The kernel lets go of it however the process ends."""
    file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 20).decode(errors="replace").strip() or "unknown"
            raise Busy(
                f"another wattgov-actuator works with {folder}: process {holder}. Stop it, which "
                "puts everything back, or give this one its own --state-dir"
            ) from None
        with suppress(OSError):  # a full disk must not keep anybody from putting back
            os.pwrite(file, f"{os.getpid():<20}".encode(), 0)
        yield
    finally:
        os.close(file)


def evict(folder: Path, procfs: Path, wait_seconds: float) -> int | None:
    """Kill who holds the lock; return its number, None when nobody does. Raises Busy.

    Only a process that has the lock open is killed: its number may belong to somebody else since,
    or in another container. SIGKILL also ends one that was stopped; one that goes on after SIGCONT
    would write over what was put back.
    """
    try:
        with locked(folder):
            return None
    except Busy:
        text = (folder / NAME).read_text().strip()
    pid = int(text) if text.isdecimal() else 0
    try:
        process = os.pidfd_open(pid)
    except OSError:
        raise Busy(_unseen(folder, text)) from None
    try:
        if not _has_open(procfs / str(pid) / "fd", folder / NAME):
            raise Busy(_unseen(folder, text))
        signal.pidfd_send_signal(process, signal.SIGKILL)
        ended, _, _ = select.select([process], [], [], wait_seconds)
    finally:
        os.close(process)
    if not ended:
        raise Busy(f"process {pid} was killed and does not end: it is stuck in a driver")
    return pid


def _has_open(folder: Path, path: Path) -> bool:
    """Tell whether one of a process's open files is *path*."""
    try:
        links = [link.stat() for link in folder.iterdir() if link.exists()]
    except OSError:
        return False
    return any(os.path.samestat(each, path.stat()) for each in links)


def _unseen(folder: Path, holder: str) -> str:
    return (
        f"process {holder} holds {folder}, and cannot be seen from here: run the guardian as the "
        "same user, and in the same PID namespace"
    )
