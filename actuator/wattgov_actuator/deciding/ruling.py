"""One rule at one target: is its condition true, since when, and what does its law wish for."""

from collections.abc import Mapping
from dataclasses import replace

from wattgov_actuator.condition import Judged, State, View, judge, measure
from wattgov_actuator.deciding.trying import Place
from wattgov_actuator.decision import UNCHANGED, Held, Reason, Scene, Wish
from wattgov_actuator.guards import Guards, guarded
from wattgov_actuator.guards.bounds import reach
from wattgov_actuator.reading import Moment, Reading
from wattgov_actuator.record import record
from wattgov_actuator.rules import Look, Measure, Metering, Rule, Want

NOTHING_ASKED: Mapping[str, Measure] = {}


@record
class Terms:
    """What a rule's law and guards are given, the same for all targets that are alike."""

    guards: Guards
    low: float  # how far the rule may go
    high: float
    shared: object  # what the law made of all its devices


def claiming(held: Held, claim: float | None) -> Held:
    """Return *held* with a claim."""
    if held.claim == claim:
        return held
    return Held(claim, held.true_since, held.unknown_since, held.true_at, held.law)


def keeping(held: Held, law: object) -> Held:
    """Return *held* with what its law wants to remember."""
    if held.law is law:
        return held
    return Held(held.claim, held.true_since, held.unknown_since, held.true_at, law)


def grounded(held: Held, reading: Reading) -> Held:
    """Return what is left of a claim: it lives as long as the undo it rests on.

    A claim below the value in force never took hold, since the write failed.
    """
    if held.claim is None or reading.current is None:
        return held
    if reading.prior is None:
        return replace(held, claim=None)
    return claiming(held, max(held.claim, reading.current))


def judged(rule: Rule, view: View, held: Held, now: Moment) -> Judged:
    """Judge a rule's condition; a law that needs the value does not know without one."""
    if rule.law.traits.measures:
        judged = measure(rule.expr, view)
        return replace(judged, state=State.NO_DATA) if judged.false else judged
    judged = judge(rule.expr, view)
    if held.claim is None or held.true_at is None or not judged.false:
        return judged
    ago = now.steady - held.true_at
    if ago >= rule.keep_seconds:
        return judged
    why = f"false for {ago:.0f} s; kept for {rule.keep_seconds:g} s"
    return replace(judged, state=State.TRUE, why=why)


def remembered(rule: Rule, held: Held, judged: Judged, now: Moment) -> Held:
    """Note since when a condition is true, or unknown; for `keep`, also when it was true last."""
    true, unknown, true_at = None, None, held.true_at
    if judged.true:
        true = now.steady if held.true_since is None else held.true_since
        if rule.keep_seconds and judged.value is not None:
            true_at = now.steady
    elif judged.unknown:
        unknown = now.steady if held.unknown_since is None else held.unknown_since
    if (true, unknown, true_at) == (held.true_since, held.unknown_since, held.true_at):
        return held
    return Held(held.claim, true, unknown, true_at, held.law)


def wished(scene: Scene, view: View, terms: Terms) -> tuple[Wish, Want]:
    """Return what the rule's law asks for, after the guards, and what it said besides."""
    reading, judged, held = scene.reading, scene.judged, scene.held
    if reading.current is None:
        trouble = reading.trouble
        fault = Reason.LOST if trouble is None else Reason(trouble.fault)
        detail = "it cannot be read" if trouble is None else trouble.detail
        want = Want(held.claim, memory=held.law)
        if isinstance(scene.rule.law, Metering):
            want = scene.rule.law.meter(_look(scene, view, terms))
        return Wish(held.claim, None, None, fault, detail), want
    rule, active = scene.rule, scene.rule.active
    inactive = active is not None and not active.holds(scene.now.unix)
    if inactive or (judged.unknown and not rule.law.traits.blind):
        wish = Wish(held.claim, None, reading.current, UNCHANGED, judged.why)
        return guarded(scene, wish, terms.guards), Want(None, memory=None if inactive else held.law)
    want = rule.law.wish(_look(scene, view, terms))
    wanted = want.claim if want.lift is None else want.lift
    detail = f"{want.detail}; {judged.why}" if want.detail else judged.why
    wish = Wish(want.claim, want.lift, wanted, UNCHANGED, detail)
    return guarded(scene, wish, terms.guards), want


def _look(scene: Scene, view: View, terms: Terms) -> Look:
    """Return what the law may look at; by position, since keywords take three times as long."""
    rule, reading, judged = scene.rule, scene.reading, scene.judged
    held, group = scene.held, scene.group
    slack = 0.0 if rule.deadband is None else rule.deadband.of(reading.target.high)
    asks = rule.law.asks
    asked = {expr: measured(expr, view) for expr in asks} if asks else NOTHING_ASKED
    return Look(
        reading,
        scene.now,
        held.claim,
        judged.true,
        judged.value,
        terms.low,
        terms.high,
        slack,
        group.interval_seconds,
        asked,
        group.protect.hold_seconds,
        scene.woken,
        terms.shared,
        held.law,
        scene.others,
    )


def measured(expr: str, view: View) -> Measure:
    """Return what an expression gives at one target."""
    judged = measure(expr, view)
    return Measure(not judged.unknown, judged.value, judged.why)


def placed(rule: Rule, reading: Reading, held: Held, now: Moment, seconds: float) -> Place:
    """Return where a rule acts, for its trial; it was looked at *seconds* ago."""
    low, _ = reach(reading, rule.bounds)
    current = reading.current
    end = current is not None and reading.target.same(current, low)
    return Place(reading, held.claim, end or rule.law.traits.fixed, now, seconds)
