"""Cards that nobody has measured: how throughput falls is given, and the energy follows from it.

The card draws the cap, or what it needs where that is less; energy per unit of work is draw over
throughput. So the energy is lowest at the edge of a plateau, where a search must not fall off.
"""

from collections.abc import Iterable

from testbed.curves import CapCurve

LOWEST = 0.25  # of the highest cap
CORNERS = 30
VERTICAL = 1e-6  # as wide as a cliff is


def card(name: str, throughput: Iterable[tuple[float, float]], need: float = 1.0) -> CapCurve:
    """Return the curve of a card that needs a part of the highest cap; points are (cap, work)."""
    points = sorted(throughput)
    whole = min(1.0, need) / points[-1][1]
    return CapCurve(name, tuple((cap, work, min(cap, need) / work / whole) for cap, work in points))


def falling(slopes: Iterable[float], need: float = 1.0) -> CapCurve:
    """Return a card that falls so steeply, piece by piece of the way down, to a tenth at most."""
    pieces = tuple(slopes)
    width, points = (1 - LOWEST) / len(pieces), [(1.0, 1.0)]
    for slope in pieces:
        cap, work = points[-1]
        points.append((cap - width, max(work - slope * width, 0.1)))
    return card("falling", points, need)


def bent(power: float, lost: float) -> CapCurve:
    """Return a card that falls as a power of the way down, and loses a part at the lowest cap."""
    way = [part / CORNERS for part in range(CORNERS + 1)]
    return card("bent", ((1 - (1 - LOWEST) * x, 1 - lost * x**power) for x in way))


def plateau(edge: float, slope: float, need: float = 1.0) -> CapCurve:
    """Return a card that loses nothing down to an edge, and falls evenly from there."""
    last = max(1 - slope * (edge - LOWEST), 0.1)
    return card("plateau", [(1.0, 1.0), (edge, 1.0), (LOWEST, last)], need)


def cliff(at: float, height: float, slope: float = 0.0, need: float = 1.0) -> CapCurve:
    """Return a card that loses *height* at once, and a little on the way there."""
    edge = 1 - slope * (1 - at)
    points = [(1.0, 1.0), (at, edge), (at - VERTICAL, edge - height), (LOWEST, edge - height)]
    return card(f"cliff of {height:.0%} at {at:.0%}", points, need)


def valley(right: float, left: float, slope: float) -> CapCurve:
    """Return a card whose energy is as low all the way between two caps, and rises beyond them."""
    last = max(left / right - slope * (left - LOWEST), 0.1)
    return card("valley", [(1.0, 1.0), (right, 1.0), (left, left / right), (LOWEST, last)])


def stairs(height: float, width: float = 0.03) -> CapCurve:
    """Return a card that loses *height* at once every *width* of cap, and nothing between."""
    points, work, cap = [(1.0, 1.0)], 1.0, 1.0
    while cap - width > LOWEST:
        cap -= width
        points += [(cap, work), (cap - VERTICAL, work - height)]
        work -= height
    return card("stairs", [*points, (LOWEST, work)])
