"""Fixtures: name this module in `pytest_plugins` to get them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import nvml


@pytest.fixture(scope="session")
def fake_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the compiled fake `libnvidia-ml.so.1`; a test skips where nothing compiles it."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed (Debian: apt-get install gcc)")
    return nvml.build(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def gpus(fake_driver: Path, tmp_path: Path) -> Iterator[nvml.VirtualGpus]:
    """Four new virtual cards, the NVIDIA driver of this process for the length of a test."""
    with nvml.VirtualGpus(fake_driver, tmp_path / "gpus") as node:
        yield node
        node.clear()
