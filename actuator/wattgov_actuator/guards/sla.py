"""Put back at once when the SLA is breached, and tighten again only some time after."""

from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Give up the claim in a breach; stop a new one until the SLA has been kept for `rearm`."""
    watch, settings = scene.watch, scene.group.protect.sla
    if settings is None:
        return wish
    tightens = wish.tightens(scene)
    if watch.breach and (tightens or scene.held.claim is not None):
        return wish.released(scene, Reason.VETOED_SLA, f"the SLA is breached: {watch.breach}")
    if watch.sla_unknown_since is not None:
        unknown = scene.now.steady - watch.sla_unknown_since
        detail = f"the SLA cannot be judged: {watch.sla_unknown}"
        if unknown >= scene.group.protect.hold_seconds and scene.held.claim is not None:
            return wish.released(scene, Reason.VETOED_SLA, f"{detail}, for {unknown:.0f} s now")
        return wish.stopped(scene, Reason.VETOED_SLA, detail) if tightens else wish
    if watch.breached_at is not None and tightens:
        kept = scene.now.steady - watch.breached_at
        if kept < settings.rearm_seconds:
            detail = f"the SLA is kept for {kept:.0f} s; asked are {settings.rearm_seconds:g} s"
            return wish.stopped(scene, Reason.VETOED_SLA, detail)
    return wish
