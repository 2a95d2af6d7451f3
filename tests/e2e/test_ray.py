"""A real Ray Serve, where it is installed: a live change of one number, and all is as it was.

Too heavy for every run (400 MB): `RAY=/path/to/bin/ray pytest tests/e2e/test_ray.py`.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from conftest import find
from waiting import until
from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.ray import Ray
from wattgov_stack.ask import direct
from wattgov_stack.layout import LOOPBACK, free_ports
from wattgov_stack.processes import Command, Process

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("ray")]

APP = """\
from ray import serve


@serve.deployment(
    max_ongoing_requests=8,
    user_config={"max_batch_size": 16, "seconds": 0.1},
    ray_actor_options={"num_cpus": 0.1},
)
class D:
    def reconfigure(self, config):
        self.config = config

    async def __call__(self, request):
        return self.config


app = D.bind()
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the dashboard of a cluster with two applications, `a` and `b`."""
    if "RAY" not in os.environ:
        pytest.skip("opt-in: set RAY to the program ray of an environment with ray[serve]")
    ray, folder, ports = find("no package", "ray"), tmp_path_factory.mktemp("ray"), free_ports()
    (folder / "chat.py").write_text(APP)
    url = f"http://{LOOPBACK}:{ports.actuator}"
    cluster = Process(
        Command(
            "ray",
            (
                *(ray, "start", "--head", "--block", "--num-cpus=2", "--disable-usage-stats"),
                *(f"--port={ports.exporter}", "--object-store-memory=100000000"),
                *(f"--dashboard-host={LOOPBACK}", f"--dashboard-port={ports.actuator}"),
            ),
            f"{url}/api/serve/applications/",
        ),
        folder,
    )
    runtime = {"env_vars": {"PYTHONPATH": str(folder)}}
    app = {"import_path": "chat:app", "runtime_env": runtime}
    entry = {"name": "D", "max_ongoing_requests": 32}
    applications = [
        {"name": "a", "route_prefix": "/a", "deployments": [entry], **app},
        {"name": "b", "route_prefix": "/b", **app},
    ]
    body = {"applications": applications, "http_options": {"port": ports.prometheus}}
    try:
        cluster.wait_ready()
        direct().put(f"{url}/api/serve/applications/", json=body, timeout=60).raise_for_status()
        until(lambda: {"RUNNING"} == {each[2] for each in shown(url).values()}, "both run")
        yield url
    finally:
        os.killpg(cluster.pid, signal.SIGKILL)  # a session of its own; `ray stop` ends others' too
        cluster.stop()


def shown(url: str) -> dict[str, tuple[object, list[object], str]]:
    """Return each application's config, the processes of its replicas, and its status."""
    found = direct().get(f"{url}/api/serve/applications/", timeout=60).json()["applications"]
    return {
        name: (
            each["deployed_app_config"],
            [one.get("pid") for one in each["deployments"].get("D", {}).get("replicas", [])],
            each["status"],
        )
        for name, each in found.items()
    }


@pytest.mark.parametrize(
    ("application", "field", "before"),
    [
        ("a", "max_ongoing_requests", 32.0),
        ("b", "max_ongoing_requests", 8.0),
        ("b", "user_config.max_batch_size", 16.0),
    ],
)
def test_a_live_change_loses_nothing(url: str, application: str, field: str, before: float) -> None:
    """The same processes serve on, the other application stays, and the config comes back."""
    way = {"url": url, "application": application, "deployment": "D", "field": field}
    knob = Ray(Connection("batch_size", "ray", "chat", {}, way, timeout_seconds=60))
    was, whole = knob.read(""), shown(url)
    processes = {name: each[1] for name, each in whole.items()}
    knob.write("", 7.0)

    assert (before, 7.0) == (was.value, knob.read("").value)
    assert processes == {name: each[1] for name, each in shown(url).items()}
    knob.restore("", was.value, was.text)
    assert was == knob.read("")
    until(lambda: whole == shown(url), "the whole as it was, and running")
