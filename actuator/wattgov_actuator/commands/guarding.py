"""`guardian`: the one who puts back when a `run` hangs or has died, where no systemd does."""

import logging
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import click

from wattgov_actuator.acting.guardian import Guardian
from wattgov_actuator.acting.holding import holding
from wattgov_actuator.acting.lease import LeaseFile
from wattgov_actuator.acting.lock import evict
from wattgov_actuator.acting.restoring import put_back
from wattgov_actuator.acting.signs import renewing
from wattgov_actuator.acting.tables import file_in
from wattgov_actuator.exits import signalled, told
from wattgov_actuator.flags import machine_options, pass_clock, state_option
from wattgov_actuator.logfmt import line, log_to_stderr
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Clock

LOG = logging.getLogger(__name__)


@click.command()
@state_option
@machine_options
@pass_clock
def guardian(now: Clock, *, state_dir: Path, sysfs: Path, procfs: Path) -> None:
    """Watch over a `run` of the same state folder, where no systemd does.

    When that one dies, or shows no sign of life for its --lease, it is killed if need be, and
    everything that it changed is put back. A folder that no actuator has used yet is warned of.
    """
    log_to_stderr()
    machine = Machine(sysfs, procfs)

    def restored() -> bool:
        with holding(state_dir, machine, now) as (_, writer):
            return put_back(writer, alive=renewing(state_dir, procfs, now))

    with told():
        lease = LeaseFile(state_dir, procfs)
        ended = partial(evict, state_dir, procfs, lambda: lease.over(now().steady))
        watch = Guardian(lease, now, ended, restored)
        LOG.info(line("started", mode="guardian", state=state_dir))
        if not file_in(state_dir).exists():
            LOG.warning(line("nothing_to_guard", detail=_unused(state_dir)))
        with signalled(SimpleQueue[object]()) as stop:
            watch.run(stop)


def _unused(folder: Path) -> str:
    return (
        f"no actuator has ever worked with {folder}; if that is the folder of one to come, all is "
        "well, for it is watched from now on, else give another --state-dir"
    )
