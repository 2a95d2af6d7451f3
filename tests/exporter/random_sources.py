"""The sources of a random machine, and the truth behind what each of them said last."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from exporter.random_machine import EXPORTER, INIT, Card, Counter, RandomMachine
from wattgov_exporter import sources
from wattgov_exporter.config import Sources
from wattgov_exporter.integral import Integral
from wattgov_exporter.reading import (
    Component,
    Energy,
    GpuState,
    GpuUse,
    Meter,
    Method,
    NoMeter,
    Readings,
    Reason,
    Source,
)
from wattgov_exporter.sources import Machine
from wattgov_exporter.sources.cpu_model import CpuModel
from wattgov_exporter.sources.dram_model import DramModel
from wattgov_exporter.sources.rapl import Rapl

CARD_WATTS = 700.0
BOARD_WATTS = 20_000.0
BRIDGE_SECONDS = 30.0


@dataclass(frozen=True)
class Told:
    """What one meter told: its *joules* in truth, None if it showed nothing that can be.

    *lies*: what it showed did not go on from what it showed before.
    """

    meter: Meter
    joules: float | None
    at: float
    lies: bool = False


class Reader(Protocol):
    """The part of a source that is made here."""

    def __call__(self) -> Readings:
        """Read."""
        ...


@dataclass
class Heard:
    """A source that keeps what it told, and until when; closed *gate*: a read hangs there."""

    name: str
    interval_seconds: float
    read_now: Reader
    truth: Callable[[Energy], Told]
    machine: RandomMachine
    gate: threading.Event = field(default_factory=threading.Event)
    fails: bool = False
    told: tuple[Told, ...] = ()
    ended: float = -math.inf
    expected_error: str = "none"

    def __post_init__(self) -> None:
        self.gate.set()

    def read(self) -> Readings:
        """Read when the gate is open; nobody moves the machine meanwhile."""
        self.gate.wait()
        with self.machine.lock:
            self.told, self.ended = (), self.machine.monotonic()
            if self.fails:
                raise RuntimeError("the driver is confused")
            readings = self.read_now()
            self.told = tuple(self.truth(energy) for energy in readings.energies)
            return readings

    @property
    def awaited(self) -> bool:
        """Whether the next tick waits for it: not for a slow source that has told lately."""
        lately = self.machine.monotonic() - self.ended < 3 * self.interval_seconds
        return not (self.interval_seconds and lately)


class Bench:
    """The sources of one start of the exporter: as in SOURCES, GPUs' and the BMC's made here.

    *strangers* are meters that were told of, but that the machine does not have.
    """

    def __init__(self, machine: RandomMachine, *, bmc: str, peer: bool) -> None:
        self._machine = machine
        self._integrals: dict[str, Integral] = {}
        self._jumps: dict[tuple[str, str, str], int] = {}
        clock, sysfs = machine.monotonic, machine.root / "sys"
        self.sources: dict[str, Heard] = {}
        self.strangers: list[Meter] = []
        if bmc:
            self._add("redfish", 10.0, lambda: self._board(counts=bmc == "counter"))
        self._add("nvml", 0.0, lambda: self._cards("nvml"))
        self._real(Rapl(sysfs, clock))
        if peer:
            self._add("scrape_dcgm", 5.0, lambda: self._cards("scrape_dcgm"))
        self._real(CpuModel(sysfs, machine.proc, clock))
        self._real(DramModel(machine.proc, clock))

    @property
    def hanging(self) -> bool:
        """Whether a source does not answer now."""
        return not all(one.gate.is_set() for one in self.sources.values())

    def where(self) -> Machine:
        """Return where a collector finds this machine."""
        machine = self._machine

        def one(name: str) -> Callable[[Machine, Sources], Sequence[Source]]:
            return lambda _, __: (self.sources[name],)

        table: Mapping[str, Callable[[sources.Machine, Sources], Sequence[Source]]]
        table = {name: one(name) for name in self.sources}
        sysfs = machine.root / "sys"
        return Machine(sysfs, machine.proc, machine.monotonic, machine.wall, table)

    def _real(self, source: Source) -> None:
        self._add(source.name, source.interval_seconds, source.read)

    def _add(self, name: str, interval_seconds: float, read: Reader) -> None:
        self.sources[name] = Heard(name, interval_seconds, read, self._truth, self._machine)

    def _truth(self, energy: Energy) -> Told:
        """Return what an energy should have been."""
        meter = energy.meter
        told = Told(meter, energy.joules, energy.at)
        if meter.source == "rapl":
            zones = self._machine.all_zones
            zone = next((one for one in zones if one.key == (meter.package, meter.zone)), None)
            if zone is None:
                self.strangers.append(meter)
                return told
            if zone.shows is not None:
                return replace(told, joules=zone.believable, lies=True)
            return self._counted(told, zone)
        if meter.component is Component.GPU and meter.method is Method.MEASURED:
            (card,) = [one for one in self._machine.cards if one.uuid == meter.zone]
            return self._counted(told, card)
        return told

    def _counted(self, told: Told, counter: Counter) -> Told:
        key = told.meter.source, told.meter.package, told.meter.zone
        lies = self._jumps.get(key, counter.jumps) != counter.jumps
        self._jumps[key] = counter.jumps
        return replace(told, joules=counter.true_microjoules / 1e6, lies=lies)

    def _board(self, *, counts: bool) -> Readings:
        machine, now = self._machine, self._machine.monotonic()
        parts = [*machine.zones, *machine.cards]
        watts = machine.board_watts + sum(
            one.watts for one in parts if getattr(one, "component", Component.GPU)
        )
        method = Method.MEASURED if counts else Method.DERIVED
        meter = Meter("redfish", Component.PLATFORM, "1U", "board", method, BOARD_WATTS)
        joules = (
            self._integral("board", watts) if not counts else machine.board.raw_microjoules / 1e6
        )
        return Readings((Energy(meter, joules, now),))

    def _cards(self, source: str) -> Readings:
        cards = [one for one in self._machine.cards if one.there]
        if not cards:
            raise NoMeter(Reason.ABSENT, "no card")
        energies = tuple(self._energy(source, card) for card in cards if card.tells)
        states = tuple(
            GpuState(card.uuid[-1], card.uuid, "a card", utilization_percent=card.percent)
            for card in cards
        )
        return Readings(energies, states, tuple(self._uses(cards)) if source == "nvml" else ())

    def _uses(self, cards: Sequence[Card]) -> list[GpuUse]:
        pids = [pid for pid in self._machine.processes if pid not in {INIT, EXPORTER}]
        return [
            GpuUse(card.uuid, pid, float(pid % 3), float(pid << 20))
            for index, card in enumerate(cards)
            for pid in pids
            if pid % len(cards) == index
        ]

    def _energy(self, source: str, card: Card) -> Energy:
        method = Method.MEASURED if card.counts else Method.DERIVED
        meter = Meter(source, Component.GPU, card.uuid[-1], card.uuid, method, CARD_WATTS)
        joules = card.raw_microjoules / 1e6
        if not card.counts:
            joules = self._integral(f"{source} {card.uuid}", card.watts)
        return Energy(meter, joules, self._machine.monotonic())

    def _integral(self, key: str, watts: int) -> float:
        one = self._integrals.setdefault(key, Integral(BRIDGE_SECONDS))
        return one.add(watts, self._machine.monotonic())
