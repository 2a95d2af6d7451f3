"""One writer per state folder, and one that enforces per machine.

Who only puts back needs no more than the folder: what is not ours any more is left alone then.
"""

import fcntl
import os
import select
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = "lock"
KEPT = 0o1600  # sticky: nobody who tidies temporary folders up takes the lock away
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
EVICT_SECONDS = 10.0  # a process that does not end in that time is stuck in a driver


class Busy(Exception):
    """Another actuator works with this folder, or on this machine."""


def _nobody() -> None:
    """Tell nobody."""


@contextmanager
def locked(folder: Path, alive: Callable[[], None] = _nobody) -> Iterator[None]:
    """Hold the folder's lock; raises Busy. The kernel lets go of it however the process ends.

    *alive* renews the lease before our number is in the file: whoever means to end the one before
    us reads the number first and then the lease, and so never takes us for that one.
    """
    with _taken(folder) as file:
        alive()
        with suppress(OSError):  # a full disk must not keep anybody from putting back
            os.pwrite(file, f"{os.getpid():<20}".encode(), 0)
        yield


@contextmanager
def _taken(folder: Path) -> Iterator[int]:
    """Hold the folder's lock, and leave its text as it is; raises Busy."""
    file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 20).decode(errors="replace").strip() or "unknown"
            raise Busy(_held(folder, holder)) from None
        yield file
    finally:
        os.close(file)


class MachineLock:
    """The right to enforce on this machine, from the first `take` to `close`.

    A file in a folder that no other user can write, so that nobody can keep us from acting. Other
    users' actuators have folders of their own: to turn a GPU or a CPU takes root, which has one.
    """

    def __init__(self, folder: Path, state: Path) -> None:
        """Take the folder of the lock, and for others to read that of the state."""
        self._folder, self._state = folder, state
        self._file: int | None = None

    def take(self) -> None:
        """Be the one, or raise Busy with who is; a second time it is ours already."""
        if self._file is not None:
            return
        try:
            file = self._opened()
        except OSError as error:
            raise Busy(f"{self._folder}: {error.strerror}; give another --run-dir") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 4096, 0).decode(errors="replace").strip()
            os.close(file)
            raise Busy(self._taken(holder)) from None
        except OSError as error:  # such as a file system without locks
            os.close(file)
            raise Busy(
                f"{self._folder / NAME} cannot be locked: {error.strerror}; give another --run-dir"
            ) from None
        self._file = file
        with suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()} {self._state.resolve()}\n".encode(), 0)

    def close(self) -> None:
        """Let another one enforce."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        """Open the file, in steps that follow nobody's link; raises Busy and OSError."""
        with suppress(FileExistsError):
            self._folder.mkdir(mode=0o700)
        flags = os.O_CLOEXEC | os.O_NOFOLLOW
        folder = os.open(self._folder, os.O_DIRECTORY | flags)
        try:
            found = os.fstat(folder)
            if found.st_uid not in {0, os.geteuid()} or found.st_mode & OTHERS_WRITE:
                raise Busy(
                    f"{self._folder} belongs to another user, or others can write there: the lock "
                    "of this machine would be theirs; give another --run-dir"
                )
            return os.open(NAME, os.O_RDWR | os.O_CREAT | flags, KEPT, dir_fd=folder)
        finally:
            os.close(folder)

    def _taken(self, holder: str) -> str:
        pid, _, state = holder.partition(" ")
        return (
            f"another wattgov-actuator enforces on this machine: process {pid or 'unknown'}, with "
            f"the state folder {state or 'unknown'} (lock: {self._folder / NAME}). Two would undo "
            "each other's changes: stop it, which puts everything back, or run this one without "
            "--enforce"
        )


def evict(folder: Path, procfs: Path, hung: Callable[[], bool]) -> int | None:
    """Kill who holds the lock; return its number, None when nobody does. Raises Busy.

    *hung* tells at the last moment whether the lease has passed: it may be somebody else by now.
    Only a process that has the lock open is killed: its number may belong to somebody else since,
    or in another container. SIGKILL also ends one that was stopped; one that goes on after SIGCONT
    would write over what was put back.
    """
    try:
        with _taken(folder):
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
        if not hung():
            raise Busy(_held(folder, text))
        signal.pidfd_send_signal(process, signal.SIGKILL)
        ended, _, _ = select.select([process], [], [], EVICT_SECONDS)
    finally:
        os.close(process)
    if not ended:
        raise Busy(f"process {pid} was killed and does not end: it is stuck in a driver")
    return pid


def _held(folder: Path, holder: str) -> str:
    pid = holder if holder.isdecimal() else "PID"
    return (
        f"another wattgov-actuator works with {folder}: process {holder}. Stop it, which puts "
        f"everything back; if it hangs: kill -9 {pid}; wattgov-actuator restore --state-dir "
        f"{folder}. Or give this one its own --state-dir"
    )


def _has_open(folder: Path, path: Path) -> bool:
    """Tell whether one of a process's open files is *path*."""
    try:
        links = [link.stat() for link in folder.iterdir() if link.exists()]
    except OSError:
        return False
    return any(os.path.samestat(each, path.stat()) for each in links)


def _unseen(folder: Path, holder: str) -> str:
    return (
        f"process {holder} holds {folder}, and cannot be seen from here: run this as the same "
        "user, and in the same PID namespace"
    )
