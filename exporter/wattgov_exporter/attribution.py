"""Give every joule of a meter to an app, so that the books close. Pure.

Three schools divide a device's energy over its users; pick one to compare with its tool:

- `capacity` (Kepler, Scaphandre): active is the busy share of the energy, at any idle draw.
- `dynamic`: active is what the device draws above its idle power.
- `full` (CEEMS): as `dynamic`, and the idle energy too goes to the apps, by their activity.

In all three the idle energy of a device with memory goes to who holds it.

Energy that nobody can be shown to have used is `_unattributed`: that is an honest row, and the
sum over all rows is the meter.
"""

from collections.abc import Mapping
from dataclasses import dataclass

UNATTRIBUTED = "_unattributed"

Shares = dict[tuple[str, str], float]
"""(app, share) to joules; share is `active` or `idle`."""


@dataclass(frozen=True, slots=True)
class Use:
    """How a device was used while it took the energy.

    *utilisation* is 0..1. *activity* is each app's use and *total* all use, in one unit of any
    kind (CPU-seconds, utilisation samples). *held* says who keeps the device from sleeping (bytes
    of memory), of *held_total* that can be held; 0 where only what is held matters.
    """

    utilisation: float
    activity: Mapping[str, float]
    total: float
    held: Mapping[str, float]
    held_total: float = 0.0


def attribute(joules: float, idle_joules: float | None, use: Use, policy: str) -> Shares:
    """Divide *joules*; *idle_joules* is what the device would have taken at rest, None if unknown.

    While the idle draw is unknown, `dynamic` and `full` divide as `capacity` does.
    """
    if policy == "capacity" or idle_joules is None:
        active = joules * use.utilisation
    else:
        active = joules - min(idle_joules, joules)
    shares: Shares = {}
    _divide(shares, "active", active, use.activity, max(use.total, sum(use.activity.values())))
    idle_keys = use.activity if policy == "full" and not use.held else use.held
    idle_total = sum(idle_keys.values())
    if policy != "full" and use.held:
        # Memory that nobody holds is refreshed for nobody.
        idle_total = max(idle_total, use.held_total)
    _divide(shares, "idle", joules - active, idle_keys, idle_total)
    return shares


def _divide(
    shares: Shares, share: str, joules: float, weights: Mapping[str, float], total: float
) -> None:
    """Add *joules* by weight; what the weights do not cover is nobody's.

    The last row is the difference, so the sum is the meter whatever was rounded on the way.
    """
    given = 0.0
    for app, weight in weights.items():
        # An app at rest gets its zero: a counter that is there from the start loses no increase.
        part = joules * (weight / total) if total > 0 else 0.0
        shares[app, share] = shares.get((app, share), 0.0) + part
        given += part
    key = (UNATTRIBUTED, share)
    # Rounding may leave -1e-17 J: a counter must not fall, and no one misses it.
    shares[key] = shares.get(key, 0.0) + max(joules - given, 0.0)
