"""A process of a test's own, with a child and a child of that, which wait to be stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actuator.groups import until

FAMILY = """
import signal, subprocess, sys
depth = int(sys.argv[2])
child = [subprocess.Popen([sys.executable, *sys.orig_argv[1:-1], str(depth - 1)])] if depth else []
print(depth, flush=True)
signal.pause()
"""


class Family:
    """The three, parents first."""

    def __init__(self) -> None:
        words = [sys.executable, "-c", FAMILY, "chat", "2"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        told = {self.process.stdout.readline() for _ in range(3)}
        assert {b"0\n", b"1\n", b"2\n"} == told
        self.pids = [self.process.pid]
        for pid in self.pids:  # it grows meanwhile
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            self.pids += map(int, text.split())
        assert len(self.pids) == 3

    def stopped(self) -> list[bool]:
        """Return which of them are."""
        return ["T" in _fields(each)[0] for each in self.pids]

    def let_go(self) -> None:
        """Let all of them go on."""
        for each in self.pids:
            _told(each, signal.SIGCONT)
        until(lambda: not any(self.stopped()))

    def end(self) -> None:
        """Kill them: that works on one that is stopped, too."""
        for each in self.pids:
            _told(each, signal.SIGKILL)
        self.process.communicate()  # until the last of them has closed its output


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _told(pid: int, number: signal.Signals) -> None:
    os.kill(pid, number)


@contextmanager
def own_family() -> Iterator[Family]:
    """Give them while the context lasts."""
    made = Family()
    try:
        yield made
    finally:
        made.end()
