"""What the API shows: shapes that others build on, from a real loop on a faked edge."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from actuator.builders import PROTECT, group, loaded, rule, watts
from actuator.serving import Client, serving
from actuator.stage import Make, Stage
from wattgov_actuator.cycle.latency import Latency
from wattgov_actuator.laws.threshold import Set
from wattgov_actuator.reading import Fault
from wattgov_actuator.rules import Rate, RuleSet, Thermal

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
TRIM = replace(rule("trim", "quiet", cooldown_seconds=30), rate=Rate(2, 3600))
NIGHT = rule("night", "dark", Set(watts(200)), cooldown_seconds=0)
RULES = RuleSet(
    (
        group(TRIM, protect=replace(PROTECT, thermal=Thermal("hot", "cool"))),
        group(NIGHT, name="grid", interval_seconds=60),
    )
)


@pytest.fixture
def stage(make: Make) -> Stage:
    """Return an actuator that has just trimmed a card to 280 W."""
    stage = make(RULES)
    stage.say("quiet")
    stage.play()
    return stage


@pytest.fixture
def client(stage: Stage, tmp_path: Path) -> Iterator[Client]:
    """Return a client of its service."""
    with serving(lambda: stage.governor.snapshot, tmp_path) as client:
        yield client


def test_rules_are_what_the_file_says_and_how_each_stands(client: Client, stage: Stage) -> None:
    """Group, rule, law with its parameters, and the state at each target."""
    gpus, grid = client.get("/api/v1/rules")["groups"]
    (trim,), (night,) = gpus["rules"], grid["rules"]

    assert ("gpus", 15, stage.clock.unix) == tuple(
        gpus[key] for key in ("name", "interval_seconds", "last_evaluation")
    )
    assert {"expr": "hot", "clear": "cool", "device": None} == gpus["protect"]["thermal"]
    assert {"name": "step", "amount": {"value": -20, "unit": "watts"}} == trim["law"]
    assert {"name": "set", "value": {"value": 200, "unit": "watts"}} == night["law"]
    assert ("quiet", "gpu_power_limit", "cost", {"changes": 2, "per_seconds": 3600}) == tuple(
        trim[key] for key in ("expr", "knob", "class", "rate")
    )
    assert {"value": 150, "unit": "watts"} == trim["min"]
    assert (None, True, 1) == tuple(trim[key] for key in ("max", "active_now", "named_targets"))
    (standing,) = trim["targets"]
    assert ("GPU-a", "true", 280, "applied", stage.clock.unix) == tuple(
        standing[key] for key in ("target", "condition", "claim", "reason", "true_since")
    )
    assert ("false", None) == tuple(night["targets"][0][key] for key in ("condition", "claim"))


def test_a_window_and_a_selection_are_shown_as_they_are_written(make: Make, tmp_path: Path) -> None:
    """They come from a file, with all that a rule may say."""
    text = """
version: 1
groups:
  - name: grid
    rules:
      - action: night-cap
        expr: dirty
        class: carbon
        knob: gpu_power_limit
        scale: 80%
        keep: 10m
        slew: 20W
        deadband: 5W
        targets: {only: {gpu: "[0-3]"}, except: {uuid: "GPU-2f.*"}}
        active: {windows: "00:00-06:00,22:00-24:00", zone: Europe/Paris}
"""
    stage = make(loaded(tmp_path / "rules.yml", text))
    stage.play()
    with serving(lambda: stage.governor.snapshot, tmp_path) as client:
        (group,) = client.get("/api/v1/rules")["groups"]

    (rule,) = group["rules"]
    assert "00:00-06:00,22:00-24:00 Europe/Paris" == rule["active"]
    assert not rule["active_now"]
    assert [{"only": {"gpu": "[0-3]"}, "except": {"uuid": "GPU-2f.*"}}] == rule["only_targets"]
    assert {"name": "scale", "part": {"value": 80, "unit": "percent"}} == rule["law"]
    assert ("carbon", 600, {"value": 20, "unit": "watts"}) == tuple(
        rule[key] for key in ("class", "keep_seconds", "slew")
    )


def test_a_target_tells_who_claims_what_and_when_more_may_come(
    client: Client, stage: Stage
) -> None:
    """In force, wanted, before us; the next change is held back by the cooldown."""
    (card,) = client.get("/api/v1/targets")["targets"]

    assert ("gpu_power_limit", "GPU-a", "watts", 100, 400) == tuple(
        card[key] for key in ("knob", "target", "unit", "low", "high")
    )
    assert (280, 300, 280) == tuple(card[key] for key in ("current", "prior", "wanted"))
    assert ({"trim": 280}, ["trim", "night"]) == (card["claims"], card["rules"])
    assert (None, None, None) == tuple(card[key] for key in ("conflict", "trouble", "hot"))
    assert (stage.clock.unix, stage.clock.unix + 30) == (card["changed"], card["next_change"])


def test_a_rate_that_is_used_up_holds_the_next_change_back(client: Client, stage: Stage) -> None:
    """An hour after the older of the two changes that it allows."""
    first = stage.clock.unix
    stage.play(ticks=2)
    (card,) = client.get("/api/v1/targets")["targets"]

    assert (260, first + 3600) == (card["current"], card["next_change"])


def test_a_target_tells_its_trouble_its_heat_and_its_conflict(client: Client, stage: Stage) -> None:
    """Each in a sentence."""
    stage.say("hot")
    stage.knob.refuses = Fault.REFUSED
    stage.play()
    (card,) = client.get("/api/v1/targets")["targets"]

    assert ("refused", "the card says no") == (
        card["trouble"]["reason"],
        card["trouble"]["detail"],
    )
    assert card["hot"].startswith("too hot: ")

    stage.knob.refuses = None
    stage.knob.add("GPU-a", 222)
    stage.play()

    (card,) = client.get("/api/v1/targets")["targets"]
    assert "somebody set 222 watts" in card["conflict"]
    assert 1 == client.get("/api/v1/status")["conflicts"]


def test_a_knob_says_why_there_is_no_more_to_turn(client: Client, stage: Stage) -> None:
    """Its targets, the rules that turn it, and the driver's own words."""
    expected = {"knob": "gpu_power_limit", "targets": ["GPU-a"], "rules": ["trim", "night"]}
    assert [{**expected, "note": None}] == client.get("/api/v1/knobs")["knobs"]

    stage.knob.gone.add("GPU-a")
    stage.play()

    assert "no card" == client.get("/api/v1/knobs")["knobs"][0]["note"]


def test_decisions_can_be_narrowed(client: Client) -> None:
    """By rule, target, reason and number; each narrows the others."""
    for query, rules in (
        ("", ["trim", "night"]),
        ("?rule=night", ["night"]),
        ("?reason=applied", ["trim"]),
        ("?reason=applied&rule=night", []),
        ("?target=GPU-a&limit=1", ["trim"]),
        ("?target=GPU-b", []),
    ):
        rows = client.get(f"/api/v1/decisions{query}")["decisions"]
        assert rules == [row["rule"] for row in rows], query


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?rul=trim", "unknown parameter 'rul'; did you mean 'rule'?"),
        ("?reason=bored", "'bored' is no reason; there are: applied, "),
        ("?limit=0", "limit is a whole number from 1 to 10000"),
        ("?limit=-1", "limit is"),
        ("?limit=1e3", "limit is"),
        ("?limit=" + "9" * 5000, "limit is"),
        ("?limit=00000001" + "0" * 5000, "limit is"),
        ("?" + "a=b&" * 30, "more than 20 parameters"),
    ],
)
def test_a_question_that_makes_no_sense_is_a_sentence(
    client: Client, query: str, sentence: str
) -> None:
    """Not everything, as if nothing had been asked."""
    status, text = client.ask(f"/api/v1/decisions{query}")

    assert (400, True) == (status, json.loads(text)["error"].startswith(sentence))


@pytest.mark.parametrize("name", ["status", "rules", "targets", "knobs"])
def test_what_takes_no_parameters_says_so(client: Client, name: str) -> None:
    """A filter that is not obeyed would be taken for one that is."""
    assert 400 == client.ask(f"/api/v1/{name}?rule=trim")[0]
    assert 200 == client.ask(f"/api/v1/{name}", "HEAD")[0]


def test_values_that_are_no_numbers_are_null(client: Client, stage: Stage) -> None:
    """A NaN or an infinity would not be JSON."""
    odd = replace(stage.governor.snapshot.decisions[0], wanted=float("inf"), current=float("nan"))
    stage.governor.snapshot = replace(stage.governor.snapshot, decisions=(odd,))
    (row,) = client.get("/api/v1/decisions")["decisions"]

    assert (None, None) == (row["wanted"], row["current"])


def test_the_status_tells_how_the_loop_and_prometheus_are(client: Client, stage: Stage) -> None:
    """Time is that of the last tick; queries are told by how many and how long."""
    stage.governor.snapshot = replace(
        stage.governor.snapshot, late_seconds=0.5, latency=Latency({"quiet": 0.25}, 0.75, 3)
    )
    status = client.get("/api/v1/status")

    assert (stage.clock.unix, 0.5, {"sum": 0.75, "count": 3}) == tuple(
        status[key] for key in ("last_tick", "late_seconds", "query_seconds")
    )
    assert 0.25 == client.get("/api/v1/rules")["groups"][0]["rules"][0]["query_seconds"]


def test_before_the_first_tick_there_is_nothing_to_tell(make: Make, tmp_path: Path) -> None:
    """But the rules are known."""
    stage = make(RULES)
    with serving(lambda: stage.governor.snapshot, tmp_path) as client:
        assert [] == client.get("/api/v1/targets")["targets"]
        assert [] == client.get("/api/v1/decisions")["decisions"]
        assert [None, None] == [
            each["last_evaluation"] for each in client.get("/api/v1/rules")["groups"]
        ]


def test_the_documentation_knows_every_path_and_every_key(client: Client) -> None:
    """What is shown is described, and stays."""
    text = DOCS.read_text()
    paths = client.ask("/nothing")[1].partition("there are:\n")[2].replace(" (POST)", "").split()
    (first, *_) = client.get("/api/v1/rules")["groups"]
    shown = [
        client.get("/api/v1/status"),
        *(first, first["rules"][0], first["rules"][0]["targets"][0]),
        client.get("/api/v1/targets")["targets"][0],
        client.get("/api/v1/knobs")["knobs"][0],
    ]
    keys = {key for each in shown for key in each} - {"name", "tick_failures", "journal_failures"}

    assert [] == [path for path in paths if f"{path}`" not in text]
    assert [] == sorted(key for key in keys if f"`{key}`" not in text)
