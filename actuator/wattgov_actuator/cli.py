"""The command line: the only wiring, the only real clock, the only signals."""

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import click

from wattgov_actuator.acting.holding import holding
from wattgov_actuator.acting.lease import LeaseFile
from wattgov_actuator.acting.lock import Busy, MachineLock
from wattgov_actuator.acting.restoring import log_decision, open_undos, put_back
from wattgov_actuator.acting.signs import LEASE_SECONDS, Alive, renewing
from wattgov_actuator.acting.tables import file_in
from wattgov_actuator.commands.checking import check, plan
from wattgov_actuator.commands.guarding import guardian
from wattgov_actuator.commands.stopping import pause, restore, resume
from wattgov_actuator.commands.telling import explain, journal
from wattgov_actuator.cycle.governor import Governor
from wattgov_actuator.cycle.loop import Loop
from wattgov_actuator.decision import Decision
from wattgov_actuator.document.strict import Invalid, Mistake
from wattgov_actuator.exits import BAD_INPUT, FAILED, fail, signalled, told
from wattgov_actuator.flags import (
    Address,
    elect_option,
    machine_options,
    policies_option,
    prometheus_option,
    rule_options,
    run_option,
    service_options,
    state_option,
)
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.language.rulefile import load
from wattgov_actuator.language.schema import schema
from wattgov_actuator.laws import LAWS
from wattgov_actuator.logfmt import line, log_to_stderr
from wattgov_actuator.machine import Machine
from wattgov_actuator.notes.options import note_options
from wattgov_actuator.notify import GOING, READY, Notify
from wattgov_actuator.orders import Inbox, Reload
from wattgov_actuator.pause import PauseFile
from wattgov_actuator.proxy.command import proxy
from wattgov_actuator.reading import Moment
from wattgov_actuator.replay.command import backtest
from wattgov_actuator.rules import RuleSet
from wattgov_actuator.scenarios.command import test

if TYPE_CHECKING:
    from wattgov_actuator.election.leading import Turned
    from wattgov_actuator.energypolicies.reflector import Reflector

LOG = logging.getLogger(__name__)
SHORTEST_LEASE_SECONDS = 5.0  # longer than one question to Prometheus may take


def now() -> Moment:
    """Return this moment by both clocks."""
    return Moment(time.time(), time.monotonic())


def now_asleep_too() -> Moment:
    """Return this moment, by a clock that counts what a suspended machine sleeps through."""
    return Moment(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))


def _steady() -> float:
    return now().steady


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="wattgov", prog_name="wattgov-actuator")
@click.pass_context
def main(context: click.Context) -> None:
    """Turn power knobs by rules over Prometheus metrics, and never leave one turned."""
    context.obj = context.obj or now


OTHERS = (check, plan, test, backtest, journal, explain, pause, resume, restore, guardian, proxy)
for command in OTHERS:
    main.add_command(command)


@main.command()
@rule_options
@prometheus_option
@state_option
@service_options
@note_options
@elect_option
@policies_option
@run_option
@click.option("--enforce", is_flag=True, help="Write knobs. Without it this is a dry run.")
@click.option(
    "--lease",
    "lease_seconds",
    type=click.FloatRange(min=SHORTEST_LEASE_SECONDS),
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
    run_dir: Path,
    listen: Address,
    web_file: Path | None,
    web_names: tuple[str, ...],
    grafana_url: str | None,
    grafana_token_file: Path | None,
    webhook_url_file: Path | None,
    elect: str | None,
    energy_policies: str | None,
    enforce: bool,
    lease_seconds: float,
    sysfs: Path,
    procfs: Path,
) -> None:
    """Ask, decide and act; at the end put back.

    A dry run, unless --enforce is given or every rule file says `enforce: true`. What an earlier
    run left changed is put back first, before anything else. One actuator enforces on a machine.

    SIGHUP, or POST to /-/reload, reads the rules again; with a mistake the old ones stay in force.
    SIGTERM and SIGINT end it.

    Exit status: 0 when everything is put back, 1 when something is not or it could not start, 2 for
    a mistake in the rules or in the file of --web.config.file.
    """
    from wattgov_actuator.notes.choice import sinks  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.notes.sending import Notes  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.query import Prometheus  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.serving.service import Control, listening, web_of  # noqa: PLC0415

    log_to_stderr()
    machine, notify = Machine(sysfs, procfs), Notify(os.environ)
    files = partial(load, (*rules, *more), LAWS, KNOBS, os.environ)
    read = partial(_patient, files, lease_seconds=lease_seconds, first=rules[0])
    mistakes, ruleset = _loaded(read if energy_policies is None else partial(read, ()))
    bad, web = web_of(web_file, lambda: now().steady)
    unsent, told_to = sinks(grafana_url, grafana_token_file, webhook_url_file, os.environ)
    if ruleset is None or web is None or told_to is None:
        _refused("\n".join(filter(None, (mistakes, bad, unsent))), state_dir, machine)
    notes = Notes(told_to, os.uname().nodename)

    def tell(decision: Decision) -> None:
        log_decision(decision)
        notes(decision)

    alone, orders = MachineLock(run_dir, state_dir), SimpleQueue[object]()
    shared = _Shared(energy_policies, elect, lambda: orders.put(Reload()))
    turned, policies = _turned(
        read, ruleset, partial(_allowed, alone, first=rules[0], enforce=enforce), shared
    )
    with (
        told(),
        signalled(orders),  # a stop waits until what a crash has left is put back
        notes,
        closing(alone),
        holding(state_dir, machine, now, turned.opening) as (book, writer),
    ):
        lease = LeaseFile(state_dir, procfs)
        alive = Alive(lease, lease_seconds, notify, now)
        alive()
        left = put_back(writer, tell, alive)
        writer.connect(turned.here.connections)  # until here those of an earlier run
        if enforce or ruleset.enforce:
            alone.take()
        if (row := book.broken()) is not None:
            LOG.warning(line("journal_changed_by_others", file=book.path, first_row=row))
        with (
            closing(Prometheus(prometheus, _steady)) as source,
            turned.elector or nullcontext(),
            policies or nullcontext(),
        ):
            governor = Governor(
                turned.here,
                writer=writer,
                journal=book,
                now=now,
                enforcing=enforce or ruleset.enforce,
                alive=alive,
                paused=PauseFile(state_dir).read,
                load=turned,
                armed=enforce,
                tell=tell,
            )
            loop = Loop(
                governor,
                ask=partial(source.ask, alive=alive),
                now=now,
                alive=alive,
                beat_seconds=min(lease_seconds / 4, 5.0),
            )
            control = Control(
                orders,
                PauseFile(state_dir),
                now,
                notes.counts,
                None if policies is None else policies.watched,
            )
            try:
                service = listening(listen, web, lambda: governor.snapshot, control, web_names)
            except OSError as error:
                where = f"{listen.host}:{listen.port}"
                fail(f"cannot listen on {where}: {error.strerror}; give another --listen", FAILED)
            with service:
                LOG.info(
                    line(
                        "started",
                        mode="enforcing" if governor.snapshot.enforcing else "dry run",
                        listen=service.address,
                        prometheus=source.url,
                    )
                )
                notify(READY)
                status = _ran(loop, Inbox(orders), left=left)
                notify(GOING)
        if not open_undos(book):
            lease.end()
    LOG.info(line("stopped", status=status))
    sys.exit(status)


@main.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of rule files, for editors.

    The starter files name it in their first line, which the YAML language server reads.
    """
    click.echo(json.dumps(schema(LAWS, KNOBS), indent=1))


def _ran(loop: Loop, orders: Inbox, *, left: bool) -> int:
    """Let the loop run until it is stopped, unless it was while it started; return a status."""
    orders.look()
    if orders.stop is None:
        return loop.run(orders)
    LOG.info(line("stopping", on=orders.stop, detail="before the first tick"))
    return int(left)


def _refused(mistakes: str, state_dir: Path, machine: Machine) -> NoReturn:
    """Say why it does not start, and end; a crash need not wait for good rules to be undone."""
    click.echo(mistakes, err=True)
    if file_in(state_dir).exists():
        with (
            told(),
            signalled(SimpleQueue()),
            holding(state_dir, machine, now) as (_, writer),
        ):
            put_back(writer, alive=renewing(state_dir, machine.procfs, now))
    sys.exit(BAD_INPUT)


def _loaded(read: Callable[[], RuleSet]) -> tuple[str, RuleSet | None]:
    """Return the mistakes as text, or the rules."""
    try:
        return "", read()
    except Invalid as error:
        return str(error), None


def _patient(
    files: Callable[..., RuleSet], *documents: object, lease_seconds: float, first: Path
) -> RuleSet:
    """Return the rules; raises Invalid where one answer may take as long as a sign of life."""
    ruleset = files(*documents)
    slow = max(ruleset.connections, key=lambda each: each.timeout_seconds, default=None)
    if slow is None or slow.timeout_seconds < lease_seconds:
        return ruleset
    detail = (
        f"'knobs': {slow.name} may be waited for as long ({slow.timeout_seconds:g} s) as a loop "
        f"may give no sign of life ({lease_seconds:g} s), and would be ended as one that hangs; "
        "give it a shorter timeout, or another --lease"
    )
    raise Invalid([Mistake(str(first), 1, 1, detail)])


class _Shared(NamedTuple):
    """What goes on in a cluster, and who is told of a change."""

    policies: str | None  # a namespace
    elect: str | None  # a lease
    changed: Callable[[], None]


def _turned(
    read: Callable[..., RuleSet],
    ruleset: RuleSet,
    allowed: Callable[[RuleSet], RuleSet],
    shared: _Shared,
) -> "tuple[Turned, Reflector | None]":
    """Return the rules of this actuator, and who follows the policies of a cluster."""
    from wattgov_actuator.election.campaign import standing  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.election.leading import Turned  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.energypolicies.loading import Loading  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.energypolicies.reflector import following  # noqa: PLC0415 (the same)

    policies = following(shared.policies, ruleset, KNOBS, _steady, shared.changed)
    # Others take the lease of one who sleeps. No other clock may do so: a cooldown, or the lease of
    # the guardian, would be over at once when a laptop is opened.
    elector = standing(shared.elect, ruleset, KNOBS, now_asleep_too, shared.changed)
    reading = read if policies is None else Loading(read, lambda: policies.documents)
    return Turned(ruleset, lambda: allowed(reading()), KNOBS, elector), policies


def _allowed(alone: MachineLock, ruleset: RuleSet, *, first: Path, enforce: bool) -> RuleSet:
    """Return rules that were read again; raises Invalid where somebody else enforces already."""
    if enforce or ruleset.enforce:
        try:
            alone.take()
        except Busy as error:
            raise Invalid([Mistake(str(first), 1, 1, f"'enforce': {error}")]) from None
    return ruleset
