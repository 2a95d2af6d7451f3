"""A server that sleeps, the proxy before it, Prometheus and the actuator, in a hurried time.

Real are the gate of the proxy and who wakes for it, the loop, the rules, the law, the writer and
the journal. Simulated are the server, what Prometheus says, and the wires between them.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from actuator.builders import answer
from actuator.fakes import FRESH
from actuator.hurried import Hurried
from actuator.lodger import CHAT, Bed, Killed, Nature, Server
from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.acting.journal import Journal
from wattgov_actuator.acting.restoring import put_back
from wattgov_actuator.acting.writer import Writer
from wattgov_actuator.cycle.governor import Governor
from wattgov_actuator.cycle.loop import Loop
from wattgov_actuator.cycle.snapshot import Snapshot
from wattgov_actuator.orders import PATIENCE_SECONDS, Wake
from wattgov_actuator.proxy.failure import Failed, Failure
from wattgov_actuator.proxy.gate import Gate, HeldBy
from wattgov_actuator.proxy.tally import Tally
from wattgov_actuator.proxy.waking import NotYet, Waking
from wattgov_actuator.reading import Answer, Moment, QueryFailure
from wattgov_actuator.rules import RuleSet

EPOCH = 1_769_817_600.0
STOP, KILL = "SIGTERM", "SIGKILL"
LOOK_SECONDS = 0.25  # between two looks at whether a call was answered
SCRAPED_AFTER = 0.4  # of an interval: scrapes and ticks know nothing of one another
START_SECONDS = 3.0  # of an actuator that was killed, by whoever keeps it alive
SILENT_SECONDS = 5.0  # that a question takes which is not answered


@dataclass(slots=True)
class Visit:
    """One request: when it came, and what became of it."""

    came: float
    service_seconds: float
    began: float | None = None  # when the server took it
    left: float | None = None
    refused: Failure | None = None

    @property
    def waited(self) -> float:
        """How long it waited for the server."""
        return 0.0 if self.began is None else self.began - self.came


@dataclass(slots=True)
class Weather:
    """What is wrong just now."""

    failure: QueryFailure | None = None  # of every question to Prometheus
    unscraped: bool = False  # nothing new is scraped, and everybody can see that
    frozen: bool = False  # the proxy is not scraped, and nobody can see that


@dataclass(slots=True)
class Scrape:
    """What Prometheus knows."""

    at: float = 0.0
    idle: float = 0.0
    queued: int = 0
    watts: float = 0.0


class Vigil:
    """All of it; *happens* are what goes wrong, each at its second."""

    def __init__(
        self,
        rules: RuleSet,
        requests: Iterable[tuple[float, float]],
        nature: Nature,
        *,
        orders: bool = True,
        scrape_seconds: float = 5.0,
        deadline_seconds: float = 60.0,
    ) -> None:
        """Take requests as seconds when they come, and that they take; with *orders* they wake."""
        self.loop = Hurried()
        self.rules, self.weather, self.scrape = rules, Weather(), Scrape()
        self.server, self.tally = Server(nature, self.loop), Tally()
        self.visits = [Visit(*each) for each in requests]
        self.killed = 0
        self.snapshot: Snapshot | None = None
        self._scrape_seconds, self._deadline = scrape_seconds, deadline_seconds
        self._call = self._wake if orders else None
        self._orders = asyncio.Queue[object]()
        self._bed: Bed | None = None
        self._tasks: list[asyncio.Task[None]] = []  # the loop itself holds them weakly
        self.gate = self._opened()

    def now(self) -> Moment:
        """Return the time."""
        return Moment(EPOCH + self.loop.time(), self.loop.time())

    def play(
        self,
        folder: Path,
        seconds: float,
        happens: Sequence[tuple[float, Callable[[], Coroutine[Any, Any, None] | None]]] = (),
    ) -> None:
        """Let it all happen, and a person stop the actuator after *seconds*."""
        with closing(self.loop):
            for coroutine in (self._scraped(), self._visited(), *map(self._happening, happens)):
                self._spawn(coroutine)
            self.loop.call_later(seconds, lambda: self._orders.put_nowait(STOP))
            while self._actuator(folder):
                self.killed += 1
                self._orders = asyncio.Queue()  # who waits for the dead one learns that
                self.loop.run_until_complete(asyncio.sleep(START_SECONDS))
            self.server.meter()
            for task in (left := asyncio.all_tasks(self.loop)):
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    def kill(self) -> None:
        """Kill the actuator with signal 9."""
        if self._bed is not None:
            self._bed.dead = True
            self._orders.put_nowait(KILL)

    async def restart_proxy(self) -> None:
        """End the proxy as a signal does, and start another."""
        self.gate.dismiss()
        while self.gate.in_flight or self.gate.queued:
            await self.gate.rests()
        self.gate = self._opened(HeldBy.START)

    def ask(self, expressions: Iterable[str]) -> Mapping[str, Answer]:
        """Answer as Prometheus does."""
        if (failure := self.weather.failure) is not None:
            self.loop.run_until_complete(asyncio.sleep(SILENT_SECONDS))
            return dict.fromkeys(expressions, Answer(failure=failure, detail=f"it is {failure}"))
        seen, who = self.scrape, {"app": CHAT.name, "instance": "here"}
        known = {
            FRESH: answer(({"instance": "here"}, EPOCH + seen.at)),
            f'timestamp({FRESH}{{instance="here"}})': answer(({}, EPOCH + seen.at)),
            "idle": answer((who, seen.idle)),
            "queue": answer((who, seen.queued)) if seen.queued else Answer(),
            "draw": answer((who, seen.watts)),
        }
        return {each: known[each] for each in expressions}

    def get(self, block: bool = True, timeout: float | None = None, /) -> object:  # noqa: ARG002 (as a queue's)
        """Let time pass until somebody orders something, so long at most; the loop's `Orders`."""
        with suppress(TimeoutError):
            order = self.loop.run_until_complete(asyncio.wait_for(self._orders.get(), timeout))
            if order == KILL or (self._bed is not None and self._bed.dead):
                raise Killed
            return order
        raise Empty

    def _actuator(self, folder: Path) -> bool:
        """Run one from its start to its end; tell whether it was killed."""
        with closing(Journal(folder)) as journal:
            bed = self._bed = Bed(self.server, lambda: self.gate, self.loop)
            writer = Writer(journal, Hands(lambda *_: bed), self.now)
            try:
                put_back(writer)
                governor = Governor(
                    self.rules, writer=writer, journal=journal, now=self.now, enforcing=True
                )
                Loop(governor, ask=self.ask, now=self.now).run(self)
            except Killed:
                return True
            finally:
                self._bed = None
            self.snapshot = governor.snapshot
        return False

    async def _wake(self) -> str:
        """Ask the actuator for the server, as `WakeCall` does."""
        asked, order = self._bed, Wake(CHAT.name)
        if asked is None:
            return "connection refused"
        self._orders.put_nowait(order)
        for _ in range(int(PATIENCE_SECONDS / LOOK_SECONDS)):
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(Empty):
                return order.answer.get_nowait()
            if self._bed is not asked:
                return "the connection broke"
        raise NotYet

    def _opened(self, held_by: HeldBy | None = None) -> Gate:
        """Return the gate of a fresh proxy."""
        gate = Gate(self.now, held_by=held_by)
        gate.employ(Waking(gate, self._call, 0.75 * self._deadline, self.tally))
        return gate

    async def _scraped(self) -> None:
        await asyncio.sleep(SCRAPED_AFTER * self._scrape_seconds)
        while True:
            now, seen = self.loop.time(), self.scrape
            if not self.weather.unscraped:
                seen.at, seen.watts = now, self.server.watts
            if not (self.weather.unscraped or self.weather.frozen):
                seen.idle, seen.queued = self.gate.idle_seconds, self.gate.queued
            await asyncio.sleep(self._scrape_seconds)

    async def _visited(self) -> None:
        for visit in self.visits:
            await asyncio.sleep(visit.came - self.loop.time())
            self._spawn(self._visit(visit))

    async def _visit(self, visit: Visit) -> None:
        gate = self.gate
        try:
            await gate.enter(self._deadline)
        except Failed as failed:
            visit.refused = failed.failure
            return
        try:
            await self.server.up.wait()  # like vLLM, it lets requests hang while it sleeps
            visit.began = self.loop.time()
            await self.server.serve(visit.service_seconds)
        finally:
            gate.leave()
        visit.left = self.loop.time()

    async def _happening(
        self, what: tuple[float, Callable[[], Coroutine[Any, Any, None] | None]]
    ) -> None:
        at, happen = what
        await asyncio.sleep(at)
        if (more := happen()) is not None:
            await more

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(self.loop.create_task(coroutine))
