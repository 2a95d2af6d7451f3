"""Moments and spans of time in text."""

import pytest

from wattgov_actuator.when import clock_text, exact_text, moment_of, span_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.25 s"),
        (59, "59 s"),
        (90, "1.5 min"),
        (7200, "2 h"),
        (36 * 3600, "1.5 d"),
        (2e9, "23148.1 d"),
    ],
)
def test_a_span_is_told_in_its_largest_unit(seconds: float, text: str) -> None:
    """As a person would."""
    assert text == span_text(seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.25, "0.25 s"), (90, "90 s"), (4500, "75 min"), (90_000, "25 h"), (7200, "2 h")],
)
def test_a_length_may_be_told_without_rounding(seconds: float, text: str) -> None:
    """Who looks for what a test expects at 75 minutes does not look for 1.2 hours."""
    assert text == exact_text(seconds)


@pytest.mark.parametrize(
    "text", ["1970-01-12T13:46:40Z", "1970-01-12T13:46:40", "1970-01-12 15:46:40+02:00"]
)
def test_a_moment_without_a_zone_is_utc(text: str) -> None:
    """As the journal shows it, so that it can be pasted."""
    assert 1_000_000 == moment_of(text)
    assert "1970-01-12T13:46:40Z" == clock_text(1_000_000)


@pytest.mark.parametrize("text", ["", "soon", "2h", "25:00"])
def test_what_is_no_moment_is_none(text: str) -> None:
    """It may be something else."""
    assert moment_of(text) is None
