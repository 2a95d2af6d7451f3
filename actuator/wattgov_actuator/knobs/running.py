"""Run one command that an administrator allows, for so long and with so much output at most.

The one place of this program that starts a process (docs/decisions/0005-a-command-may-run.md).
"""

import os
import select
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from threading import Event, Timer

from wattgov_actuator.knobs.web import plain
from wattgov_actuator.reading import Fault, KnobError

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
MOST_BYTES = 65536
LOOK_SECONDS = 0.02


def run(argv: Sequence[str], timeout_seconds: float) -> tuple[int, str]:
    """Return the exit status, and what was printed, both streams in one; raises KnobError."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,  # a group of its own, so that it ends with all it has started
        )
    except OSError as error:
        raise KnobError(Fault.LOST, f"{argv[0]} cannot be run: {error.strerror}") from None
    expired = Event()
    timer = Timer(timeout_seconds, expired.set)
    timer.daemon = True
    timer.start()
    try:
        printed = _printed(process, expired)
        while len(printed) <= MOST_BYTES and process.poll() is None and not expired.is_set():
            expired.wait(LOOK_SECONDS)
    finally:
        timer.cancel()
        ended = process.poll() is not None or _killed(process)
        if process.stdout is not None:
            process.stdout.close()
    why = ""
    if len(printed) > MOST_BYTES:
        why = f"printed more than {MOST_BYTES >> 10} KiB"
    elif expired.is_set():
        why = f"took longer than {timeout_seconds:g} s"
    if why:
        left = "" if ended else "; it runs as another user, and could not be ended"
        raise KnobError(Fault.LOST, f"{said(argv)} {why}{left}")
    return process.returncode, printed.decode(errors="replace")


def said(argv: Sequence[str]) -> str:
    """Return a command as a sentence may name it."""
    return f"'{plain(' '.join(argv))}'"


def _printed(process: subprocess.Popen[bytes], expired: Event) -> bytes:
    """Read until the end, the limit or the deadline; whoever keeps the pipe open ends nothing."""
    printed = b""
    if process.stdout is None:
        return printed
    file = process.stdout.fileno()
    while len(printed) <= MOST_BYTES and not expired.is_set():
        if not select.select([file], [], [], LOOK_SECONDS)[0]:
            continue
        chunk = os.read(file, MOST_BYTES)
        if not chunk:
            break
        printed += chunk
    return printed


def _killed(process: subprocess.Popen[bytes]) -> bool:
    """End the whole group; return whether the process is gone. One under sudo need not be."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        return False
    return True
