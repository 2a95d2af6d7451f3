"""Keep every claim inside the hardware's range, the rule's bounds and the value before us."""

from dataclasses import replace

from wattgov_actuator.decision import Reason, Scene, Wish
from wattgov_actuator.reading import Reading, Target
from wattgov_actuator.rules import Bounds


def floor(target: Target, bounds: Bounds) -> float:
    """Return the lowest value that the rule and the hardware allow."""
    return min(max(target.low, bounds.low.of(target.high)), target.high)


def ceiling(target: Target, bounds: Bounds) -> float:
    """Return the highest value that the rule and the hardware allow."""
    return target.high if bounds.high is None else min(bounds.high.of(target.high), target.high)


def reach(reading: Reading, bounds: Bounds) -> tuple[float, float]:
    """Return how far a rule may go at one target: hardware, policy, and the value before us."""
    target, base = reading.target, reading.base
    low, high = floor(target, bounds), ceiling(target, bounds)
    if base is not None and not target.both_ways:
        high = min(high, base)
    return min(low, high), high


def guard(scene: Scene, wish: Wish) -> Wish:
    """Clamp a claim or a lift; the value before us is the upper end of both."""
    base, current = scene.reading.base, scene.reading.current
    if base is None or current is None:
        return wish
    if wish.lift is not None:
        return _lift(scene, wish, wish.lift, base)
    if wish.claim is None or wish.claim == scene.held.claim:
        return wish
    return _claim(scene, wish, wish.claim, base)


def _claim(scene: Scene, wish: Wish, claim: float, base: float) -> Wish:
    target, current = scene.reading.target, scene.reading.current or 0.0
    low = floor(target, scene.rule.bounds)
    limited = max(min(claim, ceiling(target, scene.rule.bounds)), low)
    if limited > claim and (limited >= current or target.same(limited, current)):
        return _clamped(scene, wish, limited, f"at its floor of {low:g} {target.unit}")
    stuck = target.both_ways and limited < claim and target.same(limited, current)
    if stuck and scene.held.claim is not None:
        return _clamped(scene, wish, limited, f"at its highest, {limited:g} {target.unit}")
    if (limited >= base and not target.both_ways) or target.same(limited, base):
        return wish.released(scene, Reason.UNCHANGED, f"{base:g} {target.unit} is as tight already")
    if limited == claim:
        return wish
    detail = f"{wish.detail}; limited to {limited:g} {target.unit}"
    return replace(wish, claim=limited, wanted=limited, detail=detail)


def _clamped(scene: Scene, wish: Wish, limited: float, detail: str) -> Wish:
    """Stop at a bound; what is shown is the bound."""
    return Wish(scene.held.claim, None, limited, Reason.CLAMPED, detail, wish.guards)


def _lift(scene: Scene, wish: Wish, lift: float, base: float) -> Wish:
    """Limit a lift; one with nothing to lift stays, so that no other rule tightens meanwhile."""
    target, current = scene.reading.target, scene.reading.current or 0.0
    top = min(ceiling(target, scene.rule.bounds), base)
    lift, wanted, reason, detail = min(lift, top), min(lift, top), wish.reason, wish.detail
    if scene.reading.prior is None:
        wanted, detail = current, f"{detail}; nothing is held back"
    elif top <= current or target.same(top, current):
        reason, detail = Reason.CLAMPED, f"at its highest, {top:g} {target.unit}"
    return Wish(wish.claim, lift, wanted, reason, detail, wish.guards)
