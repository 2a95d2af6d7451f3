"""`journal` and `explain`: what was decided, and why. They need no daemon and no Prometheus."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue

import click

from wattgov_actuator.columns import aligned, line_of, value_text
from wattgov_actuator.commands.past import Entry, Past, Wanted
from wattgov_actuator.commands.story import Told, changed, soundness, story
from wattgov_actuator.decision import Decision
from wattgov_actuator.exits import BAD_INPUT, FAILED, fail, signalled, told
from wattgov_actuator.flags import pass_clock, since_option, state_option
from wattgov_actuator.reading import Clock
from wattgov_actuator.when import clock_text

HEAD = ("TIME", "RULE", "KNOB", "TARGET", "IN FORCE", "WANTED", "REASON", "WHY")
LOOK_SECONDS = 0.5
SHOWN = 100


@click.command()
@state_option
@since_option("--since", "Only decisions from then on: a moment, or how long ago, such as 2h.")
@click.option("--rule", default="", help="Only decisions of this rule.")
@click.option("--target", default="", help="Only decisions about this target, or one so begun.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=1),
    default=SHOWN,
    show_default=True,
    help="How many of them at most, the latest.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on, and show new ones as they come.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, as it was written.")
def journal(
    *,
    state_dir: Path,
    since: float | None,
    rule: str,
    target: str,
    lines: int,
    follow: bool,
    as_json: bool,
) -> None:
    """Show what was decided, the latest last.

    It only reads, so it may be used beside a running actuator, or on a copy of the state folder.

    Exit status: 0 when all is well, 1 when there is no journal, it cannot be read, or somebody
    else has changed it, 2 for a wrong option.
    """
    with _past(state_dir) as past:
        wanted = Wanted(rule, target, since)
        found = past.entries(wanted, lines + 1)
        older, found = found[:-lines], found[-lines:]
        widths = _show(found, as_json=as_json)
        if older:
            click.echo(f"There are older ones: see --lines (now {lines}) and --since", err=True)
        if not found and not follow:
            click.echo("No decision is like that" if past.extent().decisions else "None yet")
        extent = past.extent()
        if extent.broken is not None:
            click.echo(soundness(extent), err=True)
        if follow:
            _follow(past, wanted, found, widths, as_json=as_json)
    raise SystemExit(0 if extent.broken is None else FAILED)


@click.command()
@click.argument("name", required=False, metavar="[TARGET|RULE]")
@state_option
@click.option("--last", is_flag=True, help="The last change of all.")
@since_option("--at", "What had been done by then: a moment, or how long ago, such as 90m.")
@pass_clock
def explain(
    clock: Clock, *, name: str | None, state_dir: Path, last: bool, at: float | None
) -> None:
    """Say why a knob is where it is.

    TARGET is a device as the journal and the metrics call it, or how its name begins; RULE is the
    name of a rule. Told is the last change, or without one the last decision: what was asked and
    answered, how old the samples were, what the guards made of it, what was written and read back,
    how it is undone, and what was decided since. The journal is all that is needed.

    Exit status: 0 when it could be told, 1 when there is no journal, it cannot be read, or somebody
    else has changed it, 2 when nothing of that name is known.
    """
    if (name is None) != last:
        raise click.UsageError("give a TARGET or a RULE, or --last")
    with _past(state_dir) as past:
        wanted = _named(past, name, at)
        entry = next((each for each in past.newest(wanted) if changed(each.decision)), None)
        entry = entry or next(past.newest(wanted), None)
        extent = past.extent()
        if entry is None:
            when = "" if at is None else f" up to {clock_text(at)}"
            fail(f"nothing was decided{when}; {soundness(extent)}", BAD_INPUT)
        one, undos = entry.decision, past.undos()
        undo = next((u for u in undos if (u.knob, u.target) == (one.knob, one.target)), None)
        later = past.newest(Wanted(target=one.target, after=entry.id, until=at))
        since = _latest(each.decision for each in later if _same_place(each.decision, one))
        click.echo(story(Told(one, undo, since, clock().unix)))
        click.echo(f"\n{soundness(extent)}")
    raise SystemExit(0 if extent.broken is None else FAILED)


def _named(past: Past, name: str | None, until: float | None) -> Wanted:
    """Return what *name* means: a rule, or the one target that is called or begins so."""
    if name is None:
        return Wanted(until=until)
    targets, rules = past.names()
    if name in rules:
        return Wanted(rule=name, until=until)
    meant = [name] if name in targets else [each for each in targets if each.startswith(name)]
    if len(meant) == 1:
        return Wanted(target=meant[0], until=until)
    if meant:
        fail(f"'{name}' may be any of: {', '.join(meant)}", BAD_INPUT)
    known = f"targets: {', '.join(targets) or 'none'}; rules: {', '.join(rules) or 'none'}"
    return fail(f"the journal knows no '{name}'; it knows {known}", BAD_INPUT)


def _latest(decisions: Iterator[Decision]) -> list[Decision]:
    """Return the latest decision of each rule, the oldest first; they come newest first."""
    found: dict[str, Decision] = {}
    for each in decisions:
        found.setdefault(each.rule, each)
    return list(found.values())[::-1]


def _same_place(one: Decision, other: Decision) -> bool:
    return (one.knob, one.target) == (other.knob, other.target)


def _show(entries: Sequence[Entry], *, as_json: bool) -> list[int]:
    """Print them; return how wide the columns are."""
    if as_json:
        for each in entries:
            click.echo(each.row)
        return []
    rows = [HEAD, *(_row(each.decision) for each in entries)]
    for text in aligned(rows) if entries else ():
        click.echo(text)
    return [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]


def _follow(
    past: Past, wanted: Wanted, found: Sequence[Entry], widths: list[int], *, as_json: bool
) -> None:
    """Print what comes, until a signal."""
    last = found[-1].id if found else max((each.id for each in past.entries(most=1)), default=0)
    with signalled(SimpleQueue()) as stop:
        while True:
            new = past.entries(Wanted(wanted.rule, wanted.target, after=last))
            for each in new:
                click.echo(each.row if as_json else line_of(_row(each.decision), widths))
            last = new[-1].id if new else last
            try:
                stop.get(timeout=LOOK_SECONDS)
            except Empty:
                continue
            return


def _row(one: Decision) -> tuple[str, ...]:
    in_force, wanted = value_text(one.current, one.unit), value_text(one.wanted, one.unit)
    where = (one.knob, one.target or "-")
    return (clock_text(one.at), one.rule, *where, in_force, wanted, one.reason, one.detail)


@contextmanager
def _past(folder: Path) -> Iterator[Past]:
    with told(), closing(Past(folder)) as past:
        yield past
