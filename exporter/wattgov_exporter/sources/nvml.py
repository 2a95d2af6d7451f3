"""NVIDIA GPUs through NVML (`pynvml`, the module of the distribution nvidia-ml-py)."""

from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path

import pynvml

from wattgov_exporter.reading import Clock, Component, NoMeter, Readings, Reason, Refused
from wattgov_exporter.sources.nvml_calls import no_meter
from wattgov_exporter.sources.nvml_card import Card, Looked
from wattgov_exporter.sources.nvml_pace import Bus
from wattgov_exporter.sources.nvml_processes import Known

BUS_SECONDS = 10.0
"""How often the PCI bus is looked at for a card that came or went."""

RENEW_SECONDS = 60.0
"""How often NVML is closed and opened anew for a card that is lost: it counts cards when opened."""


class Nvml:
    """Every GPU that the driver shows; a lost one is left out until it is back."""

    name = "nvml"
    interval_seconds = 0.0
    expected_error = (
        "-6 to +11 % by model of card against an external meter (Yang et al., SC24); "
        "A100 and H100 look at their power a quarter of the time"
    )

    def __init__(self, sysfs: Path, proc: Path, monotonic: Clock, wall: Clock) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._bus = Bus(sysfs)
        self._known = Known(proc)
        self._cards: list[Card] | None = None
        self._count = 0
        self._opened_at: float | None = None
        self._bus_at = 0.0
        self._seen: frozenset[str] = frozenset()
        self._by_uuid: dict[str, Card] = {}
        self._last: dict[str, tuple[Looked, float]] = {}

    def read(self) -> Readings:
        """Read all cards; NoMeter when there is no driver, or when no card answers."""
        now = self._monotonic()
        try:
            cards = self._open(now)
        except pynvml.NVMLError as error:
            self.close()
            raise no_meter(error) from error
        looks: list[Looked] = []
        failure: pynvml.NVMLError | None = None
        for card in cards:
            try:
                looks += self._look(card, now)
            except pynvml.NVMLError as error:
                # Lost or in reset: enumerate afresh next time, keep the other cards now.
                failure, self._cards = error, None
        if not looks:
            if failure is not None:
                raise no_meter(failure) from failure
            raise NoMeter(Reason.ABSENT, "all NVIDIA GPUs sleep, and are left asleep")
        return Readings(
            energies=tuple(energy for one in looks for energy in one.energies),
            gpus=tuple(one.state for one in looks),
            gpu_uses=tuple(use for one in looks for use in one.uses),
            anomalies=tuple(anomaly for one in looks for anomaly in one.anomalies),
            refused=tuple(self._missing({one.state.uuid for one in looks}, failure)),
        )

    def close(self) -> None:
        """Let the driver go: without persistence mode it may then put the cards to sleep."""
        opened, self._opened_at, self._cards = self._opened_at, None, None
        with suppress(pynvml.NVMLError):  # a driver that is gone has nothing to give back to
            for card in self._by_uuid.values():
                card.close()
        with suppress(pynvml.NVMLError):
            if opened is not None:
                pynvml.nvmlShutdown()

    def _missing(self, seen: Container[str], failure: pynvml.NVMLError | None) -> Iterator[Refused]:
        """Yield the meters of cards that were there: one that is lost, or not counted any more."""
        why = f"NVML: {failure}" if failure else "the driver shows it no more"
        for uuid, (last, _) in self._last.items():
            gpus = (one.meter for one in last.energies if one.meter.component is Component.GPU)
            if uuid not in seen:
                yield from (Refused(one, f"GPU {one.package}, {uuid}: {why}") for one in gpus)

    def _look(self, card: Card, now: float) -> Iterator[Looked]:
        """Yield what a card shows; from before, if it is at rest or asleep."""
        last, at = self._last.get(card.uuid, (None, now))
        if last is not None and card.asleep:
            card.pace.woken()
            yield last.asleep()
        elif last is not None and not card.pace.due(now):
            yield last.again()
        else:
            look = card.look(now, self._wall(), now - at)
            self._last[card.uuid] = look, now
            yield look

    def _open(self, now: float) -> list[Card]:
        """Return the cards that answer; enumerate again each time until all of them do."""
        self._renew(now)
        if self._opened_at is None:
            self._seen, self._bus_at = self._bus.cards(), now
            if self._bus.all_asleep():
                raise NoMeter(Reason.ABSENT, "all NVIDIA GPUs sleep, and are left asleep")
            pynvml.nvmlInit()
            self._opened_at = now
        count = pynvml.nvmlDeviceGetCount()
        if count == 0:
            raise NoMeter(Reason.ABSENT, "the NVIDIA driver is loaded but shows no GPU")
        if self._cards is not None and count == self._count:
            return self._cards
        cards = []
        failure: pynvml.NVMLError | None = None
        for index in range(count):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                uuid = pynvml.nvmlDeviceGetUUID(handle)
            except pynvml.NVMLError as error:
                failure = error
                continue
            card = self._by_uuid.setdefault(uuid, Card(self.name, uuid, self._known, self._bus))
            cards.append(card.at(index, handle))
        if failure is None:
            self._cards, self._count = cards, count
        elif not cards:
            raise failure
        return cards

    def _renew(self, now: float) -> None:
        """Close NVML, which is opened again, when a card came, went, or is lost for long."""
        if self._opened_at is None:
            return
        changed = False
        if now - self._bus_at >= BUS_SECONDS:
            seen, self._bus_at = self._bus.cards(), now
            changed, self._seen = seen != self._seen, seen
        if changed or (self._cards is None and now - self._opened_at >= RENEW_SECONDS):
            self.close()
