"""The guards, in the order in which a wish passes them: a guard is one file and one line here."""

from wattgov_actuator.decision import Guard, Scene, Wish
from wattgov_actuator.guards import (
    active,
    bounds,
    conflict,
    cooldown,
    deadband,
    expectation,
    freshness,
    pause,
    quorum,
    rate,
    refusal,
    sla,
    slew,
    thermal,
    waiting,
)

GUARDS: dict[str, Guard] = {
    "conflict": conflict.guard,
    "pause": pause.guard,
    "active": active.guard,
    "freshness": freshness.guard,
    "waiting": waiting.guard,
    "thermal": thermal.guard,
    "sla": sla.guard,
    "quorum": quorum.guard,
    "expectation": expectation.guard,
    "bounds": bounds.guard,
    "deadband": deadband.guard,
    "slew": slew.guard,
    "cooldown": cooldown.guard,
    "rate": rate.guard,
    "refusal": refusal.guard,
}


def guarded(scene: Scene, wish: Wish) -> Wish:
    """Pass *wish* through every guard."""
    for name, guard in GUARDS.items():
        after = guard(scene, wish)
        wish = wish if after is wish else after.checked(name, wish)
    return wish
