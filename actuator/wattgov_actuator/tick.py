"""One tick of control: a pure function of rules, memory, samples, readings and now.

`plan` and the loop run this same function; a replay of history can.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from wattgov_actuator import ruling
from wattgov_actuator.arbitration import Heat, Idle, Settled, Verdict, seen_by, settle
from wattgov_actuator.condition import (
    Known,
    State,
    View,
    learned,
    measure,
    viewed,
)
from wattgov_actuator.decision import (
    UNTRIED,
    Decision,
    Held,
    Input,
    Reason,
    Scene,
    Trial,
    Watch,
)
from wattgov_actuator.guards.bounds import reach
from wattgov_actuator.naming import names_device
from wattgov_actuator.pause import Pause
from wattgov_actuator.reading import Answer, Moment, Reading, Target
from wattgov_actuator.rules import Group, Peer, Rank, Rule, RuleSet, Sharing
from wattgov_actuator.trying import Saving, saving, tried
from wattgov_actuator.watching import watch

NOTHING, QUIET = Held(), Watch()  # what is remembered where nothing is
PUNCTUAL = 0.9  # of an interval: a group is not skipped because the timer was a little early
KEEPING_TIME = 0.5  # of the shortest interval, which is the loop's own: after a late tick the next
# one comes early, and skipping it would cost a breach a whole interval


@dataclass(frozen=True, slots=True)
class Memory:
    """What the actuator remembers between ticks; gone with the process, and nothing is lost."""

    held: Mapping[tuple[str, str], Held] = field(default_factory=dict)  # by rule, target
    watches: Mapping[tuple[str, str, str], Watch] = field(default_factory=dict)  # group, knob, …
    seen: Mapping[tuple[str, str], str] = field(default_factory=dict)  # instance by knob, target
    asked: Mapping[str, float] = field(default_factory=dict)  # steady seconds by group
    turns: Mapping[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)  # knob, target
    trials: Mapping[tuple[str, str], Trial] = field(default_factory=dict)  # by rule, target


@dataclass(frozen=True, slots=True)
class Facts:
    """What the world said: Prometheus' answers by expression, and the knobs."""

    answers: Mapping[str, Answer]
    readings: tuple[Reading, ...]
    asked_at: float  # steady seconds, before the first question
    notes: Mapping[str, str] = field(default_factory=dict)  # by knob: why targets are missing
    pause: Pause | None = None  # a person's


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tick decided; writing is left to others."""

    memory: Memory
    decisions: tuple[Decision, ...]
    wanted: Mapping[tuple[str, str], float]  # by knob, target
    rule_targets: Mapping[str, int]  # by rule: local targets that its series name
    savings: tuple[Saving, ...] = ()


def due(rules: RuleSet, memory: Memory, steady: float) -> tuple[Group, ...]:
    """Return the groups whose turn it is at *steady* seconds."""

    def is_due(group: Group) -> bool:
        last, interval = memory.asked.get(group.name), group.interval_seconds
        part = KEEPING_TIME if interval <= rules.interval_seconds else PUNCTUAL
        return last is None or steady - last >= part * interval

    return tuple(filter(is_due, rules.groups))


@dataclass(frozen=True, slots=True)
class _Turn:
    """All that one tick knows."""

    rules: RuleSet
    asked: tuple[Group, ...]
    memory: Memory
    facts: Facts
    now: Moment
    known: dict[tuple[str, ...], Known] = field(default_factory=dict)  # by labels of targets

    def elapsed(self, group: Group) -> float:
        """Return the seconds since the group was asked last; what was longer is not known."""
        last, longest = self.memory.asked.get(group.name), 2 * group.interval_seconds
        return 0.0 if last is None else min(self.facts.asked_at - last, longest)

    def view(self, group: Group, target: Target, seen: str | None) -> View:
        """Return what the conditions of *group* at *target* are judged on."""
        protect, answers = group.protect, self.facts.answers
        age, labels = protect.max_age_seconds, tuple(target.labels)
        known = self.known.get(labels)
        if known is None:
            known = self.known[labels] = Known()
        view = View(target, seen, answers, protect.freshness, age, self.now, known)
        return viewed(view)


@dataclass(frozen=True, slots=True)
class _Post:
    """One rule on one knob, with what is the same for all targets."""

    group: Group
    rule: Rule
    asked: bool
    rests: bool  # where it is false and claims nothing, law and guards need not be asked
    idle: dict[str | None, Idle] = field(default_factory=dict)  # by instance
    shared: object = None


@dataclass(frozen=True, slots=True)
class _Roster:
    """The rules of one knob, in their order."""

    posts: tuple[_Post, ...]
    groups: Mapping[str, _Post]  # one post of each
    ranks: Mapping[str, Rank]
    choosy: bool  # some rule is not about every target


@dataclass(frozen=True, slots=True)
class _Place:
    """One target after the tick."""

    key: tuple[str, str]
    seen: str | None
    settled: Settled
    held: Mapping[tuple[str, str], Held]
    watches: Mapping[tuple[str, str, str], Watch]
    trials: Mapping[tuple[str, str], Trial]
    savings: tuple[Saving, ...]


def tick(rules: RuleSet, memory: Memory, facts: Facts, now: Moment) -> Outcome:
    """Return what to do now and what to remember."""
    ordered = sorted(facts.readings, key=lambda each: (each.target.knob, each.target.name))
    turn = _Turn(rules, due(rules, memory, facts.asked_at), memory, facts, now)
    by_knob = {
        knob: [each for each in ordered if each.target.knob == knob]
        for knob in {each.target.knob for each in ordered}
    }
    rosters = {knob: _roster(turn, knob, readings) for knob, readings in by_knob.items()}
    places = [
        _place(turn, _meant(rosters[each.target.knob], each.target), each) for each in ordered
    ]
    decisions = [decision for place in places for decision in place.settled.decisions]
    named: dict[str, int] = {}
    for group in turn.asked:
        for rule in group.rules:
            readings = _of(rule, by_knob.get(rule.knob, []))
            named[rule.action] = _named(turn, group, rule, readings)
            if not readings:
                decisions.append(_absent(rule, group, facts, now))
    settled = {place.key: place.settled.wanted for place in places}
    return Outcome(
        memory=Memory(
            held={key: each for place in places for key, each in place.held.items()},
            watches={key: each for place in places for key, each in place.watches.items()},
            seen={place.key: place.seen for place in places if place.seen is not None},
            asked={**memory.asked, **{group.name: facts.asked_at for group in turn.asked}},
            turns=_turned(rules, memory, decisions, now),
            trials={key: each for place in places for key, each in place.trials.items()},
        ),
        decisions=tuple(decisions),
        wanted={key: wanted for key, wanted in settled.items() if wanted is not None},
        rule_targets=named,
        savings=tuple(each for place in places for each in place.savings),
    )


def _roster(turn: _Turn, knob: str, readings: list[Reading]) -> _Roster:
    asked = {group.name for group in turn.asked}
    posts = tuple(
        _post(turn, group, rule, readings)
        if group.name in asked
        else _Post(group, rule, asked=False, rests=False)
        for group in turn.rules.groups
        for rule in group.rules
        if rule.knob == knob
    )
    return _rostered(posts)


def _rostered(posts: tuple[_Post, ...]) -> _Roster:
    groups = {post.group.name: post for post in posts}
    ranks = {post.rule.action: post.rule.rank for post in posts}
    return _Roster(posts, groups, ranks, any(post.rule.targets for post in posts))


def _meant(roster: _Roster, target: Target) -> _Roster:
    """Return the rules that are about *target*."""
    if not roster.choosy:
        return roster
    return _rostered(tuple(post for post in roster.posts if post.rule.takes(target.labels)))


def _of(rule: Rule, readings: list[Reading]) -> list[Reading]:
    """Return the targets that *rule* is about."""
    return (
        [each for each in readings if rule.takes(each.target.labels)] if rule.targets else readings
    )


def _post(turn: _Turn, group: Group, rule: Rule, readings: list[Reading]) -> _Post:
    law, active = rule.law, rule.active
    rests = law.traits.rests and (active is None or active.holds(turn.now.unix))
    rests = rests and rule.expect is None  # it is measured before the first step, too
    if not isinstance(law, Sharing):
        return _Post(group, rule, asked=True, rests=rests)
    shared = law.share(tuple(_peer(rule, group, each, turn) for each in _of(rule, readings)))
    return _Post(group, rule, asked=True, rests=rests, shared=shared)


def _place(turn: _Turn, roster: _Roster, reading: Reading) -> _Place:
    target, memory = reading.target, turn.memory
    key, name = (target.knob, target.name), target.name
    seen, turns = memory.seen.get(key), memory.turns.get(key, ())
    groups = roster.groups
    before = {group: memory.watches.get((group, *key), QUIET) for group in groups}
    views = {
        group: turn.view(post.group, target, seen) for group, post in groups.items() if post.asked
    }
    after = {
        group: watch(post.group, before[group], views[group]) if post.asked else before[group]
        for group, post in groups.items()
    }
    hot = next((each.hot for each in after.values() if each.hot), "")
    settled = reading.current is not None and not reading.conflict
    judgements: list[Verdict | Idle] = []
    resting: dict[str, float | None] = {}
    kept: dict[tuple[str, str], Held] = {}
    trials: dict[tuple[str, str], Trial] = {}
    savings: list[Saving] = []
    for post in roster.posts:
        group, rule = post.group, post.rule
        held = memory.held.get((rule.action, name), NOTHING)
        if held.claim is not None:
            held = ruling.grounded(held, reading)
        trial = memory.trials.get((rule.action, name), UNTRIED)
        if not post.asked:
            if trial is not UNTRIED:
                trials[rule.action, name] = trial
            kept[rule.action, name], resting[rule.action] = held, held.claim
            continue
        view = views[group.name]
        if view.seen != seen:
            view = views[group.name] = turn.view(group, target, seen)
        judged = ruling.judged(rule, view, held, turn.now)
        if judged.instance != seen:
            seen = learned(judged, view)
        if post.rests and settled and held.claim is None and judged.state is State.FALSE:
            idle = post.idle.get(seen)
            if idle is None or idle.judged is not judged:
                idle = post.idle[seen] = Idle(group, rule, judged, (seen_by(rule, judged),))
            judgements.append(idle)
            continue
        held = ruling.remembered(held, judged, turn.now)
        if rule.expect is not None:
            spot = ruling.placed(rule, reading, held, turn.now, turn.elapsed(group))
            trial = tried(rule.expect, trial, spot, partial(ruling.measured, view=view))
            trials[rule.action, name] = trial
            savings += filter(None, [saving(rule.action, trial, spot)])
        scene = Scene(
            *(turn.now, group, rule, reading, judged, held),
            *(after[group.name], hot, turns, turn.facts.pause, trial),
            _needless(rule, name, memory, turn.now),
        )
        wish, law = ruling.wished(scene, view, post.shared)
        kept[rule.action, name] = held if law is held.law else replace(held, law=law)
        judgements.append(Verdict(scene, wish))
    heats = [Heat(groups[each].group, after[each].hot, before[each].hot) for each in groups]
    heats = [each for each in heats if each.hot or each.was_hot]
    outcome = settle(reading, judgements, heats, resting=resting, ranks=roster.ranks, now=turn.now)
    held_after = {
        place: ruling.claiming(each, outcome.claims.get(place[0])) for place, each in kept.items()
    }
    return _Place(
        key,
        seen,
        outcome,
        {place: each for place, each in held_after.items() if each != NOTHING},
        {(group, *key): each for group, each in after.items() if each is not QUIET},
        trials,
        tuple(savings),
    )


def _needless(rule: Rule, target: str, memory: Memory, now: Moment) -> str:
    """Say why nobody needs to stand in for the rule that *rule* would; empty if somebody must."""
    other = rule.instead_of
    if not other:
        return ""
    trial = memory.trials.get((other, target), UNTRIED)
    done = trial.last is Reason.INEFFECTIVE and now.steady < trial.until
    return "" if done else f"it stands in for {other}, which was not found to do nothing"


def _named(turn: _Turn, group: Group, rule: Rule, readings: list[Reading]) -> int:
    """Return how many targets the rule's series name."""
    alike: dict[tuple[str, ...], list[Target]] = {}
    for each in readings:
        alike.setdefault(tuple(each.target.labels), []).append(each.target)
    return sum(
        turn.view(group, targets[0], None).named(rule.expr).count(targets)
        for targets in alike.values()
    )


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
