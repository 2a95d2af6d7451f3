"""One tick of control: a pure function of rules, memory, samples, readings and now.

`plan` and the loop run this same function; a replay of history can.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from wattgov_actuator.deciding.facts import QUIET, Facts, Memory
from wattgov_actuator.deciding.placing import place
from wattgov_actuator.deciding.roster import Turn, about, meant, roster_of
from wattgov_actuator.deciding.trying import Saving
from wattgov_actuator.deciding.uncollected import uncollected
from wattgov_actuator.deciding.watching import warmed
from wattgov_actuator.decision import Decision, Input, Reason
from wattgov_actuator.naming import names_device
from wattgov_actuator.reading import Moment, Reading
from wattgov_actuator.rules import Group, Ranked, Rule, RuleSet

PUNCTUAL = 0.9  # of an interval: a group is not skipped because the timer was a little early
KEEPING_TIME = 0.5  # of the shortest interval, which is the loop's own: after a late tick the next
# one comes early, and skipping it would cost a breach a whole interval


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tick decided; writing is left to others."""

    memory: Memory
    decisions: tuple[Decision, ...]
    wanted: Mapping[tuple[str, str], float]  # by knob, target
    rule_targets: Mapping[str, int]  # by rule: local targets that its series name
    savings: tuple[Saving, ...] = ()


def due(
    rules: RuleSet, memory: Memory, steady: float, soon: Collection[str] = ()
) -> tuple[Group, ...]:
    """Return the groups whose turn it is at *steady* seconds, and those named *soon*."""

    def is_due(group: Group) -> bool:
        if group.name in soon:
            return True
        last, interval = memory.asked.get(group.name), group.interval_seconds
        part = KEEPING_TIME if interval <= rules.interval_seconds else PUNCTUAL
        return last is None or steady - last >= part * interval

    return tuple(filter(is_due, rules.groups))


def heat_changes(
    rules: RuleSet,
    memory: Memory,
    celsius: Mapping[tuple[str, str], float],
    steady: float,
    readings: Iterable[Reading],
) -> bool:
    """Tell whether a device's own thermometer trips, or clears, a thermal claim now.

    The last *readings* tell which devices a group is about; one that is new may be.
    """
    labels = {(each.target.knob, each.target.name): each.target.labels for each in readings}
    for group in rules.groups:
        thermal = group.protect.thermal
        if thermal is None or thermal.device is None:
            continue
        known = {
            spot
            for spot in celsius
            for rule in group.rules
            if spot[0] == rule.knob and (spot not in labels or rule.takes(labels[spot]))
        }
        held = {(knob, target) for name, knob, target in memory.watches if name == group.name}
        for spot in known | held:
            before = memory.watches.get((group.name, *spot), QUIET)
            hold = group.protect.hold_seconds
            after = warmed(thermal.device, hold, before, celsius.get(spot), steady)
            if bool(after.burning) != bool(before.burning):
                return True
    return False


@uncollected()
def tick(rules: RuleSet, memory: Memory, facts: Facts, now: Moment) -> Outcome:
    """Return what to do now and what to remember."""
    ordered = sorted(facts.readings, key=lambda each: (each.target.knob, each.target.name))
    asked = due(rules, memory, facts.asked_at) if facts.asked is None else facts.asked
    turn = Turn(rules, asked, memory, facts, now)
    by_knob = {
        knob: [each for each in ordered if each.target.knob == knob]
        for knob in {each.target.knob for each in ordered}
    }
    rosters = {knob: roster_of(turn, knob, readings) for knob, readings in by_knob.items()}
    alike = {knob: _alike(readings) for knob, readings in by_knob.items()}
    places = [place(turn, meant(rosters[each.target.knob], each.target), each) for each in ordered]
    decisions = [decision for spot in places for decision in spot.settled.decisions]
    named: dict[str, int] = {}
    for group in turn.asked:
        for rule in group.rules:
            meant_here = [about(rule, readings) for readings in alike.get(rule.knob, ())]
            named[rule.action] = sum(_named(turn, group, rule, each) for each in meant_here)
            if not any(meant_here):
                decisions.append(_absent(rule, group, facts, now))
    settled = {spot.key: spot.settled.wanted for spot in places}
    return Outcome(
        memory=Memory(
            held={key: each for spot in places for key, each in spot.held.items()},
            watches={key: each for spot in places for key, each in spot.watches.items()},
            seen={spot.key: spot.seen for spot in places if spot.seen is not None},
            asked={**memory.asked, **{group.name: facts.asked_at for group in turn.asked}},
            turns=_turned(rules, memory, decisions, now),
            woken={key: at for key, at in memory.woken.items() if key in settled},
            trials={key: each for spot in places for key, each in spot.trials.items()},
        ),
        decisions=_orderly(decisions, rules),
        wanted={key: wanted for key, wanted in settled.items() if wanted is not None},
        rule_targets=named,
        savings=tuple(each for spot in places for each in spot.savings),
    )


def _orderly(decisions: list[Decision], rules: RuleSet) -> tuple[Decision, ...]:
    """Put what acts first: loosening before tightening, what is needed most before the rest.

    Where the values of several targets add up to no more than a budget, who gets less comes first:
    what another one gets is free then.
    """
    acts = [each for each in decisions if each.acts]
    if not acts:
        return tuple(decisions)
    laws = {rule.action: rule.law for group in rules.groups for rule in group.rules}
    sums = {name for name, law in laws.items() if law.traits.sums}
    summed = {(each.knob, each.target) for each in decisions if each.rule in sums}
    ranks = {name: law.priority for name, law in laws.items() if isinstance(law, Ranked)}

    def order(each: Decision) -> tuple[bool, bool, float]:
        tightens = (each.wanted or 0.0) < (each.current or 0.0)
        rank, adds_up = ranks.get(each.rule, 0.0), (each.knob, each.target) in summed
        return tightens and not adds_up, adds_up and not tightens, rank if tightens else -rank

    return (*sorted(acts, key=order), *[each for each in decisions if not each.acts])


def _alike(readings: list[Reading]) -> list[list[Reading]]:
    """Return the readings of targets that have the same labels together."""
    alike: dict[tuple[str, ...], list[Reading]] = {}
    for each in readings:
        alike.setdefault(tuple(each.target.labels), []).append(each)
    return list(alike.values())


def _named(turn: Turn, group: Group, rule: Rule, readings: list[Reading]) -> int:
    """Return how many of the targets, which have the same labels, the rule's series name."""
    if not readings:
        return 0
    named = turn.view(group, readings[0].target, None).named(rule.expr)
    return named.count([each.target for each in readings])


def _turned(
    rules: RuleSet, memory: Memory, decisions: list[Decision], now: Moment
) -> Mapping[tuple[str, str], tuple[float, ...]]:
    """Note when each target was changed, as long as any rule's `rate` asks."""
    rates = [rule.rate.per_seconds for group in rules.groups for rule in group.rules if rule.rate]
    if not rates:
        return memory.turns
    longest = max(rates)
    turns = {
        place: tuple(each for each in times if now.steady - each < longest)
        for place, times in memory.turns.items()
    }
    for each in decisions:
        if each.acts:
            place = (each.knob, each.target)
            turns[place] = (*turns.get(place, ()), now.steady)
    return {place: times for place, times in turns.items() if times}


def _absent(rule: Rule, group: Group, facts: Facts, now: Moment) -> Decision:
    """Say why a rule has nothing to act on here."""
    answer, note = facts.answers[rule.expr], facts.notes.get(rule.knob, "")
    elsewhere = sum(names_device(sample.labels) for sample in answer.samples)
    reason, detail = Reason.NO_TARGET, note or f"this machine has nothing for {rule.knob}"
    here = [each.target for each in facts.readings if each.target.knob == rule.knob]
    if here:
        known = ", ".join(sorted({label for target in here for label in target.labels}))
        detail = f"none of the {len(here)} here is among its targets; they are known by {known}"
    if elsewhere and not here:
        reason = Reason.NOT_LOCAL
        detail = f"all {elsewhere} series name devices of other machines; {detail}"
    return Decision(
        group=group.name,
        rule=rule.action,
        knob=rule.knob,
        target="",
        unit="",
        reason=reason,
        detail=detail,
        at=now.unix,
        inputs=(Input(rule.expr, None, None),),
    )
