"""The guards, in the order in which a wish passes them: a guard is one file and one line here."""

from wattgov_actuator.decision import Guard, Scene, Wish
from wattgov_actuator.guards import (
    bounds,
    conflict,
    cooldown,
    freshness,
    refusal,
    sla,
    thermal,
    waiting,
)

GUARDS: dict[str, Guard] = {
    "conflict": conflict.guard,
    "freshness": freshness.guard,
    "waiting": waiting.guard,
    "thermal": thermal.guard,
    "sla": sla.guard,
    "bounds": bounds.guard,
    "cooldown": cooldown.guard,
    "refusal": refusal.guard,
}


def guarded(scene: Scene, wish: Wish) -> Wish:
    """Pass *wish* through every guard."""
    for guard in GUARDS.values():
        wish = guard(scene, wish)
    return wish
