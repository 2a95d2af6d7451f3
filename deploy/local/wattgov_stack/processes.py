"""Start the stack's processes, wait until each is ready, stop them in order."""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import requests

from wattgov_stack.ask import direct
from wattgov_stack.trouble import Trouble

READY_SECONDS = 60.0
STOP_SECONDS = 30.0
LOG_TAIL_LINES = 3


@dataclass(frozen=True, slots=True)
class Command:
    """A process to run: its name, its words, the URL that answers 200 when it is ready."""

    name: str
    words: tuple[str, ...]
    ready_url: str
    environment: tuple[tuple[str, str], ...] = ()


class Process:
    """A running part of the stack; its output goes to a log in the state folder."""

    def __init__(self, command: Command, logs: Path) -> None:
        self.command = command
        self.log = logs / f"{command.name}.log"
        with self.log.open("ab") as log:
            # An own session: Ctrl-C reaches the stack only, which then stops its parts in order.
            self._popen = subprocess.Popen(
                [*_dies_with_us(), *command.words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **dict(command.environment)},
            )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._popen.pid

    @property
    def ended(self) -> int | None:
        """The exit status, None while it runs."""
        return self._popen.poll()

    def wait_ready(self) -> None:
        """Return when the process answers; Trouble with the end of its log if it does not."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.ended is not None:
                raise Trouble(
                    f"{self.command.name} ended at once (exit {self.ended}): {self._tail()}"
                )
            if _answers(self.command.ready_url):
                return
            time.sleep(0.05)
        raise Trouble(
            f"{self.command.name} did not answer at {self.command.ready_url} "
            f"within {READY_SECONDS:g} s: {self._tail()}"
        )

    def stop(self) -> int:
        """Ask it to end, and kill it when it does not; return its exit status."""
        if self.ended is None:
            self._popen.send_signal(signal.SIGTERM)
        try:
            return self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self._popen.wait()

    def kill(self) -> None:
        """End it without a chance to clean up, as a crash would."""
        self._popen.kill()
        self._popen.wait()

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return f"{' | '.join(lines)} (all of it in {self.log})"


def _answers(url: str) -> bool:
    try:
        return direct().get(url, timeout=1).ok
    except requests.RequestException:
        return False


def _dies_with_us() -> tuple[str, ...]:
    """Return words that have the kernel end the process when the stack itself is killed."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv else ()
