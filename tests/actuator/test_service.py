"""The HTTP service: what it answers, and how."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actuator.builders import NOW, reading
from actuator.serving import Client, serving
from wattgov_actuator.cycle.latency import Latency
from wattgov_actuator.cycle.snapshot import Reloads, Snapshot
from wattgov_actuator.decision import Decision, Input, Reason
from wattgov_actuator.pause import Pause, PauseFile
from wattgov_actuator.reading import QueryFailure
from wattgov_actuator.serving.service import Control, listening, web_of

DECISION = Decision(
    group="gpus",
    rule="trim",
    knob="gpu_power_limit",
    target="GPU-a",
    unit="watts",
    reason=Reason.VETOED_SLA,
    detail="the SLA is breached: 0.9 chat",
    at=NOW.unix,
    current=300.0,
    wanted=280.0,
    inputs=(Input("quiet", 5.0, NOW.unix - 3, "true"),),
)
AT_WORK = Snapshot(
    enforcing=True,
    ticks=3,
    tick_seconds=0.25,
    late_seconds=0.5,
    latency=Latency({}, 0.75, 3),
    decisions=(DECISION,),
    counts={("trim", "gpu_power_limit", "vetoed_sla"): 2},
    readings=(reading(280, prior=300), replace(reading(None), target=reading().target)),
    wanted={("gpu_power_limit", "GPU-a"): 280.0},
    write_seconds={("gpu_power_limit", "GPU-a", "tighten"): 1.5},
    open_undos=1,
    journal_failures=2,
    journal_trouble="the disk is full",
    last_success=NOW.unix - 7,
    query_failures={"timeout": 4},
    rule_targets={"trim": 1},
    pause=Pause(NOW.unix - 60, by="ann", why="a trial"),
    reloads=Reloads(NOW.unix - 90, "0123456789abcdef", ("rules.yml:1:1: no",)),
)


class Shown:
    """A service on a free port, and what it shows."""

    def __init__(self) -> None:
        self.snapshot = Snapshot(enforcing=False)
        self.client: Client

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Return status and body, over one connection that is kept."""
        return self.client.ask(path, method, None, **headers)


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """Return a running service that shows an actuator before its first tick."""
    made = Shown()
    with serving(lambda: made.snapshot, tmp_path) as made.client:
        yield made


def test_it_is_healthy_at_once_and_ready_after_the_first_tick(shown: Shown) -> None:
    """A start-up can be awaited."""
    assert (200, "healthy\n") == shown.ask("/-/healthy")
    assert 503 == shown.ask("/-/ready")[0]

    shown.snapshot = AT_WORK

    assert (200, "ready\n") == shown.ask("/-/ready")


def test_decisions_say_what_and_why(shown: Shown) -> None:
    """The latest decision of each rule and target, with the meaning of its reason."""
    shown.snapshot = AT_WORK
    answer = json.loads(shown.ask("/api/v1/decisions?limit=9")[1])
    (row,) = answer["decisions"]

    assert answer["enforcing"]
    assert ("trim", "GPU-a", "vetoed_sla", 300, 280, "watts") == tuple(
        row[name] for name in ("rule", "target", "reason", "current", "wanted", "unit")
    )
    assert "the SLA is breached: 0.9 chat" == row["detail"]
    assert row["meaning"].startswith("The SLA is breached")
    seen = {"name": "quiet", "value": 5.0, "sampled": NOW.unix - 3, "state": "true"}
    assert [seen] == row["inputs"]


def test_metrics_are_what_the_contract_says(shown: Shown) -> None:
    """Names, labels and values; a value that is not known has no series."""
    shown.snapshot = AT_WORK
    text = shown.ask("/metrics")[1]
    samples = {
        (
            sample.name.removeprefix("wattgov_actuator_"),
            *sorted(sample.labels.values()),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    place = ("GPU-a", "gpu_power_limit", "watts")
    failures: dict[tuple[str, ...], float] = {
        ("query_failures_total", str(each)): 0.0 for each in QueryFailure
    }
    expected: dict[tuple[str, ...], float] = {
        ("decisions_total", "gpu_power_limit", "trim", "vetoed_sla"): 2,
        ("knob_wanted", *place): 280,
        ("knob_in_force", *place): 280,
        ("knob_prior", *place): 300,
        ("write_seconds", "GPU-a", "gpu_power_limit", "tighten"): 1.5,
        ("open_undos",): 1,
        ("journal_usable",): 0,
        ("journal_failures_total",): 2,
        ("enforcing",): 1,
        ("paused", "tighten"): 1,
        ("paused", "all"): 0,
        ("config_last_reload_successful",): 0,
        ("config_last_reload_success_timestamp_seconds",): NOW.unix - 90,
        ("config_hash", "0123456789ab"): 1,
        ("last_query_success_timestamp_seconds",): NOW.unix - 7,
        ("query_age_seconds",): 7,
        **failures,
        ("query_failures_total", "timeout"): 4,
        ("rule_targets", "trim"): 1,
        ("query_seconds_sum",): 0.75,
        ("query_seconds_count",): 3,
        ("tick_late_seconds",): 0.5,
        ("tick_seconds",): 0.25,
        ("ticks_total", "ok"): 3,
        ("ticks_total", "failed"): 0,
    }

    assert expected == samples


def test_a_pause_that_ends_by_itself_says_when(shown: Shown) -> None:
    """One that does not is for somebody to remember."""
    shown.snapshot = AT_WORK
    assert "pause_end_timestamp_seconds" not in shown.ask("/metrics")[1]

    shown.snapshot = replace(AT_WORK, pause=Pause(NOW.unix, NOW.unix + 60))
    end = f"wattgov_actuator_pause_end_timestamp_seconds {NOW.unix + 60:.1f}"
    assert end.replace("1000060.0", "1.00006e+06") in shown.ask("/metrics")[1]


def test_a_web_file_that_is_bad_is_told_and_counted(tmp_path: Path) -> None:
    """As the exporter does: whether it is, and how often it was."""
    web = tmp_path / "web.yml"
    web.write_text("http_server_config: {}\n")
    with serving(lambda: AT_WORK, tmp_path, web_file=web) as client:
        for text, good, failures in (
            ("http_server_config: {}\n", 1, 0),
            ("no_such_key: {}\n", 0, 1),
            ("http_server_config: {http2: true}\n", 1, 1),
        ):
            web.write_text(text)
            page = client.ask("/metrics")[1]
            assert f"web_config_last_reload_successful {good}.0" in page
            assert f"web_config_failures_total {failures}.0" in page


def test_without_a_web_file_there_is_none_to_be_bad(shown: Shown) -> None:
    """An absent fact is an absent series."""
    assert "web_config" not in shown.ask("/metrics")[1]


def test_a_query_that_was_never_answered_has_no_age(shown: Shown) -> None:
    """Nothing is made up before the first answer."""
    assert "query_age" not in shown.ask("/metrics")[1]


def test_one_connection_serves_many_scrapes(shown: Shown) -> None:
    """HTTP/1.1, kept alive; HEAD has no body, and a wrong path says what there is."""
    shown.ask("/metrics")
    socket = shown.client.connection.sock

    assert (200, "") == shown.ask("/metrics", "HEAD")
    assert (404, True) == (shown.ask("/no")[0], "/api/v1/decisions" in shown.ask("/no")[1])
    assert socket is shown.client.connection.sock


def test_the_status_says_who_paused_it_and_which_rules_are_in_force(shown: Shown) -> None:
    """With why the newest rules are not."""
    assert json.loads(shown.ask("/api/v1/status")[1])["paused"] is None

    shown.snapshot = AT_WORK
    status = json.loads(shown.ask("/api/v1/status")[1])

    assert ("ann", "a trial", None) == tuple(status["paused"][k] for k in ("by", "why", "until"))
    assert ["rules.yml:1:1: no"] == status["rules"]["mistakes"]
    assert (True, 1) == (status["enforcing"], status["open_undos"])


def test_a_client_that_speaks_nonsense_harms_nobody(shown: Shown) -> None:
    """The next one is answered."""
    with socket.create_connection(("127.0.0.1", shown.client.port), timeout=10) as client:
        client.sendall(b"\x16\x03\x01 no http\r\n\r\n")
        with client.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 400 Bad Request")

    assert 200 == shown.ask("/-/healthy")[0]


def test_a_taken_port_is_an_error_at_once(shown: Shown, tmp_path: Path) -> None:
    """Nothing else was started by then."""
    control = Control(SimpleQueue(), PauseFile(tmp_path), lambda: NOW)
    _, web = web_of(None, lambda: 0.0)
    assert web is not None
    with pytest.raises(OSError, match="Address already in use"):
        listening(("127.0.0.1", shown.client.port), web, lambda: shown.snapshot, control)
