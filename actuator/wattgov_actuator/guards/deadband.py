"""Do not write for next to nothing."""

from dataclasses import replace

from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Stop a claim that is nearer to the value in force than the deadband; letting go passes."""
    band, current = scene.rule.deadband, scene.reading.current
    if band is None or current is None or wish.claim is None or wish.claim == scene.held.claim:
        return wish
    target = scene.reading.target
    width = band.of(target.high)
    if abs(wish.claim - current) >= width:
        return wish
    detail = f"{wish.claim:g} is within the deadband of {width:g} {target.unit}"
    return replace(wish.stopped(scene, Reason.UNCHANGED, detail), lift=wish.lift)
