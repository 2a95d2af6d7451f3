"""Windows of the day, on the days on which clocks are changed too."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from wattgov_actuator.windows import Windows, spans, zone

PARIS = "Europe/Paris"
GREEN = Windows(spans("00:00-06:00,22:00-24:00"), zone(PARIS))


def unix(text: str) -> float:
    """Return the unix seconds of a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def minutes_inside(windows: Windows, day: str) -> int:
    """Return how many minutes of a day in Paris lie in the windows."""
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(PARIS))
    first = int(start.timestamp() // 60)
    moments = [(first + minute) * 60.0 for minute in range(26 * 60)]
    zone_ = ZoneInfo(PARIS)
    today = [each for each in moments if datetime.fromtimestamp(each, zone_).day == start.day]
    return sum(map(windows.holds, today))


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-01-15T04:59:59", True),  # 05:59 in Paris
        ("2026-01-15T05:00:00", False),  # 06:00: the end is excluded
        ("2026-01-15T20:59:59", False),
        ("2026-01-15T21:00:00", True),
        ("2026-01-15T22:59:59", True),  # 23:59
        ("2026-07-15T20:00:00", True),  # 22:00 in summer
        ("2026-07-15T04:00:00", False),
    ],
)
def test_the_wall_clock_of_the_zone_counts(moment: str, inside: bool) -> None:
    """In winter and in summer."""
    assert inside == GREEN.holds(unix(moment))


@pytest.mark.parametrize(
    ("day", "minutes"),
    [("2026-01-15", 8 * 60), ("2026-03-29", 7 * 60), ("2026-10-25", 9 * 60)],
)
def test_an_hour_that_lacks_or_repeats_is_inside_with_its_window(day: str, minutes: int) -> None:
    """00:00-06:00 lasts five hours when clocks go forward, seven when they go back."""
    assert minutes == minutes_inside(GREEN, day)


def test_a_window_inside_the_missing_hour_does_not_happen() -> None:
    """And one inside the hour that repeats happens twice."""
    short = Windows(spans("02:10-02:40"), zone(PARIS))

    assert 0 == minutes_inside(short, "2026-03-29")
    assert 30 == minutes_inside(short, "2026-03-28")
    assert 60 == minutes_inside(short, "2026-10-25")


def test_a_window_over_midnight() -> None:
    """An end before the start lies on the next day."""
    night = Windows(spans("22:30-05:15"), zone("UTC"))
    start = datetime(2026, 5, 1, tzinfo=UTC)
    inside = [
        minute
        for minute in range(24 * 60)
        if night.holds((start + timedelta(minutes=minute)).timestamp())
    ]

    assert [*range(5 * 60 + 15), *range(22 * 60 + 30, 24 * 60)] == inside
    assert "22:30-05:15 UTC" == str(night)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("22-06", "'22-06' is not a window, such as '22:00-06:00'"),
        ("08:00-08:00", "'08:00-08:00' is empty; all day is '00:00-24:00'"),
        ("23:60-24:00", "'23:60-24:00' names a time that no clock shows; a day ends at 24:00"),
        ("20:00-24:30", "'20:00-24:30' names a time that no clock shows; a day ends at 24:00"),
    ],
)
def test_what_is_no_window(text: str, message: str) -> None:
    """Each mistake is a sentence."""
    with pytest.raises(ValueError, match=r"window|empty|clock") as caught:
        spans(text)

    assert message == str(caught.value)


@pytest.mark.parametrize("name", ["Europe/Pariss", "Mars", "/etc/passwd", "../UTC", "Europe"])
def test_what_is_no_zone(name: str) -> None:
    """A misspelt one is suggested; a path is none."""
    with pytest.raises(ValueError, match="is no time zone"):
        zone(name)


def test_a_misspelt_zone_is_suggested() -> None:
    """As every misspelt word of a rule file is."""
    with pytest.raises(ValueError, match="did you mean 'Europe/Paris'"):
        zone("Europe/Pariss")
