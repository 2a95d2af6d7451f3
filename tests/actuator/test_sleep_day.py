"""A day in which everything goes wrong now and then: no request is lost, no wake fails silently."""

import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from actuator.builders import loaded
from actuator.lodger import Nature
from actuator.vigil import START_SECONDS, Vigil, Visit
from wattgov_actuator.acting.journal import Journal
from wattgov_actuator.proxy.failure import Failure
from wattgov_actuator.reading import Fault, QueryFailure
from wattgov_actuator.simulation import scratch

HOUR, DAY, QUIET = 3600.0, 86_400.0, 1200.0  # the end of a day, in which nothing goes wrong
RULES = """
version: 1
groups:
  - name: chat
    interval: 15s
    protect: {freshness: fresh, max_age: 45s, hold: 60s}
    rules:
      - action: sleep-idle
        expr: idle
        knob: hibernate
        hibernate: {idle: 1m, awake: 30s, longest: 2h, wake: queue, draw: draw}
"""
NATURE, SLOWEST_SECONDS, DEADLINE_SECONDS = Nature(), 90.0, 600.0
BOUND_SECONDS = (
    NATURE.falling_seconds
    + SLOWEST_SECONDS
    + 15.0  # a tick
    + 5.0  # the longest pause of the proxy between two calls
    + 10.0  # a tick that waits for Prometheus, and for an order
)
Act = Callable[[], Coroutine[Any, Any, None] | None]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that goes wrong."""

    kind: str
    begins: float
    ends: float


def troubles(chance: Random) -> list[Trouble]:
    """Return some two hundred a day, one after the other."""
    longest = {
        **dict.fromkeys(("down", "http_5xx", "timeout", "unscraped", "frozen"), 240.0),
        **dict.fromkeys(("wake_refused", "wake_lost"), 150.0),
        "slow": 300.0,
        **dict.fromkeys(("kill", "proxy"), START_SECONDS),
    }
    found, at = [], 0.0
    while (at := at + chance.expovariate(1 / 300)) < DAY - QUIET:
        kind = chance.choice(list(longest))
        ends = at + chance.uniform(min(longest[kind], 20.0), longest[kind])
        found.append(Trouble(kind, at, ends))
        at = ends
    return found


def requests(chance: Random) -> list[tuple[float, float]]:
    """Return a day of bursts, with gaps of minutes and sometimes hours."""
    found, at = [], 0.0
    while at < DAY - QUIET:
        for _ in range(chance.randint(1, 20)):
            at += chance.expovariate(1 / 5)
            found.append((at, chance.uniform(0.3, 20.0)))
        at += chance.lognormvariate(5.5, 1.2)
    return [each for each in found if each[0] < DAY - QUIET]


def acts(vigil: Vigil, trouble: Trouble) -> Iterator[tuple[float, Act]]:
    """Yield what makes a trouble begin and end, each with its second."""
    weather, server, kind = vigil.weather, vigil.server, trouble.kind

    def change(thing: object, name: str, value: object) -> Act:
        return lambda: setattr(thing, name, value)

    changes = {
        **{
            each: (weather, "failure", QueryFailure(each), None)
            for each in ("down", "http_5xx", "timeout")
        },
        **{each: (weather, each, True, False) for each in ("unscraped", "frozen")},
        "wake_refused": (server, "fault", Fault.REFUSED, None),
        "wake_lost": (server, "fault", Fault.LOST, None),
        "slow": (server, "waking_seconds", SLOWEST_SECONDS, NATURE.waking_seconds),
    }
    if kind in changes:
        thing, name, during, after = changes[kind]
        yield trouble.begins, change(thing, name, during)
        yield trouble.ends, change(thing, name, after)
    else:
        yield trouble.begins, {"kill": vigil.kill, "proxy": vigil.restart_proxy}[kind]


def calm(visit: Visit, all_troubles: list[Trouble]) -> float:
    """Return how long a request has waited while nothing was wrong."""
    end = visit.came if visit.began is None else visit.began
    wrong = (max(min(end, each.ends) - max(visit.came, each.begins), 0.0) for each in all_troubles)
    return end - visit.came - sum(wrong)


@pytest.mark.parametrize("seed", range(2))
def test_no_request_is_lost_in_a_day_of_random_faults(seed: int) -> None:
    """Each is served, or told 503; nobody waits for a server that could have been woken."""
    chance = Random(seed)
    wrong = troubles(chance)
    with scratch() as name:
        folder = Path(name)
        vigil = Vigil(
            loaded(folder / "r.yml", RULES),
            requests(chance),
            NATURE,
            scrape_seconds=15.0,
            deadline_seconds=DEADLINE_SECONDS,
        )
        vigil.play(folder, DAY, [act for each in wrong for act in acts(vigil, each)])
        with closing(Journal(folder)) as journal:
            rows, broken = journal.decisions(), journal.broken()
    server, visits = vigil.server, vigil.visits
    kinds = Counter(each.kind for each in wrong)
    failed = set(range(1, server.failed_wakes + 1)) - server.unheard
    told = {int(each) for each in re.findall(r"no memory for wake number (\d+)", str(rows))}

    assert 10 == len(kinds), "each kind of fault is there"
    assert kinds["kill"] == vigil.killed
    assert len(visits) > 1000
    lost = [each for each in visits if each.left is None and each.refused is None]
    assert [] == lost
    assert {each.refused for each in visits} <= {None, Failure.STOPPING}
    assert 0 == server.busy_when_falling
    assert max(calm(each, wrong) for each in visits) <= BOUND_SECONDS
    assert server.asleep_seconds > 6 * HOUR
    assert len(failed) > 3
    assert failed <= told
    assert broken is None
    assert len(server.sleeps) == server.wakes
