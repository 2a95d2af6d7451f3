"""Let a change show its effect before tightening again."""

from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Stop a tighter claim within the cooldown of the last change; loosening never waits."""
    changed = scene.reading.changed
    if changed is None or not wish.presses(scene):
        return wish
    ago = scene.now.steady - changed
    if ago >= scene.rule.cooldown_seconds:
        return wish
    detail = f"changed {ago:.0f} s ago; tightens every {scene.rule.cooldown_seconds:g} s at most"
    return wish.stopped(scene, Reason.COOLDOWN, detail)
