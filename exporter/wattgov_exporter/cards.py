"""Which GPU is which: two sources may meter one card, and two makers' cards share a node. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from wattgov_exporter.reading import Component, GpuState, Meter, Readings

T = TypeVar("T")

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
    told = (readings.energies if readings else () for readings in said.values())
    gpus = ([one.meter for one in each if one.meter.component is Component.GPU] for each in told)
    return tuple(_firsts(gpus, card_of))


def together(groups: Iterable[Iterable[Meter]]) -> tuple[Meter, ...]:
    """Return the first group, and of each next one the cards that are missing."""
    return tuple(_firsts((list(group) for group in groups), card_of))


def states(said: Mapping[str, Readings]) -> Iterator[tuple[str, GpuState]]:
    """Yield each card's gauges, with the source that shows it, the first that does."""
    named = ([(name, gpu) for gpu in readings.gpus] for name, readings in said.items())
    return _firsts(named, lambda one: card_of(one[1]))


def _firsts(groups: Iterable[list[T]], card: Callable[[T], Card]) -> Iterator[T]:
    """Yield the members of each group whose *card* no earlier one has; in a group all differ."""
    firsts: list[T] = []
    for group in filter(None, groups):
        known = [card(one) for one in firsts]
        new = [one for one in group if not _is_known(card(one), known)] if known else group
        firsts += new
        yield from new


def _is_known(card: Card, known: Iterable[Card]) -> bool:
    return any(card.is_same(one) for one in known)


def _short(address: str) -> str:
    domain, colon, rest = address.lower().partition(":")
    return f"{domain[-4:]}{colon}{rest}"
