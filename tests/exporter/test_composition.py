"""The rest of the node is what its BMC sees beside the metered parts, and no joule twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattgov_exporter.composition import Composition


def run(
    platform_watts: float, parts_watts: float, every: int, ticks: int
) -> tuple[float, float | None]:
    """Let a BMC answer every so many ticks of 1 s; return the rest's joules and the ratio."""
    one, rest = Composition().platform(0.0, 0.0)[0], 0.0
    for tick in range(1, ticks + 1):
        one = one.parts(parts_watts)
        if tick % every == 0:
            one, joules = one.platform(platform_watts * every, float(every))
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
    one, _ = Composition().platform(0.0, 0.0)
    for _ in range(100):
        one, _ = one.parts(100.0).platform(10.0, 1.0)
    one, first = one.parts(100.0).platform(150.0, 1.0)

    assert first == pytest.approx(40.0)  # 50 J less the 10 J still owed
    assert one.parts(100.0).platform(150.0, 1.0)[1] == pytest.approx(50.0)


def test_before_the_first_answer_there_is_nothing_to_compare() -> None:
    """Parts that were counted before the BMC first answered are not held against it."""
    one, joules = Composition().parts(1000.0).platform(5e6, 0.0)

    assert 0.0 == joules
    assert one.ratio is None
    assert one.parts(100.0).platform(150.0, 1.0)[1] == pytest.approx(50.0)
