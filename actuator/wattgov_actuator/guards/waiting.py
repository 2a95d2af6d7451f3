"""Wait until a condition has been true for as long as the rule's `for` asks."""

from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Stop the wish of a condition that has become true only lately."""
    if not scene.judged.true:
        return wish
    since = scene.held.true_since
    lasted = 0.0 if since is None else scene.now.steady - since
    if lasted >= scene.rule.for_seconds:
        return wish
    detail = f"{scene.judged.why}; true for {lasted:.0f} s of {scene.rule.for_seconds:g} s"
    return wish.stopped(scene, Reason.WAITING, detail)
