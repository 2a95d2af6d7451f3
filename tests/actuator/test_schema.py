"""The schema of rule files: what editors see is what the reader takes."""

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from actuator.mutations import mutated, right
from wattgov_actuator.cli import main
from wattgov_actuator.document.strict import Invalid
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.language.descriptions import DESCRIPTIONS
from wattgov_actuator.language.rulefile import load
from wattgov_actuator.language.schema import Part, parts, schema
from wattgov_actuator.laws import LAWS

BAD = Path(__file__).parents[1] / "bad"
STARTERS = Path(__file__).parents[2] / "rules" / "actuator"
SCHEMA = schema(LAWS, KNOBS)
VALID = Draft202012Validator(SCHEMA)
PLAIN = {"true": True, "false": False, "null": None, "~": None, "": None}
LISTS = {"knobs", "policies", "groups", "rules"}
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# Of a message about a key, a type, a unit or a word; a bound or a name of the file is none.
SHAPE = re.compile(
    r"unknown key|(?<!policy)(?<!instead_of): unknown '|only one of|not what to do"
    r"|must be (a |text|true or|1,|min,|restore,)|has no '|has no unit|takes .*did you mean"
    r"|is not a quantity|is not a number|may hold a-z"
)


def value(node: yaml.Node) -> object:
    """Return what an editor sees: plain scalars are typed by YAML 1.2's core schema."""
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): value(each) for key, each in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [value(each) for each in node.value]
    text = str(node.value)
    if isinstance(node, yaml.ScalarNode) and node.style is None:
        if text in PLAIN:
            return PLAIN[text]
        if NUMBER.fullmatch(text):
            return float(text)
    return text


def fits(text: str) -> bool:
    """Tell whether the schema takes a rule file."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return root is not None and VALID.is_valid(value(root))


def wrong_by_shape() -> list[Path]:
    """Return the bad files that are YAML, and wrong in what a schema can say."""
    told = {path.with_suffix(".yml"): path.read_text() for path in sorted(BAD.glob("*.txt"))}
    beyond = re.compile("not YAML|environment")
    return [path for path, text in told.items() if SHAPE.search(text) and not beyond.search(text)]


def test_it_is_a_schema() -> None:
    """Of the draft that it names."""
    Draft202012Validator.check_schema(SCHEMA)


def test_the_command_prints_it() -> None:
    """And the file beside the starters is the same."""
    printed = CliRunner().invoke(main, ["schema"]).stdout

    assert SCHEMA == json.loads(printed)
    assert SCHEMA == json.loads((STARTERS / "rules.schema.json").read_text())


@pytest.mark.parametrize("text", right(), ids=range(len(right())))
def test_it_takes_what_is_right(text: str) -> None:
    """The starter files, what the docs show, and files with every key."""
    assert fits(text)


@pytest.mark.parametrize("path", wrong_by_shape(), ids=lambda path: path.stem)
def test_it_refuses_what_is_wrong_by_shape(path: Path) -> None:
    """A key, a type, a unit or a word that the reader does not take."""
    assert not fits(path.read_text(encoding="utf-8-sig"))


@pytest.mark.parametrize("part", [*parts(SCHEMA)], ids=lambda part: f"{part.path} {part.backend}")
def test_its_keys_are_the_readers(part: Part, tmp_path: Path) -> None:
    """The reader is asked with a key that is like none of them."""
    content: object = {"zzzzzz": 1}
    if part.backend:
        knob = str(part.properties["knob"]["title"]).split(", ")[0]
        content = {"zzzzzz": 1, "knob": knob, "backend": part.backend}
    for key in reversed(part.path.split(".") if part.path else []):
        content = {key: [content] if key in LISTS else content}
    file = tmp_path / "r.yml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(Invalid) as caught:
        load([file], LAWS, KNOBS)
    told = re.search(r"unknown key 'zzzzzz'; in this version .* takes (.*)", str(caught.value))

    assert told is not None
    assert set(part.properties) == set(told[1].split(", "))


def test_every_key_is_described() -> None:
    """And nothing else is."""
    keys = {f"{one.path}.{key}".strip(".") for one in parts(SCHEMA) for key in one.properties}

    assert keys == set(DESCRIPTIONS)


@pytest.mark.parametrize("knob", KNOBS)
def test_units_are_the_knobs(knob: str) -> None:
    """What one knob takes, another one may not."""
    rule = f"action: a, expr: e, knob: {knob}"
    text = "{{version: 1, groups: [{{name: g, rules: [{{{}, set: {}}}]}}]}}"
    values = ("5W", "5MHz", "5%", "5s", "5", "asleep", "awake", "paused", "running")
    taken = {value for value in values if fits(text.format(rule, value))}
    named = {"watts": "5W", "hertz": "5MHz", "percent": "5%", "count": "5"}

    assert set(KNOBS[knob].levels or map(named.get, KNOBS[knob].accepts)) == taken


@pytest.mark.parametrize("key", ["step: '5'", "scale: 5%", "min: '1'", "slew: '1'", "budget: 5W"])
def test_a_knob_of_words_has_no_sizes(key: str) -> None:
    """What lies between asleep and awake is nothing."""
    law = "" if key.startswith(("step", "scale", "budget")) else ", set: asleep"
    rule = f"action: a, expr: e, knob: {{}}, {key}{law.replace('asleep', '{}')}"
    text = "{{version: 1, groups: [{{name: g, rules: [{{{}}}]}}]}}"

    assert not fits(text.format(rule.format("hibernate", "asleep")))
    if "W" not in key:
        assert fits(text.format(rule.format("batch_size", "5")))


@pytest.mark.parametrize(
    "rule", ["step: down", "step: -20W", "step: '${STEP:--20W}'", "pid: {target: '${X}', kp: -1}"]
)
def test_a_variable_may_stand_anywhere(rule: str) -> None:
    """In the place of any value."""
    text = "{action: a, expr: '${E}', knob: gpu_power_limit, for: '${F}', " + rule + "}"

    assert fits("{version: 1, enforce: '${E}', groups: [{name: g, rules: [" + text + "]}]}")


def test_no_garbled_file_that_is_right_is_refused(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """An editor shows no mistake where the reader sees none."""
    path, taken = tmp_path / "r.yml", 0
    for raw in mutated(42, request.config.getoption("--fuzz")):
        path.write_bytes(raw)
        try:
            load([path], LAWS, KNOBS, {"X": "1"})
        except Invalid:
            continue
        taken += 1

        assert fits(raw.decode()), raw

    assert taken
