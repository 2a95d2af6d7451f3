"""The real programs that tests use; a test skips, in words, where one is missing."""

import os
import shutil

import pytest


def find(*names: str) -> str:
    """Return the first program found; skip the test with the reason if there is none."""
    for name in names:
        path = shutil.which(os.environ.get(name.upper().replace("-", "_"), name))
        if path:
            return path
    pytest.skip(f"{names[0]} is not installed (Debian: apt-get install {names[-1]})")


@pytest.fixture(scope="session")
def promtool() -> str:
    """Path of promtool."""
    return find("promtool", "prometheus")


@pytest.fixture(scope="session")
def amtool() -> str:
    """Path of amtool."""
    return find("amtool", "prometheus-alertmanager")


@pytest.fixture(scope="session")
def prometheus() -> str:
    """Path of Prometheus."""
    return find("prometheus")


@pytest.fixture(scope="session")
def alertmanager() -> str:
    """Path of Alertmanager, which Debian names prometheus-alertmanager."""
    return find("alertmanager", "prometheus-alertmanager")
