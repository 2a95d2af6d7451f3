"""`backtest` and `check --online` on a real Prometheus, with a past that is known."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from actuator.fakes import Canned, FakePrometheus
from actuator.recorded import START, STEP, recorded
from testbed.nvml import VirtualGpus
from wattgov_actuator import cli
from wattgov_actuator.query import Prometheus
from wattgov_actuator.reading import QueryFailure
from wattgov_actuator.replay.history import History
from wattgov_actuator.when import Moments, clock_text, moments_between

pytestmark = pytest.mark.xdist_group("backtest")

pytest_plugins = ["testbed.fixtures"]

HALF = 120  # values in half an hour
LABELS = 'gpu="0",uuid="GPU-a",instance="gpu-1:9470"'
OTHER = 'gpu="0",uuid="GPU-b",instance="gpu-2:9470"'
TIMES = [START + number * STEP for number in range(2 * HALF)]
FRESHNESS = "energy_source_last_sample_timestamp_seconds"
PAST = {
    f"node_gpu_utilization_percent{{{LABELS}}}": [20.0] * HALF + [95.0] * HALF,
    f"node_gpu_utilization_percent{{{OTHER}}}": [95.0] * 2 * HALF,
    f'node_gpu_power_watts{{{LABELS},source="nvml"}}': [250.0] * HALF + [390.0] * HALF,
    f'{FRESHNESS}{{instance="gpu-1:9470",source="nvml"}}': TIMES,
    f'{FRESHNESS}{{instance="gpu-2:9470",source="nvml"}}': TIMES,
    **{
        f'node_gpu_power_limit_watts{{{labels},limit="{limit}"}}': [watts] * 2 * HALF
        for labels in (LABELS, OTHER)
        for limit, watts in (("min", 100.0), ("max", 450.0), ("current", 400.0))
    },
}
RULES = """
version: 1
groups:
  - name: gpus
    interval: 15s
    rules:
      - action: quiet
        expr: node_gpu_utilization_percent < 60
        knob: gpu_power_limit
        set: 200W
        min: 100W
"""


@pytest.fixture(scope="module")
def url(
    tmp_path_factory: pytest.TempPathFactory, prometheus: str, own_promtool: str
) -> Iterator[str]:
    """Return where the past is."""
    with recorded(tmp_path_factory.mktemp("past"), prometheus, own_promtool, PAST) as where:
        yield where


def run(folder: Path, *words: object, rules: str = RULES) -> Result:
    """Run a command with rules of this text; the first word is its name."""
    (folder / "rules.yml").write_text(rules)
    command, *others = map(str, words)
    given = (
        [str(folder / "rules.yml")] if command == "check" else ["--rules", f"{folder}/rules.yml"]
    )
    return CliRunner().invoke(cli.main, [command, *given, *others], catch_exceptions=False)


def hour(url: str, *words: object) -> list[object]:
    """Return the words that replay the hour."""
    end = START + (2 * HALF - 1) * STEP
    times = ["--start", clock_text(START), "--end", clock_text(end)]
    return ["backtest", "--prometheus", url, *times, *words]


def test_a_replay_tells_what_would_have_been_done(tmp_path: Path, url: str) -> None:
    """Half an hour at 200 W, where 250 W were drawn; the other node's card is not ours."""
    result = run(tmp_path, *hour(url, "--instance", "gpu-1:9470", "--json"))
    said = json.loads(result.stdout)
    (card,) = said["targets"]
    changes = [(each["at"], each["reason"], each["wanted"]) for each in said["changes"]]

    assert 0 == result.exit_code, result.stderr
    assert [
        (START, "applied", 200.0),
        (START + HALF * STEP, "restored", 400.0),
    ] == changes
    assert (240, {}) == (said["ticks"], said["unanswered"])
    assert {
        "knob": "gpu_power_limit",
        "target": "GPU-a",
        "unit": "watts",
        "before": 400.0,
        "changes": 2,
        "below_seconds": HALF * STEP,
        "measured_seconds": HALF * STEP,
        "estimate_at_most_joules": 50.0 * HALF * STEP,
    } == card
    assert 240 == sum(each["ticks"] for each in said["counts"])


def test_a_replay_as_text(tmp_path: Path, url: str) -> None:
    """A table of changes, counts, targets, and an estimate that is called one."""
    result = run(tmp_path, *hour(url, "--instance", "gpu-1:9470", "-n", 1))
    words = [" ".join(line.split()) for line in result.stdout.splitlines()]

    assert (
        "Replayed 240 ticks of 15 s, 2026-01-31T00:00:00Z to 2026-01-31T00:59:45Z; "
        "nothing was written" == words[0]
    )
    assert "The last 1 of 2 changes; see --lines" in words
    assert any(
        each.startswith("2026-01-31T00:30:00Z quiet GPU-a 200 W 400 W restored") for each in words
    )
    assert "GPU-a gpu_power_limit 400 W 2 30 min 50.0 % 90 kJ" in words
    assert (
        "ESTIMATE: at most 90 kJ (0.025 kWh) less; the draw is known for 100 % of that time."
        in words
    )
    assert "Method: an upper bound" in result.stdout
    assert "" == result.stderr


def test_a_replay_on_the_devices_of_this_machine(
    tmp_path: Path, url: str, gpus: VirtualGpus
) -> None:
    """Whose series there are none: nothing would have changed, and nothing is written."""
    result = run(tmp_path, *hour(url, "--step", "1m"))

    assert 0 == result.exit_code, result.stderr
    assert "Replayed 60 ticks of 1 min" in result.stdout
    assert "Nothing would have changed" in result.stdout
    assert (700, 0) == (gpus.card(0).limit_watts, gpus.card(0).set_calls)


def test_a_node_that_is_not_known_is_a_sentence(tmp_path: Path, url: str) -> None:
    """With those that are."""
    result = run(tmp_path, *hour(url, "--instance", "gpu-3"))

    assert 2 == result.exit_code
    assert "instances with such limits: gpu-1:9470, gpu-2:9470" in result.stderr


@pytest.mark.parametrize(
    ("expr", "words"),
    [("nosuch(quiet)", "quiet: http"), ("time()", "quiet: the expression gives a scalar")],
)
def test_what_no_rule_can_use_is_refused(tmp_path: Path, url: str, expr: str, words: str) -> None:
    """A range query would take a scalar for a series."""
    rules = RULES.replace("node_gpu_utilization_percent < 60", expr)
    result = run(tmp_path, *hour(url, "--instance", "gpu-1:9470"), rules=rules)

    assert (2, True) == (result.exit_code, result.stderr.startswith(words)), result.stderr


def test_nobody_there_is_a_sentence(tmp_path: Path) -> None:
    """Status 1."""
    result = run(tmp_path, *hour("http://127.0.0.1:9", "--instance", "gpu-1"))

    assert 1 == result.exit_code
    assert "http://127.0.0.1:9 cannot be reached: Connection refused\n" == result.stderr


def test_long_ranges_are_asked_in_parts(url: str) -> None:
    """Each below what Prometheus answers, none left out, the same as in one."""
    source = Prometheus(url, time.monotonic)
    history, asked = History(source), moments_between(START, START + 3599, 1.0)
    expr = f'{FRESHNESS}{{instance="gpu-1:9470"}}'
    parts = [
        answers[expr].samples[0].value
        for part in asked.parts(1000)
        for answers in history.ask([expr], part)
    ]
    whole = [each[expr].samples[0].value for each in history.ask([expr], asked)]
    source.close()

    assert 3600 == asked.count == len(parts)
    assert whole == parts == [START + number // 15 * 15 for number in range(3600)]


MISPLACED = (
    b'{"status": "success", "data": {"resultType": "matrix", "result": '
    b'[{"metric": {}, "values": [[7.5, "1"]]}]}}'
)


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b'{"status": "success", "data": {"resultType": "vector", "result": []}}', "bad_json"),
        (b'{"status": "success", "data": {"resultType": "matrix", "result": 5}}', "bad_json"),
        (MISPLACED, "bad_json"),
        (b"<html>", "bad_json"),
        (
            b'{"status": "success", "warnings": ["a store is gone"], "data": {}}',
            "partial",
        ),
    ],
)
def test_a_bad_answer_is_the_answer_at_each_moment(
    server: FakePrometheus, body: bytes, failure: str
) -> None:
    """It is a failure, and never raised."""
    server.everything = Canned(body)
    source = Prometheus(server.url, time.monotonic)
    answers = list(History(source).ask(["up"], Moments(0.0, 15.0, 3)))
    source.close()

    assert [QueryFailure(failure)] * 3 == [each["up"].failure for each in answers]


ONLINE = """
version: 1
groups:
  - name: gpus
    protect:
      freshness: vector(time())
      thermal: {expr: vector(99) > 83}
      sla: {expr: vector(0) > 1}
    rules:
"""
SAID = {
    "fine": 'label_replace(vector(5), "gpu", "0", "", "")',
    "empty": "nothing < 5",
    "nan": 'label_replace(vector(NaN), "gpu", "0", "", "")',
    "far": 'label_replace(vector(5), "gpu", "77", "", "")',
    "wide": "vector(5)",
}
ONLINE += "".join(
    f"      - {{action: {name}, expr: '{expr}', knob: gpu_power_limit, step: -5W}}\n"
    for name, expr in SAID.items()
)
ONLINE += "      - {action: pid, expr: vector(5), knob: gpu_power_limit, pid: {target: 3}}\n"


def online(result: Result) -> dict[str, list[str]]:
    """Return the word and the sentence of each place."""
    rows = [line.split(maxsplit=2) for line in result.stdout.splitlines()[2:]]
    return {place: others for place, *others in rows}


def test_check_online_tells_what_each_expression_gives(
    tmp_path: Path, url: str, gpus: VirtualGpus
) -> None:
    """Not an error, unless no rule can use it."""
    result = run(tmp_path, "check", "--online", "--prometheus", url, rules=ONLINE)
    found, count = online(result), gpus.count()

    assert 0 == result.exit_code, result.stdout
    assert {
        "gpus.freshness": "ok",
        "gpus.sla": "empty",
        "gpus.thermal": "ok",
        "fine": "ok",
        "empty": "empty",
        "nan": "nan",
        "far": "elsewhere",
        "wide": "elsewhere",
        "pid": "ok",
    } == {place: word for place, (word, _) in found.items()}
    assert f"1 series; they name 1 of {count} devices here" == found["fine"][1]
    assert "1 of 1 series have no finite value, which is not known" == found["nan"][1]
    assert (
        f"none of 1 series names one of the {count} devices here; they are known by gpu, uuid"
        == found["far"][1]
    )


@pytest.mark.usefixtures("gpus")
def test_check_online_notes_what_is_set_below_a_floor_in_percent(tmp_path: Path, url: str) -> None:
    """Offline nobody knows what 60 % of a card is."""
    rule = "- {action: quiet, expr: vector(5), knob: gpu_power_limit, set: %s}"
    rules = ONLINE.partition("      - {")[0] + "      " + rule
    low, high = (
        run(tmp_path, "check", "--online", "--prometheus", url, rules=rules % watts)
        for watts in ("300W", "450W")
    )
    told = "note: quiet: set 300W is never reached here: its floor of 60% is 420 W at GPU-"

    assert (0, True) == (low.exit_code, told in low.stderr)
    assert (0, False) == (high.exit_code, "never reached" in high.stderr)


@pytest.mark.parametrize(
    ("expr", "word", "status"), [("nosuch(quiet)", "bad_query", 2), ("time()", "not_a_vector", 2)]
)
@pytest.mark.usefixtures("gpus")
def test_check_online_refuses_what_no_rule_can_use(
    tmp_path: Path, url: str, expr: str, word: str, status: int
) -> None:
    """A query that cannot be run, or gives no series."""
    rules = RULES.replace("node_gpu_utilization_percent < 60", expr)
    result = run(tmp_path, "check", "--online", "--prometheus", url, rules=rules)

    assert (status, word) == (result.exit_code, online(result)["quiet"][0])


@pytest.mark.usefixtures("gpus")
def test_check_online_without_prometheus(tmp_path: Path) -> None:
    """Status 1: it says nothing about the rules."""
    result = run(tmp_path, "check", "--online", "--prometheus", "http://127.0.0.1:9")

    assert (1, "down") == (result.exit_code, online(result)["quiet"][0])
