"""A real Triton: its batches hold a latency, and it sleeps; after a crash all is as it was."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import triton
from fakes import api
from fakes.triton import Triton
from testbed import web
from waiting import Asker, until
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs.triton import Triton as Knob
from wattgov_actuator.knobs.triton_model import TritonModel
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import KnobError
from wattgov_stack import configs
from wattgov_stack.ask import direct
from wattgov_stack.layout import LOOPBACK, Layout, free_ports
from wattgov_stack.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("triton")]

BUCKETS = "rate(chat_request_duration_seconds_bucket[10s])"
LATENCY = f"histogram_quantile(0.5, sum by (app, le) ({BUCKETS}))"  # a load slows some requests

RULES = """\
version: 1
knobs:
  - knob: batch_size
    backend: triton
    name: chat
    url: {url}
    model: chat
    timeout: 1s                  # a load takes longer: it goes on by itself
    high: 64
groups:
  - name: batches
    interval: 1s
    protect: {{max_age: 20s}}
    rules:
      - action: batch-to-latency
        expr: {latency}
        knob: batch_size
        pid: {{target: 0.1, kp: 0, ki: 6, kd: 0, tolerance: 0.02}}
        min: 1
        max: 64
"""


SLEEPING = """\
version: 1
knobs:
  - knob: hibernate
    backend: triton_model
    name: chat
    url: {url}
    model: chat
    timeout: 1s
groups:
  - name: sleep
    interval: 1s
    rules:
      - action: rest
        expr: vector(3600)
        knob: hibernate
        hibernate: {{idle: 1s, awake: 1h}}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return where the real server listens."""
    with triton.serving(tmp_path_factory.mktemp("triton")) as url:
        yield url


@pytest.mark.usefixtures("prometheus", "alertmanager")
def test_batches_follow_a_latency_and_come_back_after_a_crash(tmp_path: Path, url: str) -> None:
    """Full batches are waited for, so they decide the latency; the prior config comes back."""
    before = triton.config(url)
    (tmp_path / "exporter.yml").write_text("version: 1\n")
    (tmp_path / "rules.yml").write_text(RULES.format(url=url, latency=LATENCY))
    layout = Layout(
        state=tmp_path / "state",
        ports=free_ports(),
        exporter_config=tmp_path / "exporter.yml",
        actuator_rules=(tmp_path / "rules.yml",),
        scrape_seconds=1,
        enforce=True,
        actuator_options=("--run-dir", str(tmp_path / "run")),
    )
    prometheus, load = Asker(layout.ports), triton.Load(url, per_second=40)
    load.start()
    with (
        web.serving(0, {"/metrics": load.metrics}) as port,
        Stack(layout, os.environ, print) as stack,
    ):
        configs.target(layout, "chat", f"{LOOPBACK}:{port}")
        assert prometheus.first(f"{LATENCY} > 0.15")
        actuator = stack.start_actuator()
        near = f"{LATENCY} > 0.05 < 0.14"  # a step takes eleven times what loading does
        until(lambda: prometheus.one(near), near, seconds=300)
        held = triton.config(url)
        actuator.kill()
        assert held == triton.config(url)  # nobody put it back yet
        stack.layout = replace(layout, enforce=False)
        stack.start_actuator()
        until(lambda: triton.config(url) == before, "the prior config, after the next start")
        prometheus.first("wattgov_actuator_open_undos == 0")
        load.stop()

    assert 1 <= held["max_batch_size"] < 16 < before["max_batch_size"]  # type: ignore[operator]
    assert 0 == load.failures


def knob(url: str, **settings: str) -> Knob:
    """Return the knob of the model, which may be loaded at any time."""
    given: dict[str, Setting] = {"url": url, "model": "chat", "field": "max_batch_size"}
    given |= {"low": 1.0, "high": 64.0, **settings}
    way = Connection("batch_size", "triton", "chat", {}, given, timeout_seconds=30)
    return Knob(Machine(steady=lambda: 0.0), way)


def loads(url: str, size: int, preferred: int, **more: object) -> list[tuple[int, str]]:
    """Return what a server answers to loads that go wrong, and to the one that does nothing."""
    whole = direct().get(f"{url}/v2/models/chat/config", timeout=10).json()
    batching = {**whole["dynamic_batching"], "preferred_batch_size": [preferred]}
    bad = json.dumps({**whole, "max_batch_size": size, "dynamic_batching": batching, **more})
    bodies: list[dict[str, object]] = [{"config": bad}, {"config": whole}, {"confg": bad}, {}]
    answers = [
        direct().post(
            f"{url}/v2/repository/models/{name}/load", json={"parameters": body}, timeout=60
        )
        for name, body in (*(("chat", each) for each in bodies), ("none", {"config": bad}))
    ]
    return [
        (each.status_code, str(each.json()["error"])[:10] if each.content else "")
        for each in answers
    ]


def test_the_fake_answers_as_triton_does(url: str) -> None:
    """Its traps are those of the real one: statuses, first words, and the config afterwards."""
    with api.serving(Triton()) as fake:
        for size, preferred in ((4, 8), (0, 0)):
            before = triton.config(url), triton.config(fake)
            assert loads(url, size, preferred) == loads(fake, size, preferred)
            assert before == (triton.config(url), triton.config(fake))
        for server in (url, fake):
            knob(server).write("chat", 4)
        assert loads(url, 2, 4) == loads(fake, 2, 4)  # with `{}` last of all: the override stays
        assert [4, 4] == [triton.config(each)["max_batch_size"] for each in (url, fake)]
        knob(url).restore("chat", 32, '{"max_batch_size": 32, "preferred_batch_size": [32]}')
    assert "404: Request for unknown model: 'other'" in failure(knob(url, model="other"))


def failure(knob: Knob) -> str:
    """Return what a read fails with."""
    with pytest.raises(KnobError) as raised:
        knob.read("chat")
    return raised.value.detail


@pytest.mark.parametrize(("field", "value"), [("instances", 2), ("max_batch_size", 3)])
def test_the_whole_config_is_as_it_was_after_a_way_there_and_back(
    url: str, field: str, value: float
) -> None:
    """As the real server shows it."""
    turned, before = knob(url, field=field), triton.config(url)
    was = turned.read("chat")
    turned.write("chat", value)

    assert value == turned.read("chat").value
    assert before != triton.config(url)
    turned.restore("chat", was.value, was.text)
    assert before == triton.config(url)


def sleeper(url: str) -> TritonModel:
    """Return the knob that puts the model to sleep."""
    settings: dict[str, Setting] = {"url": url, "model": "chat"}
    return TritonModel(Connection("hibernate", "triton_model", "chat", {"app": "chat"}, settings))


def index(url: str) -> list[tuple[str, str, str]]:
    """Return what the repository says of its models."""
    rows = direct().post(f"{url}/v2/repository/index", json={}, timeout=10).json()
    return [(each["name"], each.get("state", ""), each.get("reason", "")) for each in rows]


def unload(url: str, model: str) -> int:
    """Return the status of an unload."""
    path = f"{url}/v2/repository/models/{model}/unload"
    return direct().post(path, json={}, timeout=10).status_code


def ready(url: str) -> bool:
    """Tell whether the model answers."""
    return direct().get(f"{url}/v2/models/chat/ready", timeout=10).ok


def test_the_fake_unloads_as_triton_does(url: str) -> None:
    """It says 200 at once and to any name, and what it is about later, and it loads the file."""
    states: dict[str, list[object]] = {}
    with api.serving(Triton()) as fake:
        for server in (url, fake):
            said = [index(server), unload(server, "none"), unload(server, "chat")]
            seen: list[object] = []

            def gone(server: str = server, seen: list[object] = seen) -> bool:
                seen.append(index(server))
                return seen[-1] == [("chat", "UNAVAILABLE", "unloaded")]

            until(gone, "unloaded")
            said += [seen[0], seen[-1], unload(server, "chat")]
            sleeper(server).write("chat", 1.0)
            states[server] = [*said, index(server)]
        assert states[url] == states[fake]
    assert [("chat", "UNLOADING", "")] == states[url][3]


def test_a_model_wakes_with_the_config_that_it_slept_with(url: str) -> None:
    """As its file says, or as it was overridden; both to the letter."""
    turned, asleep = knob(url), sleeper(url)
    prior = turned.read("chat")
    for size in (prior.value, 4.0):
        turned.write("chat", size)
        before, was = triton.config(url), asleep.read("chat")
        asleep.write("chat", 0.0)
        assert (False, 0.0) == (ready(url), asleep.read("chat").value)
        asleep.restore("chat", was.value, was.text)
        assert (True, before) == (ready(url), triton.config(url))
    turned.restore("chat", prior.value, prior.text)


@pytest.mark.usefixtures("prometheus", "alertmanager")
def test_an_actuator_that_dies_wakes_it_at_its_next_start(tmp_path: Path, url: str) -> None:
    """With the batches that it had; and an order wakes it, and is answered when it is awake."""
    turned = knob(url)
    prior = turned.read("chat")
    turned.write("chat", 8)
    before = triton.config(url)
    (tmp_path / "exporter.yml").write_text("version: 1\n")
    (tmp_path / "rules.yml").write_text(SLEEPING.format(url=url))
    layout = Layout(
        state=tmp_path / "state",
        ports=free_ports(),
        exporter_config=tmp_path / "exporter.yml",
        actuator_rules=(tmp_path / "rules.yml",),
        scrape_seconds=1,
        enforce=True,
        actuator_options=("--run-dir", str(tmp_path / "run")),
    )
    asleep = [("chat", "UNAVAILABLE", "unloaded")]
    with Stack(layout, os.environ, print) as stack:
        actuator = stack.start_actuator()
        until(lambda: index(url) == asleep, "asleep")
        actuator.kill()
        assert asleep == index(url)  # nobody woke it yet
        stack.layout = replace(layout, enforce=False)
        actuator = stack.start_actuator()
        until(lambda: ready(url) and triton.config(url) == before, "awake, after the next start")
        actuator.stop()
        stack.layout = layout
        stack.start_actuator()
        until(lambda: index(url) == asleep, "asleep again")
        wake = f"{layout.ports.url('actuator')}/api/v1/wake/chat"
        until(lambda: direct().post(wake, timeout=30).status_code == 200, "awake, by an order")
        assert (True, before) == (ready(url), triton.config(url))
    turned.restore("chat", prior.value, prior.text)
