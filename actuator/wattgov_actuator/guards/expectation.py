"""Take back what did not help, and try it again only later."""

from wattgov_actuator.decision import ENOUGH, Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Undo the step that failed; stop new ones until the back-off is over."""
    if scene.stood_in:
        return wish.released(scene, Reason.INACTIVE, scene.stood_in)
    trial, base = scene.trial, scene.reading.base
    if trial.verdict is not None and scene.held.claim is not None:
        back = trial.back_to
        kept = back if back is not None and not _same(scene, back, base) else None
        return Wish(kept, None, base if kept is None else kept, trial.verdict, trial.why)
    if scene.rule.expect is None or not wish.tightens(scene):
        return wish
    left = trial.until - scene.now.steady
    if trial.last is not None and left > 0:
        return wish.stopped(scene, trial.last, f"{trial.why}; it is tried again in {left:.0f} s")
    if scene.held.claim is None and len(trial.samples) < ENOUGH:
        detail = f"measures before the first step: {len(trial.samples)} of {ENOUGH} samples"
        return wish.stopped(scene, Reason.WAITING, detail)
    return wish


def _same(scene: Scene, one: float, other: float | None) -> bool:
    return other is None or scene.reading.target.same(one, other)
