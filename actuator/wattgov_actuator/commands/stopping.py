"""`pause`, `resume` and `restore`: what a person does when it has to stop."""

import os
from collections.abc import Collection
from contextlib import closing, suppress
from pathlib import Path
from queue import Empty, SimpleQueue

import click

from wattgov_actuator.acting.holding import holding
from wattgov_actuator.acting.lease import LeaseFile
from wattgov_actuator.acting.lock import Busy, evict
from wattgov_actuator.acting.restoring import is_left, settled
from wattgov_actuator.acting.signs import renewing
from wattgov_actuator.acting.tables import file_in
from wattgov_actuator.acting.undo import State
from wattgov_actuator.commands.past import Past
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.exits import BAD_INPUT, FAILED, fail, signalled, told
from wattgov_actuator.flags import machine_options, pass_clock, span, state_option
from wattgov_actuator.machine import Machine
from wattgov_actuator.pause import Pause, PauseFile, whole
from wattgov_actuator.reading import Clock, amount

LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 60.0  # the loop looks every 5 s; putting back may take longer


@click.command()
@click.argument("duration", required=False, callback=span)
@state_option
@click.option("--restore", is_flag=True, help="Do nothing at all, and put everything back now.")
@click.option("--why", default="", metavar="TEXT", help="Shown to others wherever the pause shows.")
@machine_options
@pass_clock
def pause(
    clock: Clock,
    *,
    duration: float | None,
    state_dir: Path,
    restore: bool,
    why: str,
    sysfs: Path,
    procfs: Path,
) -> None:
    """Stop the rules from tightening, for DURATION, such as 30m, or until `resume`.

    Loosening, restoring and thermal protection go on, so nothing has to be put back. With --restore
    it is a kill switch: everything is put back, and nothing is done, thermal protection included.
    A running actuator obeys within 5 seconds; one that hangs is killed once its lease has passed. A
    restart does not end a pause.

    Exit status: 0 when it is so, 1 when it could not be, or something could not be put back, 2 for
    a wrong option.
    """
    _known(state_dir)
    now = clock()
    until = None if duration is None else now.unix + duration
    new = Pause(now.unix, until, _person(), whole(why), restore)
    with told():
        PauseFile(state_dir).write(new)
        what = "Nothing is done" if restore else "Nothing is tightened"
        click.echo(f"Paused {new}\n{what}; `wattgov-actuator resume` ends it")
        lease = LeaseFile(state_dir, procfs).read()
        if lease is None or lease.passed(now.steady, LeaseFile(state_dir, procfs).boot):
            click.echo(f"No actuator works with {state_dir} now; the next one finds it paused")
        failed = restore and _all_back(state_dir, Machine(sysfs, procfs), clock)
    raise SystemExit(FAILED if failed else 0)


@click.command()
@state_option
@pass_clock
def resume(clock: Clock, *, state_dir: Path) -> None:
    """End a pause; the rules act again.

    Exit status: 0, also when there was no pause; 1 when it could not be ended, or no actuator has
    ever worked with the state folder.
    """
    _known(state_dir)
    with told():
        file = PauseFile(state_dir)
        before = file.read(clock().unix)
        file.end()
    click.echo(
        f"Nothing is paused in {state_dir}"
        if before is None
        else f"Resumed; it was paused {before}"
    )


@click.command()
@state_option
@click.option(
    "--leave-conflicts",
    is_flag=True,
    help="Let no rule act on what somebody else has changed: for scripts, not for people.",
)
@click.option(
    "--give-up",
    "given_up",
    multiple=True,
    metavar="TARGET",
    help="Whose device is gone for good: if it cannot be put back now, it never is.",
)
@machine_options
@pass_clock
def restore(
    clock: Clock,
    *,
    state_dir: Path,
    leave_conflicts: bool,
    given_up: tuple[str, ...],
    sysfs: Path,
    procfs: Path,
) -> None:
    """Put back everything that was changed.

    The journal says what; Prometheus is not asked. What somebody else has changed since is left
    as it is, and rules may act on it again. While an actuator runs, use `pause --restore`; one that
    hangs, so that its lease has passed, is killed first.

    Exit status: 0 when nothing is left changed, 1 when something is, or it could not be done, 2 for
    a wrong option.
    """
    if not file_in(state_dir).exists():
        click.echo(f"Nothing to put back: there is no journal in {state_dir}; see --state-dir")
        return
    with told():
        machine = Machine(sysfs, procfs)
        failed = _restored(
            state_dir,
            machine,
            clock,
            give_up_conflicts=not leave_conflicts,
            given_up=given_up,
        )
    raise SystemExit(FAILED if failed else 0)


def _known(folder: Path) -> None:
    """End when the folder is nobody's: what is said there is heard by nobody."""
    if not folder.is_dir():
        fail(f"no actuator has ever worked with {folder}; see --state-dir", FAILED)


def _restored(
    folder: Path,
    machine: Machine,
    clock: Clock,
    *,
    give_up_conflicts: bool,
    given_up: Collection[str] = (),
) -> bool:
    """Put back what the journal says, and tell; return whether something is left."""
    _end_the_hung(folder, machine.procfs, clock)
    alive = renewing(folder, machine.procfs, clock)
    with holding(folder, machine, clock) as (book, writer):
        _held(given_up, {undo.target for undo in book.undos()})
        decisions = settled(writer, alive, give_up_conflicts=give_up_conflicts)
        lost = list(filter(is_left, decisions))
        kept = [writer.give_up(each, _person()) for each in lost if each.target in given_up]
    for each in (*(each for each in decisions if each not in lost), *lost, *kept):
        click.echo(f"{each.knob} {each.target}: {_words(each)}")
    if not decisions:
        click.echo("Nothing to put back")
    if len(kept) < len(lost):
        return True
    with suppress(OSError):  # the guardian ends it, too
        LeaseFile(folder, machine.procfs).end()
    return False


def _held(given_up: Collection[str], held: Collection[str]) -> None:
    """End when somebody gives up what nothing of ours holds: it may be a slip of the pen."""
    for name in given_up:
        if name not in held:
            there = ", ".join(sorted(held)) or "nothing"
            fail(f"nothing of ours holds '{name}'; we hold {there}", BAD_INPUT)


def _end_the_hung(folder: Path, procfs: Path, clock: Clock) -> None:
    """Kill who holds the folder and hangs, as the guardian does; raises Busy.

    There is one writer all the same: who puts back takes the lock, and nobody has it who lives.
    """
    lease = LeaseFile(folder, procfs)

    def hung() -> bool:
        return lease.over(clock().steady)

    if hung() and (killed := evict(folder, procfs, hung)) is not None:
        click.echo(f"Process {killed} hung: its lease had passed. It was killed")


def _all_back(folder: Path, machine: Machine, clock: Clock) -> bool:
    """Put back ourselves, or see to it that the running actuator does; return whether it failed."""
    if not file_in(folder).exists():
        click.echo("Nothing to put back")
        return False
    lease = LeaseFile(folder, machine.procfs)
    now, found = clock().steady, lease.read()
    # Of one that hangs, the lease that it has now is the last.
    left = 0.0 if found is None else max(found.until - now, 0.0)
    end, waiting = now + max(PATIENCE_SECONDS, left + 1), False
    while True:
        try:
            return _restored(folder, machine, clock, give_up_conflicts=False)
        except Busy as error:
            if not waiting:
                click.echo(f"Waiting for the running actuator; if it hangs, for {left:.0f} s")
                waiting = True
            if (failed := _awaited(lease, clock, end, Past(folder), str(error))) is not None:
                return failed


def _awaited(lease: LeaseFile, clock: Clock, end: float, past: Past, busy: str) -> bool | None:
    """Wait until the running actuator has put back; return whether it has not.

    None: it hangs, or has died, so that it is for us to do.
    """
    with signalled(SimpleQueue()) as stop, closing(past):
        while True:
            undos = [undo for undo in past.undos() if undo.state is State.OPEN]
            if not undos:
                click.echo("The running actuator holds nothing any more")
                return False
            try:
                stop.get(timeout=LOOK_SECONDS)
            except Empty:
                if clock().steady < end:
                    if lease.over(clock().steady):
                        return None
                    continue
            open_now = ", ".join(f"{each.knob} {each.target}" for each in undos)
            click.echo(f"Not put back yet: {open_now}; {busy}", err=True)
            return True


def _words(decision: Decision) -> str:
    if decision.reason is not Reason.RESTORED:
        return f"{decision.reason}: {decision.detail}"
    values = (decision.prior, decision.current)
    prior, current = (amount(each or 0.0, decision.unit) for each in values)
    if decision.current == decision.prior:
        return f"is at its prior {prior} already"
    if decision.wanted != decision.prior:
        return decision.detail
    return f"{current} -> {prior}, put back"


def _person() -> str:
    """Return who asks, as far as the environment says; for others to ask back, not to trust."""
    given = (os.environ.get(name, "") for name in ("SUDO_USER", "LOGNAME", "USER"))
    return whole(next(filter(None, given), ""))
