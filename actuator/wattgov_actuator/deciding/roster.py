"""The rules of each knob at one tick, with what is the same for all of its targets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from wattgov_actuator.condition import Known, View, measure, viewed
from wattgov_actuator.deciding import ruling
from wattgov_actuator.deciding.arbitration import Idle
from wattgov_actuator.deciding.facts import NOTHING, Facts, Memory
from wattgov_actuator.guards import guards_of
from wattgov_actuator.guards.bounds import reach
from wattgov_actuator.reading import Moment, Reading, Target
from wattgov_actuator.rules import Group, Peer, Rank, Rule, RuleSet, Sharing


@dataclass(frozen=True, slots=True)
class Turn:
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
        heard = known.by(protect.freshness, age)
        return viewed(View(target, seen, answers, protect.freshness, age, self.now, known, heard))


@dataclass(frozen=True, slots=True)
class Post:
    """One rule on one knob, with what is the same for all targets."""

    group: Group
    rule: Rule
    asked: bool
    rests: bool  # where it is false and claims nothing, law and guards need not be asked
    idle: dict[str | None, Idle] = field(default_factory=dict)  # by instance
    shared: object = None
    terms: dict[tuple[object, ...], ruling.Terms] = field(default_factory=dict)  # by `terms_at`

    def terms_at(self, reading: Reading, *, calm: bool) -> ruling.Terms:
        """Return what law and guards are given at a target; many targets are alike in it."""
        target, base = reading.target, reading.base
        key = (calm, base, target.low, target.high, target.both_ways)
        found = self.terms.get(key)
        if found is None:
            low, high = reach(reading, self.rule.bounds)
            guards = guards_of(self.rule, calm=calm)
            found = self.terms[key] = ruling.Terms(guards, low, high, self.shared)
        return found


@dataclass(frozen=True, slots=True)
class Roster:
    """The rules of one knob, in their order."""

    posts: tuple[Post, ...]
    groups: Mapping[str, Post]  # one post of each
    ranks: Mapping[str, Rank]
    choosy: bool  # some rule is not about every target


def roster_of(turn: Turn, knob: str, readings: list[Reading]) -> Roster:
    """Return the rules of one knob."""
    asked = {group.name for group in turn.asked}
    posts = tuple(
        _post(turn, group, rule, readings)
        if group.name in asked
        else Post(group, rule, asked=False, rests=False)
        for group in turn.rules.groups
        for rule in group.rules
        if rule.knob == knob
    )
    return _rostered(posts)


def _rostered(posts: tuple[Post, ...]) -> Roster:
    groups = {post.group.name: post for post in posts}
    ranks = {post.rule.action: post.rule.rank for post in posts}
    return Roster(posts, groups, ranks, any(post.rule.targets for post in posts))


def meant(roster: Roster, target: Target) -> Roster:
    """Return the rules that are about *target*."""
    if not roster.choosy:
        return roster
    return _rostered(tuple(post for post in roster.posts if post.rule.takes(target.labels)))


def about(rule: Rule, readings: list[Reading]) -> list[Reading]:
    """Return the targets that *rule* is about."""
    return (
        [each for each in readings if rule.takes(each.target.labels)] if rule.targets else readings
    )


def _post(turn: Turn, group: Group, rule: Rule, readings: list[Reading]) -> Post:
    law, active = rule.law, rule.active
    rests = law.traits.rests and (active is None or active.holds(turn.now.unix))
    rests = rests and rule.expect is None  # it is measured before the first step, too
    shared = None
    if isinstance(law, Sharing):
        shared = law.share(tuple(_peer(rule, group, each, turn) for each in about(rule, readings)))
    return Post(group, rule, asked=True, rests=rests, shared=shared)


def _peer(rule: Rule, group: Group, reading: Reading, turn: Turn) -> Peer:
    """Return one device; what cannot be turned, or is not measured, has no need that is known."""
    target = reading.target
    seen = turn.memory.seen.get((target.knob, target.name))
    judged = measure(rule.expr, turn.view(group, target, seen))
    low, high = reach(reading, rule.bounds)
    current = reading.base if reading.current is None else reading.current
    fixed = reading.current is None or reading.conflict or judged.unknown
    need = None if fixed else judged.value
    if need is None and not reading.conflict and _lets_go(rule, group, target, turn):
        current = reading.base  # the others make room for it before it has it
    elif current is not None and not reading.conflict:
        current = max(current, _kept(rule, reading, turn))
    return Peer(target.name, target.high if current is None else current, low, high, need)


def _kept(rule: Rule, reading: Reading, turn: Turn) -> float:
    """Return what it has as soon as the other rules that hold it lower let go."""
    held = turn.memory.held.get((rule.action, reading.target.name), NOTHING)
    kept = reading.base if held.claim is None else held.claim
    return kept if reading.prior is not None and kept is not None else -inf


def _lets_go(rule: Rule, group: Group, target: Target, turn: Turn) -> bool:
    """Tell whether a claim ends at this tick, for its value is not known and `hold` is over."""
    held = turn.memory.held.get((rule.action, target.name), NOTHING)
    if held.claim is None or not rule.law.traits.sums:
        return False
    since = turn.now.steady if held.unknown_since is None else held.unknown_since
    return turn.now.steady - since >= group.protect.hold_seconds
