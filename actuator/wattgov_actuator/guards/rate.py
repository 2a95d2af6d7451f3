"""Do not wear a device out, nor those who watch it: so many changes in so much time."""

from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Stop a tighter claim when the changes of the rule's `rate` are used up; loosening is free."""
    rate = scene.rule.rate
    if rate is None or not wish.presses(scene):
        return wish
    lately = sum(scene.now.steady - each < rate.per_seconds for each in scene.turns)
    if lately < rate.changes:
        return wish
    detail = f"changed {lately} times in {rate.per_seconds:g} s; allowed are {rate.changes}"
    return wish.stopped(scene, Reason.RATE_LIMITED, detail)
