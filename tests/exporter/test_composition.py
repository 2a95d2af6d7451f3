"""The rest of the node is what its BMC sees beside the metered parts, and no joule twice."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wattgov_exporter.books import Books
from wattgov_exporter.composition import Composition
from wattgov_exporter.ledger import Step
from wattgov_exporter.reading import Component, Meter, Method


def answered(one: Composition, joules: float, seconds: float) -> tuple[Composition, float]:
    """Return what an answer makes of it where the parts have told of that time."""
    return one.platform(joules, seconds).settle()


def run(
    platform_watts: float, parts_watts: float, every: int, ticks: int
) -> tuple[float, float | None]:
    """Let a BMC answer every so many ticks of 1 s; return the rest's joules and the ratio."""
    one, rest = Composition().platform(0.0, 0.0), 0.0
    for tick in range(1, ticks + 1):
        one = one.parts(parts_watts)
        if tick % every == 0:
            one, joules = answered(one, platform_watts * every, float(every))
            rest += joules
    return rest, one.ratio


@given(
    parts=st.floats(1, 1000),
    extra=st.floats(0, 500),
    every=st.integers(1, 30),
    answers=st.integers(1, 50),
)
def test_parts_and_rest_are_the_platform(
    parts: float, extra: float, every: int, answers: int
) -> None:
    """However slowly the BMC answers, the parts and the rest add up to what it counted."""
    rest, ratio = run(parts + extra, parts, every, every * answers)

    assert rest == pytest.approx(extra * every * answers, rel=1e-6, abs=1e-6)
    assert ratio == pytest.approx(parts / (parts + extra))


def test_a_platform_that_sees_too_little_has_no_rest() -> None:
    """A psys zone that was never wired takes nothing away and invents nothing."""
    assert run(10.0, 100.0, 1, 100)[0] == 0.0


def test_a_platform_that_recovers_is_believed_again() -> None:
    """After a time of nonsense the rest is back with the second good answer."""
    one = Composition().platform(0.0, 0.0)
    for _ in range(100):
        one, _ = answered(one.parts(100.0), 10.0, 1.0)
    one, first = answered(one.parts(100.0), 150.0, 1.0)

    assert first == pytest.approx(40.0)  # 50 J less the 10 J still owed
    assert answered(one.parts(100.0), 150.0, 1.0)[1] == pytest.approx(50.0)


def test_before_the_first_answer_there_is_nothing_to_compare() -> None:
    """Parts that were counted before the BMC first answered are not held against it."""
    one, joules = answered(Composition().parts(1000.0), 5e6, 0.0)

    assert 0.0 == joules
    assert one.ratio is None
    assert answered(one.parts(100.0), 150.0, 1.0)[1] == pytest.approx(50.0)


@dataclass
class Paced:
    """A meter that has a new value every so many seconds, the first at *phase*."""

    component: Component
    name: str
    watts: float
    every: int
    phase: int
    silent: range = range(0)
    told: int | None = None

    def steps(self, now: int) -> list[Step]:
        """Return what it tells at this second."""
        if now % self.every != self.phase % self.every or now in self.silent:
            return []
        since, self.told = self.told, now
        meter = Meter("", self.component, "", self.name, Method.MEASURED, 1e6)
        if since is None:
            return [Step(meter, 0.0, now, now, is_first=True)]
        return [Step(meter, self.watts * (now - since), since, now)]


PACES = st.tuples(st.floats(1, 1000), st.integers(1, 30), st.integers(0, 29))
TICKS = 2000


@given(parts=st.lists(PACES, min_size=1, max_size=4), extra=st.floats(0, 500), pace=PACES)
@example(parts=[(200.0, 1, 0), (560.0, 10, 3)], extra=240.0, pace=(1.0, 1, 0))
@example(parts=[(300.0, 1, 0), (2000.0, 30, 0)], extra=700.0, pace=(1.0, 10, 0))
def test_parts_that_tell_seldom_are_not_in_the_rest(
    parts: list[tuple[float, int, int]], extra: float, pace: tuple[float, int, int]
) -> None:
    """GPUs at rest are read every 10 s, an ACPI meter each second: no joule is there twice."""
    watts = sum(one for one, _, _ in parts) + extra
    paced = [Paced(Component.GPU, f"{place}", *one) for place, one in enumerate(parts)]
    board = Paced(Component.PLATFORM, "", watts, pace[1], pace[2])
    books = Books("dynamic", {})
    for now in range(TICKS):
        books.enter([step for one in (*paced, board) for step in one.steps(now)], {}, 0.0)

    longest = max(one.every for one in (*paced, board))
    missing = watts * TICKS - sum(books.node.values())
    assert abs(missing) <= watts * 5 * longest + 1.0
    assert pytest.approx(sum(books.node.values())) == sum(books.apps.values())


@pytest.mark.parametrize("seconds", [5, 15, 60, 600])
def test_a_part_that_hangs_and_catches_up(seconds: int) -> None:
    """What it took meanwhile was in the rest: the rest repays it, and does so once."""
    card = Paced(Component.GPU, "a", 500.0, 1, 0, range(1000, 1000 + seconds))
    others = [Paced(Component.CPU, "b", 100.0, 1, 0), Paced(Component.PLATFORM, "", 700.0, 1, 0)]
    books = Books("dynamic", {})
    rests = []
    for now in range(TICKS * 4):
        books.enter([step for one in (card, *others) for step in one.steps(now)], {}, 0.0)
        rests.append(books.node[Component.REST])

    assert pytest.approx(700.0 * (TICKS * 4 - 1)) == sum(books.node.values())
    assert pytest.approx(100.0) == rests[-1] - rests[-2]
    assert all(late >= early for early, late in pairwise(rests))
