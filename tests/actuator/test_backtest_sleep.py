"""`backtest` of rules that put to sleep: how long, what that may save, and what the wakes cost."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from actuator.recorded import START, STEP, recorded
from wattgov_actuator import cli
from wattgov_actuator.replay.sleep import percentile
from wattgov_actuator.when import clock_text

pytest_plugins = ["testbed.fixtures"]

COUNT = 240
LABELS = 'app="chat",instance="proxy:9472"'
USED = {0: 0.0, 100: 5.0, 160: 10.0}  # at these ticks, so many seconds ago
RULES = """
version: 1
knobs:
  - {knob: hibernate, backend: freezer, name: chat, group: /chat.slice}
groups:
  - name: chat
    interval: 15s
    rules:
      - action: sleep-idle
        expr: app_idle_seconds
        knob: hibernate
        hibernate: {idle: 5m, awake: 1m, wake: app_queue_length > 0, draw: app_watts, POLICY}
"""
POLICY = "idle_draw: 60W, waking: 20s, waking_draw: 150W"


def idle(tick: int) -> float:
    """Return how long it had been idle."""
    last = max(each for each in USED if each <= tick)
    return USED[last] + (tick - last) * STEP


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, prometheus: str, promtool: str) -> Iterator[str]:
    """Return where the past is: an hour in which it was awake, and used three times."""
    freshness = 'energy_source_last_sample_timestamp_seconds{instance="gpu-1:9470",source="nvml"}'
    past = {
        f"app_idle_seconds{{{LABELS}}}": [idle(tick) for tick in range(COUNT)],
        f"app_queue_length{{{LABELS}}}": [0.0] * COUNT,
        f"app_watts{{{LABELS}}}": [120.0] * COUNT,
        freshness: [START + tick * STEP for tick in range(COUNT)],
    }
    with recorded(tmp_path_factory.mktemp("past"), prometheus, promtool, past) as where:
        yield where


def replayed(folder: Path, url: str, *words: str, policy: str = POLICY) -> Result:
    """Replay the hour."""
    (folder / "rules.yml").write_text(RULES.replace("POLICY", policy))
    times = ["--start", clock_text(START), "--end", clock_text(START + (COUNT - 1) * STEP)]
    given = ["backtest", "--rules", f"{folder}/rules.yml", "--prometheus", url, *times, *words]
    return CliRunner().invoke(cli.main, given, catch_exceptions=False)


def test_each_wake_is_charged_with_its_energy_and_its_wait(tmp_path: Path, url: str) -> None:
    """Asleep at the second look that finds it idle for 5 min, awake when it is used."""
    result = replayed(tmp_path, url, "--json")
    said = json.loads(result.stdout)
    ticks = [round((each["at"] - START) / STEP) for each in said["changes"]]
    asleep = (100 - 21) + (160 - 121) + (240 - 181)

    assert 0 == result.exit_code, result.stderr
    assert [21, 100, 121, 160, 181] == ticks
    assert [
        {
            "knob": "hibernate",
            "target": "chat",
            "times_asleep": 3,
            "asleep_seconds": asleep * STEP,
            "wakes": 2,
            "wakes_waited_for": 2,
            "estimate_wait_seconds": {"p50": 25.0, "p95": 30.0, "worst": 30.0},
            "estimate_saved_joules": asleep * STEP * 60.0,
            "estimate_wake_joules": 2 * 20 * 150.0,
            "estimate_net_joules": asleep * STEP * 60.0 - 2 * 20 * 150.0,
        }
    ] == said["sleeps"]
    assert [] == said["targets"]


def test_the_same_as_text_is_called_an_estimate(tmp_path: Path, url: str) -> None:
    """With how it is made."""
    result = replayed(tmp_path, url)
    words = [" ".join(line.split()) for line in result.stdout.splitlines()]

    assert "chat 3 44.2 min 73.8 % 159.3 kJ 2 6 kJ 153.3 kJ 2 25 s 30 s 30 s" in words
    assert "ESTIMATE: sleeping uses 153.3 kJ (0.0426 kWh) less, wakes paid for." in words
    assert "Method: what the policy says of itself" in result.stdout
    assert "the policy must give" not in result.stdout


def test_what_nobody_estimates_is_not_made_up(tmp_path: Path, url: str) -> None:
    """It tells which keys are missing; how long it sleeps is known all the same."""
    result = replayed(tmp_path, url, policy="priority: 1")
    words = [" ".join(line.split()) for line in result.stdout.splitlines()]

    assert "chat 3 44.2 min 73.8 % - 2 - - 2 - - -" in words
    assert "For a whole estimate the policy must give idle_draw, waking, waking_draw." in words
    assert "ESTIMATE" not in result.stdout


@pytest.mark.parametrize(("part", "value"), [(0.5, 2.0), (0.95, 4.0), (1.0, 4.0), (0.25, 1.0)])
def test_a_percentile_is_one_of_the_values(part: float, value: float) -> None:
    """The least that so many do not exceed."""
    assert value == percentile([4.0, 1.0, 3.0, 2.0], part)


DAY, HOUR = 86_400.0, 3600.0
EXAMPLE = Path(__file__).parents[2] / "docs" / "hibernation.yml"
QUEUE = "app_queue_length > 0\n"


def busy(second: float) -> bool:
    """Tell whether requests came: from one to half past one, every day."""
    return HOUR <= second % DAY < 1.5 * HOUR


@pytest.fixture(scope="module")
def daily(
    tmp_path_factory: pytest.TempPathFactory, prometheus: str, promtool: str
) -> Iterator[str]:
    """Return where the past of a day and two hours is, in which it was used once a day."""
    times = [tick * STEP for tick in range(int((DAY + 2 * HOUR) / STEP))]
    idle, count, idles, counts = 0.0, 0.0, [], []
    for second in times:
        idle, count = (0.0, count + 1) if busy(second) else (idle + STEP, count)
        idles.append(idle)
        counts.append(count)
    labels = 'app="agents",instance="proxy:9472"'
    past = {
        f"app_idle_seconds{{{labels}}}": idles,
        f"app_queue_length{{{labels}}}": [0.0] * len(times),
        f'app_requests_total{{{labels},code="200"}}': counts,
        'energy_source_last_sample_timestamp_seconds{instance="gpu-1:9470",source="nvml"}': [
            START + second for second in times
        ],
    }
    with recorded(tmp_path_factory.mktemp("daily"), prometheus, promtool, past) as where:
        yield where


@pytest.mark.parametrize("ahead", [True, False], ids=["as the example", "by its queue only"])
def test_it_wakes_ahead_of_what_came_yesterday(tmp_path: Path, daily: str, *, ahead: bool) -> None:
    """The rule of docs/hibernation.yml: nobody waits. By the queue alone the first one would."""
    text = EXAMPLE.read_text()
    head, expression, _ = text.partition(QUEUE)
    assert expression
    rules = tmp_path / "rules.yml"
    rules.write_text(text if ahead else head + QUEUE)
    start, end = START + DAY, START + DAY + 1.75 * HOUR
    given = ["backtest", "--rules", f"{rules}", "--prometheus", daily, "--json"]
    times = ["--start", clock_text(start), "--end", clock_text(end)]
    result = CliRunner().invoke(cli.main, [*given, *times], catch_exceptions=False)
    assert 0 == result.exit_code, result.stderr
    said = json.loads(result.stdout)
    (sleep,) = said["sleeps"]
    woken = next(each["at"] for each in said["changes"] if each["wanted"] == 1.0)
    early = start + HOUR - woken

    assert {True: (1, 0), False: (1, 1)}[ahead] == (sleep["wakes"], sleep["wakes_waited_for"])
    assert 240 <= early <= 300 if ahead else -30 <= early <= 0
