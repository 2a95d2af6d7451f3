"""`check` and `plan`: what is wrong with rules, and what they would do now."""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from wattgov_actuator.decision import Reason
from wattgov_actuator.exits import BAD_INPUT, fail
from wattgov_actuator.flags import (
    PATH,
    machine_options,
    pass_clock,
    prometheus_option,
    rule_options,
    state_option,
)
from wattgov_actuator.hands import Hands
from wattgov_actuator.knobs import KNOBS, open_knob
from wattgov_actuator.laws import LAWS
from wattgov_actuator.machine import Machine
from wattgov_actuator.pause import PauseFile
from wattgov_actuator.plan import diff, told
from wattgov_actuator.reading import Moment
from wattgov_actuator.rulefile import load
from wattgov_actuator.rules import RuleSet
from wattgov_actuator.strict import Invalid
from wattgov_actuator.tick import Facts, Memory, tick

Clock = Callable[[], Moment]
COLOURS = {"-": "red", "+": "green"}


@click.command()
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
def check(files: tuple[Path, ...]) -> None:
    """Check rule files, and report every mistake.

    They are read as `run` reads them; the exit status is 2 if there is a mistake.
    """
    ruleset = rules_of(files)
    names = ", ".join(rule.action for group in ruleset.groups for rule in group.rules)
    mode = "enforcing" if ruleset.enforce else "dry run unless --enforce"
    click.echo(f"OK: {names}; {mode}")


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
    with closing(Prometheus(prometheus)) as source, closing(knobs) as hands:
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


def rules_of(paths: Sequence[Path]) -> RuleSet:
    """Return the rules of all files; say what is wrong with them, and end."""
    try:
        return load(paths, LAWS, KNOBS)
    except Invalid as error:
        return fail(str(error), BAD_INPUT)
