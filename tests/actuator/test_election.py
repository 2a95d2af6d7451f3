"""Who of several turns what they share: nobody twice, nobody by another machine's clock."""

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from actuator.builders import loaded
from actuator.fakes import Clock, FakePrometheus
from actuator.test_run import Actuator, until
from fakes.api import Reply, Request, serving
from fakes.kubernetes import Cluster, deployment
from testbed.nvml import VirtualGpus
from wattgov_actuator.cli import _Shared, _turned, main
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.document.strict import Invalid, Mistake
from wattgov_actuator.election.campaign import Elector
from wattgov_actuator.election.leading import Fenced, Turned
from wattgov_actuator.election.protocol import (
    DURATION_SECONDS,
    RENEW_SECONDS,
    Held,
    Seen,
    Step,
    held_of,
    seen,
    spec_of,
    step,
)
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.reading import KnobError

pytest_plugins = ["testbed.fixtures"]
LEASES = "coordination.k8s.io/v1"
THEIRS = Held("b", "2026-01-01T00:00:00.000000Z", 15.0, "2026-01-01T00:00:00.000000Z", 3)
FILE = Connection("batch_size", "file", "x", {}, {"path": "/none", "pattern": "x"})
RULES = """
version: 1
knobs:
  - knob: replicas
    backend: kubernetes
    name: chat
    url: URL
    namespace: shop
    object: chat
    high: 9
groups:
  - name: pods
    interval: 1s
    protect: {freshness: fresh, hold: 0s}
    rules:
      - {action: fewer, expr: quiet, knob: replicas, set: 2, cooldown: 0s, min: 1}
      - {action: cap, expr: never, knob: gpu_power_limit, set: 600W}
"""


@pytest.mark.parametrize(
    ("held", "steady", "expected"),
    [
        (None, 100.0, Step.CREATE),
        (THEIRS, 100.0, Step.WAIT),
        (THEIRS, 114.9, Step.WAIT),
        (THEIRS, 115.0, Step.TAKE),
        (replace(THEIRS, duration_seconds=60.0), 115.0, Step.WAIT),
        (replace(THEIRS, holder=""), 100.0, Step.TAKE),
        (replace(THEIRS, holder="a"), 500.0, Step.RENEW),
    ],
)
def test_what_to_do_about_a_lease(held: Held | None, steady: float, expected: Step) -> None:
    """One of another holder is waited for, for as long as it says, since we saw it change."""
    assert expected == step(Seen(held, 100.0), "a", steady)


def test_only_a_change_is_a_sign_of_life() -> None:
    """Its times are another clock's: they may lie in our past or future."""
    first = seen(None, THEIRS, 100.0)
    same = seen(first, THEIRS, 110.0)
    renewed = seen(same, replace(THEIRS, renewed="1999-01-01T00:00:00Z"), 114.0)

    assert (100.0, 100.0, 114.0) == (first.steady, same.steady, renewed.steady)
    assert Step.WAIT == step(renewed, "a", 128.0)


def test_a_lease_says_who_and_since_when() -> None:
    """Times as Kubernetes writes them; one that is taken over counts one up."""
    made, taken = spec_of(None, "a", 0.0), spec_of(THEIRS, "a", 0.0)
    renewed = spec_of(replace(THEIRS, holder="a"), "a", 0.0)

    assert "1970-01-01T00:00:00.000000Z" == made["renewTime"] == taken["acquireTime"]
    assert THEIRS.acquired == renewed["acquireTime"]
    assert (0, 4, 3) == tuple(each["leaseTransitions"] for each in (made, taken, renewed))
    assert Held("a", "1970-01-01T00:00:00.000000Z", 15.0, "1970-01-01T00:00:00.000000Z", 0) == (
        held_of({"spec": made})
    )
    assert Held("", "", DURATION_SECONDS, "", 0) == held_of({})


@pytest.fixture
def cluster() -> Cluster:
    """Return a cluster with a Deployment of four and no lease."""
    made = Cluster()
    made.add("apps/v1", "deployments", "chat", deployment(4))
    return made


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    """Return where its API listens."""
    with serving(cluster) as url:
        yield url


class Candidate:
    """An elector whose turns are ours, with a clock of its own and what it was told."""

    def __init__(self, url: str, me: str, unix: float = 0.0) -> None:
        self.clock = Clock()
        self.clock.unix = unix
        self.told: list[bool] = []
        way = Connection("replicas", "kubernetes", "chat", {}, {"url": url})
        self.elector = Elector(way, "shop/governor", me, self.clock, self._changed)

    def _changed(self) -> None:
        self.told.append(self.elector.leads())

    def turn(self, after: float = 0.0) -> bool:
        """Take a turn, some seconds later, and return whether it leads."""
        self.clock.advance(after)
        self.elector.turn()
        return self.elector.leads()


def holder(cluster: Cluster) -> object:
    """Return who holds the lease."""
    return cluster.at(LEASES, "leases", "governor")["spec"]["holderIdentity"]


def test_one_leads_until_it_is_silent(cluster: Cluster, url: str) -> None:
    """However wrong the clocks of their machines are."""
    one, other = Candidate(url, "one", unix=4e9), Candidate(url, "other", unix=0.0)
    assert (True, False) == (one.turn(), other.turn())
    for _ in range(20):
        assert (True, False) == (one.turn(2), other.turn(2))
    assert not other.turn(DURATION_SECONDS - 1)
    assert other.turn(1)
    assert "other" == holder(cluster)

    assert not one.turn(2)
    assert ([True, False], [True]) == (one.told, other.told)


def test_who_cannot_renew_leads_no_more_before_others_may(cluster: Cluster, url: str) -> None:
    """Without a word from anybody: time alone ends it."""
    one = Candidate(url, "one")
    assert one.turn()
    cluster.denied = {("get", "leases")}
    assert one.turn(RENEW_SECONDS - 0.1)
    assert not one.turn(0.2)
    assert RENEW_SECONDS < DURATION_SECONDS
    cluster.denied = set()

    assert one.turn()
    assert [True, False, True] == one.told


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"metadata": {}},
        {"metadata": [], "spec": "none"},
        {"metadata": {"resourceVersion": "1"}, "spec": {"leaseDurationSeconds": "soon"}},
        {"metadata": {"resourceVersion": "1"}, "spec": {"leaseTransitions": "many"}},
    ],
)
def test_an_answer_that_is_no_lease_ends_nobody(
    cluster: Cluster, body: object, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once; nobody leads by it, and the next good answer is believed again."""
    strange: list[bool] = []

    def answer(request: Request) -> Reply:
        return Reply(200, body) if strange else cluster(request)

    with serving(answer) as url:
        one = Candidate(url, "one")
        assert one.turn()
        strange.append(True)
        assert (True, False) == (one.turn(2), one.turn(RENEW_SECONDS))
        strange.clear()
        assert one.turn(2)

    assert [True, False, True] == one.told
    assert 1 == caplog.text.count("answered with what is no Lease")


def test_two_at_the_same_time_do_not_both_win(cluster: Cluster, url: str) -> None:
    """The version of the lease tells who was first, also where there is none yet."""
    one, other = Candidate(url, "one"), Candidate(url, "other")

    class Both(Elector):
        """Somebody else is a moment faster."""

        def _found(self) -> dict[str, object] | None:
            found = super()._found()
            other.turn()
            return found

    one.elector.__class__ = Both
    assert (False, True) == (one.turn(), other.elector.leads())
    other.turn(100)
    assert "other" == holder(cluster)


def test_a_lease_that_is_given_back_is_taken_at_once(cluster: Cluster, url: str) -> None:
    """Nobody waits for one who has gone; what is not ours is not given back."""
    one, other = Candidate(url, "one"), Candidate(url, "other")
    one.turn()
    other.elector.give_back()
    assert ("one", False) == (holder(cluster), other.turn())
    one.elector.give_back()

    assert ("", False) == (holder(cluster), one.elector.leads())
    assert other.turn()


def test_who_was_seen_not_to_lead_is_told_that_it_does_again(url: str, tmp_path: Path) -> None:
    """The rules were read in the moment between the end of its time and its renewal."""
    rules = loaded(tmp_path / "rules.yml", RULES.replace("URL", url))
    one = Candidate(url, "one")
    turned = Turned(rules, lambda: rules, KNOBS, one.elector)
    one.elector._changed = lambda: one.told.append(bool(turned().leads))  # noqa: SLF001 (its edge)
    one.turn()
    one.clock.advance(RENEW_SECONDS)

    assert not turned().leads
    assert (True, [True, True]) == (one.turn(), one.told)
    assert [True, True] == [turned.here.leads, one.turn(2)]
    assert 2 == len(one.told)


def test_the_time_that_a_machine_sleeps_counts(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others do not sleep: they have taken the lease when it wakes up."""
    rules = loaded(tmp_path / "rules.yml", RULES.replace("URL", url))
    slept = [0.0]
    boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    clocks = {time.CLOCK_BOOTTIME: lambda: boot + slept[0]}
    monkeypatch.setattr(time, "clock_gettime", lambda clock: clocks[clock]())
    turned, _ = _turned(
        lambda: rules, rules, lambda each: each, _Shared(None, "shop/governor", lambda: None)
    )
    assert turned.elector is not None
    turned.elector.turn()
    before = turned.elector.leads()
    slept[0] = RENEW_SECONDS

    assert (True, False) == (before, turned.elector.leads())


def test_a_missing_right_is_said_once(
    cluster: Cluster, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With the rule to give; it is not repeated every two seconds."""
    cluster.denied = {("create", "leases")}
    one = Candidate(url, "one")
    for _ in range(3):
        assert not one.turn(2)

    (said,) = (each for each in caplog.messages if "election_failed" in each)
    assert 'resources: [\\"leases\\"], verbs: [\\"create\\"]' in said


def test_who_does_not_lead_has_no_rules_for_what_is_shared(tmp_path: Path) -> None:
    """Its own cards it turns all the same; a change of who leads reads no file again."""
    rules = loaded(tmp_path / "rules.yml", RULES.replace("URL", "http://127.0.0.1:1"))
    leads, reads = [False], [0]

    class Stub(Elector):
        def __init__(self) -> None:
            """Lead as the test says."""

        def leads(self) -> bool:
            return leads[0]

    def load() -> object:
        reads[0] += 1
        raise Invalid([Mistake("rules.yml", 1, 1, "broken")])

    turned = Turned(rules, load, KNOBS, Stub())  # type: ignore[arg-type]
    assert (("gpu_power_limit",), (), False) == (
        turned.here.knobs,
        turned.here.connections,
        turned.here.leads,
    )
    leads[0] = True
    assert (("replicas", "gpu_power_limit"), True, 0) == (turned().knobs, turned.here.leads, *reads)
    with pytest.raises(Invalid):
        turned()
    leads[0] = False
    assert (("gpu_power_limit",), 1) == (turned().knobs, *reads)


def test_a_tick_that_outlasts_the_lease_writes_nothing(
    cluster: Cluster, url: str, tmp_path: Path
) -> None:
    """It began while we led. What was ours is put back all the same."""
    one = Candidate(url, "one")
    settings: dict[str, Setting] = {"url": url, "namespace": "shop", "kind": "Deployment"}
    settings |= {"object": "chat", "low": 1.0, "high": 9.0}
    way = Connection("replicas", "kubernetes", "chat", {}, settings)
    rules = loaded(tmp_path / "rules.yml", RULES.replace("URL", url))
    turned = Turned(rules, lambda: rules, KNOBS, one.elector)
    knob = turned.opening("replicas", [way])
    assert one.turn()
    knob.probe()
    knob.write("chat", 2.0)
    one.clock.advance(RENEW_SECONDS)
    with pytest.raises(KnobError, match="another actuator may lead now"):
        knob.write("chat", 1.0)

    assert (2, 2.0) == (cluster.replicas(), knob.read("chat").value)  # type: ignore[union-attr]
    knob.restore("chat", 4.0, "")
    assert 4 == cluster.replicas()
    assert not isinstance(turned.opening("batch_size", [FILE]), Fenced)
    alone = Turned(rules, lambda: rules, KNOBS, None)
    assert not isinstance(alone.opening("replicas", [way]), Fenced)


def test_a_lease_is_named_by_its_namespace() -> None:
    """A mistake ends the command before anything is done."""
    result = CliRunner().invoke(main, ["run", "--rules", "r.yml", "--elect", "governor"])

    assert 2 == result.exit_code
    assert "is not NAMESPACE/NAME, such as wattgov/actuator" in result.stderr


def leader(actuator: Actuator) -> float:
    """Return what an actuator says of who leads."""
    actuator.ready()
    with urlopen(f"{actuator.url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    (line,) = (each for each in lines if each.startswith("wattgov_actuator_leader "))
    return float(line.split()[1])


def test_of_two_actuators_one_scales_and_the_other_takes_over(
    tmp_path: Path, cluster: Cluster, url: str, server: FakePrometheus, gpus: VirtualGpus
) -> None:
    """What the first has changed it puts back before it gives the lease away."""
    server.answers["quiet"] = [({"app": "chat", "instance": "here"}, 1.0)]
    server.answers["never"] = []
    server.answers["fresh"] = lambda: [({"instance": "here"}, time.time())]
    both = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rules.yml").write_text(RULES.replace("URL", url))
    try:
        for name in ("one", "other"):
            both.append(
                Actuator(tmp_path / name, server.url, gpus, "--enforce", "--elect", "shop/governor")
            )
            until(f"{name} starts", lambda: "event=started" in both[-1].log.read_text())
            until("somebody scales", lambda: cluster.replicas() == 2)
        first, second = both
        assert (1.0, 0.0) == (leader(first), leader(second))
        assert "event=elected" in first.log.read_text()
        assert "event=elected" not in second.log.read_text()
        before = holder(cluster)
        assert 0 == first.end(signal.SIGTERM)
        until("the other leads", lambda: holder(cluster) not in {"", before})
        until("the other scales", lambda: cluster.replicas() == 2)
        assert 0 == second.end(signal.SIGTERM)
    finally:
        for each in both:
            each.process.kill()
            each.process.wait()

    assert ("", 4) == (holder(cluster), cluster.replicas())
    scaled = [
        body["spec"]["replicas"]  # type: ignore[index]
        for verb, path, body in cluster.asked
        if verb == "patch" and path.endswith("/scale")
    ]
    assert [2, 4, 2, 4] == scaled
