"""Replicas, sleep and batch work by the API server of Kubernetes, and all that it refuses."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import find
from exporter.certificates import certificate
from fakes.api import serving
from fakes.kubernetes import (
    FROZEN,
    PAUSED,
    Cluster,
    autoscaler,
    cron_job,
    deployment,
    job,
    scaled_object,
)
from fakes.objects import place
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError

APPS, BATCH, KEDA, AUTOSCALING = "apps/v1", "batch/v1", "keda.sh/v1alpha1", "autoscaling/v2"
Open = Callable[..., Knob]


@pytest.fixture
def cluster() -> Cluster:
    """Return a cluster with a Deployment of four."""
    made = Cluster()
    made.add(APPS, "deployments", "chat", deployment(4))
    return made


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    """Return where its API listens."""
    with serving(cluster) as url:
        yield url


@pytest.fixture
def knob(url: str) -> Open:
    """Return what opens a knob of the Deployment, or of the batch work beside it."""

    def opened(name: str, **more: Setting) -> Knob:
        given: dict[str, Setting] = {"url": url, "namespace": "shop", **more}
        if name != "batch_jobs":
            given = {"kind": "Deployment", "object": "chat", "low": 1.0, "high": 20.0, **given}
        return open_knob(name, [Connection(name, "kubernetes", "chat", {"app": "chat"}, given)])

    return opened


def found(knob: Knob) -> InForce:
    """Return what is in force."""
    knob.probe()
    reading = knob.read("chat")
    assert isinstance(reading, InForce)
    return reading


def test_replicas_are_scaled_and_come_back(cluster: Cluster, knob: Open) -> None:
    """By the scale, so that nothing else of the object is touched."""
    opened = knob("replicas")
    was = found(opened)
    opened.write("chat", 2.0)

    assert (4.0, 2.0, 2) == (was.value, found(opened).value, cluster.replicas())
    opened.restore("chat", was.value, was.text)
    assert (was, 4) == (found(opened), cluster.replicas())
    (target,) = opened.probe().targets
    assert (1.0, 20.0, True) == (target.low, target.high, target.both_ways)


def test_a_set_is_scaled_as_well(cluster: Cluster, knob: Open) -> None:
    """A StatefulSet has the same scale."""
    cluster.add(APPS, "statefulsets", "store", deployment(3))
    opened = knob("replicas", kind="StatefulSet", object="store")
    assert 3.0 == found(opened).value
    opened.write("chat", 1.0)

    assert 1 == cluster.at(APPS, "statefulsets", "store")["spec"]["replicas"]


@pytest.mark.parametrize("name", ["replicas", "hibernate"])
@pytest.mark.parametrize("before", [None, "3"])
def test_what_keda_owns_is_paused_not_fought(
    cluster: Cluster, knob: Open, name: str, before: str | None
) -> None:
    """Its annotation comes back to the letter, or goes."""
    notes = {} if before is None else {PAUSED: before}
    cluster.add(KEDA, "scaledobjects", "by-queue", scaled_object("chat", notes, maxReplicaCount=9))
    opened = knob(name)
    was = found(opened)
    assert (json.dumps(before), {"replicas": 3.0 if before else 9.0, "hibernate": 1.0}[name]) == (
        was.text,
        was.value,
    )
    lower = {"replicas": 1.0, "hibernate": 0.0}[name]
    opened.write("chat", lower)

    assert (lower, int(lower)) == (found(opened).value, cluster.replicas())
    assert not any(path.endswith("/scale") for _, path, _ in cluster.asked)
    opened.restore("chat", was.value, was.text)
    annotations = cluster.at(KEDA, "scaledobjects", "by-queue")["metadata"]["annotations"]
    assert (notes, was) == (annotations, found(opened))


def test_a_pause_that_is_no_number_is_left_alone(cluster: Cluster, knob: Open) -> None:
    """What it means is for KEDA to say."""
    notes = {PAUSED: "many"}
    cluster.add(KEDA, "scaledobjects", "by-queue", scaled_object("chat", notes))
    with pytest.raises(KnobError, match="paused at 'many', which is no number"):
        found(knob("replicas"))


@pytest.mark.parametrize("name", ["replicas", "hibernate"])
def test_what_somebody_has_paused_is_left_alone(cluster: Cluster, knob: Open, name: str) -> None:
    """KEDA would stay at our number when we are done; while we hold it, our undo waits."""
    owner = cluster.add(KEDA, "scaledobjects", "by-queue", scaled_object("chat"))
    opened = knob(name)
    was = found(opened)
    opened.write("chat", 1.0 if name == "replicas" else 0.0)
    for said in ("true", "yes"):
        notes = owner["metadata"]["annotations"] = {FROZEN: said}
        cluster.things[place(KEDA, "scaledobjects", "by-queue")]["metadata"]["annotations"] = notes
        probe = knob(name).probe()
        assert () == probe.targets
        assert (
            f"somebody has paused ScaledObject by-queue, of Deployment shop/chat, by {FROZEN}"
            in (probe.note)
        )
        with pytest.raises(KnobError, match="it is left alone"):
            opened.restore("chat", was.value, was.text)
    notes[FROZEN] = "false"

    opened.restore("chat", was.value, was.text)
    assert (was, 4) == (found(opened), cluster.replicas())


def test_without_its_scaled_object_nothing_is_guessed(cluster: Cluster, knob: Open) -> None:
    """It was deleted while we held it: how many there were is not known."""
    cluster.add(KEDA, "scaledobjects", "by-queue", scaled_object("chat"))
    for name in ("replicas", "hibernate"):
        opened = knob(name)
        was = found(opened)
        owner = cluster.things.pop("/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/by-queue")
        with pytest.raises(KnobError, match="no ScaledObject owns Deployment shop/chat any more"):
            opened.restore("chat", was.value, was.text)
        cluster.add(KEDA, "scaledobjects", "by-queue", owner)


def test_what_an_autoscaler_scales_has_no_replicas_to_turn(cluster: Cluster, knob: Open) -> None:
    """It would set them back; so there is no target, and the note says why."""
    cluster.add(AUTOSCALING, "horizontalpodautoscalers", "by-cpu", autoscaler("chat"))
    probe = knob("replicas").probe()

    assert () == probe.targets
    assert "HorizontalPodAutoscaler by-cpu scales Deployment shop/chat" in probe.note


def test_an_autoscaler_lets_it_sleep(cluster: Cluster, knob: Open) -> None:
    """At zero it is disabled; put back, it goes on from there."""
    cluster.add(AUTOSCALING, "horizontalpodautoscalers", "by-cpu", autoscaler("chat", wants=4))
    opened = knob("hibernate")
    was = found(opened)
    opened.write("chat", 0.0)
    assert (0.0, 0) == (found(opened).value, cluster.replicas())
    opened.restore("chat", was.value, was.text)

    assert (was, 4) == (found(opened), cluster.replicas())


@pytest.mark.parametrize("keda", [True, False])
def test_sleep_is_no_replica_and_waking_brings_back_as_many(
    cluster: Cluster, knob: Open, keda: bool
) -> None:
    """Whether the cluster has KEDA or not."""
    cluster.keda = keda
    opened = knob("hibernate")
    was = found(opened)
    assert (1.0, "4") == (was.value, was.text)
    opened.write("chat", 0.0)
    assert (0.0, 0) == (found(opened).value, cluster.replicas())
    opened.restore("chat", 1.0, "4")
    assert 4 == cluster.replicas()

    opened.write("chat", 0.0)
    opened.write("chat", 1.0)
    assert 1 == cluster.replicas()


def test_batch_work_is_suspended_and_what_was_before_us_stays(cluster: Cluster, knob: Open) -> None:
    """Only what the selector finds, and no Job unless it is said."""
    cluster.add(BATCH, "cronjobs", "nightly", cron_job(team="data"))
    cluster.add(BATCH, "cronjobs", "held", cron_job(suspend=True, team="data"))
    cluster.add(BATCH, "cronjobs", "foreign", cron_job(team="other"))
    cluster.add(BATCH, "jobs", "train", job(team="data"))
    before = {path: thing["spec"] for path, thing in cluster.things.items()}
    opened = knob("batch_jobs", selector="team=data")
    assert 1.0 == found(opened).value
    opened.write("chat", 0.0)

    assert (0.0, 1) == (found(opened).value, len(suspended(cluster) - {"held"}))
    opened.restore("chat", 1.0, "")
    assert 1.0 == found(opened).value
    after = {path: thing["spec"] for path, thing in cluster.things.items()}
    assert before == after
    assert {} == cluster.at(BATCH, "cronjobs", "nightly")["metadata"]["annotations"]


def suspended(cluster: Cluster) -> set[str]:
    """Return the names of what is suspended."""
    return {
        path.rpartition("/")[2]
        for path, thing in cluster.things.items()
        if thing["spec"].get("suspend")
    }


def test_jobs_are_suspended_where_it_is_said(cluster: Cluster, knob: Open) -> None:
    """They lose their pods; one that has ended is let be."""
    cluster.add(BATCH, "jobs", "train", job())
    cluster.add(BATCH, "jobs", "done", job(over=True))
    opened = knob("batch_jobs", jobs=True)
    found(opened)
    opened.write("chat", 0.0)

    assert {"train"} == suspended(cluster)
    assert 0 == cluster.at(BATCH, "jobs", "train")["status"]["active"]
    opened.write("chat", 1.0)
    assert set() == suspended(cluster)


def test_one_by_its_name(cluster: Cluster, knob: Open) -> None:
    """The others run on."""
    for name in ("nightly", "hourly"):
        cluster.add(BATCH, "cronjobs", name, cron_job())
    opened = knob("batch_jobs", only="hourly")
    found(opened)
    opened.write("chat", 0.0)

    assert {"hourly"} == suspended(cluster)


def test_what_comes_later_does_not_end_the_pause(cluster: Cluster, knob: Open) -> None:
    """Else our undo would be closed, and what we have suspended would stay so for ever."""
    cluster.add(BATCH, "cronjobs", "nightly", cron_job())
    opened = knob("batch_jobs")
    found(opened)
    opened.write("chat", 0.0)
    cluster.add(BATCH, "cronjobs", "new", cron_job())

    assert 0.0 == found(opened).value
    opened.restore("chat", 1.0, "")
    assert set() == suspended(cluster)


def test_all_suspended_by_others_is_paused_and_nothing_is_running(
    cluster: Cluster, knob: Open
) -> None:
    """A namespace without batch work has none that could be paused."""
    opened = knob("batch_jobs")
    assert 1.0 == found(opened).value
    cluster.add(BATCH, "cronjobs", "held", cron_job(suspend=True))

    assert 0.0 == found(opened).value


def test_a_change_of_somebody_else_is_not_overwritten(cluster: Cluster, knob: Open) -> None:
    """A person suspends it between our look and our patch: it is looked at anew, and is theirs."""
    cluster.add(BATCH, "cronjobs", "nightly", cron_job())
    opened = knob("batch_jobs")
    found(opened)

    def first(cluster: Cluster, _: str) -> None:
        cluster.add(BATCH, "cronjobs", "nightly", cron_job(suspend=True))

    cluster.at_patch = first
    opened.write("chat", 0.0)
    opened.restore("chat", 1.0, "")

    assert {"nightly"} == suspended(cluster)


def test_what_was_deleted_meanwhile_is_no_error(cluster: Cluster, knob: Open) -> None:
    """A Job may end, and be cleaned away, at any time."""
    cluster.add(BATCH, "jobs", "train", job())
    opened = knob("batch_jobs", jobs=True)
    found(opened)

    def first(cluster: Cluster, path: str) -> None:
        del cluster.things[path]

    cluster.at_patch = first
    opened.write("chat", 0.0)

    assert 1.0 == found(opened).value


def test_what_changes_all_the_time_is_given_up(cluster: Cluster, knob: Open) -> None:
    """After a few tries, with a sentence; the next tick comes anyway."""
    cluster.add(BATCH, "cronjobs", "nightly", cron_job())
    opened = knob("batch_jobs")
    found(opened)

    def again(cluster: Cluster, _: str) -> None:
        cluster.add(BATCH, "cronjobs", "nightly", cron_job())
        cluster.at_patch = again

    cluster.at_patch = again
    with pytest.raises(KnobError, match="changed by others, 3 times in a row"):
        opened.write("chat", 0.0)


@pytest.mark.parametrize(
    ("name", "verb", "resource", "rule"),
    [
        (
            "replicas",
            "patch",
            "deployments/scale",
            '{apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["patch"]}',
        ),
        (
            "hibernate",
            "get",
            "deployments/scale",
            '{apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["get"]}',
        ),
        (
            "replicas",
            "list",
            "scaledobjects",
            '{apiGroups: ["keda.sh"], resources: ["scaledobjects"], verbs: ["list"]}',
        ),
        (
            "batch_jobs",
            "patch",
            "cronjobs",
            '{apiGroups: ["batch"], resources: ["cronjobs"], verbs: ["patch"]}',
        ),
    ],
)
def test_a_right_that_is_missing_is_named_before_anything_is_turned(
    cluster: Cluster, knob: Open, name: str, verb: str, resource: str, rule: str
) -> None:
    """A dry run asks for it, and the note says what to give."""
    cluster.add(BATCH, "cronjobs", "nightly", cron_job())
    cluster.denied = {(verb, resource)}
    before = json.dumps(cluster.things)
    probe = knob(name).probe()

    assert () == probe.targets
    assert f"give its account a Role in shop with the rule {rule}" in probe.note
    assert before == json.dumps(cluster.things)


def test_a_probe_changes_nothing_and_tries_its_rights_once(cluster: Cluster, knob: Open) -> None:
    """Each tick probes; only the first asks by a dry run."""
    opened, before = knob("replicas"), json.dumps(cluster.things)
    for _ in range(3):
        opened.probe()

    assert before == json.dumps(cluster.things)
    assert ["/scale?dryRun=All"] == [
        path[path.index("/scale") :] for verb, path, _ in cluster.asked if verb == "patch"
    ]


def test_a_busy_server_is_asked_again_when_it_says(cluster: Cluster, knob: Open) -> None:
    """It has done nothing; after some tries it is for the next tick."""
    opened = knob("replicas")
    found(opened)
    cluster.busy = 3
    opened.write("chat", 2.0)
    assert 2 == cluster.replicas()

    cluster.busy = 20
    with pytest.raises(KnobError, match="too busy; asked 4 times") as raised:
        opened.write("chat", 3.0)
    assert raised.value.fault is Fault.BUSY


def test_what_is_not_there_is_lost(cluster: Cluster, knob: Open) -> None:
    """With the server's own words."""
    cluster.things.clear()
    assert '"chat" not found' in knob("replicas").probe().note
    assert '"chat" not found' in knob("hibernate").probe().note


def test_in_a_cluster_the_account_is_used_and_its_token_read_anew(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the environment says, trusting the account's CA; the kubelet changes the token."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    made = certificate(find("openssl", "openssl"), tmp_path, "server")
    (tmp_path / "ca.crt").write_bytes(made.cert.read_bytes())
    settings: dict[str, Setting] = {
        "account": str(tmp_path),
        "namespace": "shop",
        "kind": "Deployment",
        "object": "chat",
        "low": 1.0,
        "high": 9.0,
    }
    way = Connection("replicas", "kubernetes", "chat", {}, settings)
    assert "runs in no cluster: give url" in open_knob("replicas", [way]).probe().note
    with serving(cluster, certificate=(str(made.cert), str(made.key))) as url:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", url.rpartition(":")[2])
        opened = open_knob("replicas", [way])
        assert "token of the service account" in opened.probe().note
        for token in ("one", "two"):
            cluster.token = token
            (tmp_path / "token").write_text(f"{token}\n")
            assert 4.0 == found(opened).value
