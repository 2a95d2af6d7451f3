"""Where a meter's counter starts."""

import math
from dataclasses import replace

import pytest

from wattgov_exporter.ledger import Ledger
from wattgov_exporter.reading import Component, Energy, Meter, Method

PACKAGE = Meter(
    "rapl", Component.CPU, "0", "package", Method.MEASURED, 500.0, range_joules=65532.610987
)


@pytest.mark.parametrize(
    ("first", "kind"), [(-1.0, "negative"), (18446744073709.55, "sentinel"), (math.nan, "nan")]
)
def test_a_first_reading_that_cannot_be_is_no_start(first: float, kind: str) -> None:
    """The next one is: what it shows is not added, and nothing after it is lost."""
    ledger = Ledger()

    steps = [
        ledger.enter(Energy(PACKAGE, joules, at))
        for at, joules in enumerate([first, 300.0, 400.0, 500.0])
    ]

    assert steps[0] is None
    told = [(step.joules, step.seconds, step.is_first) for step in steps if step]
    assert [(0.0, 0.0, True), (100.0, 1.0, False), (100.0, 1.0, False)] == told
    assert {("rapl", kind): 1} == ledger.anomalies


def test_a_card_whose_number_changes() -> None:
    """A driver counts its cards anew when one is gone, and when it is back: no joule is twice."""
    ledger = Ledger()
    card = Meter("nvml", Component.GPU, "1", "GPU-b", Method.MEASURED, 300.0)

    steps = [
        ledger.enter(Energy(replace(card, package=number), 100.0 * at, at))
        for at, number in enumerate(("1", "1", "0", "0", "1"))
    ]

    assert [0.0, 100.0, 100.0, 100.0, 100.0] == [step.joules for step in steps if step]
