"""A real alert, from the real Prometheus through the real Alertmanager, as each channel gets it."""

import json
import re
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_string
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from channels import with_channels
from wattgov_stack.layout import free_ports

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("notifications")]
ALERTING = Path(__file__).parents[1] / "alerting"
RUNBOOK = "https://github.com/wattgov/wattgov/blob/main/alerting/runbook.md#energyexporterdown"
SUMMARY = "No energy readings from 127.0.0.1:1"
COST = "Unknown: it has not been read for an hour."
DEED = "It still holds 3 knobs."


class Posts(ThreadingHTTPServer):
    """Stands in for Slack and for a webhook: keeps the JSON that is posted, by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.taken: list[tuple[str, Any]] = []


class _Post(BaseHTTPRequestHandler):
    server: Posts

    def do_POST(self) -> None:
        """Keep the body, and answer as Slack does."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.taken.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  the base's names
        """Keep quiet."""


class Mails(socketserver.ThreadingTCPServer):
    """Stands in for a mail server without TLS or passwords: keeps what is sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.taken: list[Message] = []


class _Mail(socketserver.StreamRequestHandler):
    server: Mails
    answers: ClassVar = {"DATA": "354 go on", "QUIT": "221 bye"}

    def handle(self) -> None:
        """Say yes to everything, and keep the text between DATA and a lone dot."""
        self._say("220 ready")
        while line := self.rfile.readline().decode():
            word = line.strip().upper()[:4]
            self._say(self.answers.get(word, "250 ok"))
            if word == "DATA":
                lines = iter(lambda: self.rfile.readline().decode(), ".\r\n")
                # A dot that begins a line is sent twice (RFC 5321, 4.5.2).
                text = "".join(line.removeprefix(".") for line in lines)
                self.server.taken.append(message_from_string(text, policy=default))
                self._say("250 kept")
            if word == "QUIT":
                return

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@dataclass(frozen=True, slots=True)
class Told:
    """What each channel got of EnergyExporterDown, and of ActuatorBlind."""

    webhook: list[dict[str, Any]] = field(default_factory=list)
    slack: list[dict[str, Any]] = field(default_factory=list)
    mail: list[Message] = field(default_factory=list)


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Poll until *true* returns something true; fail after *seconds*."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    """Serve in a thread."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()
    server.server_close()


@contextmanager
def running(log: Path, *words: str) -> Iterator[None]:
    """Run a program until the end of the block."""
    with (
        log.open("w") as out,
        subprocess.Popen(words, stdout=out, stderr=out, cwd=log.parent) as process,
    ):
        try:
            yield
        finally:
            process.terminate()


def hasty(folder: Path, posts: int, mails: int) -> Path:
    """Write the shipped configuration with three channels on, quick and turned to loopback."""
    (folder / "slack").write_text(f"http://127.0.0.1:{posts}/slack\n")
    text = with_channels((ALERTING / "alertmanager.yml").read_text(), {"webhook", "slack", "email"})
    text = re.sub(r"group_wait: .*", "group_wait: 1s", text)
    text = re.sub(r"url: http.*", f"url: http://127.0.0.1:{posts}/webhook", text)
    text = text.replace("/etc/alertmanager/secrets/slack", str(folder / "slack"))
    config = yaml.safe_load(text)
    for receiver in config["receivers"]:
        for mail in receiver.get("email_configs", ()):
            mail |= {"smarthost": f"127.0.0.1:{mails}", "require_tls": False}
            del mail["auth_username"], mail["auth_password_file"]
    (folder / "templates").symlink_to(ALERTING / "templates")
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def rules(folder: Path) -> Path:
    """Write the shipped alerts of the meter and the actuator without their waiting times."""
    for name in ("meter", "actuator"):
        content = yaml.safe_load((ALERTING / "rules" / f"{name}.yml").read_text())
        for rule in content["groups"][0]["rules"]:
            rule["for"] = "0s"
        (folder / f"{name}.yml").write_text(yaml.safe_dump(content))
    sayings = {"enforcing": 1, "open_undos": 3}
    said = [
        {
            "record": f"wattgov_actuator_{name}",
            "labels": {"job": "wattgov-actuator", "instance": "127.0.0.1:2"},
            "expr": f"vector({value})",
        }
        for name, value in sayings.items()
    ]
    (folder / "said.yml").write_text(yaml.safe_dump({"groups": [{"name": "said", "rules": said}]}))
    return folder


@pytest.fixture(scope="module")
def told(each_pair: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Let an exporter be down and an actuator be blind; return what the channels were told."""
    folder = tmp_path_factory.mktemp("notifications")
    posts, mails = Posts(), Mails()
    (prometheus, alertmanager), ports = each_pair, free_ports()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [
            str(rules(folder) / f"{name}.yml") for name in ("said", "meter", "actuator")
        ],
        "alerting": {
            "alertmanagers": [
                {"static_configs": [{"targets": [f"127.0.0.1:{ports.alertmanager}"]}]}
            ]
        },
        "scrape_configs": [
            {"job_name": "wattgov-exporter", "static_configs": [{"targets": ["127.0.0.1:1"]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with (
        serving(posts),
        serving(mails),
        running(
            folder / "alertmanager.log",
            alertmanager,
            f"--config.file={hasty(folder, posts.server_port, mails.server_address[1])}",
            f"--storage.path={folder / 'am'}",
            f"--web.listen-address=127.0.0.1:{ports.alertmanager}",
            "--web.external-url=http://alerts.example.org",
            "--web.route-prefix=/",
            "--cluster.listen-address=",
        ),
        running(
            folder / "prometheus.log",
            prometheus,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--rules.alert.resend-delay=1s",  # what fires before Alertmanager is known is lost
            f"--web.listen-address=127.0.0.1:{ports.prometheus}",
        ),
    ):

        def got() -> Told:
            of = {"/webhook": list[dict[str, Any]](), "/slack": list[dict[str, Any]]()}
            for path, body in list(posts.taken):
                of[path].append(body)
            return Told(of["/webhook"], of["/slack"], list(mails.taken))

        until(lambda: all(len(each) >= 2 for each in (got().webhook, got().slack, got().mail)))
        yield got()


def only(found: list[Any]) -> Any:  # noqa: ANN401  JSON
    """Return the first: a message may be sent again."""
    assert found
    return found[0]


def test_the_webhook_gets_the_rendered_text(told: Told) -> None:
    """The annotations that Prometheus rendered arrive: what, how much, and where to read on."""
    body = only([one for one in told.webhook if "EnergyExporterDown" in str(one["groupLabels"])])

    notes = body["alerts"][0]["annotations"]
    assert "firing" == body["status"]
    assert (SUMMARY, COST, RUNBOOK) == (notes["summary"], notes["cost"], notes["runbook_url"])
    assert "Prometheus has not reached the exporter on 127.0.0.1:1" in notes["description"]


def test_slack_gets_title_cost_and_links(told: Told) -> None:
    """The message has its colour, its title leading to the runbook, the cost and a silence."""
    posted = only([one for one in told.slack if SUMMARY in str(one)])

    (one,) = posted["attachments"]
    assert "#energy" == posted["channel"]
    assert ("warning", f"Warning: {SUMMARY}") == (one["color"], one["title"])
    assert RUNBOOK == one["title_link"]
    assert one["text"].startswith(f"*{SUMMARY}*\nPrometheus has not reached the exporter")
    assert f"\n*Cost*: {COST}\n<{RUNBOOK}|Runbook> · " in one["text"]
    silence = re.search(
        r"<(http://alerts\.example\.org/#/silences/new\?filter=\S+)\|Silence>", one["text"]
    )
    assert silence
    assert "alertname%3D%22EnergyExporterDown%22" in silence[1]


def test_a_mail_has_the_text_twice(told: Told) -> None:
    """Plain text and HTML say the same, and the subject is the title."""
    mail = only([one for one in told.mail if SUMMARY in str(one["Subject"])])
    parts = {
        part.get_content_type(): part.get_content().replace("\r\n", "\n")
        for part in mail.walk()
        if not part.is_multipart()
    }
    plain, html = parts["text/plain"], parts["text/html"]

    assert f"Warning: {SUMMARY}" == mail["Subject"]
    assert plain.startswith(f"{SUMMARY}\n")
    assert f"\nCost: {COST}\nSince 20" in plain
    assert f"\nRunbook: {RUNBOOK}\n" in plain
    assert f'<th align="left">Cost</th><td>{COST}</td>' in html
    assert f'<a href="{RUNBOOK}">Runbook</a>' in html
    assert "http://alerts.example.org/#/silences/new?filter=" in html


def test_every_channel_says_what_the_actuator_did(told: Told) -> None:
    """An actuator that sees nothing is told of together with what it holds."""
    blind = "The actuator of 127.0.0.1:2 gets no answers from Prometheus"

    webhook = only([one for one in told.webhook if blind in str(one)])
    slack = only([one for one in told.slack if blind in str(one)])
    mail = only([one for one in told.mail if blind in str(one["Subject"])])

    assert DEED == webhook["alerts"][0]["annotations"]["actuator"]
    assert f"\n*Actuator*: {DEED}\n" in slack["attachments"][0]["text"]
    body = mail.get_body(("html",)).get_content()
    assert f'<th align="left">Actuator</th><td>{DEED}</td>' in body
