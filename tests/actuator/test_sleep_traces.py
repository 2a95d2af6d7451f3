"""Asleep in the gaps of traces, awake in time: the whole loop over a simulated server."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random

import pytest

from actuator.builders import loaded
from actuator.lodger import Nature, gaps
from actuator.vigil import Vigil
from testbed import arrivals
from wattgov_actuator.simulation import scratch

DATA = Path(__file__).parents[3] / "shared" / "data" / "llm_traces"
CODE = DATA / "AzureLLMInferenceTrace_code_2023.csv"
STEADY = DATA / "servegen_mlarge_total_10min.csv"
INTERVAL, SCRAPE, HOUR = 5.0, 5.0, 3600.0
RULES = """
version: 1
groups:
  - name: chat
    interval: 5s
    protect: {freshness: fresh, hold: 60s}
    rules:
      - action: sleep-idle
        expr: idle
        knob: hibernate
        hibernate: {idle: 10s, awake: 0s, wake: queue, draw: draw}
"""
OFFLOADED = Nature(asleep_watts=75.0, falling_seconds=1.0, waking_seconds=3.0)
Requests = Sequence[tuple[float, float]]  # when one comes, and how long it takes


def needs(file: Path) -> pytest.MarkDecorator:
    """Skip a test where the recorded trace is not there."""
    where = f"{DATA.parents[1].name}/{DATA.parent.name}/{DATA.name}/{file.name}"
    return pytest.mark.skipif(
        not file.exists(), reason=f"there is no ../{where} beside the project"
    )


def recorded() -> Requests:
    """Return the requests of Azure's trace; what a token takes is made up."""
    found = arrivals.read(CODE)
    return [(each.seconds, 0.3 + 0.03 * each.generated_tokens) for each in found]


def bursts(seed: int = 1) -> Requests:
    """Return two hours of bursts, with gaps of seconds to minutes between them."""
    chance, found, at = Random(seed), [], 0.0
    while at < 2 * HOUR:
        for _ in range(chance.randint(1, 30)):
            at += chance.expovariate(1.0)
            found.append((at, chance.uniform(0.3, 3.0)))
        at += chance.lognormvariate(3.5, 1.2)
    return found


def steady() -> Requests:
    """Return two hours of ServeGen's trace, a request in a hundred."""
    with STEADY.open(encoding="utf-8") as lines:
        rates = [float(row["rate_rps"]) / 100 for row in csv.DictReader(lines)][:12]
    chance = Random(1)
    pauses = (chance.expovariate(rates[0]) for _ in range(int(7200 * max(rates))))
    return [(at, 1.0) for at in accumulate(pauses) if at < 2 * HOUR]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder in memory: on a disk the journal's syncs would take most of the time."""
    with scratch() as name:
        yield Path(name)


@dataclass(frozen=True, slots=True)
class Watched:
    """How it went on one trace."""

    requests: Requests
    seconds: float
    vigil: Vigil

    @property
    def best_joules(self) -> float:
        """What one would have spared who knew the future, and kept nobody waiting."""
        nature = self.vigil.server.nature
        idle = gaps(self.requests, self.seconds)
        return sum(nature.idle_watts * each - nature.least_joules(each) for each in idle)


def watched(
    folder: Path, requests: Requests, nature: Nature, *, orders: bool = True, more: float = 60.0
) -> Watched:
    """Let the trace happen, and *more* seconds, so that the last ones are served."""
    seconds = max(came + service for came, service in requests) + more
    vigil = Vigil(loaded(folder / "r.yml", RULES), requests, nature, orders=orders)
    vigil.play(folder, seconds)
    return Watched(requests, seconds, vigil)


TRACES = [
    pytest.param(recorded, marks=needs(CODE), id="recorded by Azure"),
    pytest.param(bursts, id="bursts"),
]
NATURES = [pytest.param(Nature(), id="unloaded"), pytest.param(OFFLOADED, id="offloaded")]


@pytest.mark.parametrize("orders", [True, False], ids=["the proxy orders", "by metrics only"])
@pytest.mark.parametrize("nature", NATURES)
@pytest.mark.parametrize("trace", TRACES)
def test_it_sleeps_in_the_gaps_and_wakes_in_time(
    folder: Path, trace: Callable[[], Requests], nature: Nature, *, orders: bool
) -> None:
    """Never while somebody is served; who comes waits no longer than waking and a look take."""
    found = watched(folder, trace(), nature, orders=orders)
    server, visits = found.vigil.server, found.vigil.visits
    waking = nature.falling_seconds + nature.waking_seconds
    look = INTERVAL if orders else INTERVAL + SCRAPE
    long = sum(each > 100 for each in gaps(found.requests, found.seconds))

    assert [] == [each for each in visits if each.left is None]
    assert 0 == server.busy_when_falling
    assert 0 < max(each.waited for each in visits) <= waking + look
    assert long <= len(server.sleeps) == server.wakes  # at the end it was put back
    if orders:
        at_once = [each for each in visits if 0 <= each.waited - nature.waking_seconds < 0.5]
        assert len(at_once) > 0.5 * server.wakes


@pytest.mark.parametrize("nature", NATURES)
@pytest.mark.parametrize("trace", TRACES)
def test_it_takes_at_most_twice_of_what_who_knows_the_future_takes(
    folder: Path, trace: Callable[[], Requests], nature: Nature
) -> None:
    """Beyond the work, and sleep all the rest of the time; ticks and scrapes come on top."""
    found = watched(folder, trace(), nature)
    server = found.vigil.server
    rate = nature.idle_watts - nature.asleep_watts
    always = rate * sum(gaps(found.requests, found.seconds))  # avoidable, and nothing avoided
    looks = rate * len(server.sleeps) * (2 * INTERVAL + SCRAPE)

    assert 0 < found.best_joules < always
    assert 0.5 * found.best_joules - looks < server.spared_joules
    assert always - server.spared_joules <= 2 * (always - found.best_joules) + looks


def test_gaps_that_do_not_pay_for_a_wake_are_not_slept_in(folder: Path) -> None:
    """Once it is learnt what a wake takes: it pays after 24 s here, and each gap has 26 s."""
    found = watched(folder, [(27.0 * each, 1.0) for each in range(250)], Nature(), more=1.0)

    assert 1 <= len(found.vigil.server.sleeps) < 0.05 * 250


@pytest.mark.parametrize("nature", NATURES)
@pytest.mark.parametrize("trace", TRACES)
def test_what_it_says_it_saved_is_what_was_saved(
    folder: Path, trace: Callable[[], Requests], nature: Nature
) -> None:
    """Each wake is counted with its time, and charged with what it took.

    One that is shorter than a look is charged at the draw after it, which may be that of work.
    """
    found = watched(folder, trace(), nature)
    server, told = found.vigil.server, found.vigil.snapshot
    page = ("sleep-idle", "measured")
    assert told is not None
    wakes = told.writes["hibernate", "chat", "loosen"]
    cost = wakes.done * nature.waking_seconds * (nature.waking_watts - nature.idle_watts)

    assert server.wakes - 1 <= wakes.done <= server.wakes  # the last one may be at the end
    assert 0 == wakes.failed
    assert wakes.seconds == pytest.approx(wakes.done * nature.waking_seconds, rel=0.1)
    more = (each - nature.idle_watts for each in (nature.busy_watts, nature.waking_watts))
    of_work = next(more) / next(more)
    most = of_work if nature.waking_seconds < INTERVAL else 1.1
    assert 0.75 * cost < told.wake_joules[page] < most * cost
    assert told.saved_joules[page] - told.lost_joules[page] == pytest.approx(
        server.spared_joules, rel=0.15
    )


@pytest.mark.parametrize(
    "trace",
    [
        pytest.param(lambda: [(8.0 * each, 1.0) for each in range(900)], id="one in eight seconds"),
        pytest.param(steady, marks=needs(STEADY), id="recorded by ServeGen"),
    ],
)
def test_a_steady_trace_never_sleeps(folder: Path, trace: Callable[[], Requests]) -> None:
    """Two hours, with gaps shorter than `idle`."""
    found = watched(folder, trace(), Nature(), more=1.0)
    server = found.vigil.server

    assert ([], 0.0) == (server.sleeps, server.asleep_seconds)
    assert [] == [each for each in found.vigil.visits if each.left is None or each.waited]
