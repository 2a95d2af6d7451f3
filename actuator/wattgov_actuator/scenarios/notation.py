"""The values of a series over time, as promtool's unit tests write them, and ways to get none.

`a+bxn` is n+1 values, `axn` too, `_xn` is n slots without a sample: as promtool counts them.
"""

import re
from enum import StrEnum

from wattgov_actuator.reading import QueryFailure

NUMBER = r"(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|[iI]nf|[nN]a[nN])"
VALUE = re.compile(rf"([+-]?{NUMBER})(?:([+-]{NUMBER})?x(\d+))?")
BLANK = re.compile(r"_(?:x(\d+))?")
FAILURE = re.compile(rf"({'|'.join(QueryFailure)})(?:x(\d+))?")
MOST = 1_000_000  # slots; at 15 s half a year
HINT = "such as '50x10', '1+2x5', '_x3', 'stale' or 'NaN'"


class Gap(StrEnum):
    """Why a slot has no value."""

    MISSING = "_"
    STALE = "stale"  # the series ends at once, instead of being looked back at


Slot = float | Gap | QueryFailure


def slots(text: str, *, failing: bool = False) -> tuple[Slot, ...]:
    """Return one slot for each interval; raises ValueError with a sentence.

    *failing* takes the words of QueryFailure too: the query fails instead of giving values.
    """
    found: list[Slot] = []
    for token in text.split():
        found += _slots(token, room=MOST - len(found), failing=failing)
    if not found:
        raise ValueError(f"there are no values; write them {HINT}")
    return tuple(found)


def _slots(token: str, *, room: int, failing: bool) -> list[Slot]:
    if token == Gap.STALE:
        return [Gap.STALE]
    if blank := BLANK.fullmatch(token):
        return [Gap.MISSING] * _fits(int(blank[1] or 1), room, token)
    if failing and (failure := FAILURE.fullmatch(token)):
        return [QueryFailure(failure[1])] * _fits(int(failure[2] or 1), room, token)
    value = VALUE.fullmatch(token)
    if value is None:
        words = f"; to let the query fail, one of {', '.join(QueryFailure)}" if failing else ""
        raise ValueError(f"'{token}' is no value, {HINT}{words}")
    first, step = float(value[1]), float(value[2] or 0)
    count = _fits(int(value[3]) + 1 if value[3] else 1, room, token)
    return [first + step * n if step else first for n in range(count)]


def _fits(count: int, room: int, token: str) -> int:
    if count > room:
        raise ValueError(f"'{token}' makes more than {MOST} values")
    return count
