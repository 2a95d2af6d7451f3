"""The power limit of a whole machine, in watts, that its BMC keeps, over Redfish.

It is in one of three places, the newest first: EnvironmentMetrics (DMTF v1_1 and later), a Control
of the chassis (v1_0), or the old Power (to v1_7). No limit is `null`, or a control that is
Disabled; then the value in force is the highest one, and the text says what it was.
"""

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.redfish_session import ROOT, Resource, Service, target
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe, Target

RESOLUTION_WATTS = 1.0  # bmcweb keeps whole watts
MODE, OFF, ON = "ControlMode", "Disabled", "Automatic"
PARTS = {"Module", "Component", "Card", "Cartridge", "Zone"}  # inside another chassis
WHOLE = {None, "Chassis", "System", "PowerSubsystem"}  # what a control of the machine is about
FATAL = "HardPowerOff"


class Shape(NamedTuple):
    """How a resource holds its limit."""

    part: Callable[[Resource], Resource | None]
    body: Callable[[Resource, Resource], Resource]  # of a resource and a changed part
    value: str


class Place(NamedTuple):
    """Where the limit was found, and how far it goes."""

    path: str
    shape: Shape
    low: float
    high: float


class Redfish:
    """The limit of one chassis."""

    def __init__(self, way: Connection) -> None:
        """Take the connection; the BMC is asked by the first probe."""
        self._way, self._service = way, Service(way)
        self._place: Place | None = None

    def probe(self) -> Probe:
        """Return the one target; its range is asked once."""
        place = self._place = self._place or self._find()
        way = self._way
        found = Target(
            *(way.knob, way.name, way.labels, place.low, place.high, "watts", RESOLUTION_WATTS)
        )
        return Probe((found,))

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return the limit, and what a restore needs as text."""
        place, (_, part) = self._known(), self._part()
        kept = {key: part[key] for key in (place.shape.value, MODE) if key in part}
        watts = None if part.get(MODE) == OFF else _number(part.get(place.shape.value))
        return InForce(place.high if watts is None else watts, text=json.dumps(kept))

    def write(self, target: str, value: float) -> None:  # noqa: ARG002 (a Knob)
        """Set the limit in watts; a control that is off is switched on with it."""
        place, (whole, part) = self._known(), self._part()
        if part.get("LimitException") == FATAL:
            detail = f"{place.path} has LimitException {FATAL}: a limit could end the machine"
            raise KnobError(Fault.REFUSED, f"{detail}; set it to LogEventOnly or NoAction")
        changed = {place.shape.value: round(value)}
        mode = {MODE: ON} if part.get(MODE) == OFF else {}
        self._service.patch(place.path, place.shape.body(whole, {**changed, **mode}))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Put back what was read, `null` and Disabled too."""
        place, (whole, _) = self._known(), self._part()
        before = json.loads(text)
        try:
            self._service.patch(place.path, place.shape.body(whole, before))
        except KnobError as error:
            # A set point that a disabled control had need not be one that may be set.
            if before.get(MODE) != OFF or error.fault in {Fault.LOST, Fault.BUSY}:
                raise
            self._service.patch(place.path, place.shape.body(whole, {MODE: OFF}))

    def close(self) -> None:
        """Log out."""
        self._service.close()

    def _known(self) -> Place:
        self._place = self._place or self._find()
        return self._place

    def _part(self) -> tuple[Resource, Resource]:
        """Return the resource, and what in it is the limit; raises KnobError."""
        place = self._known()
        try:
            whole = self._service.get(place.path)
        except KnobError as error:
            if error.fault is Fault.LOST:
                self._place = None  # moved by an update of the firmware: look again
            raise
        part = place.shape.part(whole)
        if part is None:
            self._place = None
            raise KnobError(Fault.LOST, f"{place.path} has no power limit any more")
        return whole, part

    def _find(self) -> Place:
        """Return where the limit is, in the one chassis that has one."""
        wanted, seen = self._way.text("chassis"), []
        found: dict[str, Place] = {}
        for chassis in self._service.members(_chassis(self._service)):
            name = str(chassis.get("Id", ""))
            seen.append(name)
            if wanted in {"", name} and (wanted or chassis.get("ChassisType") not in PARTS):
                place = next(self._places(chassis), None)
                found |= {name: place} if place else {}
        if len(found) == 1:
            return next(iter(found.values()))
        where = f"the chassis {wanted}" if wanted in seen and wanted else "any chassis"
        detail = f"the BMC shows no power limit in {where}; it has {', '.join(seen) or 'none'}"
        if found:
            detail = f"several chassis have a power limit: {', '.join(found)}; give one as chassis"
        raise KnobError(Fault.UNSUPPORTED, detail)

    def _places(self, chassis: Resource) -> Iterator[Place]:
        """Yield where a chassis has a limit, the newest first."""
        for path, resource, shape in self._resources(chassis):
            part = shape.part(resource)
            if part is not None:
                yield Place(path, shape, *self._range(path, part))

    def _resources(self, chassis: Resource) -> Iterator[tuple[str, Resource, Shape]]:
        for name, shape in (("EnvironmentMetrics", ENVIRONMENT), ("Controls", CONTROL)):
            path = target(chassis.get(name))
            if path and shape is CONTROL:
                for each in self._service.members(path):
                    yield str(each.get("@odata.id", "")), each, shape
            elif path:
                yield path, self._service.get(path), shape
        if target(chassis.get("Power")):
            path = target(chassis.get("Power"))
            yield path, self._service.get(path), POWER

    def _range(self, path: str, part: Resource) -> tuple[float, float]:
        """Return how far the BMC lets it go, within what the entry says."""
        given = self._way.settings
        lows = (_number(part.get("AllowableMin")), _number(given.get("low")))
        highs = (_number(part.get("AllowableMax")), _number(given.get("high")))
        low = max((each for each in lows if each), default=0.0)
        high = min((each for each in highs if each), default=0.0)
        if 0 < low < high:
            return low, high
        stated = f"{low:g} W to {high:g} W" if low and high else "no whole range"
        detail = f"{path} states {stated}; give low and high, in watts"
        raise KnobError(Fault.UNSUPPORTED, detail)


def _chassis(service: Service) -> str:
    return target(service.get(ROOT).get("Chassis")) or f"{ROOT}Chassis"


def _environment(whole: Resource) -> Resource | None:
    found = whole.get("PowerLimitWatts")
    return found if isinstance(found, dict) and "SetPoint" in found else None


def _control(whole: Resource) -> Resource | None:
    kind = (whole.get("ControlType"), whole.get("SetPointUnits", "W"))
    good = kind == ("Power", "W") and whole.get("PhysicalContext") in WHOLE
    return whole if good and "SetPoint" in whole else None


def _power(whole: Resource) -> Resource | None:
    controls = whole.get("PowerControl")
    first = controls[0] if isinstance(controls, list) and controls else None
    found = first.get("PowerLimit") if isinstance(first, dict) else None
    return found if isinstance(found, dict) and "LimitInWatts" in found else None


def _number(found: object) -> float | None:
    good = isinstance(found, int | float) and not isinstance(found, bool)
    return float(found) if good else None  # type: ignore[arg-type]  # it is a number


ENVIRONMENT = Shape(_environment, lambda _, part: {"PowerLimitWatts": part}, "SetPoint")
CONTROL = Shape(_control, lambda _, part: part, "SetPoint")
POWER = Shape(
    _power,
    # An array is replaced: an empty object leaves a member as it is, one that is missing ends it.
    lambda whole, part: {
        "PowerControl": [{"PowerLimit": part}, *({} for _ in whole["PowerControl"][1:])]
    },
    "LimitInWatts",
)


def open_knob(_: Machine, way: Connection) -> Redfish:
    """Return the knob."""
    return Redfish(way)
