"""What the service may be asked to do, obeyed by a real loop in its own thread."""

import json
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from actuator.builders import NOW, group, rule, ruleset
from actuator.fakes import FileKnob
from actuator.serving import Acting, Client, serving
from actuator.stage import Stage
from wattgov_actuator.cycle.snapshot import Snapshot
from wattgov_actuator.document.strict import Invalid, Mistake
from wattgov_actuator.orders import Asking, Heed
from wattgov_actuator.pause import Pause, PauseFile
from wattgov_actuator.rules import RuleSet
from wattgov_actuator.serving.changes import Changes
from wattgov_web.client import Client as Who
from wattgov_web.request import Request

TRIM = rule("trim", "quiet", cooldown_seconds=0)
SLOW = rule("slow", "sluggish")
RULES = RuleSet((group(TRIM), group(SLOW, name="slowly", interval_seconds=600)))


@pytest.fixture
def acting(tmp_path: Path, knob: FileKnob) -> Iterator[Acting]:
    """Return a loop that has trimmed a card to 280 W at its first tick."""

    def stage() -> Stage:
        made = Stage(tmp_path, RULES, knob)
        made.say("quiet")
        return made

    with Acting(stage) as acting:
        yield acting


@pytest.fixture
def client(acting: Acting) -> Iterator[Client]:
    """Return a client of its service, on this host."""
    stage = acting.stage
    with serving(lambda: stage.governor.snapshot, stage.folder, acting.orders) as client:
        yield client


def test_a_pause_is_in_force_when_it_is_answered(client: Client, acting: Acting) -> None:
    """With who asked, for how long, and why; a resume ends it and says what it was."""
    status, said = client.post("/api/v1/pause", {"duration": "30m", "why": "load test"})

    assert (200, 1) == (status, said["open_undos"])
    paused = Pause(NOW.unix, NOW.unix + 1800, "127.0.0.1", "load test")
    assert paused == acting.stage.brake.read(NOW.unix) == acting.stage.governor.snapshot.pause
    assert ("load test", NOW.unix + 1800) == (said["paused"]["why"], said["paused"]["until"])

    status, said = client.post("/api/v1/resume")

    assert (200, "load test") == (status, said["resumed"]["why"])
    assert acting.stage.brake.read(NOW.unix) is None
    assert (200, None) == (status, client.post("/api/v1/resume", {})[1]["resumed"])


def test_the_kill_switch_answers_when_all_is_back(client: Client, acting: Acting) -> None:
    """Also when Prometheus is down; and nothing is done until somebody resumes."""
    acting.stage.down = True
    status, said = client.post("/api/v1/pause", {"restore": True})

    assert (200, 0, None) == (status, said["open_undos"], said["paused"]["until"])
    assert 300 == acting.stage.knob.watts()

    acting.stage.down = False
    client.post("/api/v1/resume")
    acting.advance(20)
    acting.until(lambda: acting.stage.knob.watts() == 280)


def test_a_wake_is_answered_when_the_target_is_awake(client: Client, acting: Acting) -> None:
    """One that is awake already is answered at once; a name that is nobody's is told."""
    status, said = client.post("/api/v1/wake/GPU-z")

    assert 404 == status
    assert "no target called GPU-z" in str(said)
    acting.stage.said = {}
    client.post("/api/v1/restore")
    assert (200, {"awake": "GPU-a"}) == client.post("/api/v1/wake/GPU-a")


def test_a_restore_puts_back_once(client: Client, acting: Acting) -> None:
    """What became of each knob is told; the rules go on, and may act on a conflict again."""
    status, said = client.post("/api/v1/restore")

    assert (200, 0) == (status, said["left"])
    (row,) = said["restored"]
    assert 300 == acting.stage.knob.watts()
    assert ("gpu_power_limit", "GPU-a", "restored", 280, 300) == tuple(
        row[key] for key in ("knob", "target", "reason", "current", "prior")
    )
    acting.advance(20)
    acting.until(lambda: acting.stage.governor.snapshot.open_undos == 1)  # read back, too

    acting.stage.knob.add("GPU-a", 250)
    status, said = client.post("/api/v1/restore")
    acting.advance(20)

    assert (200, ["conflict"]) == (status, [each["reason"] for each in said["restored"]])
    assert said["restored"][0]["detail"].startswith("somebody set 250 watts after our 280 watts")
    acting.until(lambda: acting.stage.knob.watts() == 230)


def test_a_restore_that_fails_says_what_is_left(client: Client, acting: Acting) -> None:
    """With the status of an error, for scripts."""
    acting.stage.knob.gone.add("GPU-a")
    status, said = client.post("/api/v1/restore")

    assert (500, 1, ["lost"]) == (
        status,
        said["left"],
        [each["reason"] for each in said["restored"]],
    )


def test_a_reload_answers_with_what_came_of_it(client: Client, acting: Acting) -> None:
    """Good rules, and bad ones."""
    assert (200, "reloaded\n") == client.ask("/-/reload", "POST")

    def bad() -> RuleSet:
        raise Invalid([Mistake("rules.yml", 3, 5, "unknown key")])

    acting.stage.governor._load = bad  # noqa: SLF001 (the edge of the stage)

    assert (500, "rules.yml:3:5: unknown key\nthe old rules stay in force\n") == client.ask(
        "/-/reload", "POST"
    )


def alert(**labels: str) -> dict[str, object]:
    """Return one alert as Alertmanager sends it."""
    return {"status": "firing", "labels": labels, "annotations": {}}


def notification(*alerts: dict[str, object]) -> dict[str, object]:
    """Return a notification of these."""
    return {"version": "4", "status": "firing", "receiver": "actuator", "alerts": list(alerts)}


def test_an_alert_has_a_group_asked_at_once(client: Client, acting: Acting) -> None:
    """Long before its interval is over, and just that group; what is not known is told."""
    acting.stage.clock.advance(2)
    asked = len(acting.stage.asked)
    ticks = acting.stage.governor.snapshot.ticks
    status, said = client.post(
        "/api/v1/alerts", notification(alert(wattgov_rules="slow, fast"), alert(alertname="x"))
    )
    acting.ticked(ticks + 1)

    assert (200, 2, ["slow"], ["fast"], ["slowly"]) == (
        status,
        *(said[key] for key in ("alerts", "rules", "unknown", "groups")),
    )
    assert "sluggish" in acting.stage.asked[asked]
    assert "quiet" not in acting.stage.asked[asked]


def test_an_alert_is_about_the_rule_that_a_label_is(client: Client, acting: Acting) -> None:
    """As ours about the actuator are, which have `rule`; an annotation names rules as well."""
    acting.stage.clock.advance(2)
    noted = {**alert(), "annotations": {"wattgov_rules": "trim"}}
    _, said = client.post("/api/v1/alerts", notification(alert(rule="slow"), noted))

    assert ["slow", "trim"] == said["rules"]
    assert ["gpus", "slowly"] == said["groups"]


def test_a_flood_of_alerts_asks_prometheus_no_more_often(client: Client, acting: Acting) -> None:
    """A group that was asked within the shortest interval is left to its turn."""
    ticks = acting.stage.governor.snapshot.ticks
    flood = notification(*(alert(rule="slow") for _ in range(500)))
    for _ in range(5):
        assert [] == client.post("/api/v1/alerts", flood)[1]["groups"]

    assert ticks == acting.stage.governor.snapshot.ticks


def test_an_alert_is_no_command(client: Client, acting: Acting) -> None:
    """Its rule looks, and finds its condition false: nothing is changed."""
    acting.stage.clock.advance(2)
    acting.stage.say()
    ticks = acting.stage.governor.snapshot.ticks
    client.post("/api/v1/alerts", notification(alert(rule="trim")))
    acting.ticked(ticks + 1)

    assert 280 == acting.stage.knob.watts()


BAD = [
    ("pause", b"[]", "the body is not a JSON object"),
    ("pause", b"{", "the body is not JSON"),
    ("pause", b"[" * 100_000, "the body is not JSON"),
    ("pause", b"\xff\xfe", "the body is not JSON"),
    ("pause", b'{"why": "\\ud800"}', "the body is not JSON that can be shown"),
    ("pause", b'{"why": "\xed\xa0\x80"}', "the body is not JSON that can be shown"),
    ("pause", b'{"durations": "1h"}', "unknown key 'durations'; did you mean 'duration'?"),
    ("pause", b'{"duration": "soon"}', "'duration' is a length of time such as 30m"),
    ("pause", b'{"duration": "0s"}', "'duration' is a length of time such as 30m"),
    ("pause", b'{"duration": "9999d"}', "'duration' is a length of time such as 30m"),
    ("pause", b'{"duration": 5}', "'duration' is a text of at most 20 characters"),
    ("pause", b'{"restore": "yes"}', "'restore' is true or false"),
    ("pause", b'{"why": 1}', "'why' is a text of at most 500 characters"),
    ("resume", b'{"why": "x"}', "unknown key 'why'; known: -"),
    ("restore", b'{"knob": "x"}', "unknown key 'knob'; known: -"),
    ("alerts", b"", "expected Alertmanager's webhook format, version 4"),
    ("alerts", b'{"version": "3", "alerts": []}', "expected Alertmanager's webhook format"),
    ("alerts", b'{"version": "4", "alerts": {}}', "expected Alertmanager's webhook format"),
]


@pytest.mark.parametrize(("name", "body", "sentence"), BAD)
def test_bad_input_is_a_sentence_and_changes_nothing(
    client: Client, acting: Acting, name: str, body: bytes, sentence: str
) -> None:
    """What, and what is wanted instead."""
    status, text = client.ask(f"/api/v1/{name}", "POST", body, Content_Type="application/json")

    assert (400, True) == (status, json.loads(text)["error"].startswith(sentence)), text
    assert acting.stage.brake.read(NOW.unix) is None
    assert 280 == acting.stage.knob.watts()


def test_a_body_of_another_kind_is_refused(client: Client, acting: Acting) -> None:
    """A form of somebody's page could send it."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert 415 == client.ask("/api/v1/pause", "POST", b"{}", Content_Type=kind)[0]

    assert acting.stage.brake.read(NOW.unix) is None


def test_odd_alerts_name_nothing(client: Client) -> None:
    """Whatever stands where labels should be."""
    odd: list[dict[str, object]] = [{}, {"labels": [1]}, {"labels": {"rule": 7}}]
    body = {"version": "4", "alerts": [*odd, "no alert", None]}
    status, said = client.post("/api/v1/alerts", body)

    assert (200, 3, [], []) == (status, *(said[key] for key in ("alerts", "rules", "groups")))


def test_a_loop_that_is_busy_is_not_waited_for_forever(tmp_path: Path) -> None:
    """The pause is on disk, and obeyed when the loop comes to it; the answer says so."""
    brake, orders = PauseFile(tmp_path), SimpleQueue[object]()
    changes = Changes(Asking(orders, patience_seconds=0), brake, lambda: NOW.unix)
    request = Request("POST", "/api/v1/pause", {}, keeps=True)
    answers = [
        make(request, Who("127.0.0.1")) for make in (changes.pause, changes.restore, changes.reload)
    ]

    assert [202, 202, 504] == [each.status for each in answers]
    assert brake.read(NOW.unix) is not None
    assert isinstance(orders.get_nowait(), Heed)
    assert json.loads(answers[0].body)["note"].startswith("the loop has not come to it yet")


def test_a_pause_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Nobody is left to believe that it is paused."""
    snapshot = Snapshot(enforcing=True, rules=ruleset())
    with serving(lambda: snapshot, tmp_path / "gone") as client:
        status, said = client.post("/api/v1/pause")

    assert (500, True) == (status, "cannot be written: No such file" in said["error"])
