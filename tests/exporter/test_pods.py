"""Pods named by Kubernetes: who waits for a name, how long, and what is counted meanwhile."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.kubelet import Kubelet, Pod, pod, serving
from plant import load, machine, process
from waiting import until
from wattgov_exporter.apps.pods import MOST_UNKNOWN, PATIENCE_SECONDS, Directory, NotYet
from wattgov_exporter.apps.workloads import OTHER, Workloads
from wattgov_exporter.collect import HURRY_SECONDS, Collector
from wattgov_exporter.config import App, Config, Sources
from wattgov_exporter.config import Kubernetes as Settings
from wattgov_exporter.reading import Pods, Reason
from wattgov_exporter.snapshot import Snapshot
from wattgov_exporter.sources import Machine

UID = "214f3ba8-4b69-4bdb-a7d5-5ecc73f04ae9"
HASH = "57ad1c0d4b0f5a8d3c9b2f4de1c1a8aa"
ID = "6af17555490a1e9a2505b3128e5f1b2bc1243bf8b36e808b571b9686ca2cf7d0"
POD = f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-containerd-{ID}.scope"
STATIC = f"/kubepods/burstable/pod{HASH}/{ID}"
TOLD = Pods(
    {UID: "shop/web-0", HASH: "kube-system/etcd"},
    {ID[:12]: "shop/web-0/nginx"},
)


class Bench:
    """One process in a pod that uses a CPU-second between two looks, and a clock."""

    def __init__(self, proc: Path, *apps: App, by: tuple[str, ...] = ("pod",)) -> None:
        self.proc = proc
        self.now = 0.0
        self.ticks = 0
        self.directory = Directory(lambda: self.now)
        self.workloads = Workloads(proc, apps, own_pid=1, by=by, names=self.directory)

    def look(self, seconds: float = 1.0, cgroup: str = POD) -> dict[str, float]:
        """Let time pass; return the apps' CPU-seconds of it."""
        self.now += seconds
        self.ticks += 100
        load(self.proc, self.now, 0)
        process(self.proc, 10, "nginx", self.ticks, cgroup=cgroup)
        return {app: used for app, used in self.workloads.look().cpu_seconds.items() if used}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a bench that has looked once, without names."""
    made = Bench(tmp_path)
    made.look()
    return made


def test_a_process_waits_for_its_pods_name(bench: Bench) -> None:
    """Meanwhile what it uses is in `_other`, and stays there; then it has the name at once."""
    assert {OTHER: 1.0} == bench.look()
    assert bench.directory.wanted

    bench.workloads.learn(TOLD)

    assert {"shop/web-0": 1.0} == bench.look()
    assert not bench.directory.wanted


def test_it_does_not_wait_for_ever(bench: Bench) -> None:
    """After some seconds it goes by the uid; a name that comes later takes over from there."""
    assert {f"pod/{UID}": 1.0} == bench.look(PATIENCE_SECONDS)
    assert not bench.directory.wanted
    assert {f"pod/{UID}": 1.0} == bench.look()

    bench.workloads.learn(TOLD)

    assert {"shop/web-0": 1.0} == bench.look()


def test_a_pod_that_is_gone_from_the_list(bench: Bench) -> None:
    """A name that a process has is kept, though the list that told it is no more."""
    bench.workloads.learn(TOLD)
    bench.look()

    bench.workloads.learn(Pods())

    assert {"shop/web-0": 1.0} == bench.look()


def test_a_declared_app_waits_for_nobody(tmp_path: Path) -> None:
    """What is declared comes first, so no name is asked for."""
    bench = Bench(tmp_path, App("chat", process="nginx"))
    bench.look()

    assert {"chat": 1.0} == bench.look()
    assert not bench.directory.wanted


@pytest.mark.parametrize(
    ("by", "cgroup", "name"),
    [
        (("pod",), POD, "shop/web-0"),
        (("pod",), STATIC, "kube-system/etcd"),
        (("container",), POD, "shop/web-0/nginx"),
        (("container",), f"/docker/{ID}", ID[:12]),
        (("pod", "unit"), "/system.slice/a.service", "a.service"),
    ],
)
def test_names(tmp_path: Path, by: tuple[str, ...], cgroup: str, name: str) -> None:
    """By pod or container; static pods by their hash, and what is in no pod by its own name."""
    bench = Bench(tmp_path, by=by)
    bench.workloads.learn(TOLD)
    bench.look(cgroup=cgroup)

    assert {name: 1.0} == bench.look(cgroup=cgroup)


def test_nobody_to_ask(tmp_path: Path) -> None:
    """Without a kubelet in the configuration a pod goes by its uid from the start."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "nginx", 0, cgroup=POD)

    assert {10: f"pod/{UID}"} == Workloads(tmp_path, [], own_pid=1, by=["pod"]).look().pid_apps


def test_unknown_pods_are_not_remembered_for_ever() -> None:
    """However many pods pass that nobody names, the directory stays small, and still answers."""
    directory = Directory(lambda: 0.0)
    for number in range(3 * MOST_UNKNOWN):
        with pytest.raises(NotYet):
            directory.pod(str(number))

    directory.learn(TOLD)

    assert "shop/web-0" == directory.pod(UID)
    assert directory.wanted


class Node:
    """A planted machine with pods, a fake kubelet, and a clock moved by hand."""

    def __init__(self, root: Path, url: str, kubelet: Kubelet) -> None:
        self.kubelet = kubelet
        self.proc = machine("xeon-2-sockets", root) / "proc"
        self.now = 1000.0
        self.ticks = 0
        sources = Sources(off=("nvml",), kubernetes=Settings(kubelet=url, interval_seconds=30.0))
        config = Config(20.0, sources=sources, apps_by=("pod",))
        where = Machine(root / "sys", self.proc, lambda: self.now, lambda: self.now)
        self.collector = Collector(config, where, own_pid=1)
        self.cgroups = [POD]

    def tick(self, seconds: float = 1.0) -> Snapshot:
        """Let each process use the whole time; return the tick after it."""
        self.now += seconds
        self.ticks += int(seconds * 100)
        load(self.proc, self.now, 1000.0)
        for pid, cgroup in enumerate(self.cgroups, 10):
            process(self.proc, pid, "nginx", self.ticks, cgroup=cgroup)
        snapshot = self.collector.tick()
        for component, joules in snapshot.node_joules.items():
            given = (part for (_, one, _), part in snapshot.app_joules.items() if one is component)
            assert math.isclose(joules, math.fsum(given), rel_tol=1e-9)
        return snapshot

    def reason(self) -> Reason:
        """Tick; return how the source is."""
        (reason,) = [one.reason for one in self.tick(0.01).sources if one.name == "kubernetes"]
        return reason


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Return a machine whose kubelet has one pod."""
    pods: list[Pod] = [pod("web-0", UID, namespace="shop")]
    kubelet = Kubelet(pods, token=None)
    with serving(kubelet) as url:
        yield Node(tmp_path, url, kubelet)


def test_from_the_kubelet_to_the_snapshot(node: Node) -> None:
    """A pod's processes are an app with its name, and the source is up like any other."""
    node.tick()
    until(lambda: node.reason() is Reason.OK, "the list of pods")
    before = node.tick().apps.cpu_seconds.get("shop/web-0", 0.0)

    after = node.tick()

    assert 1.0 == pytest.approx(after.apps.cpu_seconds["shop/web-0"] - before)
    assert f"pod/{UID}" not in after.apps.cpu_seconds


def test_a_new_pod_is_asked_for_soon(node: Node) -> None:
    """The list is read again some seconds after the last, long before it is due."""
    node.tick()
    until(lambda: node.reason() is Reason.OK, "the list of pods")
    asked = len(node.kubelet.requests)
    node.tick()
    node.cgroups.append(STATIC)
    node.kubelet.pods.append(pod("etcd", HASH, namespace="kube-system"))
    node.tick(0.01)
    assert asked == len(node.kubelet.requests)

    node.tick(HURRY_SECONDS)
    until(lambda: "kube-system/etcd" in node.tick(0.01).apps.processes, "the new pod")

    assert asked + 1 == len(node.kubelet.requests)


def test_a_kubelet_that_hangs_delays_no_tick(node: Node) -> None:
    """No tick waits for names, not even the first; the reason is a series."""
    node.kubelet.held = True

    ticks = [node.tick() for _ in range(3)]

    assert 1.0 == pytest.approx(ticks[2].apps.cpu_seconds[OTHER] - ticks[1].apps.cpu_seconds[OTHER])
    assert Reason.TIMEOUT is node.reason()


def test_a_kubelet_that_refuses(node: Node) -> None:
    """Names fall back to the uid, and what was used while waiting stays where it was counted."""
    node.kubelet.allowed = False
    node.tick()
    until(lambda: node.reason() is Reason.PERMISSION, "the refusal")
    waited = node.tick().apps.cpu_seconds[OTHER]

    node.tick(PATIENCE_SECONDS)
    last = node.tick()

    assert waited <= last.apps.cpu_seconds[OTHER]
    assert last.apps.cpu_seconds[f"pod/{UID}"] >= 1.0
