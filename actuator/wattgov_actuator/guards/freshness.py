"""Never tighten on what is not known, and do not hold for ever what was claimed before."""

from wattgov_actuator.condition import State
from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Hold the claim while the condition is unknown, and give it up after the group's `hold`."""
    if not scene.judged.unknown:
        return wish
    reason = Reason.HELD_STALE if scene.judged.state is State.STALE else Reason.NO_DATA
    if scene.rule.law.traits.blind:  # it says itself how long it holds; it may not tighten either
        kept = wish.tightens(scene) or wish.claim == scene.held.claim
        return wish.stopped(scene, reason, f"{wish.detail}; {scene.judged.why}") if kept else wish
    since = scene.held.unknown_since
    held = 0.0 if since is None else scene.now.steady - since
    left = scene.group.protect.hold_seconds - held
    if left <= 0:
        return wish.released(scene, reason, f"{scene.judged.why}; unknown for {held:.0f} s")
    detail = scene.judged.why
    if scene.held.claim is not None:
        detail = f"{detail}; its claim is held for another {left:.0f} s"
    return wish.stopped(scene, reason, detail)
