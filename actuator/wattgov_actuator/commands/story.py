"""Why it did that, as text for somebody who was woken up: from the journal alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wattgov_actuator.acting.undo import State, Undo
from wattgov_actuator.columns import aligned, value_text
from wattgov_actuator.commands.past import Extent
from wattgov_actuator.decision import MEANING, Checked, Decision, Reason
from wattgov_actuator.reading import Fault
from wattgov_actuator.when import clock_text, span_text

DONE = "wattgov-actuator restore"
FAULTS = {str(each) for each in Fault}


@dataclass(frozen=True, slots=True)
class Told:
    """What there is to be told of one decision."""

    decision: Decision
    undo: Undo | None  # of its target, as it stands now
    since: Sequence[Decision]  # the latest of each rule at the target, after that one
    now: float  # unix seconds


def changed(decision: Decision) -> bool:
    """Tell whether a decision turned a knob, tried to, or would have in an enforcing run."""
    return decision.acts or decision.read_back is not None


def story(told: Told) -> str:
    """Return the whole chain from the question to the undo."""
    one = told.decision
    rows = [(name, text) for name, text in _chain(one, told) if text]
    lines = [_headline(one), *(f"  {line}" for line in aligned(rows))]
    if told.since:
        lines += ["", "Since then, at this target:"]
        table = [
            (
                clock_text(each.at),
                each.rule,
                each.reason,
                value_text(each.wanted, each.unit),
                each.detail,
            )
            for each in told.since
        ]
        lines += [f"  {line}" for line in aligned(table)]
    return "\n".join(lines)


def soundness(extent: Extent) -> str:
    """Return whether the journal is what was written, as a sentence."""
    if extent.first is None or extent.last is None:
        return "The journal holds no decision."
    span = f"{clock_text(extent.first)} to {clock_text(extent.last)}"
    if extent.broken is None:
        return (
            f"The journal holds {extent.decisions} decisions, {span}; the chain of hashes over "
            "them is whole."
        )
    return (
        f"DO NOT TRUST THIS: the journal ({extent.decisions} decisions, {span}) was changed by "
        f"somebody else; the chain of hashes breaks at decision {extent.broken}."
    )


def _headline(one: Decision) -> str:
    what = f"{one.knob} of {one.target}" if one.target else f"{one.knob}, no target here"
    before, after = value_text(one.current, one.unit), value_text(_after(one), one.unit)
    if one.reason is Reason.WOULD_APPLY:
        return f"{what}: {before} -> {after} in an enforcing run; this was a dry run"
    if not changed(one):
        return f"{what}: left at {before}" if one.current is not None else f"{what}: left alone"
    if one.reason in FAULTS or before == after:
        return f"{what}: stays at {before}, though {value_text(one.wanted, one.unit)} was wanted"
    return f"{what}: {before} -> {after}"


def _after(one: Decision) -> float | None:
    return one.wanted if one.read_back is None else one.read_back


def _chain(one: Decision, told: Told) -> Iterator[tuple[str, str]]:
    """Yield each link with its name; one that is empty has nothing to say."""
    yield "when", f"{clock_text(one.at)}, {span_text(told.now - one.at)} ago"
    yield "rule", f"{one.rule}, of group {one.group}" if one.group else one.rule
    yield "reason", f"{one.reason}: {MEANING[one.reason]}"
    for seen in one.inputs:
        yield "asked", seen.name
        if seen.value is not None:
            yield "answer", f"{seen.value:g}"
        if seen.sampled is not None:
            age = span_text(one.at - seen.sampled)
            yield "samples", f"from {clock_text(seen.sampled)} on, {age} old at the time"
        yield "condition", seen.state
    yield "because", one.detail
    wish = one.guards[0].before if one.guards else one.wanted
    if one.guards:
        yield "wished", value_text(wish, one.unit)
    for check in one.guards:
        yield f"{check.guard} guard", _checked(check, one)
    yield "wanted", value_text(one.wanted, one.unit) if one.wanted is not None else ""
    yield "in force", f"{value_text(one.current, one.unit)}, before it"
    if one.prior is not None:
        yield "prior", f"{value_text(one.prior, one.unit)}, from before our first write"
    if one.read_back is not None:
        yield "written", value_text(one.wanted, one.unit)
        yield "read back", value_text(one.read_back, one.unit)
    elif one.target:
        yield "written", "nothing"
    yield "undo now", _undo_text(told.undo) if one.target else ""


def _checked(check: Checked, one: Decision) -> str:
    """Return what a guard did to the wish; its last words are the decision's, and told there."""
    before, after = value_text(check.before, one.unit), value_text(check.after, one.unit)
    told = [
        f"{before} -> {after}" if check.before != check.after else "",
        check.reason if check.reason is not Reason.UNCHANGED else "",
        check.detail if check.detail != one.detail else "",
    ]
    return ": ".join(filter(None, told)) or "changed nothing"


def _undo_text(undo: Undo | None) -> str:
    if undo is None:
        return "none: nothing of ours holds this knob"
    prior = value_text(undo.prior, undo.unit)
    if undo.state is State.CONFLICT:
        return f"given up: {undo.note}"
    return f"open: `{DONE}` puts back {prior}"
