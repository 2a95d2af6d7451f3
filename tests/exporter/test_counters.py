"""The counter adds what is true, once, and nothing else."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattgov_exporter.counters import Counter, Mark, advance
from wattgov_exporter.reading import Anomaly, Component, Meter, Method

INTEL_RANGE_JOULES = 262143.32885
AMD_RANGE_JOULES = 65532.610987


def meter(range_joules: float | None = INTEL_RANGE_JOULES) -> Meter:
    """Return a package meter of 500 W."""
    return Meter(
        "rapl", Component.CPU, "0", "package", Method.MEASURED, 500.0, range_joules=range_joules
    )


def run(one: Meter, readings: list[tuple[float, float]]) -> tuple[float, list[Anomaly]]:
    """Feed (joules, at) readings; return the total added and the anomalies."""
    counter = Counter(Mark(*readings[0]))
    total, anomalies = 0.0, []
    for joules, at in readings[1:]:
        counter, step, anomaly = advance(counter, one, joules, at)
        total += step
        anomalies += [anomaly] if anomaly else []
    return total, anomalies


@given(
    start=st.floats(0, AMD_RANGE_JOULES),
    steps=st.lists(st.tuples(st.floats(0, 500), st.floats(0.1, 120)), min_size=1, max_size=50),
    range_joules=st.sampled_from([AMD_RANGE_JOULES, INTEL_RANGE_JOULES]),
)
def test_no_joule_is_lost_at_the_wrap(
    start: float, steps: list[tuple[float, float]], range_joules: float
) -> None:
    """Whatever the power up to the maximum and the interval up to 120 s, the total is the truth."""
    at, truth = 0.0, start
    readings = [(start, at)]
    for watts, seconds in steps:
        at += seconds
        truth += watts * seconds
        readings.append((truth % range_joules, at))

    total, anomalies = run(meter(range_joules), readings)

    assert math.isclose(truth - start, total, rel_tol=1e-9, abs_tol=1e-3)
    assert set(anomalies) <= {Anomaly.WRAP_AMBIGUOUS}


def test_a_reset_adds_nothing_and_is_counted() -> None:
    """A fall that no wrap explains is a reset; counting goes on from there."""
    total, anomalies = run(meter(), [(100_000, 0), (100_100, 1), (5, 2), (105, 3), (205, 4)])

    assert 300 == total
    assert [Anomaly.RESET] == anomalies


def test_a_glitch_loses_nothing() -> None:
    """An absurd value in between is left out, and the joules of its interval are kept."""
    total, anomalies = run(meter(), [(1000, 0), (1100, 1), (200_000, 2), (1300, 3)])

    assert 300 == total
    assert [Anomaly.SPIKE] == anomalies


@pytest.mark.parametrize(
    ("joules", "kind"),
    [
        (math.nan, Anomaly.NAN),
        (math.inf, Anomaly.NAN),
        (-1.0, Anomaly.NEGATIVE),
        (18446744073709.55, Anomaly.SENTINEL),
    ],
)
def test_what_no_counter_shows_is_left_out(joules: float, kind: Anomaly) -> None:
    """NaN, a negative and a value beyond the range add nothing, and the next reading is whole."""
    total, anomalies = run(meter(), [(1000, 0), (joules, 1), (1200, 2)])

    assert 200 == total
    assert [kind] == anomalies


def test_a_jump_that_stays_is_never_added_later() -> None:
    """A counter that moved by itself is followed from its new place, however long we wait."""
    total, anomalies = run(
        meter(None), [(1000, 0), (9e8, 1), (9e8 + 100, 2), (9e8 + 200, 3_000_000)]
    )

    assert 200 == total
    assert [Anomaly.SPIKE] == anomalies


def test_a_turn_that_may_have_passed_unseen_is_told() -> None:
    """After a pause in which the counter could have gone round, the sum is marked uncertain."""
    total, anomalies = run(meter(AMD_RANGE_JOULES), [(100, 0), (200, 3600)])

    assert 100 == total
    assert [Anomaly.WRAP_AMBIGUOUS] == anomalies


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=30))
def test_a_counter_never_falls(values: list[float]) -> None:
    """Whatever the hardware says, a step is finite and not negative."""
    counter = Counter(Mark(0.0, 0.0))
    for at, value in enumerate(values):
        counter, step, _ = advance(counter, meter(), value, float(at))
        assert math.isfinite(step)
        assert step >= 0
