"""The devices that a node had, from what its exporter said of their limits."""

from collections.abc import Iterable
from dataclasses import dataclass

from wattgov_actuator.reading import Answer, Target
from wattgov_actuator.replay.backtest import escaped
from wattgov_actuator.simulation import Planted

KNOB, RESOLUTION_WATTS = "gpu_power_limit", 1.0
LIMITS = 'node_gpu_power_limit_watts{{instance="{}"}}'
NODES = "group by (instance) (node_gpu_power_limit_watts)"


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of the devices, and what is to be said about them."""

    planted: tuple[Planted, ...]
    notes: tuple[str, ...] = ()


def limits_of(instance: str) -> str:
    """Return the expression that gives the limits of one node's cards."""
    return LIMITS.format(escaped(instance))


def devices(said: Iterable[Answer]) -> Past:
    """Return the cards as they were first seen, from answers in the order of time."""
    first: dict[str, dict[str, float]] = {}  # by uuid, limit
    numbers: dict[str, str] = {}
    set_to: dict[str, set[float]] = {}
    for answer in said:
        for each in answer.samples:
            uuid, limit = each.labels.get("uuid", ""), each.labels.get("limit", "")
            first.setdefault(uuid, {}).setdefault(limit, each.value)
            numbers[uuid] = each.labels.get("gpu", "")
            if limit == "current":
                set_to.setdefault(uuid, set()).add(each.value)
    planted = [_card(uuid, numbers[uuid], limits) for uuid, limits in sorted(first.items()) if uuid]
    found = tuple(each for each in planted if each is not None)
    lost = len(planted) - len(found)
    notes = [
        f"{each.target.name} was set to {min(values):g}-{max(values):g} W in that time; what was "
        f"measured is of then, and {each.value:g} W is taken for what the rules begin with"
        for each in found
        if len(values := set_to.get(each.target.name, set())) > 1
    ]
    notes += [f"{lost} cards tell no min, max and current limit; they are left out"] if lost else []
    return Past(found, tuple(notes))


def _card(uuid: str, number: str, limits: dict[str, float]) -> Planted | None:
    """Return one card, None when its range is not known."""
    low, high = limits.get("min"), limits.get("max")
    current = limits.get("current", limits.get("default", high))
    if low is None or high is None or current is None or not low <= current <= high:
        return None
    labels = {"uuid": uuid, "gpu": number} if number else {"uuid": uuid}
    return Planted(Target(KNOB, uuid, labels, low, high, "watts", RESOLUTION_WATTS), current)
