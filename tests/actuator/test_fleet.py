"""The whole command on a cluster: sleep and wake, batch work by the grid, a policy's replicas."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from actuator.fakes import FakePrometheus
from actuator.test_run import Actuator, until
from fakes.api import serving
from fakes.evictions import node, pod
from fakes.kubernetes import PAUSED, Cluster, cron_job, deployment, scaled_object
from testbed.nvml import VirtualGpus
from wattgov_actuator.knobs import open_knob

pytest_plugins = ["testbed.fixtures"]
CLUSTER = 'backend: kubernetes, url: "{}", namespace: shop'
KNOBS = """
version: 1
enforce: true
knobs:
  - {{knob: hibernate, name: drafts, object: drafts, {cluster}}}
  - {{knob: hibernate, backend: kubernetes_node, name: gpu-7, url: "{url}", node: gpu-7}}
  - {{knob: replicas, name: chat, object: chat, high: 9, {cluster}}}
  - {{knob: batch_jobs, name: nightly, {cluster}}}
"""
RULES = """
groups:
  - name: fleet
    interval: 1s
    protect: {freshness: fresh, hold: 0s}
    rules:
      - {action: sleep, expr: idle, knob: hibernate, hibernate: {idle: 1s, awake: 1h}}
      - {action: green, expr: dirty, knob: batch_jobs, set: paused, cooldown: 0s}
      - {action: fewer, expr: costly, knob: replicas, set: 2, min: 1, cooldown: 0s}
"""
POLICY = """
apiVersion: energy.io/v1alpha1
kind: EnergyPolicy
metadata: {name: thrift}
spec:
  targetNamespace: shop
  autoscaling: {targetJoulesPerRequest: 150, minReplicas: 3, maxReplicas: 9}
  optimization: {enabled: true}
"""
NODES = """
groups:
  - name: nodes
    interval: 1s
    protect: {freshness: fresh, hold: 0s, sla: {expr: slow}}
    rules:
      - {action: empty, expr: idle, knob: hibernate, hibernate: {idle: 1s, awake: 1s}}
"""
CAP = 'node_gpu_power_limit_watts{limit="current"} > 0'
Start = Callable[..., Actuator]


@pytest.fixture
def cluster() -> Cluster:
    """Return a cluster with a Deployment that KEDA owns, one that nobody does, and a CronJob."""
    made = Cluster()
    for name in ("chat", "drafts"):
        made.add("apps/v1", "deployments", name, deployment(4))
    made.add("keda.sh/v1alpha1", "scaledobjects", "queue", scaled_object("chat", maxReplicaCount=4))
    made.add("batch/v1", "cronjobs", "nightly", cron_job())
    made.add("v1", "nodes", "gpu-7", node(), "")
    for name in ("one", "two"):
        made.add("v1", "pods", name, pod("gpu-7"))
    return made


@pytest.fixture
def start(
    tmp_path: Path, cluster: Cluster, server: FakePrometheus, gpus: VirtualGpus
) -> Iterator[Start]:
    """Return what starts an actuator with more rules beside the entries."""
    for name in ("idle", "dirty", "costly", "slow"):
        server.answers[name] = []
    server.answers["fresh"] = lambda: [({"instance": "here"}, time.time())]
    running = []
    with serving(cluster) as url:

        def started(rules: str, *options: str) -> Actuator:
            (tmp_path / "rules.yml").write_text(
                KNOBS.format(cluster=CLUSTER.format(url), url=url) + rules
            )
            running.append(Actuator(tmp_path, server.url, gpus, *options))
            return running[-1].ready()

        yield started
        for each in running:
            each.process.kill()
            each.process.wait()


def test_what_is_idle_is_scaled_to_zero_and_back_when_somebody_asks(
    start: Start, cluster: Cluster, server: FakePrometheus
) -> None:
    """By the law with its two looks; the answer to the order comes when it is back."""
    server.answers["idle"] = [({"app": "drafts", "instance": "here"}, 3600.0)]
    actuator = start(RULES)
    until("it sleeps", lambda: cluster.replicas("drafts") == 0)
    order = Request(f"{actuator.url}/api/v1/wake/drafts", method="POST", data=b"")
    with urlopen(order, timeout=30) as answer:
        assert 200 == answer.status

    assert 4 == cluster.replicas("drafts")
    assert 0 == actuator.end(signal.SIGTERM)


def test_a_node_is_emptied_until_somebody_suffers_or_the_actuator_dies(
    start: Start, cluster: Cluster, server: FakePrometheus
) -> None:
    """A breach of the SLA ends the drain at once, and a new start uncordons after kill -9."""

    def cordoned() -> bool:
        return bool(cluster.things["/api/v1/nodes/gpu-7"]["spec"].get("unschedulable"))

    def ending() -> int:
        pods = (each for path, each in list(cluster.things.items()) if "/pods/" in path)
        return sum("deletionTimestamp" in each["metadata"] for each in pods)

    cluster.lingering = True
    server.answers["idle"] = [({"app": "gpu-7", "instance": "here"}, 3600.0)]
    actuator = start(NODES)
    until("a pod is told to end", lambda: cordoned() and ending() == 1)
    server.answers["slow"] = [({"app": "gpu-7", "instance": "here"}, 9.0)]
    until("it takes pods again", lambda: not cordoned())
    assert 1 == ending()
    actuator.process.kill()
    actuator.process.wait()
    server.answers["slow"] = []
    again = start(NODES)
    until("it is emptied again", cordoned)
    again.process.kill()
    again.process.wait()
    assert cordoned()
    server.answers["idle"] = []
    last = start(NODES)

    assert not cordoned()
    assert 0 == last.end(signal.SIGTERM)


def test_batch_work_waits_for_a_green_grid(
    start: Start, cluster: Cluster, server: FakePrometheus
) -> None:
    """It is suspended while it is not, let go when it is, and at the end in any case."""
    spec = cluster.at("batch/v1", "cronjobs", "nightly")["spec"]
    assert not spec["suspend"]

    def suspended() -> bool:
        return bool(cluster.at("batch/v1", "cronjobs", "nightly")["spec"]["suspend"])

    server.answers["dirty"] = [({"app": "nightly", "instance": "here"}, 400.0)]
    actuator = start(RULES)
    until("it is suspended", suspended)
    server.answers["dirty"] = []
    until("it is let go", lambda: not suspended())
    server.answers["dirty"] = [({"app": "nightly", "instance": "here"}, 400.0)]
    until("it is suspended again", suspended)
    actuator.process.kill()
    actuator.process.wait()
    assert suspended()
    server.answers["dirty"] = []
    again = start(RULES)

    assert not suspended()
    assert 0 == again.end(signal.SIGTERM)


def test_keda_is_paused_at_fewer_replicas_and_goes_on_where_it_was(
    start: Start, cluster: Cluster, server: FakePrometheus
) -> None:
    """Nobody scales past it; what we have said to it is gone in the end."""

    def paused() -> object:
        owner = cluster.at("keda.sh/v1alpha1", "scaledobjects", "queue")
        return owner["metadata"]["annotations"].get(PAUSED)

    server.answers["costly"] = [({"app": "chat", "instance": "here"}, 400.0)]
    actuator = start(RULES)
    until("KEDA is paused", lambda: paused() == "2")
    assert 2 == cluster.replicas()
    assert 0 == actuator.end(signal.SIGTERM)

    assert (None, 4) == (paused(), cluster.replicas())


def test_a_policy_is_in_force_beside_the_entries_of_a_rule_file(
    start: Start, cluster: Cluster, server: FakePrometheus, tmp_path: Path
) -> None:
    """It is included as any rule file; its replicas wait for five minutes of costly requests."""
    taken = 'energy:app_joules_per_request{app=~"shop/.*|[^/]*"}'
    server.answers[f"{taken} > 150"] = [({"app": "chat", "instance": "here"}, 400.0)]
    server.answers[f"{taken} < 135"] = []
    freshness = "energy_source_last_sample_timestamp_seconds"
    server.answers[freshness] = lambda: [({"instance": "here"}, time.time())]
    (tmp_path / "policy.yml").write_text(POLICY)
    rows = {row["rule"]: row for row in start("include: policy.yml\n").decisions()}

    fewer = rows["thrift-fewer"]
    assert ("replicas", "chat", "waiting") == (fewer["knob"], fewer["target"], fewer["reason"])
    assert 4 == cluster.replicas()


def test_policies_of_the_cluster_come_and_go_while_it_runs(
    start: Start, cluster: Cluster, server: FakePrometheus, gpus: VirtualGpus
) -> None:
    """A cap is held while its policy is there; a version with a mistake is told only."""
    first = open_knob("gpu_power_limit").probe().targets[0].name
    before = gpus.card(0).limit_watts
    server.answers[CAP] = [({"uuid": first, "instance": "here"}, before)]
    for name in ("[5m]) < 60", "[1m]) > 85"):
        server.answers[f"avg_over_time(node_gpu_utilization_percent{name}"] = []
    freshness = "energy_source_last_sample_timestamp_seconds"
    server.answers[freshness] = lambda: [({"instance": "here"}, time.time())]

    def policy(watts: float) -> None:
        spec = {"targetNamespace": "shop", "powerCaps": {"gpu": watts}}
        thing = {"spec": {**spec, "optimization": {"enabled": True}}}
        cluster.add("energy.io/v1alpha1", "energypolicies", "thrift", thing)

    actuator = start(RULES, "--energy-policies", "shop")
    policy(before - 100)
    until("the cap is held", lambda: gpus.card(0).limit_watts == before - 100)
    policy(-1)
    until("it is refused", lambda: "above 0" in str(actuator.status()["energy_policies"]))
    assert before - 100 == gpus.card(0).limit_watts
    with urlopen(f"{actuator.url}/metrics", timeout=10) as answer:
        page = answer.read().decode()
    for line in ('policies{state="in_force"} 1.0', 'policies{state="refused"} 1.0', "watched 1.0"):
        assert line in page
    cluster.away = 10**9
    cluster.changes.hang_up()
    until("it is blind", lambda: "policies_not_watched" in actuator.log.read_text())
    assert before - 100 == gpus.card(0).limit_watts
    cluster.away = 0
    cluster.remove("energy.io/v1alpha1", "energypolicies", "thrift")
    until("the cap is let go", lambda: gpus.card(0).limit_watts == before)

    assert 0 == actuator.end(signal.SIGTERM)
