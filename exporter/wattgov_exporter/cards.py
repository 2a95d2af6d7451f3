"""Which GPU is which: two sources may meter one card, and two makers' cards share a node. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from wattgov_exporter.reading import Component, GpuState, Meter, Readings

ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Card:
    """How a source names a card: its uuid or whatever stands for it, and its PCI address."""

    uuid: str
    pci: str

    def is_same(self, other: "Card") -> bool:
        """Tell whether both name one card; True where that cannot be told: no joule twice.

        hwmon knows a card by its address alone, some exporters by its uuid alone.
        """
        if self.pci and other.pci:
            return self.pci == other.pci
        if self.uuid == other.uuid:
            return True
        return bool(self.pci or other.pci) and self.is_bare != other.is_bare

    @property
    def is_bare(self) -> bool:
        """Tell a card that is known by its address alone."""
        return bool(ADDRESS.fullmatch(self.uuid))


def card_of(one: Meter | GpuState) -> Card:
    """Return the card of a meter, or of gauges."""
    uuid = one.zone if isinstance(one, Meter) else one.uuid
    address = one.pci or (uuid if ADDRESS.fullmatch(uuid) else "")
    return Card(uuid, _short(address))


def meters(said: Mapping[str, Readings | None]) -> tuple[Meter, ...]:
    """Return each card's meter: of the first source, in order of preference, that shows it."""
    return tuple(
        _firsts(
            [
                energy.meter
                for energy in (readings.energies if readings else ())
                if energy.meter.component is Component.GPU
            ]
            for readings in said.values()
        )
    )


def together(groups: Iterable[Iterable[Meter]]) -> tuple[Meter, ...]:
    """Return the first group, and of each next one the cards that are missing."""
    return tuple(_firsts(list(group) for group in groups))


def states(said: Mapping[str, Readings]) -> Iterator[tuple[str, GpuState]]:
    """Yield each card's gauges, with the source that shows it, the first that does."""
    known: list[Card] = []
    for name, readings in said.items():
        new = [gpu for gpu in readings.gpus if not _is_known(card_of(gpu), known)]
        known += map(card_of, new)
        yield from ((name, gpu) for gpu in new)


def _firsts(groups: Iterable[list[Meter]]) -> Iterator[Meter]:
    """Yield the meters of each group that no earlier group has; within one, cards are distinct."""
    known: list[Card] = []
    for group in groups:
        new = [meter for meter in group if not _is_known(card_of(meter), known)]
        known += map(card_of, new)
        yield from new


def _is_known(card: Card, known: Iterable[Card]) -> bool:
    return any(card.is_same(one) for one in known)


def _short(address: str) -> str:
    domain, colon, rest = address.lower().partition(":")
    return f"{domain[-4:]}{colon}{rest}"
