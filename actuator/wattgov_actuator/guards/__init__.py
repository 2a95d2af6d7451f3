"""The guards, in the order in which a wish passes them: a guard is one file and one line here."""

from collections.abc import Callable
from typing import NamedTuple

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
from wattgov_actuator.rules import Rule


def every(_: Rule) -> bool:
    """Concern every rule."""
    return True


class Member(NamedTuple):
    """A guard, and where it need not be asked, since it lets every wish pass there."""

    guard: Guard
    concerns: Callable[[Rule], object] = every  # falsy: nothing to say of the rule
    upset: bool = False  # nothing to say where all is calm


GUARDS: dict[str, Member] = {
    "conflict": Member(conflict.guard, upset=True),
    "pause": Member(pause.guard, upset=True),
    "active": Member(active.guard, lambda rule: rule.active),
    "freshness": Member(freshness.guard),
    "waiting": Member(waiting.guard, lambda rule: rule.for_seconds),
    "thermal": Member(thermal.guard, upset=True),
    "sla": Member(sla.guard, upset=True),
    "quorum": Member(quorum.guard, upset=True),
    "expectation": Member(expectation.guard, lambda rule: rule.expect or rule.instead_of),
    "bounds": Member(bounds.guard),
    "deadband": Member(deadband.guard, lambda rule: rule.deadband),
    "slew": Member(slew.guard, lambda rule: rule.slew),
    "cooldown": Member(cooldown.guard, lambda rule: rule.cooldown_seconds),
    "rate": Member(rate.guard, lambda rule: rule.rate),
    "refusal": Member(refusal.guard, upset=True),
}
Guards = tuple[tuple[str, Guard], ...]


def guards_of(rule: Rule, *, calm: bool) -> Guards:
    """Return the guards that may have something to say of a wish of *rule*, in their order."""
    return tuple(
        (name, each.guard)
        for name, each in GUARDS.items()
        if each.concerns(rule) and not (calm and each.upset)
    )


def is_calm(scene: Scene) -> bool:
    """Tell whether nothing is wrong with the target, and nobody holds the brake."""
    reading, watch = scene.reading, scene.watch
    wrong = reading.conflict or reading.trouble or scene.hot or watch.breach or watch.unhealthy
    calmed = watch.breached_at is None and watch.sla_unknown_since is None
    return not wrong and scene.pause is None and calmed


def guarded(scene: Scene, wish: Wish, guards: Guards) -> Wish:
    """Pass *wish* through *guards*."""
    for name, guard in guards:
        after = guard(scene, wish)
        wish = wish if after is wish else after.checked(name, wish)
    return wish
