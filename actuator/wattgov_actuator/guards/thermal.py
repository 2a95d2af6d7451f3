"""While a thermal claim holds the knob, rules neither tighten nor loosen it."""

from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Stop what moves the knob; letting go of a claim stays possible."""
    if not scene.hot or (wish.lift is None and not wish.tightens(scene)):
        return wish
    return wish.stopped(scene, Reason.VETOED_THERMAL, scene.hot)
