"""Series are sorted once, and a target finds its own among them."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actuator.builders import answer
from actuator.fakes import target
from wattgov_actuator.naming import named, ordered
from wattgov_actuator.reading import Sample, Target

LABELS = st.fixed_dictionaries(
    {},
    optional={
        "uuid": st.sampled_from(["GPU-a", "GPU-b"]),
        "gpu": st.sampled_from(["0", "1"]),
        "zone": st.sampled_from(["dram", "core"]),
        "app": st.just("chat"),
    },
)
CARD = target()
ZONE = Target("cpu_power_limit", "0", {"gpu": "0", "zone": "dram"}, 10, 90, "watts", 1)


def names(labels: Mapping[str, str], at: Target) -> bool:
    """Tell it the slow way: by uuid, else by all the labels that both have."""
    if "uuid" in labels:
        return labels["uuid"] == at.labels.get("uuid")
    shared = labels.keys() & at.labels.keys()
    return bool(shared) and all(labels[key] == at.labels[key] for key in shared)


@given(st.lists(LABELS), st.sampled_from([CARD, ZONE]))
def test_a_target_finds_what_reading_every_series_would_find(
    series: list[dict[str, str]], at: Target
) -> None:
    """No series is lost by sorting, and none found that is another's."""
    said = answer(*((labels, 1.0) for labels in series))
    found = named(said, at.labels)

    assert ordered(each for each in said.samples if names(each.labels, at)) == found.of(at)
    assert bool(found.of(at)) == found.count([at])


@pytest.mark.parametrize(
    ("labels", "wide"), [({"app": "chat"}, True), ({"package": "0"}, False), ({"gpu": "9"}, False)]
)
def test_wide_is_what_names_no_device(labels: Mapping[str, str], wide: bool) -> None:
    """A latency is about every card of a group; a CPU package is about none."""
    said = answer((labels, 1.0))

    assert (said.samples if wide else ()) == named(said, CARD.labels).wide


def test_the_order_of_series_is_their_own() -> None:
    """Whoever sends them first: what a decision says must not depend on it."""
    one, other = Sample({"app": "a"}, 1.0), Sample({"app": "b"}, 2.0)

    assert ordered([one, other]) == ordered([other, one])
