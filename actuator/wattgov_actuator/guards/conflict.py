"""Leave alone what somebody else has changed since our last write."""

from wattgov_actuator.decision import Reason, Scene, Wish


def guard(scene: Scene, wish: Wish) -> Wish:
    """Give up the claim without touching the knob: a person's later change stands."""
    if not scene.reading.conflict:
        return wish
    return Wish(None, None, wish.wanted, Reason.CONFLICT, scene.reading.conflict)
