"""A node that sleeps: cordoned, emptied pod by pod as budgets allow, and uncordoned in the end."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from actuator.fakes import Clock
from actuator.test_run import until
from fakes.api import serving
from fakes.evictions import budget, node, pod
from fakes.kubernetes import Cluster
from fakes.objects import Thing
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs import KNOBS, open_knob
from wattgov_actuator.knobs.kubernetes.node import Node
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError

MARK = "wattgov.io/cordoned-by"
SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict"
FINE = 0.005  # seconds between two looks of a drain


@dataclass
class Stage:
    """A cluster of two nodes, of which one may sleep."""

    cluster: Cluster
    url: str = ""
    clock: Clock = field(default_factory=Clock)
    opened: list[Node] = field(default_factory=list)

    def knob(self, **more: Setting) -> Node:
        """Return the knob of the node, looking often."""
        given = {
            key: each.default for key, each in BACKEND.keys.items() if each.default is not None
        }
        settings = {**given, "url": self.url, "node": "gpu-7", **more}
        way = Connection("hibernate", "kubernetes_node", "seven", {"node": "gpu-7"}, settings)
        self.opened.append(Node(Machine(steady=lambda: self.clock.steady), way, FINE))
        return self.opened[-1]

    @property
    def node(self) -> Thing:
        """The node, now."""
        return self.cluster.things["/api/v1/nodes/gpu-7"]

    @property
    def cordoned(self) -> bool:
        """Whether it takes no pods."""
        return bool(self.node["spec"].get("unschedulable"))

    def pods(self, on: str = "gpu-7") -> list[str]:
        """Return who is on a node."""
        return sorted(
            thing["metadata"]["name"]
            for path, thing in list(self.cluster.things.items())
            if "/pods/" in path and thing["spec"]["nodeName"] == on
        )

    def on(self, name: str) -> str:
        """Return the node that a pod is on."""
        return str(self.cluster.at("v1", "pods", name)["spec"]["nodeName"])

    def evictions(self) -> list[str]:
        """Return the pods that somebody tried to evict, in order."""
        return [
            path.split("/")[-2]
            for verb, path, _ in list(self.cluster.asked)
            if verb == "create" and path.endswith("/eviction")
        ]


BACKEND = KNOBS["hibernate"].backends["kubernetes_node"]


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Return a cluster with two pods on the node that may sleep, and one elsewhere."""
    cluster = Cluster()
    for name in ("gpu-7", "gpu-8"):
        cluster.add("v1", "nodes", name, node({"kubernetes.io/hostname": name}), "")
    for name in ("chat-1", "chat-2"):
        cluster.add("v1", "pods", name, pod("gpu-7"))
    cluster.add("v1", "pods", "chat-3", pod("gpu-8"))
    made = Stage(cluster)
    with serving(cluster) as made.url:
        yield made
        for each in made.opened:
            each.close()


def asleep(knob: Node) -> bool:
    """Tell whether it reads so."""
    reading = knob.read("seven")
    assert isinstance(reading, InForce)
    return reading.value == 0.0


def refused(knob: Node) -> str:
    """Try to have it sleep, and return why it does not."""
    with pytest.raises(KnobError) as raised:
        knob.write("seven", 0.0)
    assert raised.value.fault is Fault.REFUSED
    return raised.value.detail


def drained(knob: Node) -> None:
    """Wait until nobody is at work on it."""
    until("its drain ends", lambda: not knob.probe().note)


def test_it_is_cordoned_emptied_and_uncordoned(stage: Stage) -> None:
    """Its pods run elsewhere by then, and stay there."""
    knob, before = stage.knob(), dict(stage.node["metadata"], resourceVersion="")
    (target,) = knob.probe().targets
    assert ("seven", {"node": "gpu-7"}, False) == (target.name, target.labels, asleep(knob))
    knob.write("seven", 0.0)
    assert asleep(knob)
    until("it is empty", lambda: not stage.pods())
    assert ["chat-1x", "chat-2x", "chat-3"] == stage.pods("gpu-8")
    assert ("seven", True) == (stage.node["metadata"]["annotations"][MARK], stage.cordoned)
    knob.restore("seven", 1.0, "")

    assert (False, False) == (asleep(knob), "unschedulable" in stage.node["spec"])
    assert before == dict(stage.node["metadata"], resourceVersion="")
    assert ["chat-1x", "chat-2x", "chat-3"] == stage.pods("gpu-8")


def test_one_pod_ends_before_the_next_is_evicted(stage: Stage) -> None:
    """And the write does not wait for it: it takes as long as the pod may take."""
    stage.cluster.lingering = True
    knob = stage.knob()
    knob.probe()
    knob.write("seven", 0.0)
    for number in (1, 2):
        waits = f"waits for pod shop/chat-{number} to end; {3 - number} had still to leave"
        until(waits, lambda waits=waits: knob.probe().note == waits)  # type: ignore[misc]
        stage.cluster.bury()
    until("it is empty", lambda: not stage.pods())

    assert ["chat-1", "chat-2"] == stage.evictions()


def test_what_belongs_to_the_node_or_has_ended_is_let_be(stage: Stage) -> None:
    """A DaemonSet's pod, a static one, and what is over."""
    static = pod("gpu-7", "Node", notes={"kubernetes.io/config.mirror": "x"})
    for name, each in (
        ("agent", pod("gpu-7", "DaemonSet", scratch=True)),
        ("proxy", static),
        ("done", pod("gpu-7", "", phase="Succeeded")),
    ):
        stage.cluster.add("v1", "pods", name, each)
    knob = stage.knob()
    knob.probe()
    knob.write("seven", 0.0)
    drained(knob)

    assert (["agent", "done", "proxy"], ["chat-1", "chat-2"]) == (stage.pods(), stage.evictions())


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (pod("gpu-7", ""), "nobody manages it, so nobody would make it again"),
        (pod("gpu-7", scratch=True), "it has files in an emptyDir, which would be lost"),
        (pod("gpu-7", notes={SAFE: "false"}), f"its {SAFE} says that it may not be evicted"),
    ],
)
def test_a_pod_that_must_stay_keeps_the_node(stage: Stage, there: Thing, why: str) -> None:
    """It is found before anything is cordoned or evicted, and named."""
    stage.cluster.add("v1", "pods", "only", there)
    knob = stage.knob()

    assert f"pod shop/only stays where it is: {why}" in refused(knob)
    assert (False, []) == (stage.cordoned, stage.evictions())


def test_a_server_that_says_nonsense_ends_the_drain(stage: Stage) -> None:
    """The node takes pods again, and why is told."""
    stage.cluster.lingering = True
    knob = stage.knob()
    knob.probe()
    knob.write("seven", 0.0)
    until("one is told to end", lambda: len(stage.evictions()) == 1)
    del stage.cluster.things["/api/v1/namespaces/shop/pods/chat-2"]["metadata"]["uid"]
    stage.cluster.bury()
    drained(knob)

    assert not stage.cordoned
    assert "was given up: KeyError('uid')" in refused(knob)


def test_files_in_an_emptydir_may_be_given_up(stage: Stage) -> None:
    """Where the entry says so."""
    stage.cluster.add("v1", "pods", "only", pod("gpu-7", scratch=True))
    knob = stage.knob(delete_emptydir_data=True)
    knob.write("seven", 0.0)

    until("it is empty", lambda: not stage.pods())


def test_we_do_not_evict_ourselves(stage: Stage) -> None:
    """Even where the node that we run on may sleep."""
    stage.cluster.add("v1", "pods", os.uname().nodename, pod("gpu-7"))

    assert "it is this actuator" in refused(stage.knob(own_node=True))


def test_a_budget_is_waited_for(stage: Stage) -> None:
    """Nothing is forced; in words, until somebody makes room."""
    stage.cluster.add("policy/v1", "poddisruptionbudgets", "keep", budget(3, app="chat"))
    knob = stage.knob()
    knob.probe()
    knob.write("seven", 0.0)
    words = (
        "waits for pod shop/chat-1: The disruption budget keep needs 3 healthy pods and has 3 "
        "currently; 2 had still to leave"
    )
    until("it says what it waits for", lambda: knob.probe().note == words)
    assert (["chat-1", "chat-2"], True) == (stage.pods(), asleep(knob))
    stage.cluster.add("v1", "pods", "chat-4", pod("gpu-8"))

    until("it is empty", lambda: not stage.pods())


def test_no_room_elsewhere_is_found_out_by_the_first(stage: Stage) -> None:
    """Its successor is waited for; in the end the node takes it back, and the others never left."""
    stage.cluster.things["/api/v1/nodes/gpu-8"]["spec"]["unschedulable"] = True
    knob = stage.knob()
    knob.probe()
    knob.write("seven", 0.0)
    words = "waits for pod shop/chat-1x to run, instead of one evicted; 1 had still to leave"
    until("it waits", lambda: knob.probe().note == words)
    assert ([""], ["chat-1"]) == ([stage.on("chat-1x")], stage.evictions())
    stage.clock.advance(600.0)
    drained(knob)

    assert (False, ["chat-2"]) == (stage.cordoned, stage.pods())
    assert words in refused(knob)


def test_it_is_given_up_in_time_and_left_alone_for_a_while(stage: Stage) -> None:
    """The node takes pods again; why it does not sleep is told until it is tried again."""
    stage.cluster.add("policy/v1", "poddisruptionbudgets", "keep", budget(3, app="chat"))
    knob = stage.knob(drain=600.0, retry=3600.0)
    knob.write("seven", 0.0)
    until("it has tried", lambda: len(stage.evictions()) > 4)
    stage.clock.advance(600.0)
    drained(knob)

    assert (False, ["chat-1", "chat-2"]) == (stage.cordoned, stage.pods())
    assert MARK not in stage.node["metadata"]["annotations"]
    stage.clock.advance(600.0)
    told = refused(knob)
    assert "given up: not empty after 600 s: waits for pod shop/chat-1: The disruption" in told
    assert told.endswith("it is tried again in 3000 s")
    stage.clock.advance(3000.0)
    del stage.cluster.things["/apis/policy/v1/namespaces/shop/poddisruptionbudgets/keep"]
    knob.write("seven", 0.0)
    until("it is empty", lambda: not stage.pods())


def test_two_budgets_of_one_pod_end_it_at_once(stage: Stage) -> None:
    """The server cannot evict it, ever (500): waiting would help nobody."""
    knob = stage.knob()
    knob.probe()
    for name in ("one", "other"):
        stage.cluster.add("policy/v1", "poddisruptionbudgets", name, budget(0, app="chat"))
    knob.write("seven", 0.0)
    drained(knob)

    assert (False, ["chat-1", "chat-2"]) == (stage.cordoned, stage.pods())
    assert "more than one PodDisruptionBudget" in refused(knob)


def test_waking_ends_a_drain_and_what_is_left_stays(stage: Stage) -> None:
    """It does not wait for a pod that ends, nor evict another one."""
    stage.cluster.lingering = True
    knob = stage.knob()
    knob.write("seven", 0.0)
    until("one is told to end", lambda: len(stage.evictions()) == 1)
    knob.restore("seven", 1.0, "")
    stage.cluster.bury()

    assert (False, False, ["chat-2"]) == (asleep(knob), stage.cordoned, stage.pods())
    assert ["chat-1"] == stage.evictions()
    knob.write("seven", 0.0)  # nobody has failed: it may sleep again
    until("the other one is told to end", lambda: len(stage.evictions()) == 2)


def test_closing_ends_a_drain_and_uncordons(stage: Stage) -> None:
    """Whoever takes the entry out of a rule file leaves no half-emptied node behind."""
    stage.cluster.lingering = True
    knob = stage.knob()
    knob.write("seven", 0.0)
    knob.close()

    assert not stage.cordoned


def test_a_crash_leaves_a_node_that_the_next_start_uncordons(stage: Stage) -> None:
    """Another process knows it by its mark, and needs no drain for it."""
    stage.cluster.lingering = True
    stage.knob().write("seven", 0.0)
    later = stage.knob()
    assert (1, True) == (len(later.probe().targets), asleep(later))
    later.restore("seven", 1.0, "")

    assert not stage.cordoned
    drained(stage.opened[0])
    assert "somebody has uncordoned it meanwhile" in refused(stage.opened[0])


def test_what_somebody_has_cordoned_is_neither_emptied_nor_opened(stage: Stage) -> None:
    """It sleeps already, as far as anybody can tell."""
    stage.node["spec"]["unschedulable"] = True
    knob = stage.knob()
    assert asleep(knob)
    knob.write("seven", 0.0)
    knob.restore("seven", 1.0, "")

    assert (True, [], ["chat-1", "chat-2"]) == (stage.cordoned, stage.evictions(), stage.pods())


def test_what_somebody_uncordons_after_us_is_left_alone(stage: Stage) -> None:
    """The drain ends; until the mark is taken off it does not sleep again, whoever starts anew."""
    stage.cluster.lingering = True
    knob = stage.knob()
    knob.write("seven", 0.0)
    until("one is told to end", lambda: len(stage.evictions()) == 1)
    stage.cluster.add("v1", "nodes", "gpu-7", {**stage.node, "spec": {}}, "")
    drained(knob)
    stage.cluster.bury()

    assert (False, ["chat-2"]) == (asleep(knob), stage.pods())
    told = refused(stage.knob())
    assert f"taken off: `kubectl annotate node gpu-7 {MARK}-`" in told
    del stage.node["metadata"]["annotations"][MARK]
    stage.knob().write("seven", 0.0)
    until("the other one is told to end", lambda: len(stage.evictions()) == 2)


def test_a_change_of_somebody_else_is_not_overwritten(stage: Stage) -> None:
    """A person cordons it between our look and our patch: it is theirs."""

    def first(cluster: Cluster, path: str) -> None:
        cluster.add(
            "v1", "nodes", "gpu-7", {**cluster.things[path], "spec": {"unschedulable": True}}, ""
        )

    stage.cluster.at_patch = first
    knob = stage.knob()
    knob.write("seven", 0.0)
    drained(knob)

    assert (True, ["chat-1", "chat-2"]) == (stage.cordoned, stage.pods())
    assert MARK not in stage.node["metadata"]["annotations"]


def test_one_of_the_same_name_elsewhere_is_not_evicted(stage: Stage) -> None:
    """It ended by itself between our look and our eviction, and was made again on another node."""

    def first(cluster: Cluster, path: str) -> None:
        cluster.add("v1", "pods", path.rpartition("/")[2], pod("gpu-8"))

    knob = stage.knob()
    knob.probe()
    stage.cluster.at_eviction = first
    knob.write("seven", 0.0)
    until("it is empty", lambda: not stage.pods())

    assert ["chat-1", "chat-2x", "chat-3"] == stage.pods("gpu-8")


def test_a_server_that_is_away_is_waited_for(stage: Stage) -> None:
    """It may come back; the node stays cordoned as long as the drain may take."""
    stage.cluster.lingering = True
    knob = stage.knob()
    knob.write("seven", 0.0)
    until("one is told to end", lambda: len(stage.evictions()) == 1)
    stage.cluster.away = 5
    until("it has asked all the same", lambda: not stage.cluster.away)
    assert stage.cordoned
    stage.cluster.bury()

    until("the next is told to end", lambda: len(stage.evictions()) == 2)


@pytest.mark.parametrize("label", ["control-plane", "master"])
def test_a_node_of_the_control_plane_never_sleeps(stage: Stage, label: str) -> None:
    """Whoever names it."""
    stage.node["metadata"]["labels"][f"node-role.kubernetes.io/{label}"] = ""
    with pytest.raises(KnobError, match="node gpu-7 runs the cluster: it never sleeps"):
        stage.knob(own_node=True).probe()


@pytest.mark.parametrize("known_by", ["name", "host"])
def test_the_node_that_we_run_on_sleeps_only_if_that_is_said(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, known_by: str
) -> None:
    """Known by what a manifest says, or by the name of the host."""
    if known_by == "name":
        monkeypatch.setenv("NODE_NAME", "gpu-7")
    else:
        stage.node["metadata"]["labels"]["kubernetes.io/hostname"] = os.uname().nodename
    with pytest.raises(KnobError, match=r"that this actuator runs on; .* own_node: true"):
        stage.knob().probe()

    assert 1 == len(stage.knob(own_node=True).probe().targets)


@pytest.mark.parametrize(
    ("verb", "resource", "role"),
    [
        ("get", "nodes", "ClusterRole"),
        ("patch", "nodes", "ClusterRole"),
        ("list", "pods", "ClusterRole"),
        ("create", "pods/eviction", "Role in shop"),
    ],
)
def test_a_right_that_is_missing_is_named_before_anything_is_turned(
    stage: Stage, verb: str, resource: str, role: str
) -> None:
    """By dry runs."""
    stage.cluster.denied = {(verb, resource)}
    with pytest.raises(KnobError) as raised:
        stage.knob().probe()

    rule = f'{{apiGroups: [""], resources: ["{resource}"], verbs: ["{verb}"]}}'
    assert f"give its account a {role} with the rule {rule}" in raised.value.detail
    assert (False, ["chat-1", "chat-2"]) == (stage.cordoned, stage.pods())


def test_many_pods_come_page_by_page(stage: Stage) -> None:
    """An answer is bounded, a node is not."""
    stage.cluster.page = 2
    for number in range(7):
        stage.cluster.add("v1", "pods", f"more-{number}", pod("gpu-7"))
    knob = stage.knob()
    knob.write("seven", 0.0)

    until("it is empty", lambda: not stage.pods())
    assert 9 == len(stage.evictions())


def test_an_entry_leads_there(stage: Stage) -> None:
    """As a rule file has it, in a thread that a tick does not wait for."""
    settings = {key: each.default for key, each in BACKEND.keys.items() if each.default is not None}
    way = Connection(
        "hibernate", "kubernetes_node", "seven", {}, {**settings, "url": stage.url, "node": "gpu-7"}
    )
    knob = open_knob("hibernate", [way])

    assert ["seven"] == [each.name for each in knob.probe().targets]
    knob.close()
