"""A real control group of a test's own, with a process in it, where this machine lets us."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEADLINE_SECONDS = 30
ROOTS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
SPINNING = "while True: pass"
WAITING = "import signal; signal.pause()"


class Group:
    """A control group with a process."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, "-c", program])
        (folder / "cgroup.procs").write_text(str(self.process.pid))

    def ticks(self) -> int:
        """Return the CPU time of the process, in clock ticks."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text()
        return int(text.rpartition(")")[2].split()[11])

    def end(self) -> None:
        """Thaw, kill, remove: a group that is frozen can still be killed."""
        (self.folder / "cgroup.freeze").write_text("0")
        self.process.kill()
        self.process.wait()
        until(lambda: not (self.folder / "cgroup.procs").read_text())
        self.folder.rmdir()


def until(true: Callable[[], bool]) -> None:
    """Wait for a state of the machine."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert time.monotonic() < end, "it did not come"


@contextmanager
def own_group(program: str = WAITING) -> Iterator[Group]:
    """Give a group of this test's own, or skip, in words, where none can be made."""
    root = next((each for each in ROOTS if (each / "cgroup.controllers").exists()), None)
    if root is None:
        pytest.skip("this machine has no cgroup v2, not even beside v1")
    folder = root / f"wattgov-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"a control group cannot be made here: {error.strerror}; it takes root")
    try:
        made = Group(folder, program)
    except OSError as error:
        folder.rmdir()
        pytest.skip(f"a process cannot be put into a group here: {error.strerror}")
    try:
        yield made
    finally:
        made.end()
