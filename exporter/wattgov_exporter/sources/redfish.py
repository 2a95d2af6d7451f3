"""Power and energy of the whole node, as its management controller tells them over Redfish.

Source: DMTF schemas EnvironmentMetrics v1_3, PowerSubsystem v1_1, PowerSupplyMetrics v1_1 and
Power v1_7. A value that cannot be true is told in words and never counted.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wattgov_exporter.config import Redfish as Settings
from wattgov_exporter.doubt import Standing
from wattgov_exporter.integral import ALL_ONES, Integral, wrong
from wattgov_exporter.reading import (
    Anomaly,
    Clock,
    Component,
    Energy,
    Meter,
    Method,
    NoMeter,
    Readings,
    Reason,
)
from wattgov_exporter.sources.redfish_json import Resource, link, target

if TYPE_CHECKING:
    from wattgov_exporter.sources.redfish_session import Service

MAX_WATTS = 20_000.0
"""A node's plausible power where its controller states no capacity: above any one chassis."""

CAPACITY_MARGIN = 2.0
"""How far above its stated capacity a chassis is believed."""

JOULES_PER_KILOWATTHOUR = 3.6e6

PARTS = frozenset({"Module", "Component", "Card", "Cartridge", "Zone"})
"""Types of chassis that are inside another: the power of a GPU's is not the node's."""

EMPTY = frozenset({"Absent", "Disabled", "UnavailableOffline"})
"""States of a power supply that draws nothing."""

MOST = 1e18
"""More joules than a node uses in a million years."""

MAX_MEMBERS = 64
BRIDGED_INTERVALS = 3

KINDS = ("EnergyJoules", "Watts", "EnergykWh")
"""Which value is used, best first.

Kilowatt-hours come last: their counter is coarse, often whole ones of 3.6 MJ, so it stands still
for hours and then jumps; nobody could be given such joules.
"""

STILL_SECONDS = {"EnergyJoules": 600.0, "EnergykWh": 86_400.0}
"""A counter that has not moved for so long is stuck: joules are brought up to date once in some
seconds, or a minute; a node that runs uses a kilowatt-hour in a day.
"""

FINAL = frozenset({Reason.PERMISSION, Reason.TIMEOUT, Reason.ABSENT})
"""Faults of the whole controller: asking it for another resource helps nobody."""

Value = float | NoMeter
"""A number, or why there is none."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a resource shows, by kind; *max_watts* is what the node can plausibly draw."""

    values: Mapping[str, Value]
    max_watts: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where the node's power was found.

    It is kept, so that a counter and an integral never mix in one meter.
    """

    chassis: str
    path: str
    view: "View"
    kind: str


class Redfish:
    """One chassis: the energy counter it has, else the trapezoid over its power."""

    name = "redfish"
    expected_error = (
        "what its maker states for the sensor; no public comparison. It sees the wall, so it "
        "misses nothing"
    )

    def __init__(self, settings: Settings, clock: Clock) -> None:
        from wattgov_exporter.sources.redfish_session import (  # noqa: PLC0415  12 MB of requests
            Service,
        )

        self.interval_seconds = settings.interval_seconds
        self._clock = clock
        self._wanted = settings.chassis
        self._service = Service(settings, clock)
        self._integral = Integral(BRIDGED_INTERVALS * settings.interval_seconds)
        self._standing = Standing()
        self._place: Place | None = None

    def read(self) -> Readings:
        """Read the chassis; NoMeter says in words why it cannot be."""
        place = self._place = self._place or _find(self._service, self._wanted)
        try:
            seen = place.view(self._service, place.path)
        except NoMeter as fault:
            if fault.reason is Reason.UNSUPPORTED:
                self._place = None  # moved by an update of the firmware: look again
            raise
        value = seen.values[place.kind]
        if isinstance(value, NoMeter):
            raise value
        return Readings((self._energy(place, value, seen.max_watts),))

    def close(self) -> None:
        """Log out."""
        self._service.close()

    def _energy(self, place: Place, value: float, max_watts: float) -> Energy:
        """Return what was drawn; of a counter, as of when it came to that."""
        is_gauge = place.kind == "Watts"
        meter = Meter(
            source=self.name,
            component=Component.PLATFORM,
            package="",
            zone=place.chassis,
            method=Method.DERIVED if is_gauge else Method.MEASURED,
            max_watts=max_watts,
        )
        now = self._clock()
        if is_gauge:
            joules = self._integral.add(value, now)
            return Energy(meter, joules, now, self._integral.is_start)
        key = place.chassis, place.kind
        since = self._standing.since(key, value, now)
        if now - since > STILL_SECONDS[place.kind]:
            raise NoMeter(
                Reason.INVALID,
                f"{place.path} {place.kind} has shown {value:g} for more than "
                f"{STILL_SECONDS[place.kind]:g} s: its counter is stuck",
            )
        unit = JOULES_PER_KILOWATTHOUR if place.kind == "EnergykWh" else 1.0
        return Energy(meter, unit * value, since, self._standing.begins(key, now))


def _find(service: "Service", wanted: str | None) -> Place:
    """Return the first place with power, in the wanted chassis or else in any whole one."""
    faults: list[NoMeter] = []
    coarse: Place | None = None
    for chassis, resource in _chassis(service, wanted):
        for name, view in VIEWS.items():
            path = link(resource, name)
            if path is None:
                continue
            try:
                seen = view(service, path)
            except NoMeter as fault:
                if fault.reason in FINAL:
                    raise
                faults.append(fault)
                continue
            faults += [value for value in seen.values.values() if isinstance(value, NoMeter)]
            good = [kind for kind in KINDS if not isinstance(seen.values[kind], NoMeter)]
            if good and good[0] != KINDS[-1]:
                return Place(chassis, path, view, good[0])
            if good:
                coarse = coarse or Place(chassis, path, view, good[0])
    if coarse is not None:
        return coarse
    # What is wrong is nearer to the point than what is merely not there (the sort is stable).
    faults.sort(key=lambda fault: fault.reason is Reason.UNSUPPORTED)
    raise (
        faults[0]
        if faults
        else NoMeter(Reason.UNSUPPORTED, "the BMC shows no chassis with power or energy")
    )


def _chassis(service: "Service", wanted: str | None) -> Iterator[tuple[str, Resource]]:
    """Yield the chassis to look at, by name: the wanted one, or all that are not parts."""
    names: list[str] = []
    for path in _members(service, "/redfish/v1/Chassis"):
        name = path.rstrip("/").rpartition("/")[2]
        names.append(name)
        if wanted not in {None, name}:
            continue
        resource = service.get(path)
        if wanted or resource.get("ChassisType") not in PARTS:
            yield name, resource
    if wanted is not None and wanted not in names:
        raise NoMeter(
            Reason.INVALID,
            f"the BMC has no chassis {wanted!r}; it has {', '.join(names) or 'none'}",
        )


def _members(service: "Service", path: str) -> list[str]:
    """Return the paths in a collection, over its pages."""
    paths: list[str] = []
    page: str | None = path
    while page is not None and len(paths) < MAX_MEMBERS:
        collection = service.get(page)
        members = collection.get("Members")
        found = [target(member) for member in members] if isinstance(members, list) else []
        paths += [one for one in found if one is not None]
        following = collection.get("Members@odata.nextLink")
        page = following if isinstance(following, str) and found else None
    return paths[:MAX_MEMBERS]


def environment(service: "Service", path: str) -> Seen:
    """Read EnvironmentMetrics: excerpts of the chassis's sensors."""
    resource = service.get(path)
    limit = resource.get("PowerLimitWatts")
    # Not SetPoint: a cap changes, and a node may draw more than it.
    max_watts = _believed(limit.get("AllowableMax") if isinstance(limit, dict) else None)
    return Seen(
        {
            "Watts": _excerpt(service, resource, "PowerWatts", max_watts),
            "EnergyJoules": _excerpt(service, resource, "EnergyJoules"),
            "EnergykWh": _excerpt(service, resource, "EnergykWh"),
        },
        max_watts,
    )


def subsystem(service: "Service", path: str) -> Seen:
    """Read PowerSubsystem: the input power of all its supplies together."""
    resource = service.get(path)
    max_watts = _believed(resource.get("CapacityWatts"))
    supplies = link(resource, "PowerSupplies")
    total = 0.0
    for member in _members(service, supplies) if supplies else ():
        watts = _supply(service, member, max_watts)
        if isinstance(watts, NoMeter):  # a sum that lacks a supply would be no sum
            return _only_watts(watts, max_watts)
        total += watts
    return _only_watts(_number(total, f"{path}: the supplies' power", max_watts), max_watts)


def _supply(service: "Service", path: str, max_watts: float) -> Value:
    """Return what one power supply draws; one that is not there or on standby draws nothing."""
    supply = service.get(path)
    status, metrics = supply.get("Status"), link(supply, "Metrics")
    if isinstance(status, dict) and status.get("State") in EMPTY:
        return 0.0
    if metrics is None:
        return _none(f"{path} has no Metrics")
    reading = _reading(service, service.get(metrics), "InputPowerWatts")
    return 0.0 if reading == 0 else _number(reading, f"{metrics} InputPowerWatts", max_watts)


def power(service: "Service", path: str) -> Seen:
    """Read the old Power: the first control that shows its power.

    More than one is not summed: the others are parts of it, such as the CPUs' or the memory's.
    """
    controls = service.get(path).get("PowerControl")
    for control in controls if isinstance(controls, list) else ():
        if isinstance(control, dict) and control.get("PowerConsumedWatts") is not None:
            max_watts = _believed(control.get("PowerCapacityWatts"))
            shown = f"{path} PowerConsumedWatts"
            return _only_watts(_number(control["PowerConsumedWatts"], shown, max_watts), max_watts)
    return _only_watts(_none(f"{path} PowerConsumedWatts is missing or null"), MAX_WATTS)


def _only_watts(watts: Value, max_watts: float) -> Seen:
    none = _none("no energy counter")
    return Seen({"Watts": watts, "EnergyJoules": none, "EnergykWh": none}, max_watts)


def _excerpt(service: "Service", resource: Resource, name: str, most: float = MOST) -> Value:
    reading = _reading(service, resource, name)
    return _number(reading, f"{resource.get('@odata.id')} {name}", most)


def _reading(service: "Service", resource: Resource, name: str) -> object:
    """Return a sensor's reading as *resource* repeats it, else as the sensor itself tells it."""
    excerpt = resource.get(name)
    if not isinstance(excerpt, dict):
        return _none(f"{resource.get('@odata.id')} has no {name}")
    sensor = excerpt.get("DataSourceUri")
    if excerpt.get("Reading") is None and isinstance(sensor, str):
        try:
            return service.get(sensor).get("Reading")
        except NoMeter as fault:
            if fault.reason in FINAL:
                raise
            return fault
    return excerpt.get("Reading")


def _number(value: object, shown: str, most: float) -> Value:
    """Return a value that can be true, else why it cannot."""
    if isinstance(value, NoMeter):
        return value
    if value is None:
        return _none(f"{shown} is null: the BMC does not measure it")
    said = f"{shown} is {str(value)[:40]!r}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NoMeter(Reason.INVALID, f"{said}, which is no number", Anomaly.NAN)
    # Nor 0: this very node is running.
    anomaly = wrong(value, most) if value else Anomaly.SENTINEL
    if anomaly is None:
        return float(value)
    words = ": all ones, no reading" if value in ALL_ONES else ", which cannot be"
    return NoMeter(Reason.INVALID, f"{said}{words}", anomaly)


def _believed(capacity: object) -> float:
    value = _number(capacity, "capacity", MAX_WATTS)
    return MAX_WATTS if isinstance(value, NoMeter) else CAPACITY_MARGIN * value


def _none(sentence: str) -> NoMeter:
    return NoMeter(Reason.UNSUPPORTED, sentence)


View = Callable[["Service", str], Seen]

VIEWS: Mapping[str, View] = {
    "EnvironmentMetrics": environment,
    "PowerSubsystem": subsystem,
    "Power": power,
}
"""The property of a chassis that points to each kind of resource, best first."""
