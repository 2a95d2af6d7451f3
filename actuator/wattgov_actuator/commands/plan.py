"""What would change now: a diff that a person can read, and why the rest would not."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from wattgov_actuator.columns import aligned, value_text
from wattgov_actuator.decision import MEANING, Decision
from wattgov_actuator.pause import Pause

HEAD = ("RULE", "TARGET", "IN FORCE", "WANTED", "REASON", "WHY")


def diff(decisions: Sequence[Decision]) -> list[str]:
    """Return the lines: first each target that would change, then the rules that do nothing."""
    changes = [each for each in decisions if each.acts]
    rest = [each for each in decisions if not each.acts]
    lines = [line for each in changes for line in (*_hunk(each), "")]
    targets = len({(each.knob, each.target) for each in decisions if each.target})
    changed = len({(each.knob, each.target) for each in changes})
    told = f"{changed} of {targets} targets would change" if changed else "Nothing would change"
    if rest:
        lines += [f"{told}; no change by:", *aligned([HEAD, *_rows(rest, changes)])]
    else:
        lines.append(told)
    return lines


def told(decisions: Sequence[Decision], pause: Pause | None) -> dict[str, object]:
    """Return the same for a program."""
    rows = [{**asdict(each), "meaning": MEANING[each.reason]} for each in decisions]
    return {
        "paused": None if pause is None else asdict(pause),
        "changes": [each for each in rows if each["acts"]],
        "unchanged": [each for each in rows if not each["acts"]],
    }


def _hunk(one: Decision) -> list[str]:
    """Return one target's change."""
    before, after = value_text(one.current, one.unit), value_text(one.wanted, one.unit)
    width = max(len(before), len(after))
    return [
        f"{one.knob} of {one.target}",
        f"- {before}",
        f"+ {after.ljust(width)}  {one.rule}, {one.reason}: {one.detail}",
    ]


def _rows(rest: Sequence[Decision], changes: Sequence[Decision]) -> list[tuple[str, ...]]:
    """Return a row for each decision, or one for a rule that says the same wherever it stays."""
    said = [(each.rule, *_words(each)) for each in rest]
    alike, of_rule = Counter(said), Counter(each.rule for each in rest)
    others = {each.rule: "the other" for each in changes}
    rows: dict[tuple[str, ...], None] = {}  # each once, in the order of the decisions
    for one, words in zip(rest, said, strict=True):
        same = alike[words]
        everywhere = same > 1 and same == of_rule[one.rule]
        where = f"{others.get(one.rule, 'all')} {same}" if everywhere else one.target or "-"
        rows[one.rule, where, *words[1:]] = None
    return list(rows)


def _words(one: Decision) -> tuple[str, ...]:
    in_force, wanted = (value_text(each, one.unit) for each in (one.current, one.wanted))
    return (in_force, wanted, one.reason, one.detail)
