"""A server under the hibernation law, simulated: it sleeps, wakes and serves what arrives."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from wattgov_actuator.laws.hibernate import Hibernate
from wattgov_actuator.reading import Moment, Reading, Target
from wattgov_actuator.rules import Look, Measure, Peer

TICK_SECONDS = 15.0
AWAKE_WATTS, ASLEEP_WATTS, WAKING_WATTS, BUSY_WATTS = 90.0, 5.0, 200.0, 300.0
SERVER = Target("hibernate", "chat", {"app": "chat"}, 0.0, 1.0, "level", 0.5)
UNKNOWN = Measure(known=False, why="Prometheus is down")


@dataclass
class Sleeper:
    """One server; requests that find it asleep wait for it, and order it to wake."""

    law: Hibernate
    waking_seconds: float = 5.0
    faulty: float = 0.0  # the part of looks at which Prometheus says nothing
    seed: int = 1
    claim: float | None = None
    memory: object = None
    awake_from: float = 0.0  # it answers from then on
    last_request: float = 0.0
    woken: float | None = None
    joules: float = 0.0
    asleep_seconds: float = 0.0
    delays: list[float] = field(default_factory=list)
    sleeps: list[float] = field(default_factory=list)
    saved_joules: float = 0.0
    details: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Seed the faults."""
        self._chance = Random(self.seed)

    def run(self, arrivals: Iterable[float], seconds: float) -> None:
        """Let requests arrive at these seconds, and the governor look every tick."""
        waiting = sorted(arrivals)
        place = 0
        for tick in range(1, int(seconds / TICK_SECONDS) + 1):
            now = tick * TICK_SECONDS
            while place < len(waiting) and waiting[place] < now:
                self._serve(waiting[place])
                place += 1
            self.look(now)

    def _serve(self, at: float) -> None:
        """Serve a request; the proxy holds it, and has the governor wake the server at once."""
        if self.claim is not None:
            self.woken = at
            self.look(at, order=True)
        delay = max(self.awake_from - at, 0.0)
        self.delays.append(delay)
        self.last_request = max(self.last_request, at + delay)

    def look(self, now: float, *, order: bool = False) -> None:
        """Let the law look once."""
        known = order or self._chance.random() >= self.faulty
        asleep = self.claim is not None
        watts = ASLEEP_WATTS if asleep else AWAKE_WATTS
        watts = WAKING_WATTS if not asleep and now < self.awake_from + TICK_SECONDS else watts
        spent = TICK_SECONDS if not order else 0.0
        self.joules += watts * spent
        self.asleep_seconds += spent * asleep
        idle = max(now - self.last_request, 0.0)
        asked = {"wake": Measure(known=True), "draw": Measure(known=True, value=watts)}
        current = 0.0 if asleep else 1.0
        view = Look(
            reading=Reading(SERVER, current, 1.0 if asleep else None),
            now=Moment(1e6 + now, now),
            claim=self.claim,
            true=known,
            value=idle if known else None,
            asked=asked if known else dict.fromkeys(asked, UNKNOWN),
            hold_seconds=120.0,
            woken=self.woken,
            shared=self.law.share([Peer("chat", current, 0.0, 1.0, idle if known else None)]),
            memory=self.memory,
        )
        want = self.law.wish(view)
        self.memory = want.memory
        self.details.append(want.detail)
        if want.saved_watts is not None:
            self.saved_joules += want.saved_watts * spent
        if want.claim is not None and not asleep:
            self.sleeps.append(now)
        if want.claim is None and asleep:
            self.awake_from = now + self.waking_seconds
        self.claim = want.claim


def trace(law: Hibernate, arrivals: Sequence[float], seconds: float, **more: float) -> Sleeper:
    """Return a server after it was given these arrivals."""
    sleeper = replace(Sleeper(law), **more)  # type: ignore[arg-type]
    sleeper.run(arrivals, seconds)
    return sleeper
