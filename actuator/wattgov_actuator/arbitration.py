"""Several rules, one knob: which claim counts, and whose decision it is.

Thermal comes before everything; of the rules' claims the tightest counts, and a rule that loosens
lifts the claims of its own class and below: cost, carbon, power budget. Without a claim the knob
belongs to the value from before us.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from wattgov_actuator.decision import Decision, Input, Reason, Scene, Wish
from wattgov_actuator.guards.bounds import floor
from wattgov_actuator.reading import Moment, Reading
from wattgov_actuator.rules import Group, Rank, Rule

RESTORE = "actuator.restore"  # acts when nothing claims a knob any more; no rule can be so called


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Heat:
    """A group's thermal claim on one target, held or just let go."""

    group: Group
    hot: str
    was_hot: str

    @property
    def rule(self) -> str:
        """The name under which it is reported."""
        return f"{self.group.name}.thermal"


@dataclass(frozen=True, slots=True)
class Settled:
    """What one target gets."""

    wanted: float | None
    claims: Mapping[str, float]  # by rule, what remains
    decisions: tuple[Decision, ...]


def settle(
    reading: Reading,
    verdicts: Sequence[Verdict],
    heats: Sequence[Heat],
    *,
    resting: Mapping[str, float | None],
    ranks: Mapping[str, Rank],
    now: Moment,
) -> Settled:
    """Decide for one target; *resting* are the claims of rules that were not asked this time.

    *ranks* are of all rules: a rule lifts claims of its own class and below.
    """
    held = {**resting, **{v.rule.action: v.wish.claim for v in verdicts}}
    claims = {rule: claim for rule, claim in held.items() if claim is not None}
    base, current = reading.base, reading.current
    if base is None or current is None or reading.conflict:
        rows = [_row(each, reading, now) for each in verdicts]
        rows += [_heat_row(each, reading, now, reading.current) for each in heats if each.hot]
        return Settled(current, claims, tuple(rows))

    target = reading.target
    lifts = [(v.wish.lift, v.rule.rank) for v in verdicts if v.wish.lift is not None]
    claims = {
        rule: max([claim, *(lift for lift, rank in lifts if rank >= ranks[rule])])
        for rule, claim in claims.items()
    }
    claims = {
        rule: claim
        for rule, claim in claims.items()
        if (claim < base or target.both_ways) and not target.same(claim, base)
    }
    wanted = min(claims.values(), default=base)
    hot = [each for each in heats if each.hot]
    if hot:
        wanted = min(wanted, *(_floor(each.group, reading) for each in hot))  # never loosens
    acts = not target.same(wanted, current)
    owner = _owner(verdicts, heats, claims, wanted, current) if acts else ""
    first = owner or next(iter(_lifting(verdicts)), "")
    done = Reason.RESTORED if reading.prior is not None and wanted == base else Reason.APPLIED
    rows = []
    for verdict in verdicts:
        row = _row(verdict, reading, now)
        if verdict.rule.action == owner:
            slewed = done is Reason.APPLIED and verdict.wish.reason is Reason.SLEWED
            row = replace(row, reason=Reason.SLEWED if slewed else done, wanted=wanted, acts=True)
        elif verdict.moved:
            row = _also_moved(row, verdict, claims, wanted, first)
        elif verdict.wish.reason is Reason.UNCHANGED:
            row = replace(row, wanted=wanted)
        rows.append(row)
    for heat in heats:
        if heat.hot or heat.rule == owner:
            row = _heat_row(heat, reading, now, wanted)
            ours = heat.rule == owner
            rows.append(replace(row, reason=done, acts=True) if ours else row)
    if owner == RESTORE:
        row = _bare(RESTORE, "", reading, now, "nothing claims this knob any more")
        rows.append(replace(row, reason=done, wanted=wanted, acts=True))
    return Settled(wanted, claims, tuple(rows))


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


def _also_moved(
    row: Decision, verdict: Verdict, claims: Mapping[str, float], wanted: float, first: str
) -> Decision:
    """Word the decision of a rule that changed its mind while another one had the last word."""
    released = verdict.wish.claim is None and verdict.wish.lift is None
    others = {rule: claim for rule, claim in claims.items() if rule != verdict.rule.action}
    first = first or min(others, key=lambda rule: others[rule], default="the value before us")
    if released and not others:
        return replace(row, reason=Reason.RESTORED, wanted=wanted)
    detail = f"{row.detail}; {first} comes first, at {wanted:g} {row.unit}"
    return replace(row, reason=Reason.OUTRANKED, detail=detail)


def _floor(group: Group, reading: Reading) -> float:
    """Return how low a thermal claim goes: to the lowest floor of the group's rules."""
    target = reading.target
    return min(floor(target, rule.bounds) for rule in group.rules if rule.knob == target.knob)


def _row(verdict: Verdict, reading: Reading, now: Moment) -> Decision:
    scene, wish, judged = verdict.scene, verdict.wish, verdict.scene.judged
    seen = Input(scene.rule.expr, judged.value, judged.sampled)
    target = reading.target
    return Decision(
        group=scene.group.name,
        rule=scene.rule.action,
        knob=target.knob,
        target=target.name,
        unit=target.unit,
        reason=wish.reason,
        detail=wish.detail,
        at=now.unix,
        current=reading.current,
        prior=reading.prior,
        wanted=wish.wanted,
        inputs=(seen,),
    )


def _heat_row(heat: Heat, reading: Reading, now: Moment, wanted: float | None) -> Decision:
    detail = heat.hot or f"cooled down; it was {heat.was_hot}"
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
        reason=Reason.UNCHANGED,
        detail=detail,
        at=now.unix,
        current=reading.current,
        prior=reading.prior,
    )
