"""The command line: the only wiring, the only real clock, the only signals."""

import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import NoReturn

import click

from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.exits import BAD_INPUT, FAILED, fail, signalled, told
from wattgov_actuator.facts import Facts, Memory
from wattgov_actuator.flags import (
    PATH,
    Address,
    elect_option,
    machine_options,
    prometheus_option,
    rule_options,
    service_options,
    state_option,
)
from wattgov_actuator.guardian import Guardian
from wattgov_actuator.hands import Hands
from wattgov_actuator.holding import LEASE_SECONDS, holding
from wattgov_actuator.knobs import KNOBS, open_knob
from wattgov_actuator.laws import LAWS
from wattgov_actuator.lease import LeaseFile
from wattgov_actuator.lock import evict
from wattgov_actuator.logfmt import Formatter, line
from wattgov_actuator.loop import Loop, log_decision, put_back
from wattgov_actuator.machine import Machine
from wattgov_actuator.notes.options import note_options
from wattgov_actuator.notify import ALIVE, GOING, READY, Notify
from wattgov_actuator.orders import Reload
from wattgov_actuator.pause import PauseFile
from wattgov_actuator.plan import table
from wattgov_actuator.reading import Moment
from wattgov_actuator.rulefile import load
from wattgov_actuator.rules import RuleSet
from wattgov_actuator.stopping import pause, restore, resume
from wattgov_actuator.strict import Invalid
from wattgov_actuator.telling import explain, journal
from wattgov_actuator.tick import tick

LOG = logging.getLogger(__name__)
EVICT_SECONDS = 10.0


def now() -> Moment:
    """Return this moment by both clocks."""
    return Moment(time.time(), time.monotonic())


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="wattgov", prog_name="wattgov-actuator")
@click.pass_context
def main(context: click.Context) -> None:
    """Turn power knobs by rules over Prometheus metrics, and never leave one turned."""
    context.obj = context.obj or now


for command in (journal, explain, pause, resume, restore):
    main.add_command(command)


@main.command()
@rule_options
@prometheus_option
@state_option
@service_options
@note_options
@elect_option
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
    web_file: Path | None,
    grafana_url: str | None,
    grafana_token_file: Path | None,
    webhook_url_file: Path | None,
    elect: str | None,
    enforce: bool,
    lease_seconds: float,
    sysfs: Path,
    procfs: Path,
) -> None:
    """Ask, decide and act; at the end put back.

    A dry run, unless --enforce is given or every rule file says `enforce: true`. What an earlier
    run left changed is put back first, before anything else.

    SIGHUP, or POST to /-/reload, reads the rules again; with a mistake the old ones stay in force.
    SIGTERM and SIGINT end it.

    Exit status: 0 when everything is put back, 1 when something is not or it could not start, 2 for
    a mistake in the rules or in the file of --web.config.file.
    """
    from wattgov_actuator.electing import standing  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.leading import Turned  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.notes.choice import sinks  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.notes.sending import Notes  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.query import Prometheus  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.serving.service import Control, listening, web_of  # noqa: PLC0415

    _log_to_stderr()
    machine, notify = Machine(sysfs, procfs), Notify(os.environ)
    mistakes, ruleset = _loaded((*rules, *more))
    bad, web = web_of(web_file, lambda: now().steady)
    unsent, told_to = sinks(grafana_url, grafana_token_file, webhook_url_file, os.environ)
    if ruleset is None or web is None or told_to is None:
        click.echo("\n".join(filter(None, (mistakes, bad, unsent))), err=True)
        _given_up(state_dir, machine)
    notes = Notes(told_to, os.uname().nodename)

    def tell(decision: Decision) -> None:
        log_decision(decision)
        notes(decision)

    orders = SimpleQueue[object]()
    turned = Turned(
        ruleset,
        partial(load, (*rules, *more), LAWS, KNOBS),
        KNOBS,
        standing(elect, ruleset, KNOBS, now, lambda: orders.put(Reload())),
    )
    ways = turned.here.connections
    with told(), notes, holding(state_dir, machine, now, ways, turned.opening) as (book, writer):
        lease = LeaseFile(state_dir, procfs)

        def alive() -> None:
            lease.renew(now().steady + lease_seconds)
            notify(ALIVE)

        alive()
        put_back(writer, tell)
        writer.connect(ways)  # and no longer those of an earlier run
        if (row := book.broken()) is not None:
            LOG.warning(line("journal_changed_by_others", file=book.path, first_row=row))
        with closing(Prometheus(prometheus)) as source, turned.elector or nullcontext():
            loop = Loop(
                turned.here,
                ask=source.ask,
                writer=writer,
                journal=book,
                now=now,
                enforcing=enforce or ruleset.enforce,
                alive=alive,
                beat_seconds=min(lease_seconds / 4, 5.0),
                paused=PauseFile(state_dir).read,
                load=turned,
                armed=enforce,
                tell=tell,
            )
            control = Control(orders, PauseFile(state_dir), now, notes.counts)
            try:
                service = listening(listen, web, lambda: loop.snapshot, control)
            except OSError as error:
                where = f"{listen.host}:{listen.port}"
                fail(f"cannot listen on {where}: {error.strerror}; give another --listen", FAILED)
            with service:
                LOG.info(
                    line(
                        "started",
                        mode="enforcing" if loop.snapshot.enforcing else "dry run",
                        listen=service.address,
                        prometheus=source.url,
                    )
                )
                with signalled(orders):
                    notify(READY)
                    status = loop.run(orders)
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
        fail(mistakes, BAD_INPUT)
    names = ", ".join(rule.action for group in ruleset.groups for rule in group.rules)
    mode = "enforcing" if ruleset.enforce else "dry run unless --enforce"
    click.echo(f"OK: {names}; {mode}")


@main.command()
@rule_options
@prometheus_option
@state_option
@machine_options
def plan(
    *,
    rules: tuple[Path, ...],
    more: tuple[Path, ...],
    prometheus: str,
    state_dir: Path,
    sysfs: Path,
    procfs: Path,
) -> None:
    """Show what would change now, and why not.

    Nothing is written, and a Prometheus that does not answer is one of the reasons, as is a pause.

    Exit status: 0, 2 for a mistake in the rules.
    """
    from wattgov_actuator.query import Prometheus  # noqa: PLC0415 (--help stays light)

    mistakes, ruleset = _loaded((*rules, *more))
    if ruleset is None:
        fail(mistakes, BAD_INPUT)
    began = now()
    expressions = dict.fromkeys(each for group in ruleset.groups for each in group.expressions())
    knobs = Hands(partial(open_knob, machine=Machine(sysfs, procfs)))
    knobs.connect(ruleset.connections)
    with closing(Prometheus(prometheus)) as source, closing(knobs) as hands:
        answers = source.ask(expressions)
        readings, notes = hands.look(ruleset.knobs, began.steady)
    brake = PauseFile(state_dir).read(began.unix)
    facts = Facts(answers, readings, began.steady, notes, brake)
    decisions = tick(ruleset, Memory(), facts, now()).decisions
    would = Reason.DISARMED if brake is not None and brake.restore else Reason.WOULD_APPLY
    if brake is not None:
        click.echo(f"Paused {brake}\n")
    click.echo(table([replace(each, reason=would) if each.acts else each for each in decisions]))


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
        with holding(state_dir, machine, now) as (_, writer):
            return put_back(writer)

    with told():
        lease = LeaseFile(state_dir, procfs)
        watch = Guardian(lease, now, partial(evict, state_dir, procfs, EVICT_SECONDS), restored)
        LOG.info(line("started", mode="guardian", state=state_dir))
        with signalled(SimpleQueue[object]()) as stop:
            watch.run(stop)


def _loaded(paths: Sequence[Path]) -> tuple[str, RuleSet | None]:
    """Return the mistakes as text, or the rules."""
    try:
        return "", load(paths, LAWS, KNOBS)
    except Invalid as error:
        return str(error), None


def _given_up(state_dir: Path, machine: Machine) -> NoReturn:
    """End for a mistake; what a crash left need not wait for good rules."""
    if (state_dir / "journal.sqlite").exists():
        with told(), holding(state_dir, machine, now) as (_, writer):
            put_back(writer)
    sys.exit(BAD_INPUT)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
