"""Many processes that mostly sleep, with the names of a few apps: `flock.py COUNT APPS`.

One in fifty works five milliseconds a second, as daemons do. All end with this process; it writes a
line when they stand.
"""

import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
WORKS_EVERY = 50
WORK_SECONDS = 0.005


def main(count: int, apps: int) -> None:
    """Fork them, tell, and wait to be ended."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in range(count):
        if os.fork() == 0:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            libc.prctl(PR_SET_NAME, f"app-{number % apps:04d}".encode())
            _live(works=number % WORKS_EVERY == 0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    signal.pause()


def _live(*, works: bool) -> None:
    while works:
        time.sleep(1.0)
        end = time.process_time() + WORK_SECONDS
        while time.process_time() < end:
            pass
    signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
