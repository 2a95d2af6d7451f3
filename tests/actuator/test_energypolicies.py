"""Policies of a cluster: followed as its server tells of them, and in force one by one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from actuator.fakes import Clock
from actuator.test_run import until
from fakes.api import serving
from fakes.kubernetes import Cluster
from fakes.objects import Thing
from wattgov_actuator.cli import main
from wattgov_actuator.connection import Connection
from wattgov_actuator.document.strict import Invalid
from wattgov_actuator.energypolicies.loading import Loading
from wattgov_actuator.energypolicies.mirror import Mirror, after, back_off_seconds, listed
from wattgov_actuator.energypolicies.reflector import Reflector
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.language.rulefile import load
from wattgov_actuator.laws import LAWS
from wattgov_actuator.rules import Document, RuleSet

GROUP, PLURAL = "energy.io/v1alpha1", "energypolicies"
FILE = """
version: 1
enforce: true
groups:
  - name: gpus
    rules:
      - {action: trim, expr: quiet, knob: gpu_power_limit, step: down}
"""


def policy(watts: float = 250.0, *, enabled: bool = True, **spec: object) -> Thing:
    """Return an EnergyPolicy that caps the GPUs."""
    caps = {"powerCaps": {"gpu": watts}} if watts else {}
    enabling = {"optimization": {"enabled": enabled}}
    return {"spec": {"targetNamespace": "shop", **caps, **enabling, **spec}}


@pytest.fixture
def cluster() -> Cluster:
    """Return a cluster with one policy, and one in another namespace."""
    made = Cluster()
    made.add(GROUP, PLURAL, "thrift", policy())
    made.add(GROUP, PLURAL, "foreign", policy(), "elsewhere")
    return made


class Follower:
    """A reflector that begins again at once, and what it has told."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.told: list[dict[str, float]] = []
        self.taking = True  # whoever is told takes what there is
        self.pauses: list[int] = []
        way = Connection("", "", "", {}, {"url": url})
        self.reflector = Reflector(
            way, "shop", lambda: self.clock.steady, self._changed, self._pause
        )

    @property
    def caps(self) -> dict[str, float]:
        """The watts of each policy that it knows, by its name."""
        found = [yaml.safe_load(each.text) for each in self.reflector.documents]
        return {each["metadata"]["name"]: each["spec"]["powerCaps"]["gpu"] for each in found}

    def _changed(self) -> None:
        self.told.append(self.caps if self.taking else {})

    def _pause(self, failures: int, _: float) -> float:
        self.pauses.append(failures)
        return 0.005


@pytest.fixture
def follower(cluster: Cluster) -> Iterator[Follower]:
    """Return what follows the cluster, and has seen what is there."""
    with serving(cluster) as url:
        made = Follower(url)
        with made.reflector:
            until("it watches", made.reflector.watched)
            until("its watch is there", lambda: cluster.changes.opened == 1)
            yield made
            cluster.changes.hang_up()


def lists(cluster: Cluster) -> int:
    """Return how often all of them were asked for."""
    return sum(verb == "list" for verb, _, _ in list(cluster.asked))


def versions(cluster: Cluster) -> list[str]:
    """Return from which versions on somebody has watched."""
    paths = [path for verb, path, _ in list(cluster.asked) if verb == "watch"]
    return [each.partition("resourceVersion=")[2].partition("&")[0] for each in paths]


def test_what_is_there_comes_first_and_then_each_change(
    cluster: Cluster, follower: Follower
) -> None:
    """Of one namespace; what is deleted is gone."""
    cluster.add(GROUP, PLURAL, "caution", policy(300.0))
    until("it has come", lambda: follower.caps == {"thrift": 250.0, "caution": 300.0})
    cluster.add(GROUP, PLURAL, "thrift", policy(200.0))
    until("it has changed", lambda: follower.caps == {"thrift": 200.0, "caution": 300.0})
    cluster.remove(GROUP, PLURAL, "thrift")
    until("it is gone", lambda: follower.caps == {"caution": 300.0})

    assert (1, 4) == (lists(cluster), len(follower.told))
    assert ["EnergyPolicy shop/caution"] == [each.name for each in follower.reflector.documents]


def test_of_many_changes_one_is_told(cluster: Cluster, follower: Follower) -> None:
    """Until it is taken, or nobody takes it for long: reading them all takes its time."""
    follower.taking = False
    for number in range(5):
        cluster.add(GROUP, PLURAL, f"p{number}", policy())
    cluster.bookmark()
    cluster.changes.hang_up()
    until("all have come", lambda: cluster.changes.opened == 2)
    assert 2 == len(follower.told)
    follower.clock.advance(5.0)
    cluster.add(GROUP, PLURAL, "late", policy())
    until("it is told again", lambda: len(follower.told) == 3)

    assert 7 == len(follower.caps)
    cluster.add(GROUP, PLURAL, "later", policy())
    until("what was taken is told anew", lambda: len(follower.told) == 4)


def test_what_changes_by_itself_is_no_change(cluster: Cluster, follower: Follower) -> None:
    """A status, a label: the rules are the same, and not read again."""
    same = policy()
    same["metadata"] = {"labels": {"team": "data"}, "generation": 7}
    same["status"] = {"conditions": []}
    cluster.add(GROUP, PLURAL, "thrift", same)
    cluster.add(GROUP, PLURAL, "caution", policy())
    until("the other one has come", lambda: len(follower.caps) == 2)

    assert 2 == len(follower.told)


def test_a_watch_that_ends_goes_on_where_it_was(cluster: Cluster, follower: Follower) -> None:
    """A bookmark tells how far that is, so that nothing has to be listed again."""
    listed_at = versions(cluster)[0]
    cluster.bookmark()
    cluster.changes.hang_up()
    until("it watches again", lambda: cluster.changes.opened == 2)
    assert [listed_at, str(cluster.version)] == versions(cluster)
    cluster.add(GROUP, PLURAL, "caution", policy())
    until("it has come", lambda: "caution" in follower.caps)

    assert (1, {0}) == (lists(cluster), set(follower.pauses))


@pytest.mark.parametrize("where", ["answer", "event"])
def test_a_version_that_is_forgotten_makes_it_list_again(
    cluster: Cluster, follower: Follower, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As an answer (410), or as an event of a watch: who is not in the list is gone."""
    cluster.changes.told.clear()
    cluster.things.pop(f"/apis/{GROUP}/namespaces/shop/{PLURAL}/thrift")  # nobody is told
    cluster.version += 10
    cluster.changes.oldest = cluster.version
    if where == "answer":
        cluster.changes.hang_up()
    else:
        cluster.bookmark()
    until("it is gone", lambda: follower.caps == {})

    assert 2 == lists(cluster)
    assert ({}, "") == (follower.told[-1], caplog.text)  # no trouble, but how it is meant to be


def test_while_the_server_is_away_all_stays(cluster: Cluster, follower: Follower) -> None:
    """It is asked again after ever longer pauses, and what came meanwhile is seen then."""
    cluster.away = 5
    cluster.changes.hang_up()
    until("it does not see", lambda: not follower.reflector.watched())
    assert {"thrift": 250.0} == follower.caps
    cluster.add(GROUP, PLURAL, "caution", policy(300.0))
    until("it sees again", lambda: "caution" in follower.caps)

    assert follower.reflector.watched()
    assert [1, 2, 3, 4, 5] == [each for each in follower.pauses if each]
    assert (1, 2) == (lists(cluster), len(follower.told))


@pytest.mark.parametrize("verb", ["list", "watch"])
def test_a_right_that_is_missing_is_named(
    cluster: Cluster, verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, and it goes on trying: somebody may give it."""
    cluster.denied = {(verb, PLURAL)}
    with serving(cluster) as url, Follower(url).reflector as reflector:
        until("it is refused", lambda: len(caplog.records) > 0)
        rule = f'{{apiGroups: ["energy.io"], resources: ["{PLURAL}"], verbs: ["{verb}"]}}'
        assert f"give its account a Role in shop with the rule {rule}" in caplog.text.replace(
            '\\"', '"'
        )
        cluster.denied = set()
        until("it watches", reflector.watched)
        cluster.changes.hang_up()

    assert 1 == caplog.text.count("policies_not_watched")


@pytest.mark.parametrize(
    "things",
    [
        {"/apis/energy.io/v1alpha1/namespaces/shop/energypolicies/x": {"metadata": {}}},
    ],
)
def test_what_is_no_policy_at_all_is_told(
    things: dict[str, Thing], caplog: pytest.LogCaptureFixture
) -> None:
    """A server that says nonsense ends no thread."""
    cluster = Cluster(things)
    with serving(cluster) as url, Follower(url).reflector as reflector:
        until("it is told", lambda: "is no EnergyPolicy" in caplog.text)
        cluster.things.clear()
        until("it watches", reflector.watched)
        cluster.changes.hang_up()


def test_pauses_grow_and_differ() -> None:
    """From a second to a minute; chance keeps many actuators apart."""
    assert [0.5, 1.0, 16.0, 30.0, 30.0] == [back_off_seconds(n, 0.0) for n in (0, 1, 5, 6, 5000)]
    assert [1.0, 60.0] == [back_off_seconds(n, 1.0) for n in (0, 9)]


def test_an_event_of_a_new_kind_says_how_far_it_is() -> None:
    """And nothing else."""
    thing = policy()
    thing["metadata"] = {"name": "thrift", "namespace": "shop", "resourceVersion": "7"}
    mirror = listed([thing], "7")
    event = {"type": "NOVELTY", "object": {"metadata": {"resourceVersion": "9"}}}

    assert Mirror("9", mirror.documents) == after(mirror, event)


class Read:
    """Files and policies that are read as `run` reads them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text(FILE)
        self.policies: dict[str, Thing] = {}
        self.loads = 0
        self.loading = Loading(self._load, self._documents)

    def _load(self, documents: object) -> RuleSet:
        self.loads += 1
        return load([self.path], LAWS, KNOBS, {"SECRET": "x"}, documents)  # type: ignore[arg-type]

    def _documents(self) -> list[Document]:
        kind = {"apiVersion": GROUP, "kind": "EnergyPolicy"}
        return [
            Document(name, yaml.safe_dump({**kind, "metadata": {"name": name}, **each}))
            for name, each in sorted(self.policies.items())
        ]

    def __call__(self) -> dict[str, str]:
        """Return the groups with the first rule's bounds or step, as text."""
        self.rules = self.loading()
        return {group.name: str(group.rules[0].law) for group in self.rules.groups}

    @property
    def refused(self) -> list[str]:
        """What is wrong with policies."""
        assert self.rules.policies is not None
        return [str(each) for each in self.rules.policies.refused]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a file, and no policies yet."""
    return Read(tmp_path / "rules.yml")


def test_two_policies_are_two_groups_beside_the_files(read: Read) -> None:
    """And what they say changes what two machines are compared by."""
    assert {"gpus"} == read().keys()
    before = read.rules.sha256
    read.policies = {"thrift": policy(), "caution": policy(300.0)}

    assert {"gpus", "caution", "thrift"} == read().keys()
    assert read.rules.policies is not None
    assert ("caution", "thrift") == read.rules.policies.in_force
    assert before != read.rules.sha256
    read.policies = {}
    assert ({"gpus"}, before) == (set(read()), read.rules.sha256)


def test_a_policy_with_a_mistake_keeps_its_last_good_version(read: Read) -> None:
    """The others go on; one that never was good is left out, and each mistake is told."""
    read.policies = {"thrift": policy(250.0), "other": policy(400.0)}
    good = read()
    read.policies = {
        "never": policy(0.0),
        "other": policy(350.0),
        "thrift": policy(200.0, sla={"p95LatencyMs": -1}),
    }
    found = read()

    assert {"gpus", "other", "thrift"} == found.keys()
    assert good["thrift"] == found["thrift"]
    assert good["other"] != found["other"]
    assert ["never", "thrift"] == sorted(each.partition(":")[0] for each in read.refused)
    assert any("p95LatencyMs must be above 0" in each for each in read.refused)
    read.policies["thrift"] = policy(200.0)
    assert found["thrift"] != read()["thrift"]
    assert ["never"] == [each.partition(":")[0] for each in read.refused]


def test_many_policies_are_read_once(read: Read) -> None:
    """The loop waits for it; what is wrong costs one reading more, or two."""
    read.policies = {f"p{number}": policy() for number in range(20)}
    assert (21, 1) == (len(read()), read.loads)
    read.policies["p7"] = policy(0.0)
    read()
    read.policies["new"] = policy(0.0)

    assert (21, 5) == (len(read()), read.loads)
    assert ["new", "p7"] == sorted(each.partition(":")[0] for each in read.refused)


def test_a_policy_that_is_deleted_has_no_last_good_version(read: Read) -> None:
    """Made anew with a mistake, it is as one that never was good."""
    read.policies = {"thrift": policy()}
    read()
    read.policies = {}
    read()
    read.policies = {"thrift": policy(0.0)}

    assert {"gpus"} == read().keys()


def test_a_name_of_the_files_is_taken(read: Read) -> None:
    """Whoever may make policies cannot put the files out of force."""
    read.policies = {"gpus": policy(), "thrift": policy()}

    assert {"gpus", "thrift"} == read().keys()
    assert "there is another group called 'gpus'" in read.refused[0]


def test_mistakes_of_the_files_are_for_who_reads_them(read: Read) -> None:
    """As without any cluster: what was in force stays so."""
    read.path.write_text("version: 2")
    with pytest.raises(Invalid):
        read()


def test_a_policy_neither_enforces_nor_ends_it(read: Read) -> None:
    """One that is not enabled rests; whether anything is written is for the files to say."""
    read.policies = {"thrift": policy(), "rest": policy(enabled=False)}
    assert {"gpus", "thrift"} == read().keys()
    assert read.rules.policies is not None
    assert (True, ("rest",)) == (read.rules.enforce, read.rules.policies.resting)
    read.path.write_text(FILE.replace("enforce: true", "enforce: false"))
    read()

    assert not read.rules.enforce


def test_files_need_no_groups_where_policies_may_come(read: Read) -> None:
    """They may have the entries only."""
    read.path.write_text("version: 1\nenforce: true\n")
    assert ({}, 15.0) == (read(), read.rules.interval_seconds)
    with pytest.raises(Invalid, match="has no 'groups'"):
        load([read.path], LAWS, KNOBS)


def test_a_policy_reads_no_variable(read: Read) -> None:
    """Whoever may make one may not read our environment."""
    read.policies = {"thrift": policy(note="${SECRET}")}
    read()

    assert "x" not in " ".join(read.refused).split()
    assert any("SECRET" in each for each in read.refused)


def test_the_option_takes_a_namespace(tmp_path: Path) -> None:
    """Anything else is told before anything begins."""
    (tmp_path / "rules.yml").write_text(FILE)
    words = ["run", "--rules", str(tmp_path / "rules.yml"), "--energy-policies", "Shop!"]
    result = CliRunner().invoke(main, words)

    assert (2, True) == (result.exit_code, "'Shop!' is no namespace of Kubernetes" in result.stderr)
