"""What the governor still remembers after its rules were read again.

A rule that asks and does the same as before keeps its claims and all that it has learnt. One that
is gone, or asks or does something else, has claimed nothing: what it held is put back by the next
tick, unless another rule holds it too.
"""

from collections.abc import Mapping
from dataclasses import replace

from wattgov_actuator.deciding.facts import Memory
from wattgov_actuator.decision import Watch
from wattgov_actuator.rules import Group, Protect, Rule, RuleSet


def carried(memory: Memory, before: RuleSet, after: RuleSet) -> Memory:
    """Return the memory under the rules *after*; a group that was changed is asked at once."""
    kept, measured = unchanged(before, after), _measured(before, after)
    old, new = _groups(before), _groups(after)
    same = {name for name, group in new.items() if old.get(name) == group}
    return replace(
        memory,
        held={place: held for place, held in memory.held.items() if place[0] in kept},
        trials={place: trial for place, trial in memory.trials.items() if place[0] in measured},
        watches={
            place: _watch(watch, new[place[0]].protect)
            for place, watch in memory.watches.items()
            if place[0] in new
        },
        asked={name: at for name, at in memory.asked.items() if name in same},
    )


def unchanged(before: RuleSet, after: RuleSet) -> frozenset[str]:
    """Return the names of the rules that ask and do the same as before."""
    old = _rules(before)
    return frozenset(
        name for name, rule in _rules(after).items() if name in old and _alike(old[name], rule)
    )


def _measured(before: RuleSet, after: RuleSet) -> frozenset[str]:
    """Return the names of those of them whose steps are measured by the same expressions, too."""
    old, new = _rules(before), _rules(after)
    return frozenset(
        name for name in unchanged(before, after) if _tells(old[name]) == _tells(new[name])
    )


def _tells(rule: Rule) -> tuple[str, ...]:
    """Return what tells whether a rule's steps help, each in its place; () where nothing does."""
    told = rule.expect
    return () if told is None else (told.expr, told.draw, told.latency, told.load)


def _alike(one: Rule, other: Rule) -> bool:
    """Tell whether a claim of one rule could be the other's; their paces may differ."""
    return (one.expr, one.knob, one.law, one.bounds) == (
        other.expr,
        other.knob,
        other.law,
        other.bounds,
    )


def _watch(watch: Watch, protect: Protect) -> Watch:
    """Forget what was seen by a guard that is gone: nothing would ever clear it."""
    if protect.thermal is None:
        watch = replace(watch, hot="", hot_unknown_since=None)
    if protect.thermal is None or protect.thermal.device is None:
        watch = replace(watch, burning="", burning_unknown_since=None)
    if protect.sla is None:
        watch = replace(watch, breach="", breached_at=None, sla_unknown="", sla_unknown_since=None)
    return replace(watch, unhealthy="")


def _groups(rules: RuleSet) -> Mapping[str, Group]:
    return {group.name: group for group in rules.groups}


def _rules(rules: RuleSet) -> Mapping[str, Rule]:
    return {rule.action: rule for group in rules.groups for rule in group.rules}
