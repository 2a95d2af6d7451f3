"""How a command ends: in sentences, by an exit status, on a signal."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import NoReturn

import click

from wattgov_actuator.journal import JournalError
from wattgov_actuator.lock import Busy

BAD_INPUT, FAILED = 2, 1
CAUGHT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def fail(message: str, status: int) -> NoReturn:
    """Say what is wrong, and end."""
    click.echo(message, err=True)
    sys.exit(status)


@contextmanager
def told() -> Iterator[None]:
    """Turn what a user can mend into a sentence and an exit status."""
    try:
        yield
    except (Busy, JournalError) as error:
        fail(str(error), FAILED)
    except OSError as error:
        fail(f"{error.filename or 'the state folder'}: {error.strerror}", FAILED)


@contextmanager
def signalled(words: "SimpleQueue[object]") -> Iterator["SimpleQueue[object]"]:
    """Put the names of the signals that a daemon takes into a queue."""
    before = {
        number: signal.signal(number, lambda number, _: words.put(signal.Signals(number).name))
        for number in CAUGHT
    }
    try:
        yield words
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
