"""The story that dashboards are tested with: true to the contract, and good for what it is for."""

import math
import struct
from pathlib import Path

import pytest

from story import door, itself
from story.play import START, play
from story.remote import encoded
from story.replay import rules
from story.tape import Tape, ended
from testbed.exposition import Totals, families
from testbed.serving import Lane
from wattgov_exporter.exposition import SERIES

pytestmark = pytest.mark.xdist_group("story")

ROOT = Path(__file__).parents[1]
HISTOGRAM = ("_bucket", "_sum", "_count")
ALL_OF_IT = 5400.0


@pytest.fixture(scope="module")
def tape() -> Tape:
    """Return one whole story."""
    return play(ALL_OF_IT)


def test_the_exporters_series_are_the_exporters(tape: Tape) -> None:
    """Each has the labels that the exporter's own table gives it."""
    contract = {one.name: set(one.labels) for one in SERIES}
    told = {name: labels for name, labels in tape.names.items() if name in contract}

    assert {name: contract[name] for name in told} == told
    assert 30 < len(told)


def test_the_rest_is_the_actuators_or_an_engines(tape: Tape) -> None:
    """No series has a name that nobody publishes."""
    engine = families("m", [Lane()], [Totals()])
    known = {sample.name for family in engine for sample in family.samples}
    known |= {one.name for one in SERIES}
    known |= itself.published() | door.published()
    known |= {"vllm:engine_sleep_state"}  # which the testbed's engine, always awake, does not tell
    http = {"http_requests_total", *(f"http_request_duration_seconds{end}" for end in HISTOGRAM)}

    assert {"up", *http} == set(tape.names) - known


def test_the_story_is_the_same_every_time() -> None:
    """Its noise has a seed: what a test sees today it sees tomorrow."""
    assert play(600.0).series == play(600.0).series


def test_the_books_of_the_story_close(tape: Tape) -> None:
    """By node and component, the apps' joules add up to the meter's at every scrape."""
    apps: dict[tuple[str, str], list[float]] = {}
    nodes: dict[tuple[str, str], list[float]] = {}
    for labels, samples in tape.series.items():
        one = dict(labels)
        sums = {"app_energy_joules_total": apps, "node_energy_joules_total": nodes}.get(
            one["__name__"]
        )
        if sums is not None:
            place = (one["instance"], one["component"])
            values = [value for _, value in samples]
            before = sums.get(place, [0.0] * len(values))
            sums[place] = [a + b for a, b in zip(before, values, strict=True)]

    assert apps.keys() == nodes.keys()
    for place, joules in nodes.items():
        assert all(map(math.isclose, joules, apps[place])), place


def test_counters_never_fall(tape: Tape) -> None:
    """No counter of the story goes back."""
    for labels, samples in tape.series.items():
        if dict(labels)["__name__"].endswith(("_total", *HISTOGRAM)):
            values = [value for _, value in samples]
            assert sorted(values) == values, labels


def test_the_governor_has_a_reason_of_each_kind(tape: Tape) -> None:
    """What a dashboard of it must show happens: steps, bounds, vetoes, a restore, a dry run."""
    name = "wattgov_actuator_decisions_total"
    reasons = {dict(key)["reason"] for key in tape.series if dict(key)["__name__"] == name}

    expected = {"applied", "would_apply", "restored", "unchanged", "cooldown", "clamped"}
    assert expected | {"vetoed_sla", "vetoed_thermal"} == reasons


def test_a_series_that_stops_is_marked() -> None:
    """Prometheus would show the last value for five minutes more: a gap and an end are told."""
    samples = [(0.0, 1.0), (15.0, 1.0), (60.0, 2.0)]

    assert [(0.0, 1.0), (15.0, 1.0), (30.0, None), (60.0, 2.0), (75.0, None)] == ended(
        samples, 15.0, 120.0
    )


def test_remote_write_is_what_prometheus_reads() -> None:
    """One series of one sample, byte by byte: snappy literals around the protocol buffer."""
    label = b"\x0a\x08__name__\x12\x01x"
    sample = b"\x09" + struct.pack("<d", 2.5) + b"\x10\xe8\x07"
    series = b"\x0a" + bytes([len(label)]) + label + b"\x12" + bytes([len(sample)]) + sample
    message = b"\x0a" + bytes([len(series)]) + series

    assert bytes([len(message)]) + b"\xf8" + bytes([len(message) - 1, 0, 0]) + message == encoded(
        [((("__name__", "x"),), [(1.0, 2.5)])]
    )


def test_rules_come_after_what_they_name() -> None:
    """A KPI is recorded when its layers are; all rules are there, once."""
    found = rules(ROOT / "rules/recording")
    names = list(dict.fromkeys(rule["record"] for rule in found))

    assert names.index("app:energy_joules:rate5m") < names.index("energy:app_joules_per_request")
    assert names.index("app:serving_requests:rate5m") < names.index("energy:app_joules_per_request")
    assert len(found) == len({id(rule) for rule in found})


def test_the_story_begins_on_a_scrape() -> None:
    """Its times are multiples of the scrape interval, as the range queries' are."""
    assert 0.0 == START % 15.0
