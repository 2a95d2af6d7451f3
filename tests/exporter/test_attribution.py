"""The books close: every joule goes to somebody, and the sum is the meter."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattgov_exporter.attribution import UNATTRIBUTED, Use, attribute
from wattgov_exporter.config import POLICIES

WEIGHTS = st.dictionaries(st.sampled_from(["a", "b", "c", "_other"]), st.floats(0, 1e6))


@given(
    joules=st.floats(0, 1e9),
    idle=st.none() | st.floats(0, 1e9),
    utilisation=st.floats(0, 1),
    activity=WEIGHTS,
    total=st.floats(0, 1e7),
    held=WEIGHTS,
    held_total=st.floats(0, 1e7),
    policy=st.sampled_from(POLICIES),
)
def test_the_books_close(
    joules: float,
    idle: float | None,
    utilisation: float,
    activity: dict[str, float],
    total: float,
    held: dict[str, float],
    held_total: float,
    policy: str,
) -> None:
    """For any use and any policy the shares are not negative and add up to the meter."""
    use = Use(utilisation, activity, total, held, held_total)

    shares = attribute(joules, idle, use, policy)

    assert math.isclose(joules, math.fsum(shares.values()), rel_tol=1e-9, abs_tol=1e-12)
    assert all(part >= 0 for part in shares.values())


USE = Use(utilisation=0.25, activity={"a": 3.0, "_other": 1.0}, total=5.0, held={})


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        # 100 J, a quarter of the capacity used: 25 J active by CPU time, 75 J idle (Kepler).
        ("capacity", {("a", "active"): 15.0, (UNATTRIBUTED, "idle"): 75.0}),
        # 40 J would have gone at rest: 60 J active.
        ("dynamic", {("a", "active"): 36.0, (UNATTRIBUTED, "idle"): 40.0}),
        # The idle 40 J too go by activity: a used three parts of the four that are known.
        ("full", {("a", "active"): 36.0, ("a", "idle"): 30.0}),
    ],
)
def test_policies(policy: str, expected: dict[tuple[str, str], float]) -> None:
    """Each school divides the same joules in its own way."""
    shares = attribute(100.0, 40.0, USE, policy)

    for key, joules in expected.items():
        assert joules == pytest.approx(shares[key])


def test_time_of_vanished_processes_is_nobodys() -> None:
    """What the node was busy with beyond its known processes is unattributed."""
    shares = attribute(100.0, 0.0, USE, "dynamic")

    assert shares[UNATTRIBUTED, "active"] == pytest.approx(20.0)


def test_who_holds_memory_has_the_idle_share() -> None:
    """A GPU kept awake by a loaded model charges its idle draw to the model."""
    use = Use(utilisation=0.0, activity={"chat": 0.0}, total=0.0, held={"chat": 60e9})

    assert attribute(70.0, 70.0, use, "dynamic")["chat", "idle"] == 70.0


def test_what_nobody_holds_is_nobodys() -> None:
    """Of 70 W at rest a holder of 48 of 64 GB has three quarters; under `full` it has all."""
    use = Use(utilisation=0.0, activity={}, total=0.0, held={"chat": 48e9}, held_total=64e9)

    assert 52.5 == pytest.approx(attribute(70.0, 70.0, use, "dynamic")["chat", "idle"])
    assert 70.0 == pytest.approx(attribute(70.0, 70.0, use, "full")["chat", "idle"])
