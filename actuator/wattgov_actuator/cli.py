"""The command line: the only wiring, the only real clock, the only signals."""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import NoReturn

import click

from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.flags import (
    PATH,
    Address,
    address,
    machine_options,
    prometheus_option,
    rule_options,
    state_option,
)
from wattgov_actuator.guardian import Guardian
from wattgov_actuator.hands import Hands
from wattgov_actuator.journal import Journal, JournalError
from wattgov_actuator.knobs import KNOBS, open_knob
from wattgov_actuator.laws import LAWS
from wattgov_actuator.lease import LeaseFile
from wattgov_actuator.lock import Busy, evict, locked
from wattgov_actuator.logfmt import Formatter, line
from wattgov_actuator.loop import Loop, put_back
from wattgov_actuator.machine import Machine
from wattgov_actuator.notify import ALIVE, GOING, READY, Notify
from wattgov_actuator.plan import table
from wattgov_actuator.reading import Moment, amount
from wattgov_actuator.rulefile import load
from wattgov_actuator.rules import RuleSet
from wattgov_actuator.strict import Invalid
from wattgov_actuator.tick import Facts, Memory, tick
from wattgov_actuator.writer import Writer

LOG = logging.getLogger(__name__)
BAD_INPUT, FAILED = 2, 1
EVICT_SECONDS = 10.0
LEASE_SECONDS = 60.0
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def now() -> Moment:
    """Return this moment by both clocks."""
    return Moment(time.time(), time.monotonic())


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="wattgov", prog_name="wattgov-actuator")
def main() -> None:
    """Turn power knobs by rules over Prometheus metrics, and never leave one turned."""


@main.command()
@rule_options
@prometheus_option
@state_option
@click.option(
    "--listen",
    metavar="HOST:PORT",
    callback=address,
    default="127.0.0.1:9471",
    show_default=True,
    help="Where metrics and decisions are served, without authentication.",
)
@click.option("--enforce", is_flag=True, help="Write knobs. Without it this is a dry run.")
@click.option(
    "--lease",
    "lease_seconds",
    type=click.FloatRange(min=1),
    default=LEASE_SECONDS,
    show_default=True,
    help="Seconds without a sign of life after which the guardian puts everything back.",
)
@machine_options
def run(
    *,
    rules: tuple[Path, ...],
    more: tuple[Path, ...],
    prometheus: str,
    state_dir: Path,
    listen: Address,
    enforce: bool,
    lease_seconds: float,
    sysfs: Path,
    procfs: Path,
) -> None:
    """Ask, decide and act; at the end put back.

    A dry run, unless --enforce is given or every rule file says `enforce: true`. What an earlier
    run left changed is put back first, before anything else.
    """
    from wattgov_actuator.exposition import Exposition  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.query import Prometheus  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.service import Service  # noqa: PLC0415 (--help stays light)

    _log_to_stderr()
    machine, notify = Machine(sysfs, procfs), Notify(os.environ)
    mistakes, ruleset = _loaded((*rules, *more))
    if ruleset is None:
        click.echo(mistakes, err=True)
        if (state_dir / "journal.sqlite").exists():  # a crash need not wait for good rules
            with _told(), _holding(state_dir, machine) as (_, writer):
                put_back(writer)
        sys.exit(BAD_INPUT)
    with _told(), _holding(state_dir, machine) as (journal, writer):
        lease = LeaseFile(state_dir, procfs)

        def alive() -> None:
            lease.renew(now().steady + lease_seconds)
            notify(ALIVE)

        alive()
        put_back(writer)
        if (row := journal.broken()) is not None:
            LOG.warning(line("journal_changed_by_others", file=journal.path, first_row=row))
        with closing(Prometheus(prometheus)) as source:
            loop = Loop(
                ruleset,
                ask=source.ask,
                writer=writer,
                journal=journal,
                now=now,
                enforcing=enforce or ruleset.enforce,
                alive=alive,
                beat_seconds=min(lease_seconds / 4, 5.0),
            )
            registry = Exposition(lambda: loop.snapshot, lambda: now().unix).registry()
            try:
                service = Service(*listen, lambda: loop.snapshot, registry)
            except OSError as error:
                where = f"{listen.host}:{listen.port}"
                _fail(f"cannot listen on {where}: {error.strerror}; give another --listen", FAILED)
            with service:
                mode = "enforcing" if loop.snapshot.enforcing else "dry run"
                LOG.info(line("started", mode=mode, listen=service.address, prometheus=source.url))
                with _signalled() as stop:
                    notify(READY)
                    status = loop.run(stop)
                    notify(GOING)
        if not loop.snapshot.open_undos:
            lease.end()
    LOG.info(line("stopped", status=status))
    sys.exit(status)


@main.command()
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
def check(files: tuple[Path, ...]) -> None:
    """Check rule files, and report every mistake.

    They are read as `run` reads them; the exit status is 2 if there is a mistake.
    """
    mistakes, ruleset = _loaded(files)
    if ruleset is None:
        _fail(mistakes, BAD_INPUT)
    names = ", ".join(rule.action for group in ruleset.groups for rule in group.rules)
    mode = "enforcing" if ruleset.enforce else "dry run unless --enforce"
    click.echo(f"OK: {names}; {mode}")


@main.command()
@rule_options
@prometheus_option
@machine_options
def plan(
    *, rules: tuple[Path, ...], more: tuple[Path, ...], prometheus: str, sysfs: Path, procfs: Path
) -> None:
    """Show what would change now, and why not.

    Nothing is written, and a Prometheus that does not answer is one of the reasons.
    """
    from wattgov_actuator.query import Prometheus  # noqa: PLC0415 (--help stays light)

    mistakes, ruleset = _loaded((*rules, *more))
    if ruleset is None:
        _fail(mistakes, BAD_INPUT)
    began = now()
    expressions = dict.fromkeys(each for group in ruleset.groups for each in group.expressions())
    knobs = Hands(partial(open_knob, machine=Machine(sysfs, procfs)))
    with closing(Prometheus(prometheus)) as source, closing(knobs) as hands:
        answers = source.ask(expressions)
        readings, notes = hands.look(ruleset.knobs, began.steady)
    facts = Facts(answers, readings, began.steady, notes)
    decisions = tick(ruleset, Memory(), facts, now()).decisions
    would = Reason.WOULD_APPLY
    click.echo(table([replace(each, reason=would) if each.acts else each for each in decisions]))


@main.command()
@state_option
@click.option(
    "--leave-conflicts",
    is_flag=True,
    help="Let no rule act on what somebody else has changed: for scripts, not for people.",
)
@machine_options
def restore(*, state_dir: Path, leave_conflicts: bool, sysfs: Path, procfs: Path) -> None:
    """Put back everything that was changed.

    The journal says what; Prometheus is not asked. What somebody else has changed since is left
    as it is, and rules may act on it again.
    """
    if not (state_dir / "journal.sqlite").exists():
        click.echo(f"Nothing to put back: there is no journal in {state_dir}")
        return
    left = False
    with _told(), _holding(state_dir, Machine(sysfs, procfs)) as (_, writer):
        decisions = writer.restore(give_up_conflicts=not leave_conflicts)
    for each in decisions:
        left |= each.reason not in {Reason.RESTORED, Reason.CONFLICT}
        click.echo(f"{each.knob} {each.target}: {_words(each)}")
    if not decisions:
        click.echo("Nothing to put back")
    if not left:
        with suppress(OSError):  # the guardian ends it, too
            LeaseFile(state_dir, procfs).end()
    sys.exit(FAILED if left else 0)


@main.command()
@state_option
@machine_options
def guardian(*, state_dir: Path, sysfs: Path, procfs: Path) -> None:
    """Watch over a `run` of the same state folder, where no systemd does.

    When that one dies, or shows no sign of life for its --lease, it is killed if need be, and
    everything that it changed is put back.
    """
    _log_to_stderr()
    machine = Machine(sysfs, procfs)

    def restored() -> bool:
        with _holding(state_dir, machine) as (_, writer):
            return put_back(writer)

    with _told():
        lease = LeaseFile(state_dir, procfs)
        watch = Guardian(lease, now, partial(evict, state_dir, procfs, EVICT_SECONDS), restored)
        LOG.info(line("started", mode="guardian", state=state_dir))
        with _signalled() as stop:
            watch.run(stop)


def _loaded(paths: Sequence[Path]) -> tuple[str, RuleSet | None]:
    """Return the mistakes as text, or the rules."""
    try:
        return "", load(paths, LAWS, KNOBS)
    except Invalid as error:
        return str(error), None


@contextmanager
def _holding(folder: Path, machine: Machine) -> Iterator[tuple[Journal, Writer]]:
    """Hold the state folder, its journal and the knobs.

    The lease says that somebody is at it: no guardian ends who has just begun.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    knobs = Hands(partial(open_knob, machine=machine))
    with locked(folder):
        with suppress(OSError):  # a full disk must not keep anybody from putting back
            LeaseFile(folder, machine.procfs).renew(now().steady + LEASE_SECONDS)
        with closing(Journal(folder)) as journal, closing(knobs) as hands:
            yield journal, Writer(journal, hands, now)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what a user can mend into a sentence and an exit status."""
    try:
        yield
    except (Busy, JournalError) as error:
        _fail(str(error), FAILED)
    except OSError as error:
        _fail(f"{error.filename or 'the state folder'}: {error.strerror}", FAILED)


@contextmanager
def _signalled() -> Iterator["SimpleQueue[str]"]:
    """Turn the signals that end a daemon into words in a queue."""
    stop = SimpleQueue[str]()
    before = {
        number: signal.signal(number, lambda number, _: stop.put(signal.Signals(number).name))
        for number in STOPPING
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fail(message: str, status: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(status)


def _words(decision: Decision) -> str:
    if decision.reason is not Reason.RESTORED:
        return f"{decision.reason}: {decision.detail}"
    values = (decision.prior, decision.current)
    prior, current = (amount(each or 0.0, decision.unit) for each in values)
    if decision.current == decision.prior:
        return f"is at its prior {prior} already"
    return f"{current} -> {prior}, put back"


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
