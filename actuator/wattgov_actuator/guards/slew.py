"""Tighten a little at a time."""

from dataclasses import replace

from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Limit how far one tick goes from the value in force; the way back is free."""
    slew, current, base = scene.rule.slew, scene.reading.current, scene.reading.base
    if slew is None or current is None or base is None or wish.claim is None:
        return wish
    if wish.claim == scene.held.claim:
        return wish
    target, claim = scene.reading.target, wish.claim
    most = slew.of(target.high)
    if claim < min(current, base):
        limited = max(claim, current - most)
    elif claim > max(current, base):  # of a knob that goes both ways
        limited = min(claim, current + most)
    else:
        return wish
    if limited == claim:
        return wish
    detail = f"{wish.detail}; at most {most:g} {target.unit} a tick on the way to {claim:g}"
    return replace(wish, claim=limited, wanted=limited, reason=Reason.SLEWED, detail=detail)
