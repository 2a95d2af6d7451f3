"""What is ready for Kubernetes: it is read by what will read it, and may do what it must."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from actuator.test_run import until
from conftest import find
from fakes.api import serving
from fakes.evictions import node, pod
from fakes.kubernetes import (
    Cluster,
    autoscaler,
    cron_job,
    deployment,
    job,
    scaled_object,
)
from fakes.objects import parted
from wattgov_actuator.cli import main as actuator
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.election.campaign import Elector
from wattgov_actuator.energypolicies.reflector import Reflector
from wattgov_actuator.knobs import KNOBS, open_knob
from wattgov_actuator.reading import InForce, Moment
from wattgov_exporter.cli import main as exporter
from wattgov_exporter.configfile import load
from wattgov_exporter.sources import SOURCES

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "kubernetes"
COMMANDS = {"wattgov-actuator": actuator, "wattgov-exporter": exporter}
Thing = dict[str, Any]


def things(*kinds: str) -> Iterator[Thing]:
    """Yield the objects of these kinds, in all files."""
    for path in sorted(FOLDER.glob("*.yml")):
        for each in yaml.safe_load_all(path.read_text()):
            if each["kind"] in kinds:
                yield each


def containers() -> list[tuple[str, Thing]]:
    """Return every container with the kind that it is of."""
    return [
        (pods["kind"], each)
        for pods in things("DaemonSet", "StatefulSet")
        for each in pods["spec"]["template"]["spec"]["containers"]
    ]


@pytest.mark.parametrize(
    ("kind", "container"), containers(), ids=[f"{k}-{c['name']}" for k, c in containers()]
)
def test_a_container_has_the_least_rights_and_options_that_exist(
    kind: str, container: Thing
) -> None:
    """No privileges to be had, nothing to be written but what is mounted."""
    rights = container["securityContext"]
    group = COMMANDS[container["command"][0]]
    assert isinstance(group, click.Group)
    command = group.commands[container["command"][1]]
    known = {name for option in command.params for name in option.opts}

    assert (["ALL"], False, True, None) == (
        rights["capabilities"]["drop"],
        rights["allowPrivilegeEscalation"],
        rights["readOnlyRootFilesystem"],
        rights.get("privileged"),
    )
    added = set(rights["capabilities"].get("add", ()))
    assert added <= (set() if kind == "StatefulSet" else {"SYS_ADMIN", "DAC_OVERRIDE", "KILL"})
    assert {each.partition("=")[0] for each in container["args"]} <= known
    assert container["resources"]["limits"]["memory"]


def test_the_files_in_them_are_read_as_they_will_be(tmp_path: Path) -> None:
    """The exporter's configuration and every rule file, strictly; none of them acts."""
    for each in things("ConfigMap"):
        for name, text in each["data"].items():
            (tmp_path / name).write_text(text)
            if name == "exporter.yml":
                assert ("pod", "unit") == tuple(load(tmp_path / name, SOURCES).apps_by)
                continue
            result = CliRunner().invoke(actuator, ["check", str(tmp_path / name)])

            assert (0, "") == (result.exit_code, result.stderr)
            assert "dry run" in result.output


def granted(name: str) -> set[tuple[str, str, str]]:
    """Return what a Role allows: group, resource, verb."""
    (role,) = (each for each in things("Role", "ClusterRole") if each["metadata"]["name"] == name)
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked(cluster: Cluster) -> set[tuple[str, str, str]]:
    """Return what a cluster was asked for."""
    found = set()
    for verb, path, _ in cluster.asked:
        parts = parted(path)
        assert parts is not None
        group, _, resource, rest = parts
        found.add((group.rpartition("/")[0], "/".join([resource, *rest[1:]]), verb))
    return found


@pytest.fixture
def cluster() -> Cluster:
    """Return a cluster with something of everything that is turned."""
    made = Cluster()
    for name in ("chat", "owned", "scaled"):
        made.add("apps/v1", "deployments", name, deployment())
    made.add("apps/v1", "statefulsets", "store", deployment())
    made.add("keda.sh/v1alpha1", "scaledobjects", "queue", scaled_object("owned"))
    made.add("autoscaling/v2", "horizontalpodautoscalers", "cpu", autoscaler("scaled"))
    made.add("batch/v1", "cronjobs", "nightly", cron_job())
    made.add("batch/v1", "jobs", "train", job())
    return made


def test_the_roles_are_what_is_needed_and_no_more(cluster: Cluster) -> None:
    """All knobs are turned, on all kinds, and somebody is elected: what was asked is granted."""
    with serving(cluster) as url:
        for name, kind, target in (
            ("replicas", "Deployment", "chat"),
            ("replicas", "StatefulSet", "store"),
            ("replicas", "Deployment", "owned"),
            ("replicas", "Deployment", "scaled"),
            ("hibernate", "Deployment", "chat"),
            ("hibernate", "StatefulSet", "store"),
            ("batch_jobs", "", ""),
        ):
            settings: dict[str, Setting] = {"url": url, "namespace": "shop", "low": 1, "high": 9}
            settings |= {"kind": kind, "object": target, "jobs": True}
            knob = open_knob(name, [Connection(name, "kubernetes", "it", {}, settings)])
            if not knob.probe().targets:
                continue
            reading = knob.read("it")
            assert isinstance(reading, InForce)
            knob.write("it", 0.0 if name != "replicas" else 1.0)
            knob.restore("it", reading.value, reading.text)
        turned = asked(cluster)
        cluster.asked.clear()
        way = Connection("", "", "", {}, {"url": url})
        elector = Elector(way, "wattgov/fleet", "me", lambda: Moment(0.0, 0.0), lambda: None)
        elector.turn()
        elector.turn()
        elector.give_back()
        elected = asked(cluster)

        cluster.asked.clear()
        with Reflector(way, "shop", lambda: 0.0, lambda: None) as reflector:
            until("it watches", reflector.watched)
            cluster.changes.hang_up()
        watched = asked(cluster)

    after_a_conflict = {("batch", each, "get") for each in ("cronjobs", "jobs")}
    assert granted("wattgov-fleet") == turned | after_a_conflict
    assert granted("wattgov-elect") == elected
    assert granted("wattgov-policies") == watched
    assert granted("wattgov-node") == {("", "pods", "list")}


def test_the_rights_to_empty_a_node_are_what_is_needed_and_no_more() -> None:
    """It is cordoned, emptied and uncordoned; which nodes that may be is said by name."""
    cluster = Cluster()
    cluster.add("v1", "nodes", "gpu-7", node(), "")
    cluster.add("v1", "pods", "chat", pod("gpu-7"))
    keys = KNOBS["hibernate"].backends["kubernetes_node"].keys
    with serving(cluster) as url:
        usual = {key: each.default for key, each in keys.items() if each.default is not None}
        way = Connection(
            "hibernate", "kubernetes_node", "it", {}, {**usual, "url": url, "node": "gpu-7"}
        )
        knob = open_knob("hibernate", [way])
        knob.probe()
        knob.write("it", 0.0)
        until("it is empty", lambda: "/api/v1/namespaces/shop/pods/chat" not in cluster.things)
        knob.restore("it", 1.0, "")
        knob.close()

    assert granted("wattgov-drain") == asked(cluster)
    (role,) = (
        each for each in things("ClusterRole") if each["metadata"]["name"] == "wattgov-drain"
    )
    assert all("nodes" not in each["resources"] or each["resourceNames"] for each in role["rules"])


def scaled_objects() -> list[Thing]:
    """Return the ready-made ScaledObjects."""
    return list(things("ScaledObject"))


@pytest.mark.parametrize("scaled", scaled_objects(), ids=lambda each: each["metadata"]["name"])
def test_a_scaled_object_asks_what_is_recorded_and_knows_no_data_from_nothing(
    scaled: Thing, tmp_path: Path
) -> None:
    """Through the real recording rules: a value of an engine, a true 0, and no answer at all."""
    spec = scaled["spec"]
    (trigger,) = spec["triggers"]
    query = trigger["metadata"]["query"]
    fed = {
        "chat-by-queue": ("vllm:num_requests_waiting", "7x10", 7),
        "chat-by-tokens": ("vllm:generation_tokens_total", "0+6000x10", 100),
    }
    name, values, expected = fed[scaled["metadata"]["name"]]

    def case(app: str, written: str, samples: list[Thing]) -> Thing:
        series = f'{name}{{job="vllm",instance="a",app="{app}",model_name="m"}}'
        test = {"expr": query, "eval_time": "6m", "exp_samples": samples}
        return {
            "interval": "1m",
            "input_series": [{"series": series, "values": written}],
            "promql_expr_test": [test],
        }

    tests = [
        case("chat", values, [{"labels": "{}", "value": expected}]),
        case("chat", "0x10", [{"labels": "{}", "value": 0}]),
        case("other", values, []),
    ]
    rules = [str(path) for path in sorted((ROOT / "rules/recording").glob("serving*.yml"))]
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": rules, "tests": tests}))
    found = subprocess.run(
        [find("prometheus", "promtool"), "test", "rules", str(tmp_path / "test.yml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == found.returncode, found.stdout + found.stderr
    assert "false" == trigger["metadata"]["ignoreNullValues"]
    assert "AverageValue" == trigger["metricType"]  # else there is no fallback
    assert "currentReplicasIfHigher" == spec["fallback"]["behavior"]
    assert spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
