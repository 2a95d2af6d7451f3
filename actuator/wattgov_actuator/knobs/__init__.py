"""The knobs: a knob is one file and one line here; a backend is one file and one line there."""

from collections.abc import Sequence
from importlib import import_module

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.backends import backends_of
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, Knob, KnobError
from wattgov_actuator.rules import Kind

WATTS = ("watts", "percent")
HERTZ = ("hertz", "percent")
COUNT = ("count", "percent")

LEVELS = {  # words for values, the lowest first
    "hibernate": {"asleep": 0.0, "awake": 1.0},
    "batch_jobs": {"paused": 0.0, "running": 1.0},
}

KNOBS: dict[str, Kind] = {
    name: Kind(accepts, module, backends_of(name), LEVELS.get(name, {}))
    for name, accepts, module in (
        ("gpu_power_limit", WATTS, "wattgov_actuator.knobs.gpu_power_limit"),
        ("gpu_clock_lock", HERTZ, "wattgov_actuator.knobs.gpu_clock_lock"),
        ("amd_gpu_power_limit", WATTS, "wattgov_actuator.knobs.amd_gpu_power_limit"),
        ("cpu_power_limit", WATTS, "wattgov_actuator.knobs.cpu_power_limit"),
        ("cpu_frequency", HERTZ, "wattgov_actuator.knobs.cpu_frequency"),
        ("cpu_priority", ("percent",), "wattgov_actuator.knobs.cpu_priority"),
        ("cpu_affinity", ("percent",), "wattgov_actuator.knobs.cpu_affinity"),
        ("batch_size", COUNT, ""),
        ("hibernate", ("level",), ""),
        ("platform_power_limit", WATTS, ""),
        ("replicas", COUNT, ""),
        ("batch_jobs", ("level",), ""),
    )
}

HERE = Machine()


def open_knob(name: str, connections: Sequence[Connection] = (), machine: Machine = HERE) -> Knob:
    """Load the knob's file, and with it the driver's binding, and open it.

    Where connections lead to devices of this knob, they are its only way: a machine whose cards
    are turned by somebody else is not to be turned past them. One that this version cannot follow,
    which another version has left in the journal, is told of, and keeps nobody from the others.
    """
    kind = KNOBS[name]
    ways = [each for each in connections if each.knob == name]
    if not ways and kind.module:
        knob: Knob = import_module(kind.module).open_knob(machine)
        return knob
    from wattgov_actuator.knobs.connected import Connected  # noqa: PLC0415 (for a few only)

    opened, lost = [], []
    for way in ways:
        try:
            opened.append((way, _led_to(way, kind, machine)))
        except KnobError as error:
            lost.append(f"{way.name}: {error.detail}")
    return Connected(opened, lost)


def _led_to(way: Connection, kind: Kind, machine: Machine) -> Knob:
    """Return what a connection leads to, drained first where our proxy stands before it.

    Raises KnobError where this version does not know.
    """
    if way.backend not in kind.backends:
        detail = f"this version has no backend {way.backend} for {way.knob}"
        raise KnobError(Fault.UNSUPPORTED, detail)
    knob: Knob = import_module(kind.backends[way.backend].module).open_knob(machine, way)
    if not way.text("proxy"):
        return knob
    from wattgov_actuator.knobs.drained import Drained  # noqa: PLC0415 (for a few only)

    return Drained(knob, way)
