"""The real programs that tests use; a test skips, in words, where one is missing."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No timed assertions: a busy machine is no mistake of the code.
settings.register_profile("wattgov", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("wattgov")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update`, which writes golden files anew, and `--fuzz`, for how long to try."""
    parser.addoption("--update", action="store_true", help="write golden files anew")
    parser.addoption("--fuzz", type=int, default=500, help="how many garbled rule files to read")


def find(package: str, *names: str) -> str:
    """Return the first program found, $NAME before the path; skip, in words, if there is none."""
    for name in names:
        path = shutil.which(os.environ.get(name.upper(), name))
        if path:
            return path
    pytest.skip(f"{names[0]} is not installed (Debian: apt-get install {package})")


NEWER = Path(__file__).parents[1] / ".state" / "newer" / "usr" / "bin"
GENERATIONS = ("own", "newer")  # Debian 12's own (2.42, 0.25), and those of `make newer`


def of(generation: str, package: str, *names: str) -> str:
    """Return a program of one generation; skip, in words, where it is not here."""
    if generation == "own":
        return find(package, *names)
    path = NEWER / names[-1]
    if not path.exists():
        pytest.skip(f"no newer {names[0]} is here (make newer)")
    return str(path)


@pytest.fixture(scope="session")
def own_promtool() -> str:
    """Path of the promtool that came with `prometheus`."""
    return find("prometheus", "promtool")


@pytest.fixture(scope="session", params=GENERATIONS)
def promtool(request: pytest.FixtureRequest) -> str:
    """Path of promtool, one after the other."""
    return of(request.param, "prometheus", "promtool")


@pytest.fixture(scope="session", params=GENERATIONS)
def amtool(request: pytest.FixtureRequest) -> str:
    """Path of amtool, one after the other."""
    return of(request.param, "prometheus-alertmanager", "amtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    """Path of Prometheus."""
    return find("prometheus", "prometheus")


@pytest.fixture(scope="session", params=GENERATIONS)
def each_prometheus(request: pytest.FixtureRequest) -> str:
    """Path of Prometheus, one after the other."""
    return of(request.param, "prometheus", "prometheus")


@pytest.fixture(scope="session")
def alertmanager() -> str:
    """Path of Alertmanager, which Debian names prometheus-alertmanager."""
    return find("prometheus-alertmanager", "alertmanager", "prometheus-alertmanager")


@pytest.fixture(scope="session", params=GENERATIONS)
def each_alertmanager(request: pytest.FixtureRequest) -> str:
    """Path of Alertmanager, one after the other."""
    return of(request.param, "prometheus-alertmanager", "alertmanager", "prometheus-alertmanager")


@pytest.fixture(scope="session", params=GENERATIONS)
def each_pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Paths of Prometheus and Alertmanager, of one generation after the other."""
    alertmanager = ("prometheus-alertmanager", "alertmanager", "prometheus-alertmanager")
    return of(request.param, "prometheus", "prometheus"), of(request.param, *alertmanager)


@pytest.fixture(scope="session")
def victoria_metrics() -> str:
    """Path of VictoriaMetrics, single node."""
    return find("victoria-metrics", "victoria_metrics", "victoria-metrics")
