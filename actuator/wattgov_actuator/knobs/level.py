"""The two levels of `hibernate`, as all of its backends have them."""

from collections.abc import Callable
from threading import Event

from wattgov_actuator.connection import Connection
from wattgov_actuator.reading import InForce, Knob, KnobError, Probe, Target

ASLEEP, AWAKE = 0.0, 1.0
LOOK_SECONDS = 0.2  # between two looks at what takes its time


def sleeper(way: Connection) -> Probe:
    """Return what a connection to one sleeper leads to."""
    return Probe((Target(way.knob, way.name, way.labels, ASLEEP, AWAKE, "level", 0.5),))


def is_asleep(value: float) -> bool:
    """Tell which level is the nearer one."""
    return value < (ASLEEP + AWAKE) / 2


def has_come(knob: Knob, target: str, value: float) -> bool:
    """Tell whether a knob reads as the level that *value* is; what cannot be read does not."""
    try:
        found = knob.read(target)
    except KnobError:
        return False
    return isinstance(found, InForce) and is_asleep(found.value) is is_asleep(value)


def came(true: Callable[[], bool], seconds: float) -> bool:
    """Look again and again, so long at most; tell whether it came."""
    for _ in range(int(seconds / LOOK_SECONDS)):
        if true():
            return True
        Event().wait(LOOK_SECONDS)
    return true()
