"""`test`: scenarios of the starter rules, and what the command says of good and bad files."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from wattgov_actuator import cli
from wattgov_actuator.reading import QueryFailure
from wattgov_actuator.simulation import scratch

STARTERS = Path(__file__).parents[2] / "rules" / "actuator"
SCENARIOS = sorted(STARTERS.glob("tests/*.test.yml"))
RULES = """
version: 1
groups:
  - name: gpus
    interval: 15s
    protect: {thermal: {expr: temperature > 83}}
    rules:
      - action: trim
        expr: quiet == 1
        knob: gpu_power_limit
        step: -100W
        min: 100W
        cooldown: 0s
"""
HEAD = """
rules: rules.yml
targets:
  - {knob: gpu_power_limit, name: GPU-a, low: 100W, high: 400W, current: 350W}
input_series:
  - {series: 'temperature{uuid="GPU-a"}', values: 60x9}
"""


def run(folder: Path, text: str, rules: str = RULES) -> Result:
    """Run the scenarios of a file with this text."""
    (folder / "rules.yml").write_text(rules)
    (folder / "a.test.yml").write_text(text)
    return CliRunner().invoke(cli.main, ["test", str(folder / "a.test.yml")])


def scenario(folder: Path, **test: object) -> Result:
    """Run one scenario."""
    return run(folder, HEAD + yaml.safe_dump({"tests": [{"name": "one", **test}]}))


QUIET = {"trim": {'{uuid="GPU-a"}': "1"}}


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.name)
def test_the_starter_rules_do_what_they_say(file: Path) -> None:
    """As a user runs them."""
    result = CliRunner().invoke(cli.main, ["test", str(file)])

    assert 0 == result.exit_code, result.output
    assert result.stdout.count("SUCCESS") == len(yaml.safe_load(file.read_text())["tests"])


def test_every_starter_rule_file_has_scenarios() -> None:
    """A new one brings its own."""
    rules = {path.stem for path in STARTERS.glob("*.yml")}

    assert rules == {path.name.removesuffix(".test.yml") for path in SCENARIOS}


SLEEP = """
version: 1
groups:
  - name: agents
    interval: 15s
    rules:
      - {action: sleep, expr: idle > 900, knob: hibernate, set: asleep, cooldown: 0s}
      - {action: trim, expr: quiet, knob: gpu_power_limit, step: -100W, min: 100W, cooldown: 0s}
"""
SERVERS = """
rules: rules.yml
targets:
  - {knob: hibernate, name: chat, labels: {app: chat}}
  - {knob: hibernate, name: code, labels: {app: code}, current: asleep}
  - {knob: gpu_power_limit, name: GPU-a, low: 100W, high: 400W}
expressions: {trim: _, sleep: {'{app="chat"}': 901x3 _}}
"""


def test_servers_sleep_and_wake_in_words(tmp_path: Path) -> None:
    """As rules have them: in what is expected, what happens, and what is left at the end."""
    test = """
tests:
  - name: asleep while idle
    happens: [{at: 1m, target: code, set: awake}]
    expect:
      - at: 0s
        decisions: [{rule: sleep, target: chat, reason: applied, wanted: asleep}]
        in_force: {chat: asleep, code: asleep, GPU-a: 400W}
      - at: 1m
        decisions: [{rule: sleep, target: chat, reason: restored}]
        in_force: {chat: awake, code: awake}
    after: {code: awake}
"""
    good = run(tmp_path, SERVERS + test, SLEEP)

    assert 0 == good.exit_code, good.output


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("in_force: {chat: awake}", "in_force: {chat: 0}", "chat: unknown '0'"),
        ("wanted: asleep", "target: chat, wanted: 0W", "wanted: unknown '0W'"),
        ("wanted: asleep", "wanted: sleeping", "wanted: 'sleeping' is not a quantity"),
        ("app: chat}}", "app: chat}, low: 0}", "unknown key 'low'"),
        ("current: asleep", "current: sleeping", "current: unknown 'sleeping'"),
    ],
)
def test_what_is_no_word_of_the_knob_is_told(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    """A level has no number in a file, and a cap no word."""
    test = """
tests:
  - name: one
    expect:
      - {at: 0s, decisions: [{rule: sleep, wanted: asleep}], in_force: {chat: awake}}
"""
    text = SERVERS + test
    assert old in text
    result = run(tmp_path, text.replace(old, new), SLEEP)

    assert (2, True) == (result.exit_code, words in result.output), result.output


def test_what_is_not_as_expected_is_told_with_the_reason(tmp_path: Path) -> None:
    """Expected beside got, for a decision, a value in force, and what is left at the end."""
    result = scenario(
        tmp_path,
        expressions=QUIET,
        expect=[
            {
                "at": "15s",
                "decisions": [{"rule": "trim", "reason": "cooldown", "wanted": "200W"}],
                "in_force": {"GPU-a": "250W"},
            },
            {"at": "20s", "decisions": [{"rule": "gpus.thermal", "detail": "hot"}]},
        ],
        after={"GPU-a": "400W"},
    )

    assert 1 == result.exit_code
    assert """\
  FAILED   one
    at 15 s, trim at GPU-a:
      expected  cooldown, wanted 200 W
      got       applied, wanted 150 W: the value is 1, read 0 s ago
    at 15 s, in force at GPU-a:
      expected  250 W
      got       150 W
    at 20 s, gpus.thermal at any target:
      expected  'hot'
      got       no decision
    after the end, in force at GPU-a:
      expected  400 W
      got       350 W
""" == result.stdout.partition("\n")[2]


def test_raw_series_answer_a_selector_and_its_comparison(tmp_path: Path) -> None:
    """No engine is needed for the commonest guard; the series ends when it is stale."""
    series = [
        {"series": 'temperature{uuid="GPU-a"}', "values": "60 90 _ stale"},
        {"series": 'quiet{uuid="GPU-a"}', "values": "0x9"},
    ]
    result = scenario(
        tmp_path,
        input_series=series,
        expect=[
            {"at": "0s", "in_force": {"GPU-a": "350W"}},
            {"at": "15s", "decisions": [{"rule": "gpus.thermal", "detail": "the value is 90"}]},
            {"at": "30s", "in_force": {"GPU-a": "100W"}},
            {"at": "45s", "decisions": [{"rule": "gpus.thermal", "reason": "restored"}]},
        ],
    )

    assert 0 == result.exit_code, result.stdout


@pytest.mark.parametrize("word", ["down", "timeout", "partial", "bad_query", "NaN"])
def test_a_query_may_fail(tmp_path: Path, word: str) -> None:
    """Then nothing is known, and nothing is tightened."""
    expect = {"at": "1m", "decisions": [{"rule": "trim", "reason": "no_data"}]}
    given = {"trim": {'{uuid="GPU-a"}': f"1 {word}"}}
    result = scenario(
        tmp_path, expressions=given, expect=[{**expect, "in_force": {"GPU-a": "250W"}}]
    )

    assert 0 == result.exit_code, result.stdout


@pytest.mark.parametrize(
    ("ages", "reason"), [("0 60", "held_stale"), ("0 _", "no_data"), ("0 down", "no_data")]
)
def test_readings_grow_old(tmp_path: Path, ages: str, reason: str) -> None:
    """Or the exporter falls silent, or nobody can be asked about it."""
    expect = {"at": "15s", "decisions": [{"rule": "trim", "reason": reason}]}
    result = scenario(tmp_path, expressions=QUIET, ages=ages, expect=[expect])

    assert 0 == result.exit_code, result.stdout


def test_freshness_can_be_given_itself(tmp_path: Path) -> None:
    """As the time of the last reading, in unix seconds."""
    name = 'energy_source_last_sample_timestamp_seconds{instance="here"}'
    result = scenario(
        tmp_path,
        start="1970-01-01T00:01:00",
        expressions=QUIET,
        input_series=[{"series": name, "values": "60x9"}],
        expect=[
            {"at": "15s", "decisions": [{"rule": "trim", "detail": "read 15 s ago"}]},
            {"at": "60s", "decisions": [{"rule": "trim", "reason": "held_stale"}]},
        ],
    )

    assert 0 == result.exit_code, result.stdout


@pytest.mark.parametrize("fault", ["refused", "unsupported", "lost"])
def test_a_device_may_fail_and_be_mended(tmp_path: Path, fault: str) -> None:
    """The writer tells, keeps its undo, and goes on."""
    result = scenario(
        tmp_path,
        expressions=QUIET,
        happens=[
            {"at": "10s", "target": "GPU-a", "fault": fault},
            {"at": "40s", "target": "GPU-a", "fault": "none"},
        ],
        expect=[
            {"at": "15s", "decisions": [{"rule": "trim", "reason": fault}]},
            {"at": "30s", "in_force": {"GPU-a": "250W"}},
            {"at": "3m", "in_force": {"GPU-a": "100W"}},
        ],
    )

    assert 0 == result.exit_code, result.stdout


def test_windows_are_those_of_the_clock_given(tmp_path: Path) -> None:
    """A scenario may begin at any time."""
    rules = RULES + '        active: {windows: "22:00-23:00"}\n'
    test = {
        "name": "night",
        "start": "2026-01-31T21:59:45",
        "expressions": QUIET,
        "expect": [
            {"at": "0s", "decisions": [{"rule": "trim", "reason": "inactive"}]},
            {"at": "15s", "decisions": [{"rule": "trim", "reason": "applied"}]},
        ],
    }
    result = run(tmp_path, HEAD + yaml.safe_dump({"tests": [test]}), rules)

    assert 0 == result.exit_code, result.stdout


MISTAKES = """
tests:
  - name: one
    expressions:
      trm: {'{uuid="GPU-a"}': 1}
    happens: [{at: 15s, target: GPU-b, set: 300W}, {at: 15s, target: GPU-a}]
    outages: [{from: 5m, until: 1m}]
    agse: 0
    expect:
      - at: 1m
        decisions: [{rule: trimm, reason: aplied, wanted: 300}]
  - name: one
    start: tomorrow
    expressions: {trim: {'{uuid="GPU-a"}': 3y}, quiet  == 1: 1}
    expect: [{at: 1m}, {in_force: {GPU-a: 1s}}]
"""


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """With file, line, column and what may be meant."""
    result = run(tmp_path, HEAD.strip() + MISTAKES)
    lines = [each.removeprefix(f"{tmp_path}/a.test.yml:") for each in result.stderr.splitlines()]
    nothing = "nothing says what trim returns (quiet == 1); give, under expressions, "
    value = "'3y' is no value, such as '50x10', '1+2x5', '_x3', 'stale' or 'NaN'"
    words = ", ".join(QueryFailure)

    assert 2 == result.exit_code
    assert [
        "7:5: " + nothing + "trim: {'{uuid=\"…\"}': 50x10}, or trim: _ for no series, or "
        "input_series of quiet",
        "9:7: expressions: unknown 'trm': did you mean 'trim'?",
        "10:33: target: unknown 'GPU-b': did you mean 'GPU-a'?",
        "10:52: an event is a set or a fault",
        "11:33: until must be later than from",
        "12:5: unknown key 'agse': did you mean 'ages'?",
        "15:28: rule: unknown 'trimm': did you mean 'trim'?",
        "15:43: reason: unknown 'aplied': did you mean 'applied'?",
        "15:59: wanted: '300' has no unit: the target takes watts: did you mean '300W'?",
        "16:11: there is another test called 'one'",
        "17:12: start: 'tomorrow' is no moment, such as 2026-01-31T22:00",
        f'18:44: {{uuid="GPU-a"}}: {value}; to let the query fail, one of {words}',
        "18:62: 'quiet  == 1' is given twice, once by another name",
        "19:14: nothing is expected; give decisions or in_force",
        "19:24: an expectation has no 'at'",
        "19:43: GPU-a: '1s': gpu_power_limit takes watts: did you mean '1W'?",
    ] == lines


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tests: []", "1:1: rules names no rule file"),
        ("rules: other.yml\ntests: []", "other.yml:1:1: cannot be read: No such file"),
        ("rules: rules.yml\ntests: [{name: a}]", "'a' has no targets, and neither has the file"),
        ("", "the file is empty"),
    ],
)
def test_a_file_that_says_too_little(tmp_path: Path, text: str, words: str) -> None:
    """One sentence, status 2."""
    result = run(tmp_path, text)

    assert 2 == result.exit_code
    assert words in result.stderr


def test_a_bad_file_does_not_hide_the_next(tmp_path: Path) -> None:
    """The worst decides the status."""
    (tmp_path / "bad.test.yml").write_text("rules: [")
    words = ["test", str(tmp_path / "bad.test.yml"), str(SCENARIOS[0])]
    result = CliRunner().invoke(cli.main, words)

    assert (2, True) == (result.exit_code, "SUCCESS" in result.stdout)


def test_the_form_in_the_docs_is_one(tmp_path: Path) -> None:
    """The example runs as it stands, beside the starter rules."""
    text = (STARTERS.parents[1] / "docs" / "testing-rules.md").read_text()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    rules = (STARTERS / "balanced.yml").read_text()
    result = run(tmp_path, example.replace("../balanced.yml", "rules.yml"), rules)

    assert (0, 1) == (result.exit_code, result.stdout.count("SUCCESS")), result.output


def test_nothing_of_a_simulation_stays(tmp_path: Path) -> None:
    """Its journal is in memory where there is such a folder, and gone at the end."""
    for memory in (tmp_path, tmp_path / "none"):
        with scratch(memory) as folder:
            assert (Path(folder).parent == tmp_path) is (memory == tmp_path)
        assert not Path(folder).exists()
