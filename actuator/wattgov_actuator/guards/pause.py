"""Let rules tighten nothing while a person has paused them; the way back stays open."""

from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Stop what tightens; under the kill switch let go of every claim."""
    pause = scene.pause
    if pause is None:
        return wish
    tightens = wish.tightens(scene)
    if pause.restore and (tightens or scene.held.claim is not None):
        return wish.released(scene, Reason.DISARMED, f"disarmed {pause}")
    return wish.stopped(scene, Reason.PAUSED, f"paused {pause}") if tightens else wish
