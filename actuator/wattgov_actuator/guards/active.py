"""Let a rule act only in its windows."""

from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Give up the claim outside the windows; a rule that loosens does nothing there either."""
    active = scene.rule.active
    if active is None or active.holds(scene.now.unix):
        return wish
    return wish.released(scene, Reason.INACTIVE, f"it acts in {active} only")
