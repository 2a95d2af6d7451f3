"""A list of pods gives its names, wherever the blocks that it comes in are cut."""

import itertools
import json
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.kubelet import Pod, listing, mirror, pod, static
from wattgov_exporter.reading import Pods
from wattgov_exporter.sources.pod_list import MOST_HEAD_CHARS, MOST_POD_CHARS, names

UID = "214f3ba8-4b69-4bdb-a7d5-5ecc73f04ae9"
OTHER_UID = "0f6d1f8e-7a55-4f0f-9f52-2d3ad1a2f6a1"
HASH = "57ad1c0d4b0f5a8d3c9b2f4de1c1a8aa"
ID = "6af17555490a1e9a2505b3128e5f1b2bc1243bf8b36e808b571b9686ca2cf7d0"
ID2 = "d4e8e05a546c86b6443f101966c618e47753ed01fa9929cae00d3b692f7a9f80"


def test_a_pod_and_its_containers() -> None:
    """A pod is found by its uid, a container by the first digits of its id, init ones too."""
    web = pod("web-0", UID, {"nginx": ID}, namespace="shop", init={"prepare": ID2})

    assert Pods(
        {UID: "shop/web-0"},
        {ID[:12]: "shop/web-0/nginx", ID2[:12]: "shop/web-0/prepare"},
    ) == names([listing([web])])


def test_a_static_pod() -> None:
    """In the cgroup stands the hash, whether the kubelet tells of it or the server's mirror."""
    told = names([listing([static("etcd", HASH, {"etcd": ID})])])
    mirrored = names([listing([mirror("etcd", UID, HASH, {"etcd": ID})])])

    assert {HASH: "kube-system/etcd-node-1"} == told.pods
    assert {HASH: "kube-system/etcd-node-1", UID: "kube-system/etcd-node-1"} == mirrored.pods


def test_a_pod_that_has_ended_and_its_successor() -> None:
    """Both have one name, each by its own uid; what was never created has no id."""
    pods = [pod("job", UID, {"a": ID}, phase="Succeeded"), pod("job", OTHER_UID, {"a": ""})]

    told = names([listing(pods)])

    assert {UID: "default/job", OTHER_UID: "default/job"} == told.pods
    assert {ID[:12]: "default/job/a"} == told.containers


def test_a_node_without_pods() -> None:
    """Go writes null for an empty list, and others write []."""
    assert Pods() == names([listing([])])
    assert Pods() == names([b'{"kind": "PodList", "items": [ ]}'])


PODS = [
    pod("web-0", UID, {"nginx": ID}, annotations={"note": 'a "quoted" [text], {é}'}),
    static("etcd", HASH, {"etcd": ID2}),
]


@given(st.lists(st.integers(0, len(listing(PODS))), max_size=20))
def test_any_cut(cuts: list[int]) -> None:
    """However the text is cut, in the middle of a letter too, the names are the same."""
    text = listing(PODS)
    ends = [0, *sorted(cuts), len(text)]
    blocks = [text[low:high] for low, high in itertools.pairwise(ends)]

    assert names([text]) == names(blocks)


@given(st.integers(0, len(listing(PODS)) - 2))
def test_a_list_that_breaks_off(length: int) -> None:
    """Without its end it is no list: half of the names would look like all of them."""
    with pytest.raises(ValueError, match="it "):
        names([listing(PODS)[:length]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"<html>", "it is no list of pods"),
        (b'{"kind":"Status","status":"Failure"}', "it is no list of pods"),
        (b'{"kind":"NodeList","items":[{}]}', "it is a list, but not of pods"),
        (b'{"kind":"PodList","items":[{"metadata":}]}', "is no JSON"),
        (b'{"kind":"PodList","items":[' + b'{"a":' * 100_000, "nested too deep"),
        (b" " * (MOST_HEAD_CHARS + 2), "it is no list of pods"),
    ],
)
def test_what_is_no_list(text: bytes, words: str) -> None:
    """Each kind of it is said in words."""
    with pytest.raises(ValueError, match=words):
        names([text])


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"metadata": None, "status": 1},
        {"metadata": {"name": "a", "namespace": 'b"} 1', "uid": UID}},
        {"metadata": {"name": "a", "uid": UID}},
        {"metadata": {"name": "a", "namespace": "b", "uid": 7}, "status": {"containerStatuses": 1}},
    ],
)
def test_a_pod_that_is_not_as_it_should_be(broken: Pod) -> None:
    """It has no name, and the others have theirs."""
    told = names([json.dumps({"kind": "PodList", "items": [broken, *PODS]}).encode()])

    assert names([listing(PODS)]) == told


def endless() -> Iterator[bytes]:
    """Return a pod without end."""
    yield b'{"kind":"PodList","items":[{"a":"'
    while True:
        yield b"x" * (1 << 16)


def test_a_pod_without_end() -> None:
    """It is given up when it is larger than any pod can be."""
    assert MOST_POD_CHARS < 1 << 23
    with pytest.raises(ValueError, match="breaks off"):
        names(endless())


def test_five_hundred_pods_in_little_memory() -> None:
    """A list of 5 MB costs its names and one block; whole it would cost ten times its size."""
    pods = [
        pod(f"web-{n}", f"{UID}{n}", {"nginx": f"{n:064x}"}, ballast=10_000) for n in range(500)
    ]
    text = listing(pods)
    blocks = [text[at : at + (1 << 16)] for at in range(0, len(text), 1 << 16)]
    tracemalloc.start()

    told = names(blocks)

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 500 == len(told.pods)
    assert len(text) > 5_000_000
    assert most < 1_000_000
