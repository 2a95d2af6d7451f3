"""Several rules, one knob: which claim counts, and whose decision it is.

Thermal comes before everything; of the rules' claims the tightest counts, and a rule that loosens
lifts the claims of its own class and below: cost, carbon, power budget. Without a claim the knob
belongs to the value from before us.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

from wattgov_actuator.condition import Judged
from wattgov_actuator.decision import UNCHANGED, Checked, Decision, Input, Reason, Scene, Wish
from wattgov_actuator.guards.bounds import floor
from wattgov_actuator.reading import Moment, Reading
from wattgov_actuator.record import record
from wattgov_actuator.rules import Group, Rank, Rule

RANKS = tuple(Rank)  # by their value
TAKEN_BACK = {Reason.INEFFECTIVE, Reason.ROLLED_BACK}
OUTRANKED = Reason.OUTRANKED  # looked up once
NOT_GUARDED: tuple[Checked, ...] = ()
RESTORE = "actuator.restore"  # acts when nothing claims a knob any more; no rule can be so called


@record
class Verdict:
    """One rule at one target, after the guards."""

    scene: Scene
    wish: Wish

    @property
    def rule(self) -> Rule:
        """The rule."""
        return self.scene.rule

    @property
    def moved(self) -> bool:
        """Tell whether the guards let a change through."""
        lift, current = self.wish.lift, self.scene.reading.current
        lifts = lift is not None and current is not None and lift > current
        return lifts or self.wish.claim != self.scene.held.claim


@record
class Idle:
    """One rule at one target that asks for nothing and holds nothing: it has no say, only a row."""

    group: Group
    rule: Rule
    judged: Judged
    inputs: tuple[Input, ...]


@record
class Heat:
    """A group's thermal claim on one target, held or just let go."""

    group: Group
    hot: str
    was_hot: str
    unknown: bool = False  # let go because nothing is known any more

    @property
    def rule(self) -> str:
        """The name under which it is reported."""
        return f"{self.group.name}.thermal"


@record
class Settled:
    """What one target gets."""

    wanted: float | None
    claims: Mapping[str, float]  # by rule, what remains
    decisions: tuple[Decision, ...]


def settle(
    reading: Reading,
    judged: Sequence[Verdict | Idle],
    heats: Sequence[Heat],
    *,
    resting: Mapping[str, float | None],
    ranks: Mapping[str, Rank],
    now: Moment,
) -> Settled:
    """Decide for one target; *resting* are the claims of rules that were not asked this time.

    *ranks* are of all rules: a rule lifts claims of its own class and below.
    """
    verdicts = [each for each in judged if isinstance(each, Verdict)]
    claims = {rule: claim for rule, claim in resting.items() if claim is not None}
    for each in verdicts:
        if each.wish.claim is not None:
            claims[each.scene.rule.action] = each.wish.claim
    base, current = reading.base, reading.current
    if base is None or current is None or reading.conflict:
        rows = _rows(judged, reading, now)
        rows += [_heat_row(each, reading, now, reading.current) for each in heats if each.hot]
        return Settled(current, claims, tuple(rows))

    if claims:
        claims = _lifted(claims, verdicts, reading, ranks)
    wanted = min(claims.values(), default=base)
    hot = [each for each in heats if each.hot]
    if hot:
        wanted = min(wanted, *(_floor(each.group, reading) for each in hot))  # never loosens
    acts = not reading.target.same(wanted, current)
    owner = _owner(verdicts, heats, claims, wanted, current) if acts else ""
    first = owner or next(iter(_lifting(verdicts)), "")
    done = Reason.RESTORED if reading.prior is not None and wanted == base else Reason.APPLIED
    ending = _Ending(wanted, f"{wanted:g} {reading.target.unit}", done, owner, first, claims)
    rows = _rows(judged, reading, now, ending)
    for heat in heats:
        if heat.hot or heat.rule == owner:
            row = _heat_row(heat, reading, now, wanted)
            ours = heat.rule == owner
            rows.append(replace(row, reason=done, acts=True) if ours else row)
    if owner == RESTORE:
        row = _bare(RESTORE, "", reading, now, "nothing claims this knob any more")
        rows.append(replace(row, reason=done, wanted=wanted, acts=True))
    return Settled(wanted, claims, tuple(rows))


def _lifted(
    claims: Mapping[str, float],
    verdicts: Sequence[Verdict],
    reading: Reading,
    ranks: Mapping[str, Rank],
) -> dict[str, float]:
    """Return the claims after those that loosen have spoken; one at the prior value is none."""
    base, target = reading.base, reading.target
    lifts = [(v.wish.lift, v.rule.rank) for v in verdicts if v.wish.lift is not None]
    raised = _raised(claims, lifts, ranks) if lifts else claims
    return {
        rule: claim
        for rule, claim in raised.items()
        if base is None or ((claim < base or target.both_ways) and not target.same(claim, base))
    }


def _raised(
    claims: Mapping[str, float],
    lifts: Sequence[tuple[float, Rank]],
    ranks: Mapping[str, Rank],
) -> dict[str, float]:
    """Raise each claim to the highest lift of its own class and above."""
    highest = [max([lift for lift, by in lifts if by >= rank], default=-inf) for rank in RANKS]
    return {rule: max(claim, highest[ranks[rule]]) for rule, claim in claims.items()}


def _owner(
    verdicts: Sequence[Verdict],
    heats: Sequence[Heat],
    claims: Mapping[str, float],
    wanted: float,
    current: float,
) -> str:
    """Return whose decision the write is."""
    heat = [each.rule for each in heats if each.hot] or [each.rule for each in heats]
    moved = [verdict for verdict in verdicts if verdict.moved]
    claiming = [v.rule.action for v in verdicts if claims.get(v.rule.action) == wanted]
    rules = [v.rule.action for v in moved if v.rule.action in claiming]
    if wanted > current:
        rules = _lifting(moved) + rules + [v.rule.action for v in moved if v.wish.claim is None]
    return next(iter([*heat, *rules, *claiming]), RESTORE)


def _lifting(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the rules that loosen, the one that loosens most first."""
    lifts = [(-v.wish.lift, v.rule.action) for v in verdicts if v.wish.lift is not None]
    return [action for _, action in sorted(lifts)]


def _floor(group: Group, reading: Reading) -> float:
    """Return how low a thermal claim goes: to the lowest floor of the group's rules."""
    target = reading.target
    return min(
        floor(target, rule.bounds)
        for rule in group.rules
        if rule.knob == target.knob and rule.takes(target.labels)
    )


def seen_by(rule: Rule, judged: Judged) -> Input:
    """Return what a rule's decision rests on."""
    return Input(rule.expr, judged.value, judged.sampled, judged.state)


class _Ending(NamedTuple):
    """How it ended for a target: what each rule is told."""

    wanted: float
    text: str  # the same, with its unit
    done: Reason
    owner: str
    first: str
    claims: Mapping[str, float]

    def of(self, verdict: Verdict) -> tuple[Reason, str, float | None]:
        """Return the reason, the words, and what was wanted, for one rule."""
        wish, rule = verdict.wish, verdict.scene.rule.action
        if rule == self.owner:
            slewed = self.done is Reason.APPLIED and wish.reason is Reason.SLEWED
            keeps = slewed or wish.reason in TAKEN_BACK
            return wish.reason if keeps else self.done, wish.detail, self.wanted
        if verdict.moved:
            return self._outranked(verdict)
        wanted = self.wanted if wish.reason is UNCHANGED else wish.wanted
        return wish.reason, wish.detail, wanted

    def _outranked(self, verdict: Verdict) -> tuple[Reason, str, float | None]:
        """Word the decision of a rule that changed its mind while another had the last word."""
        wish, claims, own = verdict.wish, self.claims, verdict.scene.rule.action
        if wish.claim is None and wish.lift is None and claims.keys() <= {own}:
            return Reason.RESTORED, wish.detail, self.wanted
        first = self.first
        if first in ("", own):
            others = [rule for rule in claims if rule != own]
            first = min(others, key=lambda rule: claims[rule], default="the value before us")
        return OUTRANKED, f"{wish.detail}; {first} comes first, at {self.text}", wish.wanted


def _rows(
    judged: Sequence[Verdict | Idle], reading: Reading, now: Moment, ending: _Ending | None = None
) -> list[Decision]:
    """Word what each rule decided; without an *ending* nothing could be done at the target.

    By position: a quarter of the time of a quiet tick is spent here; keywords would double it.
    """
    target, current, prior, at = reading.target, reading.current, reading.prior, now.unix
    knob, name, unit = target.knob, target.name, target.unit
    rows = []
    for each in judged:
        if isinstance(each, Idle):
            who, rule, why = each.group.name, each.rule.action, each.judged.why
            wanted = None if ending is None else ending.wanted
            reason, seen, acts, guards = UNCHANGED, each.inputs, False, NOT_GUARDED
        else:
            scene, wish = each.scene, each.wish
            who, rule, guards = scene.group.name, scene.rule.action, wish.guards
            reason, why, wanted, acts = wish.reason, wish.detail, wish.wanted, False
            if ending is not None:
                reason, why, wanted = ending.of(each)
                acts = rule == ending.owner
            seen = (seen_by(scene.rule, scene.judged),)
        row = Decision(
            who,
            rule,
            knob,
            name,
            unit,
            reason,
            why,
            at,
            current,
            prior,
            wanted,
            seen,
            acts,
            guards,
        )
        rows.append(row)
    return rows


def _heat_row(heat: Heat, reading: Reading, now: Moment, wanted: float | None) -> Decision:
    why = "its heat is not known any more" if heat.unknown else "cooled down"
    detail = heat.hot or f"{why}; it was {heat.was_hot}"
    row = _bare(heat.rule, heat.group.name, reading, now, detail)
    if reading.conflict:
        return replace(row, reason=Reason.CONFLICT, detail=reading.conflict)
    if reading.trouble is not None and reading.current is None:
        return replace(row, reason=Reason(reading.trouble.fault), detail=reading.trouble.detail)
    return replace(row, wanted=wanted)


def _bare(rule: str, group: str, reading: Reading, now: Moment, detail: str) -> Decision:
    target = reading.target
    return Decision(
        group=group,
        rule=rule,
        knob=target.knob,
        target=target.name,
        unit=target.unit,
        reason=UNCHANGED,
        detail=detail,
        at=now.unix,
        current=reading.current,
        prior=reading.prior,
    )
