"""How a command ends: in sentences, by an exit status, on a signal."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import NoReturn

import click

from wattgov_actuator.acting.journal import JournalError
from wattgov_actuator.acting.lock import Busy
from wattgov_actuator.document.strict import Invalid
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.language.rulefile import load
from wattgov_actuator.laws import LAWS
from wattgov_actuator.rules import RuleSet

BAD_INPUT, FAILED = 2, 1
CAUGHT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def fail(message: str, status: int) -> NoReturn:
    """Say what is wrong, and end."""
    click.echo(message, err=True)
    sys.exit(status)


def rules_of(paths: Sequence[Path]) -> RuleSet:
    """Return the rules of all files; say what is wrong with them, and end."""
    try:
        return load(paths, LAWS, KNOBS, os.environ)
    except Invalid as error:
        return fail(str(error), BAD_INPUT)


@contextmanager
def told() -> Iterator[None]:
    """Turn what a user can mend into a sentence and an exit status."""
    try:
        yield
    except (Busy, JournalError) as error:
        fail(str(error), FAILED)
    except BrokenPipeError:
        raise  # who reads has seen enough, as `head` has: click ends without a word
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
