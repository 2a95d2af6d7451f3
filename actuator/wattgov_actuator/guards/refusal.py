"""Do not knock at each tick on a driver that has just said no."""

from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Stop a tighter claim for a cooldown after a failed write; loosening is always tried."""
    trouble = scene.reading.trouble
    if trouble is None or not wish.tightens(scene):
        return wish
    ago = scene.now.steady - trouble.steady
    if ago >= scene.rule.cooldown_seconds:
        return wish
    return wish.stopped(scene, Reason(trouble.fault), trouble.detail)
