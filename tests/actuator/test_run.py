"""The whole command in a process of its own, on virtual cards and a faked Prometheus."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from actuator.fakes import FakePrometheus
from testbed.nvml import Fault, VirtualGpus
from wattgov_actuator.knobs import open_knob

pytest_plugins = ["testbed.fixtures"]

DEADLINE_SECONDS = 30
RULES = """
version: 1
groups:
  - name: gpus
    interval: 1s
    protect: {freshness: fresh, hold: 0s}
    rules:
      - {action: trim, expr: quiet, knob: gpu_power_limit, step: -100W, min: 500W, cooldown: 0s}
"""


def until(what: str, true: Callable[[], bool]) -> None:
    """Wait until something is seen; fail with its name at the deadline."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert time.monotonic() < end, f"not seen in {DEADLINE_SECONDS} s: {what}"
        time.sleep(0.02)


class Actuator:
    """The command, and what it is asked from outside."""

    def __init__(self, folder: Path, url: str, gpus: VirtualGpus, *options: str) -> None:
        self.log = folder / f"log-{len(list(folder.glob('log-*')))}"
        words = ["--rules", str(folder / "rules.yml"), "--prometheus", url, *options]
        places = ["--state-dir", str(folder / "state"), "--run-dir", str(folder / "run")]
        places += ["--listen", "127.0.0.1:0"]
        path = {"PYTHONPATH": os.pathsep.join(sys.path)}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "wattgov_actuator", "run", *places, *words],
                env={**os.environ, **gpus.environment(), **path},
                stderr=log,
            )

    def ready(self) -> "Actuator":
        """Wait for the first tick."""
        until("a listener", lambda: "event=started" in self.log.read_text())
        (line,) = (each for each in self.log.read_text().splitlines() if "event=started" in each)
        self.url = "http://" + line.partition("listen=")[2].split()[0]
        until("the first tick", lambda: bool(self.decisions()))
        return self

    def decisions(self) -> list[dict[str, object]]:
        """Return the latest decisions."""
        with urlopen(f"{self.url}/api/v1/decisions", timeout=10) as answer:
            rows: list[dict[str, object]] = json.load(answer)["decisions"]
        return rows

    def status(self) -> dict[str, object]:
        """Return how the actuator is."""
        with urlopen(f"{self.url}/api/v1/status", timeout=10) as answer:
            found: dict[str, object] = json.load(answer)
        return found

    def reasons(self) -> list[object]:
        """Return the reason of each card, in order."""
        return [row["reason"] for row in self.decisions() if row["rule"] == "trim"]

    def end(self, number: signal.Signals) -> int:
        """Send a signal, and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)


Start = Callable[..., Actuator]


@pytest.fixture
def start(tmp_path: Path, server: FakePrometheus, gpus: VirtualGpus) -> Iterator[Start]:
    """Return a starter of actuators on four cards of which the first is quiet."""
    first = open_knob("gpu_power_limit").probe().targets[0].name
    server.answers["quiet"] = [({"uuid": first, "instance": "here"}, 5.0)]
    server.answers["fresh"] = lambda: [({"instance": "here"}, time.time())]
    (tmp_path / "rules.yml").write_text(RULES)
    running: list[Actuator] = []

    def started(*options: str) -> Actuator:
        running.append(Actuator(tmp_path, server.url, gpus, *options))
        return running[-1]

    yield started
    for each in running:
        each.process.kill()
        each.process.wait()


def lowered(gpus: VirtualGpus) -> None:
    """Wait until the first card is at the floor of its rule."""
    until("the first card at 500 W", lambda: gpus.card(0).limit_watts == 500)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_puts_back_and_ends_well(
    start: Start, gpus: VirtualGpus, number: signal.Signals
) -> None:
    """The cap goes down while it runs, and is back when it is gone."""
    actuator = start("--enforce").ready()
    lowered(gpus)

    assert (0, 700) == (actuator.end(number), gpus.card(0).limit_watts)
    assert 700 == gpus.card(1).limit_watts


def test_after_kill_9_the_next_start_puts_back_first(start: Start, gpus: VirtualGpus) -> None:
    """Also a dry run, before it has asked anybody anything."""
    actuator = start("--enforce").ready()
    lowered(gpus)

    assert (-signal.SIGKILL, 500) == (actuator.end(signal.SIGKILL), gpus.card(0).limit_watts)

    later = start().ready()

    assert 700 == gpus.card(0).limit_watts
    log = later.log.read_text()
    assert "prior=700" in actuator.log.read_text()
    assert log.index("reason=restored") < log.index("event=started")


def test_after_kill_9_even_bad_rules_put_back(
    start: Start, gpus: VirtualGpus, tmp_path: Path
) -> None:
    """Somebody edited the file in between; the card does not have to wait for that."""
    actuator = start("--enforce").ready()
    lowered(gpus)
    actuator.end(signal.SIGKILL)
    (tmp_path / "rules.yml").write_text("version: 1\n")
    later = start("--enforce")

    assert (2, 700) == (later.process.wait(DEADLINE_SECONDS), gpus.card(0).limit_watts)
    assert "rules.yml:1:1: the rule file has no 'groups'" in later.log.read_text()


def test_a_signal_while_it_starts_waits_until_a_crash_is_undone(
    start: Start, gpus: VirtualGpus
) -> None:
    """Nothing is asked or tightened after it."""
    actuator = start("--enforce").ready()
    lowered(gpus)
    actuator.end(signal.SIGKILL)
    gpus.inject("nvmlDeviceSetPowerManagementLimit", gpu=0, delay_ms=60_000)
    later = start("--enforce")
    until("the card being put back", lambda: gpus.hanging() > 0)
    later.process.send_signal(signal.SIGTERM)
    gpus.clear()

    assert (0, 700) == (later.process.wait(DEADLINE_SECONDS), gpus.card(0).limit_watts)
    assert "event=stopping on=SIGTERM" in later.log.read_text()
    assert "reason=applied" not in later.log.read_text()


def test_a_dry_run_writes_nothing(start: Start, gpus: VirtualGpus) -> None:
    """It is the default."""
    actuator = start().ready()
    until("a dry decision", lambda: actuator.reasons()[0] == "would_apply")

    assert 0 == actuator.end(signal.SIGTERM)
    assert (700, 0) == (gpus.card(0).limit_watts, gpus.card(0).set_calls)


def test_enforce_in_the_file_is_enough(start: Start, gpus: VirtualGpus, tmp_path: Path) -> None:
    """The owner of the file decides."""
    (tmp_path / "rules.yml").write_text(RULES.replace("version: 1", "version: 1\nenforce: true"))
    start().ready()
    lowered(gpus)


def test_two_at_once_are_one_too_many(start: Start, gpus: VirtualGpus) -> None:
    """The second says who is there, and touches nothing."""
    first = start("--enforce").ready()
    lowered(gpus)
    second = start("--enforce")

    assert 1 == second.process.wait(DEADLINE_SECONDS)
    assert f"process {first.process.pid}" in second.log.read_text()
    assert 500 == gpus.card(0).limit_watts


def test_one_machine_takes_one_that_enforces(
    start: Start, gpus: VirtualGpus, tmp_path: Path
) -> None:
    """Another state folder is no way around it; a dry run is welcome until it wants to enforce."""
    first = start("--enforce").ready()
    lowered(gpus)
    second = start("--enforce", "--state-dir", str(tmp_path / "other"))

    assert 1 == second.process.wait(DEADLINE_SECONDS)
    who = f"process {first.process.pid}, with the state folder {tmp_path / 'state'}"
    assert who in second.log.read_text()

    third = start("--state-dir", str(tmp_path / "other")).ready()
    (tmp_path / "rules.yml").write_text(RULES.replace("version: 1", "version: 1\nenforce: true"))
    third.process.send_signal(signal.SIGHUP)
    until("the refusal", lambda: "rules_not_reloaded" in third.log.read_text())

    assert who in third.log.read_text()
    assert (0, 700) == (first.end(signal.SIGTERM), gpus.card(0).limit_watts)

    third.process.send_signal(signal.SIGHUP)
    lowered(gpus)


def test_prometheus_may_die_and_come_back(
    start: Start, gpus: VirtualGpus, server: FakePrometheus
) -> None:
    """What was claimed is put back after `hold`, here at once; then it goes on."""
    actuator = start("--enforce").ready()
    lowered(gpus)
    quiet = server.answers.pop("fresh")
    until("the prior limit", lambda: gpus.card(0).limit_watts == 700)
    until("a reason", lambda: actuator.reasons()[0] == "no_data")
    server.answers["fresh"] = quiet
    lowered(gpus)

    assert 0 == actuator.end(signal.SIGTERM)


def test_a_person_at_the_card_is_respected(start: Start, gpus: VirtualGpus) -> None:
    """Another program sets the limit: it is reported, and left alone to the end."""
    actuator = start("--enforce").ready()
    lowered(gpus)
    knob = open_knob("gpu_power_limit")
    knob.write(knob.probe().targets[0].name, 620)
    until("the conflict", lambda: actuator.reasons()[0] == "conflict")

    assert (0, 620) == (actuator.end(signal.SIGTERM), gpus.card(0).limit_watts)


@pytest.mark.parametrize(
    ("fault", "reason"), [(Fault.READ_ONLY, "refused"), (Fault.LYING_SETTER, "refused")]
)
def test_a_card_that_does_not_obey_is_told(
    start: Start, gpus: VirtualGpus, fault: Fault, reason: str
) -> None:
    """Whether it says no, or says yes and does nothing."""
    gpus.set_fault(0, fault)
    actuator = start("--enforce").ready()
    until("the refusal", lambda: actuator.reasons()[0] == reason)

    assert 0 == actuator.end(signal.SIGTERM)


def test_a_lost_card_keeps_its_undo_and_restore_ends_it(
    start: Start, gpus: VirtualGpus, tmp_path: Path
) -> None:
    """The status says that something is left; `restore` needs no Prometheus."""
    actuator = start("--enforce").ready()
    lowered(gpus)
    gpus.set_fault(0, Fault.LOST)
    until("the loss", lambda: "lost" in actuator.reasons())

    assert 1 == actuator.end(signal.SIGTERM)

    gpus.set_fault(0, Fault.LOST, on=False)
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    restored = subprocess.run(
        [sys.executable, "-m", "wattgov_actuator", "restore", "--state-dir", tmp_path / "state"],
        env={**os.environ, **gpus.environment(), **path},
        capture_output=True,
        text=True,
        check=True,
    )

    assert restored.stdout.endswith(": 500 watts -> 700 watts, put back\n")
    assert 700 == gpus.card(0).limit_watts


def told(folder: Path, gpus: VirtualGpus, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command beside the actuator, and return what it said."""
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-m", "wattgov_actuator", *words, "--state-dir", str(folder / "state")],
        env={**os.environ, **gpus.environment(), **path},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )


def test_sighup_reads_the_rules_again(start: Start, gpus: VirtualGpus, tmp_path: Path) -> None:
    """Bad ones change nothing and are told; with good ones a rule that is gone lets go."""
    actuator = start("--enforce").ready()
    lowered(gpus)
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES.replace("step", "stp"))
    actuator.process.send_signal(signal.SIGHUP)
    until("the mistake", lambda: "unknown key 'stp'" in actuator.log.read_text())

    assert 500 == gpus.card(0).limit_watts

    rules.write_text(RULES.replace("trim", "other").replace("quiet", "never"))
    actuator.process.send_signal(signal.SIGHUP)
    until("700 W again", lambda: gpus.card(0).limit_watts == 700)

    assert actuator.process.poll() is None
    assert 0 == actuator.end(signal.SIGTERM)


def test_a_post_reads_the_rules_again(start: Start, gpus: VirtualGpus, tmp_path: Path) -> None:
    """And answers with every mistake."""
    actuator = start("--enforce").ready()
    lowered(gpus)
    (tmp_path / "rules.yml").write_text(RULES.replace("step", "stp"))
    with pytest.raises(HTTPError) as refusal:
        urlopen(Request(f"{actuator.url}/-/reload", method="POST"), timeout=10)

    assert (500, True) == (refusal.value.code, b"unknown key 'stp'" in refusal.value.read())

    refusal.value.close()
    (tmp_path / "rules.yml").write_text(RULES)
    with urlopen(Request(f"{actuator.url}/-/reload", method="POST"), timeout=10) as answer:
        assert b"reloaded\n" == answer.read()
    assert 500 == gpus.card(0).limit_watts


def posted(url: str, given: object) -> dict[str, object]:
    """Post JSON, and return what is answered."""
    body, kind = json.dumps(given).encode(), {"Content-Type": "application/json"}
    with urlopen(Request(url, body, kind, method="POST"), timeout=10) as answer:
        said: dict[str, object] = json.load(answer)
    return said


def test_the_kill_switch_over_http(start: Start, gpus: VirtualGpus) -> None:
    """All is back when it is answered, and stays so until somebody resumes."""
    actuator = start("--enforce").ready()
    lowered(gpus)

    assert 0 == posted(f"{actuator.url}/api/v1/pause", {"restore": True})["open_undos"]
    assert 700 == gpus.card(0).limit_watts
    until("it is disarmed", lambda: "disarmed" in actuator.reasons())

    posted(f"{actuator.url}/api/v1/resume", {})
    lowered(gpus)

    assert 0 == posted(f"{actuator.url}/api/v1/restore", {})["left"]
    assert 0 == actuator.end(signal.SIGTERM)


def test_a_bad_web_file_or_sink_starts_nothing_but_puts_back(
    start: Start, gpus: VirtualGpus, tmp_path: Path
) -> None:
    """Every mistake at once; what a crash left changed does not wait for a good one."""
    actuator = start("--enforce").ready()
    lowered(gpus)
    actuator.end(signal.SIGKILL)
    web = tmp_path / "web.yml"
    web.write_text("basic_auth_user: {}\n")
    later = start(f"--web.config.file={web}", "--grafana-url=http://127.0.0.1:1")

    assert (2, 700) == (later.process.wait(DEADLINE_SECONDS), gpus.card(0).limit_watts)
    assert f"{web}:1:1: unknown key 'basic_auth_user'" in later.log.read_text()
    assert "--grafana-token-file is missing" in later.log.read_text()


def test_the_kill_switch_beside_a_running_actuator(
    start: Start, gpus: VirtualGpus, tmp_path: Path
) -> None:
    """It returns when everything is back, and the actuator goes on without acting."""
    actuator = start("--enforce").ready()
    lowered(gpus)
    result = told(tmp_path, gpus, "pause", "--restore", "--why", "fire")

    assert (0, 700) == (result.returncode, gpus.card(0).limit_watts)
    assert "The running actuator holds nothing any more" in result.stdout
    until("it is disarmed", lambda: "disarmed" in actuator.reasons())
    assert "disarmed" in told(tmp_path, gpus, "journal").stdout

    told(tmp_path, gpus, "resume")
    lowered(gpus)


def test_the_kill_switch_after_a_crash(start: Start, gpus: VirtualGpus, tmp_path: Path) -> None:
    """Nobody runs: it puts back itself, and `explain` says so."""
    actuator = start("--enforce").ready()
    lowered(gpus)
    actuator.end(signal.SIGKILL)
    result = told(tmp_path, gpus, "pause", "--restore")

    assert (0, 700) == (result.returncode, gpus.card(0).limit_watts)
    assert "500 watts -> 700 watts, put back" in result.stdout
    assert "500 W -> 700 W" in told(tmp_path, gpus, "explain", "--last").stdout


def test_the_journal_can_be_followed(start: Start, gpus: VirtualGpus, tmp_path: Path) -> None:
    """What comes is shown as it comes, and a signal ends it well."""
    start("--enforce").ready()
    lowered(gpus)
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with (tmp_path / "followed").open("w") as out:
        follower = subprocess.Popen(
            [
                *(sys.executable, "-u", "-m", "wattgov_actuator", "journal", "--follow", "--json"),
                *("--state-dir", str(tmp_path / "state")),
            ],
            env={**os.environ, **path},
            stdout=out,
        )
    shown = tmp_path / "followed"
    until("what was before", lambda: "applied" in shown.read_text())
    told(tmp_path, gpus, "pause", "--restore")
    until("what came after", lambda: "restored" in shown.read_text())
    follower.send_signal(signal.SIGINT)

    assert 0 == follower.wait(DEADLINE_SECONDS)
    assert all(json.loads(line)["knob"] for line in shown.read_text().splitlines())
