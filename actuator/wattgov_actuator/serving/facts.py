"""What there is to be told of the actuator after its last tick, as plain values; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

from wattgov_actuator.cycle.snapshot import Snapshot
from wattgov_actuator.decision import MEANING, Decision, Held
from wattgov_actuator.reading import Reading
from wattgov_actuator.rules import Group, Law, Rule
from wattgov_actuator.selection import Selection
from wattgov_actuator.serving.replies import plain

Fact = Mapping[str, object]
NOTHING = Held()  # what a rule remembers that neither was true nor claims


def status(now: Snapshot) -> Fact:
    """Return how the actuator is."""
    return {
        "enforcing": now.enforcing,
        "paused": now.pause,
        "rules": now.reloads,
        "energy_policies": None if now.rules is None else now.rules.policies,
        "ticks": now.ticks,
        "tick_failures": now.tick_failures,
        "last_tick": None if now.at is None else now.at.unix,
        "tick_seconds": now.tick_seconds,
        "late_seconds": now.late_seconds,
        "open_undos": now.open_undos,
        "conflicts": sum(bool(each.conflict) for each in now.readings),
        "journal_trouble": now.journal_trouble or None,
        "journal_failures": now.journal_failures,
        "last_query_success": now.last_success,
        "query_failures": now.query_failures,
        "query_seconds": {"sum": now.latency.seconds, "count": now.latency.count},
    }


def decisions(now: Snapshot) -> list[Fact]:
    """Return the latest decision of every rule and target, and what its reason means."""
    return [_decision(each) for each in now.decisions]


def groups(now: Snapshot) -> list[Fact]:
    """Return every group with its rules, and how each stands at each of its targets."""
    rules = () if now.rules is None else now.rules.groups
    return [
        {
            "name": group.name,
            "interval_seconds": group.interval_seconds,
            "last_evaluation": _unix(now, now.asked.get(group.name)),
            "protect": group.protect,
            "rules": [_rule(now, group, rule) for rule in group.rules],
        }
        for group in rules
    ]


def targets(now: Snapshot) -> list[Fact]:
    """Return every target of every knob that a rule turns, and who claims what of it."""
    return [_target(now, each) for each in now.readings]


def knobs(now: Snapshot) -> list[Fact]:
    """Return every knob that a rule turns, its targets here, and why there are no more."""
    return [
        {
            "knob": knob,
            "targets": [one.target.name for one in now.readings if one.target.knob == knob],
            "note": now.notes.get(knob) or None,
            "rules": [rule.action for _, rule in _rules(now) if rule.knob == knob],
        }
        for knob in (() if now.rules is None else now.rules.knobs)
    ]


def _decision(one: Decision) -> Fact:
    row = {each.name: getattr(one, each.name) for each in fields(one)}
    return {**row, "meaning": MEANING[one.reason]}


def _rules(now: Snapshot) -> Iterator[tuple[Group, Rule]]:
    for group in () if now.rules is None else now.rules.groups:
        for rule in group.rules:
            yield group, rule


def _rule(now: Snapshot, group: Group, rule: Rule) -> Fact:
    at = None if now.at is None else now.at.unix
    return {
        "action": rule.action,
        "expr": rule.expr,
        "knob": rule.knob,
        "class": rule.rank,
        "law": _law(rule.law),
        "min": rule.bounds.low,
        "max": rule.bounds.high,
        "for_seconds": rule.for_seconds,
        "keep_seconds": rule.keep_seconds,
        "cooldown_seconds": rule.cooldown_seconds,
        "deadband": rule.deadband,
        "slew": rule.slew,
        "rate": rule.rate,
        "active": rule.active,
        "active_now": rule.active is None or at is None or rule.active.holds(at),
        "only_targets": [_selection(each) for each in rule.targets],
        "named_targets": now.rule_targets.get(rule.action),
        "query_seconds": now.latency.last.get(rule.expr),
        "targets": [
            _standing(now, each)
            for each in now.decisions
            if (each.group, each.rule) == (group.name, rule.action)
        ],
    }


def _law(law: Law) -> Fact:
    settings = plain(law)
    return {"name": type(law).__name__.lower(), **(settings if isinstance(settings, dict) else {})}


def _selection(one: Selection) -> Fact:
    return {"only": dict(one.only), "except": dict(one.but)}


def _standing(now: Snapshot, one: Decision) -> Fact:
    """Return how a rule stands at one target."""
    held = now.held.get((one.rule, one.target))
    judged = one.inputs[0] if one.inputs else None
    return {
        "target": one.target or None,
        "condition": (judged.state or None) if judged else None,
        "value": judged.value if judged else None,
        "true_since": _unix(now, None if held is None else held.true_since),
        "claim": None if held is None else held.claim,
        "unit": one.unit or None,
        "reason": one.reason,
        "detail": one.detail,
        "at": one.at,
    }


def _target(now: Snapshot, one: Reading) -> Fact:
    target, trouble = one.target, one.trouble
    about = [rule for _, rule in _rules(now) if rule.knob == target.knob]
    about = [rule for rule in about if rule.takes(target.labels)]
    held = {each.action: now.held.get((each.action, target.name), NOTHING) for each in about}
    wishing = [each for each in about if held[each.action] != NOTHING]
    heats = (each.hot for key, each in now.watches.items() if key[1:] == (target.knob, target.name))
    return {
        "knob": target.knob,
        "target": target.name,
        "labels": target.labels,
        "unit": target.unit,
        "low": target.low,
        "high": target.high,
        "current": one.current,
        "prior": one.prior,
        "wanted": now.wanted.get((target.knob, target.name)),
        "claims": {rule: each.claim for rule, each in held.items() if each.claim is not None},
        "rules": list(held),
        "hot": next(filter(None, heats), None),
        "conflict": one.conflict or None,
        "trouble": None
        if trouble is None
        else {
            "reason": trouble.fault,
            "detail": trouble.detail,
            "since": _unix(now, trouble.steady),
        },
        "changed": _unix(now, one.changed),
        "next_change": _unix(now, min((_paced(now, one, rule) for rule in wishing), default=None)),
    }


def _paced(now: Snapshot, one: Reading, rule: Rule) -> float:
    """Return from when on, in steady seconds, a rule's own pace lets it tighten a target."""
    at = 0.0 if now.at is None else now.at.steady
    cooled = at if one.changed is None else one.changed + rule.cooldown_seconds
    turns = now.turns.get((one.target.knob, one.target.name), ())
    if rule.rate is None or len(turns) < rule.rate.changes:
        return max(at, cooled)
    return max(at, cooled, turns[-rule.rate.changes] + rule.rate.per_seconds)


def _unix(now: Snapshot, steady: float | None) -> float | None:
    """Return when it was by the wall clock, as far as that has not jumped since."""
    if now.at is None or steady is None:
        return None
    return now.at.unix + steady - now.at.steady
