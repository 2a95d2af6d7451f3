"""Asleep when nobody asks, awake when somebody does: a real proxy, actuator and frozen server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from actuator.fakes import FakePrometheus
from waiting import until
from wattgov_stack.ask import direct
from wattgov_stack.layout import LOOPBACK, free_ports

pytestmark = pytest.mark.e2e

REQUESTS, PATIENCE_SECONDS = 50, 60
ROOTS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
RULES = """\
version: 1
knobs:
  - knob: hibernate
    backend: freezer
    name: chat
    group: {group}
    proxy: {proxy}
    timeout: 3s
groups:
  - name: chat
    interval: 1s
    protect: {{freshness: fresh, hold: 30s}}
    rules:
      - {{action: sleep-idle, expr: idle, knob: hibernate, hibernate: {{idle: 1s, awake: 2s}}}}
"""


class Place:
    """One model server in a control group, the proxy before it, and whoever governs it."""

    def __init__(self, folder: Path, group: Path) -> None:
        self.folder, self.group = folder, group
        self.session, self.prometheus = direct(), FakePrometheus()
        self.running: list[subprocess.Popen[bytes]] = []
        ports = free_ports()
        self.api = f"http://{LOOPBACK}:{ports.actuator}"
        self.url, self.door = (
            f"http://{LOOPBACK}:{each}" for each in (ports.exporter, ports.alertmanager)
        )
        self.server = f"http://{LOOPBACK}:{ports.prometheus}"
        self.prometheus.answers["fresh"] = lambda: [({"instance": "here"}, time.time())]
        self.prometheus.answers["idle"] = lambda: [({"app": "chat"}, float(str(self.idle())))]

    def begin(self) -> None:
        """Start the server and the proxy."""
        port = self.server.rpartition(":")[2]
        model = self.start("server", "testbed", "httpapp", "--port", port)
        (self.group / "cgroup.procs").write_text(str(model.pid))
        until(lambda: self._answers(f"{self.server}/health"), "a server")
        self.start(
            *("proxy", "wattgov_actuator", "proxy", "--app", "chat", "--upstream", self.server),
            *("--listen", self.url.removeprefix("http://"), "--fail-open", "50s"),
            *("--control", self.door.removeprefix("http://")),
            *("--wake", f"{self.api}/api/v1/wake/chat"),
        )
        until(lambda: self._answers(f"{self.door}/metrics"), "a proxy")
        rules = RULES.format(group=str(self.group).removeprefix("/sys/fs/cgroup"), proxy=self.door)
        (self.folder / "rules.yml").write_text(rules)
        (self.folder / "state").mkdir(mode=0o700)

    def start(self, name: str, *words: str) -> "subprocess.Popen[bytes]":
        """Start a program of ours."""
        path = {"PYTHONPATH": os.pathsep.join(sys.path)}
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *words], env={**os.environ, **path}, stderr=log, stdout=log
            )
        self.running.append(process)
        return process

    def govern(self, *options: str) -> "subprocess.Popen[bytes]":
        """Start the actuator."""
        return self.start(
            *("run", "wattgov_actuator", "run", "--rules", f"{self.folder}/rules.yml"),
            *("--prometheus", self.prometheus.url, "--listen", self.api.removeprefix("http://")),
            *("--state-dir", f"{self.folder}/state", "--run-dir", f"{self.folder}/run"),
            *("--lease", "5", *options),
        )

    def guard(self) -> None:
        """Start the guardian."""
        state = f"{self.folder}/state"
        self.start("guardian", "wattgov_actuator", "guardian", "--state-dir", state)

    def until_asleep(self) -> None:
        """Wait for a frozen server behind a shut door."""
        until(lambda: self.frozen() and self.state()["held"], "a server that sleeps")

    def frozen(self) -> bool:
        """Tell what the kernel says of the group."""
        return "frozen 1" in (self.group / "cgroup.events").read_text()

    def state(self) -> dict[str, object]:
        """Return what the proxy says of itself."""
        found: dict[str, object] = self.session.get(f"{self.door}/api/v1/state").json()
        return found

    def idle(self) -> object:
        """Return for how many seconds nobody has asked for anything."""
        return self.state()["idle_seconds"]

    def wakes(self) -> dict[str, float]:
        """Return how many tries to wake have ended how; the others are none."""
        lines = self.session.get(f"{self.door}/metrics").text.splitlines()
        found = (each for each in lines if each.startswith("app_wakes_total{"))
        ends = {each.split('"')[3]: float(each.rpartition(" ")[2]) for each in found}
        return {result: count for result, count in ends.items() if count}

    def ask(self) -> int:
        """Ask the server for something, through its proxy; return the status."""
        return direct().get(f"{self.url}/work?ms=1", timeout=PATIENCE_SECONDS).status_code

    def end(self) -> None:
        """Thaw, and end all."""
        (self.group / "cgroup.freeze").write_text("0")
        for each in self.running:
            each.kill()
            each.wait()
        self.prometheus.close()

    def _answers(self, url: str) -> bool:
        try:
            return bool(self.session.get(url).ok)
        except OSError:
            return False


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a server that is awake behind its proxy; governed by nobody yet."""
    root = next((each for each in ROOTS if (each / "cgroup.controllers").exists()), None)
    if root is None:
        pytest.skip("this machine has no cgroup v2, not even beside v1")
    group = root / f"wattgov-wake-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"a control group cannot be made here: {error.strerror}; it takes root")
    made = Place(tmp_path, group)
    try:
        made.begin()
        yield made
    finally:
        made.end()
        until(lambda: not (group / "cgroup.procs").read_text(), "an empty group")
        group.rmdir()


@pytest.fixture
def crowd() -> Iterator[ThreadPoolExecutor]:
    """Return those who ask at the same time."""
    with ThreadPoolExecutor(REQUESTS) as crowd:
        yield crowd


def knocking(place: Place, crowd: ThreadPoolExecutor) -> list[Future[int]]:
    """Let all ask at once, and wait until the first is at the door."""
    asking = [crowd.submit(place.ask) for _ in range(REQUESTS)]
    until(lambda: place.state()["queued"] or asking[0].done(), "somebody at the door")
    return asking


def test_fifty_at_once_wake_it_once_and_none_is_lost(
    place: Place, crowd: ThreadPoolExecutor
) -> None:
    """Idle, it is frozen; the first who comes has it thawed, and all are answered."""
    place.govern("--enforce")
    place.until_asleep()
    assert {} == place.wakes()
    asking = knocking(place, crowd)

    assert [200] * REQUESTS == [each.result(PATIENCE_SECONDS) for each in asking]
    # The actuator opens the door before it answers who asked it to wake.
    assert place.wakes() in ({"opened": 1.0}, {"woken": 1.0})
    place.until_asleep()  # and when they have gone, it sleeps again


@pytest.mark.parametrize("who", ["guardian", "next start"])
def test_killed_while_it_sleeps_somebody_wakes_it_and_opens(
    place: Place, crowd: ThreadPoolExecutor, who: str
) -> None:
    """Those who wait meanwhile are answered then: the journal knew before the kernel did."""
    loop = place.govern("--enforce")
    place.until_asleep()
    loop.send_signal(signal.SIGKILL)
    assert -signal.SIGKILL == loop.wait(PATIENCE_SECONDS)
    asking = knocking(place, crowd)
    assert place.frozen()
    if who == "guardian":
        place.guard()
    else:
        place.govern()  # a dry run: it puts back, and puts nothing to sleep

    assert [200] * REQUESTS == [each.result(PATIENCE_SECONDS) for each in asking]
    assert (False, False) == (place.frozen(), place.state()["held"])
    assert "failed_open" not in place.wakes()


def test_an_order_to_wake_opens_the_door(place: Place) -> None:
    """The order is answered when the server is awake; it says so in the journal's words."""
    place.govern("--enforce")
    place.until_asleep()
    answer = place.session.post(f"{place.api}/api/v1/wake/chat", timeout=PATIENCE_SECONDS)

    assert (200, {"awake": "chat"}) == (answer.status_code, json.loads(answer.text))
    assert (False, False) == (place.frozen(), place.state()["held"])
