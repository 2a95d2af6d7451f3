"""Fixtures of the actuator's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from actuator.fakes import Clock, FakePrometheus, FileKnob
from actuator.stage import Make, Stage
from wattgov_actuator.rules import RuleSet


@pytest.fixture
def server() -> Iterator[FakePrometheus]:
    """Return a Prometheus that knows nothing yet."""
    fake = FakePrometheus()
    yield fake
    fake.close()


@pytest.fixture
def knob(tmp_path: Path) -> FileKnob:
    """Return a knob with one card at 300 W."""
    fake = FileKnob(tmp_path / "cards")
    fake.add()
    return fake


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def make(tmp_path: Path, knob: FileKnob) -> Iterator[Make]:
    """Return a maker of stages with one card at 300 W; their journals are closed at the end."""
    stages: list[Stage] = []

    def stage(rules: RuleSet, *, enforcing: bool = True) -> Stage:
        stages.append(Stage(tmp_path, rules, knob, enforcing=enforcing))
        return stages[-1]

    yield stage
    for each in stages:
        each.journal.close()
