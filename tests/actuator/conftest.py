"""Fixtures of the actuator's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from actuator.fakes import Clock, FakePrometheus, FileKnob


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
