"""Whether somebody else has set a knob in the moment between our write and its read-back."""

from wattgov_actuator.reading import Target


def foreign(target: Target, before: float, wanted: float, after: float, *, refused: bool) -> bool:
    """Tell whether a value cannot have come of our order for *wanted*.

    A driver may stop short of what it is told, and round beyond it; so may a person, who cannot be
    told from it then: that value counts as ours, or nothing that a driver rounds would ever be put
    back. But no driver goes the other way, nor, where it has *refused*, beyond what it was told.
    """
    if target.same(after, before) or target.same(after, wanted):
        return False
    other_way = (after - before) * (wanted - before) < 0
    beyond = abs(after - before) > abs(wanted - before)
    return other_way or (refused and beyond)
