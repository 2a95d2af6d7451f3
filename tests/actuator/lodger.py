"""A server that sleeps behind its proxy, simulated: what it takes, draws and serves."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from actuator.hurried import Hurried
from wattgov_actuator.proxy.gate import Gate, HeldBy
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe, Slow, Target

CHAT = Target("hibernate", "chat", {"app": "chat"}, 0.0, 1.0, "level", 0.5)
PATIENCE_SECONDS = 5.0  # that a tick waits for an order, as `Patient` does


class State(StrEnum):
    """What a server is doing."""

    AWAKE = "awake"
    FALLING = "falling asleep"
    ASLEEP = "asleep"
    WAKING = "waking"


@dataclass(frozen=True, slots=True)
class Nature:
    """What a server takes to sleep and wake; made up, near a card whose model is unloaded."""

    idle_watts: float = 120.0
    busy_watts: float = 350.0
    asleep_watts: float = 10.0
    waking_watts: float = 250.0
    falling_seconds: float = 2.0  # at its idle draw
    waking_seconds: float = 20.0

    @property
    def wake_joules(self) -> float:
        """What a sleep costs beyond staying asleep: to fall, and to wake."""
        fall = (self.idle_watts - self.asleep_watts) * self.falling_seconds
        return fall + (self.waking_watts - self.asleep_watts) * self.waking_seconds

    def least_joules(self, gap: float) -> float:
        """Return what one draws in *gap* seconds who knows how long they are, and never is late."""
        whole = self.falling_seconds + self.waking_seconds
        awake = self.idle_watts * gap
        return min(awake, self.asleep_watts * gap + self.wake_joules) if gap > whole else awake


def gaps(requests: Iterable[tuple[float, float]], seconds: float) -> list[float]:
    """Return how long there is nobody, from time to time, where all are served as they come."""
    found, end = [], 0.0
    for came, service in sorted(requests):
        if came > end:
            found.append(came - end)
        end = max(end, came + service)
    return [*found, seconds - end] if seconds > end else found


class Server:
    """One server."""

    def __init__(self, nature: Nature, loop: Hurried) -> None:
        self.nature, self._loop = nature, loop
        self.waking_seconds = nature.waking_seconds
        self.fault: Fault | None = None  # what the next wakes come to
        self.state, self.busy = State.AWAKE, 0
        self.joules = self.asleep_seconds = self.busy_seconds = 0.0
        self.sleeps: list[float] = []
        self.busy_when_falling = self.wakes = self.failed_wakes = 0
        self.unheard: set[int] = set()  # failed wakes that a dead actuator had ordered
        self._since, self.up = 0.0, asyncio.Event()
        self.up.set()

    @property
    def watts(self) -> float:
        """What it draws now."""
        nature = self.nature
        awake = nature.busy_watts if self.busy else nature.idle_watts
        draws = {State.ASLEEP: nature.asleep_watts, State.WAKING: nature.waking_watts}
        return draws.get(self.state, awake)

    @property
    def spared_joules(self) -> float:
        """What it drew less than if it had been awake all the time, for the same work."""
        idle = self._since - self.busy_seconds
        return self.nature.idle_watts * idle - (
            self.joules - self.nature.busy_watts * self.busy_seconds
        )

    async def serve(self, seconds: float) -> None:
        """Serve a request."""
        self.meter()
        self.busy += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.meter()
            self.busy -= 1

    async def fall(self) -> None:
        """Fall asleep."""
        self.busy_when_falling += self.busy
        self._turn(State.FALLING)
        self.sleeps.append(self._loop.time())
        self.up.clear()
        await asyncio.sleep(self.nature.falling_seconds)
        self._turn(State.ASLEEP)

    async def rise(self) -> None:
        """Wake up; raises KnobError, half way where there is a fault."""
        if self.state is State.AWAKE:
            return
        if self.state is not State.ASLEEP:
            raise KnobError(Fault.REFUSED, f"it is {self.state} by an order from before")
        self._turn(State.WAKING)
        if (fault := self.fault) is not None:
            await asyncio.sleep(self.waking_seconds / 2)
            self._turn(State.ASLEEP)
            self.failed_wakes += 1
            raise KnobError(fault, f"no memory for wake number {self.failed_wakes}")
        await asyncio.sleep(self.waking_seconds)
        self._turn(State.AWAKE)
        self.wakes += 1
        self.up.set()

    def meter(self) -> None:
        """Add what was drawn since the last change."""
        now = self._loop.time()
        self.joules += self.watts * (now - self._since)
        self.asleep_seconds += (now - self._since) * (self.state is State.ASLEEP)
        self.busy_seconds += (now - self._since) * bool(self.busy)
        self._since = now

    def _turn(self, state: State) -> None:
        self.meter()
        self.state = state


class Killed(BaseException):
    """The actuator is gone at once: nothing of it is done any more, putting back included."""


class Bed(Slow):
    """The knob, as one actuator has it: hold and sleep, wake and open, as `Drained` does.

    What takes longer than a tick waits goes on by itself, as behind `Patient`.
    """

    def __init__(self, server: Server, gate: Callable[[], Gate], loop: Hurried) -> None:
        self._server, self._gate, self._loop = server, gate, loop
        self._order: asyncio.Task[KnobError | None] | None = None
        self.dead = False

    @property
    def at_work(self) -> bool:
        """Whether an order is under way."""
        return self._order is not None and not self._order.done()

    def prepare(self, targets: Iterable[str]) -> None:
        """Do nothing: there is one, and it answers at once."""

    def probe(self) -> Probe:
        """Return the server."""
        self._alive()
        return Probe((CHAT,))

    def target(self, name: str) -> Target | None:
        """Return the server."""
        return self.probe().target(name)

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return whether somebody is served."""
        self._alive()
        if self.at_work:
            raise KnobError(Fault.BUSY, "still at work on an order")
        held = self._gate().held_by is HeldBy.HOLD
        return InForce(0.0 if held or self._server.state is not State.AWAKE else 1.0)

    def write(self, target: str, value: float) -> None:
        """Put it to sleep, or wake it."""
        self.read(target)
        self._order = self._loop.create_task(self._told(asleep=value < CHAT.resolution))
        self.settle(PATIENCE_SECONDS)
        if not self._order.done():
            raise KnobError(Fault.BUSY, f"takes longer than {PATIENCE_SECONDS:g} s; it goes on")
        if (error := self._order.result()) is not None:
            raise error

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Put back."""
        self.write(target, value)

    def settle(self, seconds: float) -> None:
        """Let time pass until the order is done, so long at most."""
        if self._order is not None:
            self._loop.run_until_complete(asyncio.wait({self._order}, timeout=seconds))
        self._alive()

    def failure(self, target: str) -> str:  # noqa: ARG002 (a Slow)
        """Return what became of the last order, where nobody waited."""
        error = None if self._order is None or not self._order.done() else self._order.result()
        return "" if error is None else error.detail

    def close(self) -> None:
        """Nothing is open."""

    async def _told(self, *, asleep: bool) -> KnobError | None:
        try:
            if not asleep:
                await self._server.rise()
                self._gate().open()
                return None
            why = await self._gate().hold(0.0)
            if why is not None:
                return KnobError(Fault.IN_USE, f"in use: {why}; it stays awake")
            await self._server.fall()
        except KnobError as error:
            if self.dead and self._server.state is State.ASLEEP:
                self._server.unheard.add(self._server.failed_wakes)
            return error
        return None

    def _alive(self) -> None:
        if self.dead:
            raise Killed
