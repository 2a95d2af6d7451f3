"""Fixtures: name this module in `pytest_plugins` to get them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from story import server
from story.play import START
from story.server import Told

SECONDS = 5400.0


@pytest.fixture(scope="session")
def told(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Return a Prometheus that holds a whole story and all that the rules record of it."""
    folder: Path = tmp_path_factory.mktemp("story")
    with server.prometheus(prometheus, folder, SECONDS) as url:
        yield Told(url, START, START + SECONDS)


@pytest.fixture(scope="session")
def told_to_victoria_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Return a VictoriaMetrics with the same."""
    program = shutil.which("victoria-metrics")
    if program is None:
        pytest.skip("victoria-metrics is not installed (Debian: apt-get install victoria-metrics)")
    folder: Path = tmp_path_factory.mktemp("story-victoria")
    with server.victoria_metrics(program, folder, SECONDS) as url:
        yield Told(url, START, START + SECONDS)
