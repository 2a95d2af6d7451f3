"""Which meter counts for each component, so that no joule is counted twice. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from wattgov_exporter import cards
from wattgov_exporter.reading import Component, Meter, Method, Readings


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which source is a component's meter, and how it knows.

    GPUs are chosen one by one: *cards* are their meters, and *source* the first one's.
    """

    source: str
    method: Method
    cards: tuple[Meter, ...] = ()

    def counts(self, meter: Meter) -> bool:
        """Tell whether a meter of the component is a chosen one."""
        if not self.cards:
            return self.source == meter.source
        return (meter.source, meter.zone) in {(one.source, one.zone) for one in self.cards}

    def devices(self, component: Component) -> list[str]:
        """Return the names of what is attributed as one: each card, or all of a component."""
        return [one.zone for one in self.cards] or [component.value]

    @property
    def sources(self) -> list[tuple[str, Method]]:
        """Every source of it, with how it knows."""
        of_cards = [(one.source, one.method) for one in self.cards]
        return list(dict.fromkeys(of_cards or [(self.source, self.method)]))


def choose(said: Mapping[str, Readings | None]) -> dict[Component, Chosen]:
    """Return for each component its meter: the first source, in order of preference, that reads.

    GPUs have a meter each, so that two makers' cards are all metered and none of them twice.

    An estimate of what another chosen meter covers is left out: its joules are counted there. A
    platform's meter covers the memory, which is then in the rest.
    """
    chosen: dict[Component, Chosen] = {}
    covered: set[Component] = set()
    for name, readings in said.items():
        for energy in readings.energies if readings else ():
            meter = energy.meter
            if meter.component is None:
                continue
            if chosen.setdefault(meter.component, Chosen(name, meter.method)).source == name:
                covered |= meter.covers
                covered |= {Component.DRAM} if meter.component is Component.PLATFORM else set()
    if Component.GPU in chosen:
        chosen[Component.GPU] = _of_cards(cards.meters(said))
    return {
        component: one
        for component, one in chosen.items()
        if not (component in covered and one.method is Method.ESTIMATED)
    }


def _of_cards(meters: tuple[Meter, ...]) -> Chosen:
    return Chosen(meters[0].source, meters[0].method, meters)


def shown(
    fresh: dict[Component, Chosen], chosen: Mapping[Component, Chosen]
) -> dict[Component, Chosen]:
    """Return what is shown: what counts now, and what a source that is late this once meters."""
    merged = fresh | dict(chosen)
    if Component.GPU in merged:
        both = [one[Component.GPU].cards for one in (chosen, fresh) if Component.GPU in one]
        merged[Component.GPU] = _of_cards(cards.together(both))
    return merged


def published(meter: Meter, chosen: Mapping[Component, Chosen]) -> bool:
    """Tell whether a meter is shown; one that another replaces would count twice in a sum."""
    if meter.component is None:
        return True
    one = chosen.get(meter.component)
    return one is not None and one.counts(meter)
