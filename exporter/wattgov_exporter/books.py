"""The apps' side of the books: the joules of the chosen meters, each given to somebody."""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

from wattgov_exporter.attribution import UNATTRIBUTED, Use, attribute
from wattgov_exporter.composition import Composition
from wattgov_exporter.idle import IdleModel
from wattgov_exporter.ledger import Step
from wattgov_exporter.reading import Component
from wattgov_exporter.snapshot import Idle
from wattgov_exporter.state import Totals

LEAST_PATIENCE_SECONDS = 20.0
"""So long at least a part that has not told yet is waited for: a GPU at rest is read every 10 s."""

PATIENCE_STEPS = 2
"""So many of its last steps it is waited for, where they are longer."""

FIRST_SECONDS = 60.0
"""Taken for the step of a part that is new: dcgm-exporter's is seen to be 30 s after up to 60."""

NOBODY = Use(utilisation=0.0, activity={}, total=0.0, held={})


@dataclass(frozen=True, slots=True)
class Device:
    """What is attributed as one, over one tick: a GPU, or all CPU packages together."""

    name: str
    component: Component
    steps: tuple[Step, ...]

    @property
    def joules(self) -> float:
        """What its meters counted."""
        return sum(step.joules for step in self.steps)

    @property
    def seconds(self) -> float:
        """The time that took."""
        return max(step.seconds for step in self.steps)

    @property
    def at(self) -> float:
        """When it was read last."""
        return max(step.at for step in self.steps)


@dataclass(frozen=True, slots=True)
class Told:
    """When a part last told what it took, how long that step was, and whether it is settled."""

    at: float
    seconds: float
    is_settled: bool = False

    def is_awaited(self, now: float) -> bool:
        """Tell whether it has not told since the settlement, and may still."""
        patience = max(PATIENCE_STEPS * self.seconds, LEAST_PATIENCE_SECONDS)
        return self.is_settled and now - self.at <= patience


class Books:
    """Totals since the start, by component for the node and by app; their sums are equal."""

    def __init__(self, policy: str, idle_watts: Mapping[str, float]) -> None:
        self._policy = policy
        self._configured = idle_watts
        self._models: dict[str, IdleModel] = defaultdict(IdleModel)
        self.node: dict[Component, float] = defaultdict(float)
        self.apps: dict[tuple[str, Component, str], float] = defaultdict(float)
        self.own_joules = 0.0
        self.composition = Composition()
        self._told: dict[str, Told] = {}
        self._rests: dict[str, tuple[Component, Idle | None]] = {}

    def restore(self, totals: Totals) -> None:
        """Go on from these totals."""
        self.node.update({Component(key): value for (key,), value in totals.node.items()})
        self.apps.update(
            {
                (app, Component(key), share): value
                for (app, key, share), value in totals.apps.items()
            }
        )
        self.own_joules = sum(totals.own.values())

    def reconfigure(self, policy: str, idle_watts: Mapping[str, float]) -> None:
        """Divide by another policy from now on; what was learned about rest stays."""
        self._policy = policy
        self._configured = idle_watts

    def enter(self, steps: Iterable[Step], uses: Mapping[str, Use], own_share: float) -> None:
        """Add one tick's steps.

        *uses* is by device name; *own_share* is this exporter's part of the CPU time.
        """
        devices = _devices(steps)
        platform = [one for one in devices if one.component is Component.PLATFORM]
        parts = [one for one in devices if one.component is not Component.PLATFORM]
        for device in parts:
            use = uses.get(device.name, NOBODY)
            joules = device.joules
            rest = self._idle(device, use)
            self._rests[device.name] = device.component, rest
            resting = None if rest is None else rest.watts * device.seconds
            self.node[device.component] += joules
            for (app, share), part in attribute(joules, resting, use, self._policy).items():
                self.apps[app, device.component, share] += part
            if device.component is Component.CPU:
                self.own_joules += max(joules - (resting or 0.0), 0.0) * own_share
        self._enter_rest(parts, platform)

    def idle(self, names: Container[str]) -> dict[Component, Idle]:
        """Return each component's idle power, where these devices are there."""
        idle: dict[Component, list[Idle | None]] = defaultdict(list)
        for name, (component, rest) in self._rests.items():
            if name in names:
                idle[component].append(rest)
        return {component: rest for component, each in idle.items() if (rest := _together(each))}

    def _enter_rest(self, parts: list[Device], platform: list[Device]) -> None:
        """Add what the platform drew beside its parts: nobody's, and always there.

        That is seen when each of them has told: what one tells later would else be there twice.
        """
        late = sum(device.joules for device in parts if self._is_late(device))
        self.composition = self.composition.parts(sum(one.joules for one in parts), late)
        for device in parts:
            if device.seconds > 0:
                self._told[device.name] = Told(device.at, device.seconds)
            elif any(step.is_first for step in device.steps):
                self._told[device.name] = Told(device.at, FIRST_SECONDS, is_settled=True)
        for device in platform:
            if device.seconds <= 0 and not any(step.is_first for step in device.steps):
                continue  # its meter stands still: no answer yet
            self.composition = self.composition.platform(device.joules, device.seconds)
        if not (self.composition.pending_seconds and (parts or platform)):
            return
        joules, now = 0.0, max(device.at for device in (*parts, *platform))
        if not any(told.is_awaited(now) for told in self._told.values()):
            self.composition, joules = self.composition.settle()
            self._told = {name: replace(told, is_settled=True) for name, told in self._told.items()}
        self.node[Component.REST] += joules
        self.apps[UNATTRIBUTED, Component.REST, "idle"] += joules

    def _is_late(self, device: Device) -> bool:
        """Tell a part that was not waited for any longer: what it took is in the rest already."""
        before = self._told.get(device.name)
        return before is not None and before.is_settled and not before.is_awaited(device.at)

    def _idle(self, device: Device, use: Use) -> Idle | None:
        """Return a device's idle power: configured, told by a model, else learned from it."""
        if device.component.value in self._configured:
            return Idle(self._configured[device.component.value], "configured")
        told = [step.meter.idle_watts for step in device.steps if step.meter.idle_watts is not None]
        if told:
            return Idle(sum(told), "model")
        model = self._models[device.name]
        # Work between two looks that both saw none is not rest.
        unseen_work = use.total > 0 and use.utilisation == 0
        if device.seconds > 0 and not unseen_work:
            model = model.seen(use.utilisation, device.joules / device.seconds)
            self._models[device.name] = model
        watts = model.watts()
        return None if watts is None else Idle(watts, "observed")


def _devices(steps: Iterable[Step]) -> list[Device]:
    """Group the meters that are attributed together; overlapping zones belong to none."""
    groups: dict[tuple[str, Component], list[Step]] = defaultdict(list)
    for step in steps:
        component = step.meter.component
        if component is not None:
            name = step.meter.zone if component is Component.GPU else component.value
            groups[name, component].append(step)
    return [Device(name, component, tuple(parts)) for (name, component), parts in groups.items()]


def _together(parts: list[Idle | None]) -> Idle | None:
    """Return a component's idle power; a sum that lacks a device would be no sum."""
    known = [one for one in parts if one is not None]
    if len(known) < len(parts):
        return None
    return Idle(sum(one.watts for one in known), known[0].basis)
