"""Traces of requests: read, repeated, and the committed one made again."""

from itertools import islice
from pathlib import Path

import pytest

from testbed import arrivals
from testbed.arrivals import Arrival

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def test_the_committed_trace_can_be_made_again(tmp_path: Path) -> None:
    """The seeded generator gives the committed file, byte for byte."""
    made = tmp_path / "arrivals.csv"
    arrivals.write(arrivals.synthetic(), made)

    assert arrivals.DEFAULT.read_bytes() == made.read_bytes()


def test_the_committed_trace_is_what_it_says() -> None:
    """Two minutes at about 16 requests a second, 60 to 350 tokens each, 170 or so in the middle."""
    trace = arrivals.read(arrivals.DEFAULT)
    tokens = sorted(arrival.generated_tokens for arrival in trace)

    assert 118 < trace[-1].seconds <= 120
    assert 15.5 < len(trace) / 120 < 16.5
    assert 60 <= tokens[0]
    assert tokens[-1] <= 350
    assert 155 < tokens[len(tokens) // 2] < 180


def test_the_rate_swings_but_minutes_are_alike() -> None:
    """The first half of each wave is busier than the second; the two minutes have equal loads."""
    seconds = [arrival.seconds for arrival in arrivals.read(arrivals.DEFAULT)]
    crests = sum(moment % 30 < 15 for moment in seconds)
    first = sum(moment < 60 for moment in seconds)

    assert 1.15 < crests / (len(seconds) - crests) < 1.45
    assert 0.95 < first / (len(seconds) - first) < 1.05


def test_azure_time_stamps_are_read(tmp_path: Path) -> None:
    """Seven decimals, as in Azure's own traces, are seconds since the first request."""
    trace = tmp_path / "trace.csv"
    trace.write_text(
        f"{HEADER}2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.2299600,110,27\n"
    )

    assert (Arrival(0.0, 4808, 10), Arrival(0.25, 110, 27)) == arrivals.read(trace)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "not a trace of TIMESTAMP, ContextTokens, GeneratedTokens"),
        (f"{HEADER}noon,1,1\n", "not a trace of"),
        (f"{HEADER}2023-11-16 18:17:03,1\n", "not a trace of"),
        (f"{HEADER}2023-11-16 18:17:03,1,1\n", "two requests"),
        (f"{HEADER}2023-11-16 18:17:03,1,0\n2023-11-16 18:17:04,1,1\n", "one token or more"),
    ],
)
def test_a_bad_trace_is_one_clear_error(tmp_path: Path, text: str, said: str) -> None:
    """The message names the file and what is wrong with it."""
    trace = tmp_path / "bad.csv"
    trace.write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        arrivals.read(trace)

    assert str(caught.value).startswith(str(trace))


def test_a_trace_repeats_with_an_even_seam() -> None:
    """After the last request comes the first, one mean gap later."""
    trace = (Arrival(5.0, 1, 2), Arrival(6.0, 3, 4), Arrival(9.0, 5, 6))
    again = list(islice(arrivals.looped(trace), 6))

    assert [0.0, 1.0, 4.0, 6.0, 7.0, 10.0] == [arrival.seconds for arrival in again]
    assert [2, 4, 6, 2, 4, 6] == [arrival.generated_tokens for arrival in again]
