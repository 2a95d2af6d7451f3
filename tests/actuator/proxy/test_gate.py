"""The gate: who may pass, who waits, and in which order."""

import asyncio
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actuator.proxy.playing import LONG_SECONDS, played
from wattgov_actuator.proxy.failure import Failed, Failure
from wattgov_actuator.proxy.gate import Gate, HeldBy
from wattgov_actuator.reading import Moment

BASE = 1_700_000_000.0


class Clock:
    """Both clocks, turned by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> Moment:
        """Return what they show."""
        return Moment(BASE + self.seconds, self.seconds)


class Porter:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def knocked(self) -> None:
        """Write it down."""
        self.told.append("knocked")

    def renewed(self) -> None:
        """Write it down."""
        self.told.append("renewed")

    def opened(self) -> None:
        """Write it down."""
        self.told.append("opened")


async def turn(gate: Gate, log: list[int], number: int) -> None:
    """Enter, and write down when."""
    await gate.enter(LONG_SECONDS)
    log.append(number)


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def emptied(gate: Gate) -> int:
    """Open, and let everybody go; return how many there were."""
    gate.open()
    await settled()
    gone = 0
    while gate.in_flight:
        gate.leave()
        gone += 1
        await settled()
    return gone


def test_the_limit_is_kept_and_the_order_is_that_of_arrival() -> None:
    """Two pass; each that leaves lets in the one that has waited longest."""

    async def scene() -> None:
        gate, log = Gate(Clock(), limit=2), list[int]()
        tasks = [asyncio.create_task(turn(gate, log, each)) for each in range(5)]
        await settled()
        assert ([0, 1], 2, 3) == (log, gate.in_flight, gate.queued)
        for _ in range(5):
            gate.leave()
            await settled()
        assert ([0, 1, 2, 3, 4], 0, 0) == (log, gate.in_flight, gate.queued)
        await asyncio.gather(*tasks)

    played(scene())


def test_a_lower_limit_cuts_nobody_off_and_a_higher_one_lets_in_at_once() -> None:
    """What is in flight ends by itself."""

    async def scene() -> None:
        gate, log = Gate(Clock(), limit=3), list[int]()
        tasks = [asyncio.create_task(turn(gate, log, each)) for each in range(6)]
        await settled()
        gate.limit = 1
        gate.leave()
        await settled()
        assert (2, 3) == (gate.in_flight, gate.queued)
        gate.limit = None
        await settled()
        assert (5, 0) == (gate.in_flight, gate.queued)
        await asyncio.gather(*tasks)

    played(scene())


def test_a_deadline_and_a_full_queue_refuse() -> None:
    """By their own words; the place of the one that went is free again."""

    async def scene() -> None:
        gate = Gate(Clock(), limit=1, most_queued=1)
        await gate.enter(LONG_SECONDS)
        late = asyncio.create_task(gate.enter(0.001))
        await settled()
        with pytest.raises(Failed) as full:
            await gate.enter(LONG_SECONDS)
        with pytest.raises(Failed) as expired:
            await late
        assert (Failure.QUEUE_FULL, Failure.DEADLINE) == (
            full.value.failure,
            expired.value.failure,
        )
        assert (1, 0) == (gate.in_flight, gate.queued)

    played(scene())


def test_one_that_goes_away_frees_its_place_also_in_the_moment_of_its_turn() -> None:
    """No slot is lost, whenever it happens."""

    async def scene() -> None:
        gate = Gate(Clock(), limit=1)
        await gate.enter(LONG_SECONDS)
        waiting = [asyncio.create_task(gate.enter(LONG_SECONDS)) for _ in range(2)]
        await settled()
        gate.leave()  # the first has its turn, and does not know it yet
        waiting[0].cancel()
        await settled()
        assert (1, 0) == (gate.in_flight, gate.queued)
        assert waiting[0].cancelled()
        assert waiting[1].done()

    played(scene())


def test_a_hold_waits_for_what_is_in_flight_and_lets_nobody_in() -> None:
    """Who comes meanwhile waits; opening lets them in."""

    async def scene() -> None:
        gate, log, porter = Gate(Clock()), list[int](), Porter()
        gate.employ(porter)
        await gate.enter(LONG_SECONDS)
        hold = asyncio.create_task(gate.hold(LONG_SECONDS))
        await settled()
        other = await gate.hold(LONG_SECONDS)
        late = asyncio.create_task(turn(gate, log, 1))
        await settled()
        assert ("another hold waits for what is in flight", [], []) == (other, log, porter.told)
        gate.leave()
        assert await hold is None
        assert ([], 0, ["knocked"]) == (log, gate.in_flight, porter.told)
        gate.open()
        await late
        assert ([1], None, ["knocked", "opened"]) == (log, gate.held_by, porter.told)

    played(scene())


def test_a_hold_that_cannot_be_leaves_the_gate_open() -> None:
    """Not idle for long enough; still busy after the wait; the one who asks is gone; opened."""

    async def scene() -> None:
        clock = Clock()
        gate = Gate(clock)
        clock.seconds = 9.0
        assert await gate.hold(0.0, 10.0) == "idle for 9.0 s only"
        await gate.enter(LONG_SECONDS)
        clock.seconds = 99.0
        assert await gate.hold(0.0, 10.0) == "idle for 0.0 s only"
        assert await gate.hold(0.001) == "1 still in flight after 0.001 s"
        assert gate.held_by is None
        gone = asyncio.create_task(gate.hold(LONG_SECONDS))
        await settled()
        gone.cancel()
        await settled()
        assert gate.held_by is None
        overtaken = asyncio.create_task(gate.hold(LONG_SECONDS))
        await settled()
        gate.leave()
        gate.open()  # before the hold has seen that all is empty
        assert await overtaken == "opened meanwhile"
        assert gate.held_by is None

    played(scene())


def test_a_second_hold_renews_and_one_of_the_start_is_taken_over() -> None:
    """Only a `hold` is renewed; a gate held from its start is still asked how long it rests."""

    async def scene() -> None:
        clock, porter = Clock(), Porter()
        gate = Gate(clock, held_by=HeldBy.START)
        gate.employ(porter)
        assert await gate.hold(0.0, 10.0) == "idle for 0.0 s only"
        assert gate.held_by is HeldBy.START
        clock.seconds = 11.0
        assert await gate.hold(0.0, 10.0) is None
        assert await gate.hold(0.0, 999.0) is None
        assert (HeldBy.HOLD, ["renewed"]) == (gate.held_by, porter.told)

    played(scene())


def test_idleness_counts_from_the_end_of_the_last() -> None:
    """Also of one that only waited; before the first, from the start."""

    async def scene() -> None:
        clock = Clock()
        gate = Gate(clock)
        clock.seconds = 5.0
        assert (5.0, None) == (gate.idle_seconds, gate.last_request)
        await gate.enter(LONG_SECONDS)
        clock.seconds = 50.0
        assert (0.0, BASE + 50.0) == (gate.idle_seconds, gate.last_request)
        gate.leave()
        clock.seconds = 60.0
        assert (10.0, BASE + 50.0) == (gate.idle_seconds, gate.last_request)
        await gate.rests()

    played(scene())


@given(st.lists(st.sampled_from("eeellcoHOL"), max_size=60), st.integers(1, 3))
def test_no_slot_is_ever_lost_or_made_up(steps: list[str], limit: int) -> None:
    """Over random enterings, leavings, cancels, holds, openings and limits."""

    async def scene() -> None:
        gate, numbers = Gate(Clock(), limit=limit), count()
        log, gone = list[int](), 0
        tasks, holds = list[asyncio.Task[None]](), list[asyncio.Task[str | None]]()
        for step in steps:
            waiting = [each for each in tasks if not each.done()]
            match step:
                case "e":
                    tasks.append(asyncio.create_task(turn(gate, log, next(numbers))))
                case "l" if gate.in_flight and gate.in_flight <= len(log) - gone:
                    gate.leave()
                    gone += 1
                case "c" if waiting:
                    waiting[-1].cancel()
                case "H":
                    holds.append(asyncio.create_task(gate.hold(LONG_SECONDS)))
                case "O":
                    gate.open()
                case "L":
                    gate.limit = 1
            if step != "l":  # a leave and what follows it in one step
                await settled()
        await settled()
        gone += await emptied(gate)
        assert sorted(log) == log
        assert (0, 0, len(log)) == (gate.in_flight, gate.queued, gone)
        assert all(each.done() for each in (*tasks, *holds))

    played(scene())
