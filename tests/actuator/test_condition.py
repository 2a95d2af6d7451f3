"""Three-valued conditions: what is true, what is false, and what is not known."""

import math
from collections.abc import Mapping

import pytest

from actuator.builders import NOW, SILENT, answer, fresh, on
from actuator.fakes import FRESH, target
from wattgov_actuator.condition import State, View, judge, judge_sla, judge_thermal, learned
from wattgov_actuator.reading import Answer


def view(
    said: Answer, freshness: Answer, seen: str | None = None, max_age_seconds: float = 45
) -> View:
    """Return what the card GPU-a, of index 0, is judged on."""
    answers = {"expr": said, FRESH: freshness}
    return View(target(), seen, answers, FRESH, max_age_seconds, NOW)


def state(said: Answer, freshness: Answer, seen: str | None = None) -> State:
    """Return how a rule's condition is judged."""
    return judge("expr", view(said, freshness, seen)).state


def test_a_series_that_names_the_card_is_true() -> None:
    """Its value does not matter: the comparison was made by Prometheus."""
    assert State.TRUE == state(on(0.0), fresh())


def test_no_series_on_fresh_data_is_false() -> None:
    """Silence of the expression counts only when the exporter is heard."""
    assert State.FALSE == state(answer(), fresh())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_unknown(value: float) -> None:
    """NaN and infinities are neither true nor false."""
    assert State.NO_DATA == state(on(value), fresh())


def test_a_failed_query_is_unknown() -> None:
    """Of the expression or of the freshness, both."""
    assert State.NO_DATA == state(SILENT, fresh())
    assert State.NO_DATA == state(on(), SILENT)


@pytest.mark.parametrize("said", [on(), answer()])
def test_old_samples_are_unknown_whatever_the_expression_says(said: Answer) -> None:
    """An average over five minutes looks alive long after the card was last read."""
    assert State.STALE == state(said, fresh(age_seconds=46), seen="here")
    assert State.STALE != state(said, fresh(age_seconds=45), seen="here")


def test_of_several_sources_the_oldest_is_told_by_name() -> None:
    """A BMC that is dead is no reason that anybody would look for behind a card."""
    times = [("nvml", 1.0), ("redfish", 300.0)]
    said = answer(*(({"instance": "here", "source": each}, NOW.unix - ago) for each, ago in times))
    judged = judge("expr", view(on(), said))

    assert (State.STALE, "the last reading by redfish of here is 300 s old, allowed are 45 s") == (
        judged.state,
        judged.why,
    )


def test_a_clock_ahead_of_ours_is_stale() -> None:
    """Two hours ahead, every reading would look new for two hours."""
    judged = judge("expr", view(on(), fresh(age_seconds=-7200)))

    assert (State.STALE, "the exporter's clock of here is 7200 s ahead of ours") == (
        judged.state,
        judged.why,
    )


def test_the_oldest_source_of_an_exporter_decides() -> None:
    """One source that hangs makes its exporter's word old."""
    both = Answer(fresh(0).samples + fresh(100).samples)

    assert State.STALE == state(on(), both)


def test_another_exporters_age_does_not_matter() -> None:
    """Freshness goes by instance: a dead neighbour stops nobody."""
    both = Answer(fresh(0).samples + fresh(100, instance="there").samples)

    assert State.TRUE == state(on(), both)
    assert State.STALE == state(on(instance="there"), both)


def test_an_exporter_that_tells_no_time_is_unknown() -> None:
    """A target without a freshness series of its instance is not known to be fresh."""
    assert State.NO_DATA == state(on(), answer())
    assert State.NO_DATA == state(on(), fresh(instance="there"))
    assert State.NO_DATA == state(on(), answer(({"instance": "here"}, math.nan)))


def test_without_an_instance_the_oldest_of_all_decides() -> None:
    """An aggregation that dropped the label may rest on any exporter."""
    said = answer(({"uuid": "GPU-a"}, 1.0))
    both = Answer(fresh(0).samples + fresh(100, instance="there").samples)

    assert State.TRUE == state(said, fresh())
    assert State.STALE == state(said, both)


def test_a_silent_expression_goes_by_the_instance_seen_before() -> None:
    """Whether no series means false depends on the exporter that used to name the card."""
    both = Answer(fresh(0).samples + fresh(100, instance="there").samples)

    assert State.FALSE == state(answer(), both, seen="here")
    assert State.STALE == state(answer(), both, seen="there")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"uuid": "GPU-a"}, State.TRUE),
        ({"UUID": "GPU-a"}, State.TRUE),
        ({"gpu": "0"}, State.TRUE),
        ({"uuid": "GPU-b"}, State.FALSE),
        ({"gpu": "1"}, State.FALSE),
        ({"uuid": "GPU-b", "gpu": "0"}, State.FALSE),
        ({"job": "x"}, State.FALSE),
    ],
)
def test_a_card_is_named_by_uuid_else_by_index(labels: Mapping[str, str], expected: State) -> None:
    """An index counts only in a series that has no uuid."""
    assert expected == state(answer((labels, 1.0)), fresh())


def test_an_index_that_two_machines_have_is_unknown() -> None:
    """Without the uuid it cannot be told whose GPU 0 is meant."""
    said = answer(({"gpu": "0", "instance": "here"}, 1.0), ({"gpu": "0", "instance": "b"}, 1.0))
    judged = judge("expr", view(said, fresh()))

    assert State.NO_DATA == judged.state
    assert "uuid" in judged.why


def test_false_tells_when_the_series_name_others() -> None:
    """A rule whose labels fit nothing is seen to be wrong."""
    judged = judge("expr", view(answer(({"job": "x"}, 1.0)), fresh()))

    assert "none of the 1 series names it" == judged.why


def test_only_an_exporters_instance_is_learned() -> None:
    """An engine's instance says nothing about who reads the card."""
    here, engine = view(on(), fresh()), view(on(instance="engine"), fresh(), seen="here")

    assert "here" == learned(judge("expr", here), here)
    assert "here" == learned(judge("expr", engine), engine)


def test_an_sla_series_without_labels_of_ours_is_about_every_card() -> None:
    """A latency belongs to an app; the group says which cards serve it."""
    said = answer(({"app": "chat"}, 0.9))
    judged = judge_sla("expr", view(said, fresh(), seen="here"))

    assert (State.TRUE, "0.9 chat") == (judged.state, judged.why)


def test_an_engines_instance_does_not_hide_a_breach() -> None:
    """The instance of a latency is the engine's, and never that of the card's exporter."""
    said = answer(({"instance": "engine:8000"}, 0.9))

    assert State.TRUE == judge_sla("expr", view(said, fresh(), seen="here")).state


def test_a_breach_on_another_card_is_not_ours() -> None:
    """What names another card, or another exporter, is about that."""
    freshness = Answer(fresh().samples + fresh(instance="there").samples)
    for labels in ({"uuid": "GPU-b"}, {"gpu": "1"}, {"instance": "there"}):
        said = answer((labels, 0.9))
        assert State.FALSE == judge_sla("expr", view(said, freshness, seen="here")).state


def test_a_breach_needs_no_fresh_data_and_a_nan_is_no_breach() -> None:
    """A breach only loosens, so its age is not asked; what is not a number is not known."""
    assert State.TRUE == judge_sla("expr", view(answer(({}, 0.9)), fresh(1000))).state
    assert State.NO_DATA == judge_sla("expr", view(answer(({}, math.nan)), fresh())).state
    assert State.NO_DATA == judge_sla("expr", view(SILENT, fresh())).state
    assert State.FALSE == judge_sla("expr", view(answer(), fresh())).state


def test_heat_needs_fresh_data() -> None:
    """A thermal claim tightens, so it wants to be known."""
    room = answer(({"instance": "bmc"}, 90.0))

    assert State.TRUE == judge_thermal("expr", view(on(90), fresh())).state
    assert State.TRUE == judge_thermal("expr", view(room, fresh(), seen="here")).state
    assert State.STALE == judge_thermal("expr", view(on(90), fresh(100))).state
    assert State.FALSE == judge_thermal("expr", view(on(90, uuid="GPU-b"), fresh())).state
    assert State.NO_DATA == judge_thermal("expr", view(SILENT, fresh())).state
