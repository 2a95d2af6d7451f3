"""Stop acting when too much of the fleet is unhealthy: the trouble is not ours to optimise."""

from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Stop what tightens; what is held stays, and loosening goes on."""
    why = scene.watch.unhealthy
    return wish.stopped(scene, Reason.VETOED_QUORUM, why) if why and wish.tightens(scene) else wish
