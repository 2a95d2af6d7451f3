"""A number of things behind a connection, as all backends of `batch_size` and `replicas` have."""

from wattgov_actuator.connection import Connection
from wattgov_actuator.reading import Probe, Target


def counted(way: Connection, unit: str, low: float | None = None) -> Probe:
    """Return what a connection to one number leads to: steps are ratios, and more is no harm."""
    low = way.number("low") if low is None else low
    high = way.number("high")
    target = Target(
        way.knob,
        way.name,
        way.labels,
        low,
        high,
        unit,
        resolution=1.0,
        multiplicative=True,
        both_ways=True,
    )
    return Probe((target,))
