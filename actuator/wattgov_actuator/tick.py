"""One tick of control: a pure function of rules, memory, samples, readings and now.

`plan` and the loop run this same function; a replay of history can.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from wattgov_actuator.arbitration import Heat, Settled, Verdict, settle
from wattgov_actuator.condition import (
    Judged,
    State,
    View,
    judge,
    learned,
    matching,
    measure,
    names_device,
)
from wattgov_actuator.decision import Decision, Held, Input, Reason, Scene, Watch, Wish
from wattgov_actuator.guards import guarded
from wattgov_actuator.guards.bounds import reach
from wattgov_actuator.reading import Answer, Moment, Reading, Target
from wattgov_actuator.rules import Group, Look, Measure, Peer, Rule, RuleSet
from wattgov_actuator.watching import watch

PUNCTUAL = 0.9  # of an interval: a group is not skipped because the timer was a little early


@dataclass(frozen=True, slots=True)
class Memory:
    """What the actuator remembers between ticks; gone with the process, and nothing is lost."""

    held: Mapping[tuple[str, str], Held] = field(default_factory=dict)  # by rule, target
    watches: Mapping[tuple[str, str, str], Watch] = field(default_factory=dict)  # group, knob, …
    seen: Mapping[tuple[str, str], str] = field(default_factory=dict)  # instance by knob, target
    asked: Mapping[str, float] = field(default_factory=dict)  # steady seconds by group
    turns: Mapping[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)  # knob, target


@dataclass(frozen=True, slots=True)
class Facts:
    """What the world said: Prometheus' answers by expression, and the knobs."""

    answers: Mapping[str, Answer]
    readings: tuple[Reading, ...]
    asked_at: float  # steady seconds, before the first question
    notes: Mapping[str, str] = field(default_factory=dict)  # by knob: why targets are missing


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tick decided; writing is left to others."""

    memory: Memory
    decisions: tuple[Decision, ...]
    wanted: Mapping[tuple[str, str], float]  # by knob, target
    rule_targets: Mapping[str, int]  # by rule: local targets that its series name


def due(rules: RuleSet, memory: Memory, steady: float) -> tuple[Group, ...]:
    """Return the groups whose turn it is at *steady* seconds."""

    def is_due(group: Group) -> bool:
        last = memory.asked.get(group.name)
        return last is None or steady - last >= PUNCTUAL * group.interval_seconds

    return tuple(filter(is_due, rules.groups))


@dataclass(frozen=True, slots=True)
class _Turn:
    """All that one tick knows."""

    rules: RuleSet
    asked: tuple[Group, ...]
    memory: Memory
    facts: Facts
    now: Moment
    peers: Mapping[str, tuple[Peer, ...]] = field(default_factory=dict)  # by rule that shares

    def view(self, group: Group, target: Target, seen: str | None) -> View:
        """Return what the conditions of *group* at *target* are judged on."""
        protect, answers = group.protect, self.facts.answers
        age = protect.max_age_seconds
        return View(target, seen, answers, protect.freshness, age, self.now)


@dataclass(frozen=True, slots=True)
class _Place:
    """One target after the tick."""

    key: tuple[str, str]
    seen: str | None
    settled: Settled
    held: Mapping[tuple[str, str], Held]
    watches: Mapping[tuple[str, str, str], Watch]


def tick(rules: RuleSet, memory: Memory, facts: Facts, now: Moment) -> Outcome:
    """Return what to do now and what to remember."""
    ordered = sorted(facts.readings, key=lambda each: (each.target.knob, each.target.name))
    turn = _Turn(rules, due(rules, memory, facts.asked_at), memory, facts, now)
    turn = replace(turn, peers=_peers(turn, ordered))
    places = [_place(turn, reading) for reading in ordered]
    decisions = [decision for place in places for decision in place.settled.decisions]
    named: dict[str, int] = {}
    for group in turn.asked:
        for rule in group.rules:
            targets = [each.target for each in ordered if each.target.knob == rule.knob]
            answer = facts.answers[rule.expr]
            named[rule.action] = sum(bool(matching(answer, target)) for target in targets)
            if not targets:
                decisions.append(_absent(rule, group, facts, now))
    settled = {place.key: place.settled.wanted for place in places}
    return Outcome(
        memory=Memory(
            held={key: each for place in places for key, each in place.held.items()},
            watches={key: each for place in places for key, each in place.watches.items()},
            seen={place.key: place.seen for place in places if place.seen is not None},
            asked={**memory.asked, **{group.name: facts.asked_at for group in turn.asked}},
            turns=_turned(rules, memory, decisions, now),
        ),
        decisions=tuple(decisions),
        wanted={key: wanted for key, wanted in settled.items() if wanted is not None},
        rule_targets=named,
    )


def _place(turn: _Turn, reading: Reading) -> _Place:
    target, memory = reading.target, turn.memory
    key, seen = (target.knob, target.name), memory.seen.get((target.knob, target.name))
    rules = [(g, rule) for g in turn.rules.groups for rule in g.rules if rule.knob == target.knob]
    groups = {group.name: group for group, _ in rules}
    before = {name: memory.watches.get((name, *key), Watch()) for name in groups}
    after = dict(before)
    for name in (group.name for group in turn.asked if group.name in groups):
        after[name] = watch(groups[name], before[name], turn.view(groups[name], target, seen))
    hot = next((each.hot for each in after.values() if each.hot), "")
    verdicts: list[Verdict] = []
    held: dict[tuple[str, str], Held] = {}
    for group, rule in rules:
        place = (rule.action, target.name)
        held[place] = _grounded(memory.held.get(place, Held()), reading)
        if group in turn.asked:
            view = turn.view(group, target, seen)
            judged = _judged(rule, view, held[place], turn.now)
            seen = learned(judged, view)
            held[place] = _remembered(held[place], judged, turn.now)
            watched, turns = after[group.name], memory.turns.get(key, ())
            scene = Scene(turn.now, group, rule, reading, judged, held[place], watched, hot, turns)
            wish, law = _wish(scene, view, turn.peers.get(rule.action, ()))
            if law is not held[place].law:
                held[place] = replace(held[place], law=law)
            verdicts.append(Verdict(scene, wish))
    asked = {verdict.rule.action for verdict in verdicts}
    resting = {rule: each.claim for (rule, _), each in held.items() if rule not in asked}
    heats = [Heat(group, after[name].hot, before[name].hot) for name, group in groups.items()]
    heats = [each for each in heats if each.hot or each.was_hot]
    ranks = {rule.action: rule.rank for _, rule in rules}
    settled = settle(reading, verdicts, heats, resting=resting, ranks=ranks, now=turn.now)
    held = {place: _claiming(each, settled.claims.get(place[0])) for place, each in held.items()}
    return _Place(key, seen, settled, held, {(name, *key): w for name, w in after.items()})


def _claiming(held: Held, claim: float | None) -> Held:
    return held if held.claim == claim else replace(held, claim=claim)


def _grounded(held: Held, reading: Reading) -> Held:
    """Return what is left of a claim: it lives as long as the undo it rests on.

    A claim below the value in force never took hold, since the write failed.
    """
    if held.claim is None or reading.current is None:
        return held
    if reading.prior is None:
        return replace(held, claim=None)
    return _claiming(held, max(held.claim, reading.current))


def _judged(rule: Rule, view: View, held: Held, now: Moment) -> Judged:
    """Judge a rule's condition; a law that needs the value does not know without one."""
    if rule.law.traits.measures:
        judged = measure(rule.expr, view)
        missing = judged.state is State.FALSE
        return replace(judged, state=State.NO_DATA) if missing else judged
    judged = judge(rule.expr, view)
    if judged.state is not State.FALSE or held.claim is None or held.true_at is None:
        return judged
    ago = now.steady - held.true_at
    if ago >= rule.keep_seconds:
        return judged
    why = f"false for {ago:.0f} s; kept for {rule.keep_seconds:g} s"
    return replace(judged, state=State.TRUE, why=why)


def _remembered(held: Held, judged: Judged, now: Moment) -> Held:
    """Note since when a condition is true, or unknown."""
    true = held.true_since if held.true_since is not None else now.steady
    unknown = held.unknown_since if held.unknown_since is not None else now.steady
    truly = judged.state is State.TRUE and judged.value is not None
    return Held(
        claim=held.claim,
        true_since=true if judged.state is State.TRUE else None,
        unknown_since=unknown if judged.unknown else None,
        true_at=now.steady if truly else held.true_at,
        law=held.law,
    )


def _wish(scene: Scene, view: View, peers: tuple[Peer, ...]) -> tuple[Wish, object]:
    """Return what the rule's law asks for, after the guards, and what it wants to remember."""
    reading, judged, held = scene.reading, scene.judged, scene.held
    if reading.current is None:
        trouble = reading.trouble
        fault = Reason.LOST if trouble is None else Reason(trouble.fault)
        detail = "it cannot be read" if trouble is None else trouble.detail
        return Wish(held.claim, None, None, fault, detail), held.law
    wish = Wish(held.claim, None, reading.current, Reason.UNCHANGED, judged.why)
    active = scene.rule.active
    if active is not None and not active.holds(scene.now.unix):
        return guarded(scene, wish), None
    law = held.law
    if not judged.unknown:
        want = scene.rule.law.wish(_look(scene, view, peers))
        wanted = want.claim if want.lift is None else want.lift
        detail = f"{want.detail}; {judged.why}" if want.detail else judged.why
        wish = Wish(want.claim, want.lift, wanted, Reason.UNCHANGED, detail)
        law = want.memory
    return guarded(scene, wish), law


def _look(scene: Scene, view: View, peers: tuple[Peer, ...]) -> Look:
    """Return what the law may look at."""
    rule, reading = scene.rule, scene.reading
    low, high = reach(reading, rule.bounds)
    asked = {expr: _measured(measure(expr, view)) for expr in rule.law.asks}
    return Look(
        reading=reading,
        claim=scene.held.claim,
        true=scene.judged.state is State.TRUE,
        value=scene.judged.value,
        low=low,
        high=high,
        slack=0.0 if rule.deadband is None else rule.deadband.of(reading.target.high),
        now=scene.now,
        interval_seconds=scene.group.interval_seconds,
        asked=asked,
        peers=peers,
        memory=scene.held.law,
    )


def _measured(judged: Judged) -> Measure:
    return Measure(not judged.unknown, judged.value, judged.why)


def _peers(turn: _Turn, readings: list[Reading]) -> Mapping[str, tuple[Peer, ...]]:
    """Return, for each rule whose law shares, the devices that share."""
    return {
        rule.action: tuple(
            _peer(rule, group, each, turn) for each in readings if each.target.knob == rule.knob
        )
        for group in turn.asked
        for rule in group.rules
        if rule.law.traits.shares
    }


def _peer(rule: Rule, group: Group, reading: Reading, turn: _Turn) -> Peer:
    """Return one device; what cannot be turned, or is not measured, has no need that is known."""
    target = reading.target
    seen = turn.memory.seen.get((target.knob, target.name))
    judged = measure(rule.expr, turn.view(group, target, seen))
    low, high = reach(reading, rule.bounds)
    current = reading.base if reading.current is None else reading.current
    fixed = reading.current is None or reading.conflict or judged.unknown
    need = None if fixed else judged.value
    return Peer(target.name, target.high if current is None else current, low, high, need)


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
    if elsewhere:
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
