"""`check` and `plan`: what is wrong with rules, and what they would do now."""

import json
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.columns import aligned
from wattgov_actuator.commands.online import BAD, Finding, findings, floored
from wattgov_actuator.commands.plan import diff, told
from wattgov_actuator.deciding.facts import Facts, Memory
from wattgov_actuator.deciding.tick import tick
from wattgov_actuator.decision import Reason
from wattgov_actuator.document.expressions import parser
from wattgov_actuator.exits import BAD_INPUT, FAILED, rules_of
from wattgov_actuator.flags import (
    PATH,
    machine_options,
    pass_clock,
    prometheus_option,
    rule_options,
    state_option,
)
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.machine import Machine
from wattgov_actuator.pause import PauseFile
from wattgov_actuator.places import places
from wattgov_actuator.reading import Clock
from wattgov_actuator.rules import RuleSet

COLOURS = {"-": "red", "+": "green"}


@click.command()
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@click.option("--online", is_flag=True, help="Ask Prometheus every expression, too.")
@prometheus_option
@machine_options
@pass_clock
def check(
    now: Clock,
    *,
    files: tuple[Path, ...],
    online: bool,
    prometheus: str,
    sysfs: Path,
    procfs: Path,
) -> None:
    """Check rule files, and report every mistake.

    They are read as `run` reads them. With --online every expression is asked once, and it is told
    which fail, return nothing or NaN, or name no device of this machine, and which rules set what
    is below their floor here. PromQL is checked offline, too, where wattgov[promql] is installed.
    What is allowed and will do nothing is a note.

    Exit status: 0, 1 when Prometheus did not answer, 2 for a mistake in a file or an expression
    that cannot be used.
    """
    ruleset = rules_of(files)
    for note in ruleset.notes:
        click.echo(note, err=True)
    if parser() is None:
        click.echo("PromQL not checked: install wattgov[promql]", err=True)
    names = ", ".join(rule.action for group in ruleset.groups for rule in group.rules)
    mode = "enforcing" if ruleset.enforce else "dry run unless --enforce"
    click.echo(f"OK: {names}; {mode}")
    if online:
        found, floors = _asked(ruleset, prometheus, Machine(sysfs, procfs), now)
        for said in floors:
            click.echo(said, err=True)
        rows = [(each.place, each.word, each.says) for each in found]
        click.echo("\n".join(aligned([("EXPRESSION OF", "IS", "BECAUSE"), *rows])))
        failures = {each.failure for each in found if each.failure}
        raise SystemExit(BAD_INPUT if failures & BAD else FAILED if failures else 0)


@click.command()
@rule_options
@prometheus_option
@state_option
@click.option("--json", "as_json", is_flag=True, help="The decisions as one JSON object.")
@machine_options
@pass_clock
def plan(
    now: Clock,
    *,
    rules: tuple[Path, ...],
    more: tuple[Path, ...],
    prometheus: str,
    state_dir: Path,
    as_json: bool,
    sysfs: Path,
    procfs: Path,
) -> None:
    """Show what would change now, and why not.

    Nothing is written, and a Prometheus that does not answer is one of the reasons, as is a pause.

    Exit status: 0, 2 for a mistake in the rules.
    """
    from wattgov_actuator.query import Prometheus  # noqa: PLC0415 (--help stays light)

    ruleset, began = rules_of((*rules, *more)), now()
    expressions = dict.fromkeys(each for group in ruleset.groups for each in group.expressions())
    knobs = Hands(partial(open_knob, machine=Machine(sysfs, procfs)))
    knobs.connect(ruleset.connections)
    with closing(Prometheus(prometheus, lambda: now().steady)) as source, closing(knobs) as hands:
        answers = source.ask(expressions)
        readings, notes = hands.look(ruleset.knobs, began.steady)
    brake = PauseFile(state_dir).read(began.unix)
    facts = Facts(answers, readings, began.steady, notes, brake)
    decisions = tick(ruleset, Memory(), facts, now()).decisions
    would = Reason.DISARMED if brake is not None and brake.restore else Reason.WOULD_APPLY
    decisions = tuple(replace(each, reason=would) if each.acts else each for each in decisions)
    if as_json:
        click.echo(json.dumps(told(decisions, brake), indent=1))
        return
    if brake is not None:
        click.echo(f"Paused {brake}\n")
    for text in diff(decisions):
        click.secho(text, fg=COLOURS.get(text[:1]))


def _asked(
    rules: RuleSet, url: str, machine: Machine, now: Clock
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Ask every expression once, and look at the devices; return findings, and notes on floors."""
    from wattgov_actuator.query import Prometheus  # noqa: PLC0415 (--help stays light)

    with (
        closing(Prometheus(url, lambda: now().steady)) as source,
        closing(Hands(partial(open_knob, machine=machine))) as hands,
    ):
        hands.connect(rules.connections)
        answers = source.ask(dict.fromkeys(expr for _, expr in places(rules)))
        targets = [target for knob in rules.knobs for target in hands.probe(knob).targets]
    return findings(rules, answers, targets), tuple(floored(rules, targets))
