"""The state folder of one actuator, held while somebody works with it."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.acting.journal import Journal, JournalError
from wattgov_actuator.acting.lease import this_boot
from wattgov_actuator.acting.lock import OTHERS_WRITE, locked
from wattgov_actuator.acting.signs import renewing
from wattgov_actuator.acting.writer import Writer
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Clock, Knob


@contextmanager
def holding(
    folder: Path,
    machine: Machine,
    now: Clock,
    opening: Callable[..., Knob] = open_knob,
) -> Iterator[tuple[Journal, Writer]]:
    """Hold the state folder, its journal and the knobs; raises Busy, JournalError and OSError.

    The lease says that somebody is at it: no guardian ends who has just begun. *opening* opens a
    knob as `open_knob` does.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & OTHERS_WRITE:
        raise JournalError(
            f"others can write in {folder}, and so say what is to be put back where; run: "
            f"chmod go-w {folder}, after a look at what is in it"
        )
    boot = this_boot(machine.procfs)
    knobs = Hands(partial(opening, machine=machine))
    with (
        locked(folder, renewing(folder, machine.procfs, now)),
        closing(Journal(folder, boot=boot)) as journal,
        closing(knobs) as hands,
    ):
        yield journal, Writer(journal, hands, now)
