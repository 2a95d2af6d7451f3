"""`backtest`: what rules would have done, by what Prometheus said before."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.commands.online import BAD
from wattgov_actuator.exits import BAD_INPUT, FAILED, fail, rules_of, told
from wattgov_actuator.flags import (
    machine_options,
    moment,
    pass_clock,
    prometheus_option,
    rule_options,
    span,
)
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.machine import Machine
from wattgov_actuator.places import places
from wattgov_actuator.reading import Answer, Clock, Moment
from wattgov_actuator.replay.backtest import draws, replay
from wattgov_actuator.replay.devices import NODES, Past, devices, limits_of
from wattgov_actuator.replay.report import data, text
from wattgov_actuator.replay.sleep import KNOB, estimated, sleepers
from wattgov_actuator.rules import RuleSet
from wattgov_actuator.simulation import Planted, scratch
from wattgov_actuator.when import Moments, moments_between

if TYPE_CHECKING:  # it loads requests, and --help stays light
    from wattgov_actuator.replay.history import History

READ_SECONDS = 60.0  # a range takes longer than an instant
LOOKS = 500  # how often the limits of a node are looked at
SHOWN = 100
WHEN = "A moment, such as 2026-01-31T06:30, or how long ago, such as 2d."


@click.command()
@rule_options
@prometheus_option
@click.option("--start", metavar="WHEN", required=True, callback=moment, help=WHEN)
@click.option("--end", metavar="WHEN", default="0s", callback=moment, help="The same. [now]")
@click.option("--step", metavar="TIME", callback=span, help="From tick to tick. [as `run` ticks]")
@click.option(
    "--instance",
    default="",
    help="The node whose cards are taken, by their limits then. [this machine's devices]",
)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=1),
    default=SHOWN,
    show_default=True,
    help="How many changes are shown at most, the latest.",
)
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
@machine_options
@pass_clock
def backtest(
    now: Clock,
    *,
    rules: tuple[Path, ...],
    more: tuple[Path, ...],
    prometheus: str,
    start: float,
    end: float,
    step: float | None,
    instance: str,
    lines: int,
    as_json: bool,
    sysfs: Path,
    procfs: Path,
) -> None:
    """Replay rules over Prometheus' history, and tell what they would have done.

    Each tick is that of `run`, on simulated devices that begin with what is set now, or with
    --instance what was set then. What was measured was measured without these rules.

    Exit status: 0, 1 when Prometheus could not be asked, 2 for a mistake in the rules, an
    expression that cannot be used, or when there is no device.
    """
    from wattgov_actuator.query import Patience, Prometheus  # noqa: PLC0415 (--help stays light)
    from wattgov_actuator.replay.history import History  # noqa: PLC0415 (--help stays light)

    ruleset = estimated(rules_of((*rules, *more)))
    start, end = round(start, 3), round(end, 3)  # as exact as Prometheus is
    asked = moments_between(start, end, step or ruleset.interval_seconds)
    if not asked.count:
        fail("--end is before --start", BAD_INPUT)
    patience = Patience(read=READ_SECONDS)
    with closing(Prometheus(prometheus, lambda: now().steady, patience)) as source:
        _refuse(ruleset, source.ask(_expressions(ruleset)))
        history = History(source)
        asleep = tuple(sleepers(ruleset))
        if asleep and set(ruleset.knobs) == {KNOB}:
            past = Past(())
        elif instance:
            seldom = max(ceil((end - start) / LOOKS), asked.step)
            past = _then(history, instance, moments_between(start, end, seldom))
        else:
            past = _here(ruleset, Machine(sysfs, procfs), now())
        drawn = draws(ruleset, instance)
        said = _said(history, (*_expressions(ruleset), *drawn.values()), asked)
        with told(), scratch() as folder:
            moments = _counted(said, asked.count) if sys.stderr.isatty() else said
            done = replay(
                *(ruleset, (*past.planted, *asleep), moments),
                step=asked.step,
                drawn=drawn,
                folder=Path(folder),
            )
    if as_json:
        click.echo(json.dumps(data(done, asked, past.notes), indent=1))
    else:
        click.echo("\n".join(text(done, asked, past.notes, lines)))


def _expressions(rules: RuleSet) -> tuple[str, ...]:
    return tuple(dict.fromkeys(expr for _, expr in places(rules)))


def _refuse(rules: RuleSet, answers: Mapping[str, Answer]) -> None:
    """End where the past cannot be asked: a range hides that an expression gives no vector."""
    bad = [
        f"{place}: {answers[expr].detail}"
        for place, expr in places(rules)
        if answers[expr].failure in BAD
    ]
    if bad:
        fail("\n".join(bad), BAD_INPUT)
    failed = [answer.detail for answer in answers.values() if answer.failure is not None]
    if len(failed) == len(answers):
        fail(failed[0], FAILED)


def _here(rules: RuleSet, machine: Machine, now: Moment) -> Past:
    """Return the devices of this machine."""
    with closing(Hands(partial(open_knob, machine=machine))) as hands:
        readings, notes = hands.look(rules.knobs, now.steady)
    planted = [Planted(each.target, each.current) for each in readings if each.current is not None]
    if not planted:
        why = "; ".join(f"{knob}: {note or 'nothing here'}" for knob, note in notes.items())
        fail(f"this machine has no device for the rules ({why}); give an --instance", BAD_INPUT)
    return Past(tuple(planted))


def _then(history: "History", instance: str, asked: Moments) -> Past:
    """Return the cards that a node had."""
    limits = limits_of(instance)
    answers = [each[limits] for each in history.ask([limits], asked)]
    past = devices(answers)
    if past.planted:
        return past
    trouble = next((each.detail for each in answers if each.failure is not None), "")
    if trouble:
        return fail(trouble, FAILED)
    seen = {
        each.labels.get("instance", "")
        for answer in history.ask([NODES], asked)
        for each in answer[NODES].samples
    }
    known = ", ".join(sorted(seen)) or "none"
    what = f"there is no {limits} with min and max in that time"
    return fail(f"{what}; instances with such limits: {known}", BAD_INPUT)


def _said(
    history: "History", expressions: Iterable[str], asked: Moments
) -> Iterator[tuple[float, Mapping[str, Answer]]]:
    """Yield each moment with the answers then, asked for part by part."""
    wanted = tuple(dict.fromkeys(expressions))
    for part in asked.parts():
        yield from zip(part.all, history.ask(wanted, part), strict=True)


def _counted(
    said: Iterator[tuple[float, Mapping[str, Answer]]], count: int
) -> Iterator[tuple[float, Mapping[str, Answer]]]:
    """Show on a terminal how far it is."""
    with click.progressbar(said, length=count, label="Replaying", file=sys.stderr) as shown:
        yield from shown
