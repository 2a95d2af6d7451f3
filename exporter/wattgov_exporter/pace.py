"""Whether the meters are read often enough: a counter may not go half round between two reads.

Beyond that a wrap can be taken for nothing, or for a reset. Pure.
"""

from collections.abc import Iterable, Iterator

from wattgov_exporter.config import Config
from wattgov_exporter.reading import Meter

TURNS = 0.5
"""The part of a counter's range that may pass between two reads at full power: a late read, or one
that fails, then still sees no whole turn."""

AMD_RANGE_JOULES = 65_532.610987
"""The least range of a RAPL counter, as kernels state it (Intel's is four times that)."""

PACKAGE_WATTS = 500.0
WRAPPING = frozenset({"node", "kepler", "scaphandre"})
"""The kinds of exporters whose counters are RAPL's, and wrap as it does."""


def longest_seconds(range_joules: float, max_watts: float) -> float:
    """Return how long a counter may be left alone."""
    return TURNS * range_joules / max_watts


def too_slow(meter: Meter, interval_seconds: float) -> str | None:
    """Return what is wrong with reading *meter* so seldom, None if nothing."""
    if meter.range_joules is None or meter.max_watts <= 0:
        return None
    most = longest_seconds(meter.range_joules, meter.max_watts)
    if interval_seconds < most:
        return None
    place = " ".join(part for part in (meter.source, meter.package, meter.zone) if part)
    return (
        f"{place}: read every {interval_seconds:g} s, but its counter wraps at "
        f"{meter.range_joules:.0f} J, which {meter.max_watts:g} W fill in {2 * most:.0f} s: joules "
        f"may be lost; read it at least every {most:.0f} s"
    )


def of_config(config: Config) -> Iterator[str]:
    """Yield what a configuration alone shows to be too slow, on the machine that wraps soonest."""
    most = longest_seconds(AMD_RANGE_JOULES, PACKAGE_WATTS)
    for entry in config.sources.scrape:
        if entry.kind in WRAPPING and max(entry.interval_seconds, config.interval_seconds) >= most:
            yield (
                f"sources.scrape {entry.url}: read every {entry.interval_seconds:g} s; a RAPL "
                f"counter of AMD's wraps at {AMD_RANGE_JOULES:.0f} J, in {2 * most:.0f} s at "
                f"{PACKAGE_WATTS:g} W: read it at least every {most:.0f} s"
            )


class Paces:
    """Tells of each meter that is read too seldom, once for each interval."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str, str, float]] = set()

    def fresh(self, meters: Iterable[tuple[Meter, float]]) -> Iterator[str]:
        """Take the meters there are and how often each is read; yield what is new and wrong."""
        for meter, interval_seconds in meters:
            key = meter.source, meter.package, meter.zone, interval_seconds
            if key not in self._seen:
                self._seen.add(key)
                sentence = too_slow(meter, interval_seconds)
                if sentence is not None:
                    yield sentence
