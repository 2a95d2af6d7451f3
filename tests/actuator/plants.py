"""What the control laws control, simulated: a card under a cap, and a batch under load."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from actuator.fakes import target
from testbed.curves import CapCurve
from wattgov_actuator.laws.minimise import Minimise
from wattgov_actuator.reading import Moment, Reading
from wattgov_actuator.rules import Look, Measure

HIGH = 400.0  # of the card of the fakes
TICK_SECONDS = 15.0


@dataclass(frozen=True)
class Found:
    """How a search went."""

    cap: float  # part of the highest
    energy: float  # of the curve there, without noise
    work: float  # likewise
    least_work: float  # at the worst place it went to
    rest_seconds: float | None  # when it moved last; None: it never did
    path: tuple[float, ...]  # the caps in the order of going there
    visits: tuple[tuple[float, int], ...]  # each of them, and for how many ticks


@dataclass
class Card:
    """A card on a measured curve; noise is relative, and the same for every seed."""

    curve: CapCurve
    noise: float = 0.0
    seed: int = 1
    cap: float = 1.0
    low: float = 0.25
    load: float = 1.0
    vetoed: bool = False  # a guard takes the claim away once
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Seed the noise."""
        self.chance = random.Random(self.seed)

    def measure(self) -> tuple[float, float]:
        """Return the throughput and the energy per unit of work as they are measured."""
        work, energy = self.curve.at(self.cap)
        return self._noisy(work * self.load), self._noisy(energy)

    def _noisy(self, value: float) -> float:
        return value * (1 + self.noise * self.chance.gauss(0, 1))


def search(
    law: Minimise,
    card: Card,
    ticks: int,
    event: Callable[[int, Card], None] = lambda _tick, _card: None,
    extra: Callable[[Card], Mapping[str, Measure]] = lambda _card: {},
) -> Iterator[float]:
    """Let the law turn the card's cap; yield the cap in force after each tick, as a part."""
    memory: object = None
    claim: float | None = None
    for tick in range(ticks):
        event(tick, card)
        work, energy = card.measure()
        asked = {
            "energy": Measure(known=True, value=energy),
            "work": Measure(known=True, value=work),
            "load": Measure(known=True, value=card.load),
            **extra(card),
        }
        current = card.cap * HIGH
        where = Reading(target(), current, None if claim is None else HIGH)
        look = Look(
            reading=where,
            now=Moment(1e6 + tick * TICK_SECONDS, tick * TICK_SECONDS),
            claim=claim,
            true=True,
            value=energy,
            low=card.low * HIGH,
            high=HIGH,
            asked=asked,
            memory=memory,
        )
        want = law.wish(look)
        memory = want.memory
        claim = want.claim if want.claim is not None and want.claim < HIGH - 1 else None
        if card.vetoed:
            claim, card.vetoed = None, False
        card.cap = 1.0 if claim is None else claim / HIGH
        yield card.cap


def outcome(law: Minimise, card: Card, ticks: int = 400) -> Found:
    """Return how a search on a steady load ends."""
    caps = list(search(law, card, ticks))
    moves = [i for i, (a, b) in enumerate(zip([1.0, *caps], caps, strict=False)) if a != b]
    work, energy = card.curve.at(caps[-1])
    return Found(
        cap=caps[-1],
        energy=energy,
        work=work,
        least_work=min(card.curve.at(cap)[0] for cap in caps),
        rest_seconds=moves[-1] * TICK_SECONDS if moves else None,
        path=tuple(caps[i] for i in moves),
        visits=tuple((cap, len(list(ticks))) for cap, ticks in groupby(caps)),
    )


def best_within(curve: CapCurve, slowdown: float, low: float) -> float:
    """Return the least energy on the way down from no cap to where the throughput breaks."""
    first, least = curve.at(1.0)
    allowed = first * (1 - slowdown)
    corners = {low, 1.0, *(cap for cap, _, _ in curve.points if low < cap < 1)}
    for high, under in pairwise(sorted(corners, reverse=True)):
        (work, energy), (less, there) = curve.at(high), curve.at(under)
        if less < allowed:
            return min(least, energy + (there - energy) * (work - allowed) / (work - less))
        least = min(least, there)
    return least
