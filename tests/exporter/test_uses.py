"""How a card was used, by a driver that says what cannot be."""

import math

import pytest

from wattgov_exporter.reading import GpuState, Readings
from wattgov_exporter.uses import gpu_uses


@pytest.mark.parametrize(
    ("percent", "busy"),
    [(40.0, 0.4), (255.0, 1.0), (math.inf, 1.0), (-1.0, 0.0), (math.nan, 0.0), (None, 0.0)],
)
def test_utilisation_is_a_share(percent: float | None, busy: float) -> None:
    """More than all of a card's joules, or less than none, would make a counter fall."""
    card = GpuState("0", "GPU-a", "a card", utilization_percent=percent)

    uses = gpu_uses({"nvml": Readings((), (card,))}, {"GPU-a": "nvml"}, {}, {})

    assert busy == uses["GPU-a"].utilisation
