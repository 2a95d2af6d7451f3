"""Do not write for next to nothing."""

from dataclasses import replace

from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Stop a claim that is nearer to the value in force than the deadband; letting go passes.

    A new one at a knob that another rule holds there stands where the knob is: that needs no write,
    and when the other rule lets go the knob must not pass it on its way up.
    """
    band, current, base = scene.rule.deadband, scene.reading.current, scene.reading.base
    if band is None or current is None or wish.claim is None or wish.claim == scene.held.claim:
        return wish
    target = scene.reading.target
    width = band.of(target.high)
    if abs(wish.claim - current) >= width:
        return wish
    if scene.held.claim is None and base is not None and current < base and not target.both_ways:
        return replace(wish, claim=max(wish.claim, current))
    detail = f"{wish.claim:g} is within the deadband of {width:g} {target.unit}"
    return replace(wish.stopped(scene, Reason.UNCHANGED, detail), lift=wish.lift)
