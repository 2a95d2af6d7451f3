"""Notes on changes: what they say, where they go, and that nothing waits for them."""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from actuator.builders import rule, ruleset
from actuator.serving import serving
from actuator.stage import Make
from wattgov_actuator.cycle.snapshot import Snapshot
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.notes.choice import sinks
from wattgov_actuator.notes.note import Note, note_of
from wattgov_actuator.notes.sending import WAITING, Notes
from wattgov_actuator.notes.sinks import Unsent

APPLIED = Decision(
    group="gpus",
    rule="trim",
    knob="gpu_power_limit",
    target="GPU-a",
    unit="watts",
    reason=Reason.APPLIED,
    detail="the value is 5",
    at=1_000_000.25,
    current=300.0,
    wanted=280.0,
    acts=True,
    read_back=280.0,
)
NOTE = Note(1.0, "text", ("wattgov",))


@dataclass
class Receiver:
    """A real HTTP server that keeps what it is sent, and answers as told."""

    statuses: list[int] = field(default_factory=list)  # of the next answers; 200 after them
    location: str = ""
    got: list[tuple[str, Mapping[str, str], object]] = field(default_factory=list)
    arrived: Event = field(default_factory=Event)
    held: Event = field(default_factory=Event)  # answers wait for it

    def __post_init__(self) -> None:
        """Listen on a free port of the loopback."""
        self.held.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(length))
                receiver.got.append((self.path, dict(self.headers), body))
                receiver.arrived.set()
                receiver.held.wait(30)
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (upstream's)
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        """Stop."""
        self.held.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a server for notes."""
    made = Receiver()
    yield made
    made.close()


def notes_to(receiver: Receiver, *, retries: tuple[float, ...] = ()) -> Notes:
    """Return notes that go to a webhook."""
    _, found = sinks(None, None, None, {"WATTGOV_WEBHOOK_URL": f"{receiver.url}/T0/s3cret"})
    assert found is not None
    return Notes(found, "node-1", retries)


def counted(notes: Notes) -> dict[str, int]:
    """Return how many notes had each result."""
    return {result: count for _, result, count in notes.counts()}


def test_grafana_gets_an_annotation(receiver: Receiver, tmp_path: Path) -> None:
    """With the time in milliseconds, tags to choose by, and the token of the file."""
    token = tmp_path / "token"
    token.write_text("glsa_x\n")
    _, found = sinks(f"{receiver.url}/grafana/", token, None, {})
    assert found is not None
    with Notes(found, "node-1") as notes:
        notes(APPLIED)

    ((path, headers, body),) = receiver.got
    assert ("/grafana/api/annotations", "Bearer glsa_x") == (path, headers["Authorization"])
    assert {
        "time": 1_000_000_250,
        "tags": [
            *("wattgov", "host:node-1", "rule:trim", "knob:gpu_power_limit"),
            *("target:GPU-a", "reason:applied"),
        ],
        "text": "trim on node-1: gpu_power_limit of GPU-a: 300 W -> 280 W, applied: the value is 5",
    } == body
    assert {"sent": 1, "failed": 0, "dropped": 0} == counted(notes)


def test_a_webhook_gets_text_that_calls_nobody(receiver: Receiver) -> None:
    """A label that Slack would take for a command is text."""
    with notes_to(receiver) as notes:
        notes(replace(APPLIED, rule="<!channel> & co", detail="a\nb"))

    ((path, _, body),) = receiver.got
    assert "/T0/s3cret" == path
    text = (
        "&lt;!channel&gt; &amp; co on node-1: gpu_power_limit of GPU-a: 300 W -&gt; 280 W, "
        "applied: a b"
    )
    assert {"text": text} == body


@pytest.mark.parametrize("reason", list(Reason))
def test_only_changes_and_what_failed_to_be_one_are_noted(reason: Reason) -> None:
    """A dry run, a veto or a wait is none; nor is a claim let go that had changed nothing."""
    done = {"applied", "slewed", "restored", "rolled_back"}
    failed = {"conflict", "refused", "lost", "unjournalled"}
    idle = replace(APPLIED, reason=reason, acts=False, read_back=None)

    assert (reason in done | failed) is (note_of(replace(APPLIED, reason=reason), "h") is not None)
    assert (reason in failed) is (note_of(idle, "h") is not None)


def test_a_loop_notes_what_it_does_and_puts_back(make: Make, receiver: Receiver) -> None:
    """A change once, not at each tick; a conflict once; and the end."""
    stage = make(ruleset(rule("trim", "quiet", cooldown_seconds=3600)))
    with notes_to(receiver) as notes:
        stage.governor._tell = notes  # noqa: SLF001 (as `run` gives it)
        stage.say("quiet")
        stage.play(ticks=4)
        stage.stop()

    words = ("applied", "restored", "cooldown")
    told = [word for _, _, body in receiver.got for word in words if f", {word}:" in str(body)]
    assert ["applied", "restored"] == told


def test_a_loop_does_not_wait_for_a_sink_that_hangs(receiver: Receiver) -> None:
    """What is too much is dropped and counted; the rest arrives when it answers again."""
    receiver.held.clear()
    with notes_to(receiver) as notes:
        notes(APPLIED)
        assert receiver.arrived.wait(30)
        for _ in range(WAITING + 5):
            notes(APPLIED)
        assert 5 == counted(notes)["dropped"]
        receiver.held.set()

    assert {"sent": WAITING + 1, "failed": 0, "dropped": 5} == counted(notes)


def test_a_sink_that_hangs_holds_up_no_other(receiver: Receiver, tmp_path: Path) -> None:
    """Each has a thread of its own."""
    other = Receiver()
    other.held.clear()
    (tmp_path / "url").write_text(receiver.url)
    _, found = sinks(other.url, None, tmp_path / "url", {"GRAFANA_TOKEN": "x"})
    assert found is not None
    with Notes(found, "node-1") as notes:
        notes(APPLIED)
        assert other.arrived.wait(30)
        assert receiver.arrived.wait(30)
        other.close()


@pytest.mark.parametrize(
    ("statuses", "result", "attempts"),
    [
        ([503, 429], "sent", 3),
        ([503, 503, 503, 503], "failed", 3),
        ([401], "failed", 1),
        ([404], "failed", 1),
    ],
)
def test_what_may_go_better_is_tried_again(
    receiver: Receiver, statuses: list[int], result: str, attempts: int
) -> None:
    """So often, and no more; a refusal is none of that."""
    receiver.statuses = statuses
    notes = notes_to(receiver, retries=(0.0, 0.0))
    with notes:
        notes(APPLIED)
        while not counted(notes)["sent"] + counted(notes)["failed"]:
            receiver.arrived.wait(0.01)

    assert (1, attempts) == (counted(notes)[result], len(receiver.got))


def test_at_the_end_nothing_is_tried_again(receiver: Receiver) -> None:
    """A stop does not wait for a retry in an hour."""
    receiver.statuses = [503]
    with notes_to(receiver, retries=(3600.0,)) as notes:
        notes(APPLIED)
        assert receiver.arrived.wait(30)

    assert {"sent": 0, "failed": 1, "dropped": 0} == counted(notes)


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    """The token was meant for one place."""
    other = Receiver()
    receiver.statuses, receiver.location = [307], f"{other.url}/x"
    with notes_to(receiver) as notes:
        notes(APPLIED)
    other.close()

    assert ([], 1) == (other.got, counted(notes)["failed"])


@pytest.mark.parametrize("where", ["http://127.0.0.1:1/T0/s3cret", "http://no.invalid/T0/s3cret"])
def test_a_failure_is_logged_without_the_secret(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The libraries' own words hold the whole URL."""
    _, found = sinks(None, None, None, {"WATTGOV_WEBHOOK_URL": where})
    assert found is not None
    with caplog.at_level(logging.DEBUG, "wattgov_actuator"), Notes(found, "h", ()) as notes:
        notes(APPLIED)

    assert 1 == counted(notes)["failed"]
    told = [each.getMessage() for each in caplog.records if each.name.startswith("wattgov")]
    assert ["event=note_not_sent sink=webhook"] == [each.partition(" why=")[0] for each in told]
    assert "s3cret" not in "".join(told)


BAD = [
    (("http://g", None, None), {}, "--grafana-token-file is missing: without it no note"),
    (("http://g", "none", None), {}, "--grafana-token-file {folder}/none: No such file"),
    (("http://g", "empty", None), {}, "--grafana-token-file {folder}/empty: not one line of text"),
    (("http://g", "lines", None), {}, "--grafana-token-file {folder}/lines: not one line of text"),
    (("http://g", "bytes", None), {}, "--grafana-token-file {folder}/bytes: not plain text"),
    ((None, None, "lines"), {}, "--webhook-url-file {folder}/lines: not one line of text"),
    ((None, None, None), {"WATTGOV_WEBHOOK_URL": "s3cret"}, "the webhook's URL is not like"),
    ((None, None, None), {"WATTGOV_WEBHOOK_URL": "http://[s3cret"}, "the webhook's URL is not"),
]


@pytest.mark.parametrize(("given", "environment", "sentence"), BAD)
def test_a_bad_secret_is_a_sentence_at_the_start(
    tmp_path: Path,
    given: tuple[str | None, str | None, str | None],
    environment: Mapping[str, str],
    sentence: str,
) -> None:
    """Which option, which file, and why; never what was in it."""
    for name, text in (("empty", b"\n"), ("lines", b"s3cret\r\nx: y"), ("bytes", b"s3cret\xff")):
        (tmp_path / name).write_bytes(text)
    url, *names = given
    token, webhook = (None if name is None else tmp_path / name for name in names)
    mistake, found = sinks(url, token, webhook, environment)

    assert (None, True) == (found, mistake.startswith(sentence.format(folder=tmp_path))), mistake
    assert "s3cret" not in mistake


def test_a_secret_is_read_anew(receiver: Receiver, tmp_path: Path) -> None:
    """It may be changed in place; while it is gone notes fail, and nothing else does."""
    token = tmp_path / "token"
    token.write_text("old")
    _, found = sinks(receiver.url, token, None, {})
    assert found is not None
    token.write_text("new")
    found[0].send(NOTE)

    assert "Bearer new" == receiver.got[0][1]["Authorization"]

    token.unlink()
    with pytest.raises(Unsent, match="No such file"):
        found[0].send(NOTE)


def test_without_sinks_nothing_is_started_and_counted(tmp_path: Path) -> None:
    """It is optional."""
    with Notes([], "h") as notes:
        notes(APPLIED)

    assert [] == list(notes.counts())
    with serving(lambda: Snapshot(enforcing=True), tmp_path) as client:
        assert "notes_total" not in client.ask("/metrics")[1]
