"""Daily windows on the wall clock of a time zone: `00:00-06:00,22:00-24:00` in Europe/Paris.

A window is a stretch of what clocks there show. On the day on which an hour repeats it lasts an
hour longer, on the day that lacks one an hour less, and a window inside the missing hour does not
happen at all.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from wattgov_actuator.document.tree import line_of

WINDOW = re.compile(r"([0-9]{2}):([0-9]{2})\s*-\s*([0-9]{2}):([0-9]{2})")
DAY = 24 * 60  # minutes
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Windows:
    """When a rule may act; each window is two minutes of the day, the end excluded."""

    spans: tuple[tuple[int, int], ...]  # an end before its start lies on the next day
    zone: ZoneInfo

    def holds(self, unix: float) -> bool:
        """Tell whether a moment, in unix seconds, lies in a window."""
        there = datetime.fromtimestamp(unix, self.zone)
        minute = there.hour * 60 + there.minute
        return any(
            start <= minute < end if start < end else minute >= start or minute < end
            for start, end in self.spans
        )

    def __str__(self) -> str:
        """Return it as a person would write it."""
        spans = ",".join(f"{_clock(start)}-{_clock(end)}" for start, end in self.spans)
        return f"{spans} {self.zone.key}"


def spans(text: str) -> tuple[tuple[int, int], ...]:
    """Return the windows in *text*; ValueError says in a sentence what is wrong with one."""
    return tuple(_span(each.strip()) for each in text.split(","))


def zone(name: str) -> ZoneInfo:
    """Return a zone of the IANA data base; ValueError suggests another name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # absent; absolute or with ..; a folder
        known = available_timezones()
        close = get_close_matches(name[:LONGEST_NAME], sorted(known), n=1)
        hint = f": did you mean '{close[0]}'?" if close else ", such as Europe/Paris or UTC"
        none = "" if known else "; this machine has no time zone data, install tzdata"
        raise ValueError(f"'{line_of(name)}' is no time zone{none or hint}") from None


def _span(text: str) -> tuple[int, int]:
    match = WINDOW.fullmatch(text)
    if match is None:
        raise ValueError(f"'{line_of(text)}' is not a window, such as '22:00-06:00'")
    hours, minutes, to_hours, to_minutes = map(int, match.groups())
    start, end = hours * 60 + minutes, to_hours * 60 + to_minutes
    if max(minutes, to_minutes) > 59 or start >= DAY or end > DAY:  # noqa: PLR2004 (a clock)
        raise ValueError(f"'{text}' names a time that no clock shows; a day ends at 24:00")
    if start == end:
        raise ValueError(f"'{text}' is empty; all day is '00:00-24:00'")
    return start, end


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
