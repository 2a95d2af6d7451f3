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
from wattgov_actuator.descriptions import DESCRIPTIONS
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.laws import LAWS
from wattgov_actuator.rulefile import load
from wattgov_actuator.schema import parts, schema
from wattgov_actuator.strict import Invalid

BAD = Path(__file__).parents[1] / "bad"
STARTERS = Path(__file__).parents[2] / "rules" / "actuator"
SCHEMA = schema(LAWS, KNOBS)
VALID = Draft202012Validator(SCHEMA)
PLAIN = {"true": True, "false": False, "null": None, "~": None, "": None}
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# Of a message about a key, a type, a unit or a word; a bound or a name that is taken is none.
SHAPE = re.compile(
    r"unknown key|: unknown '|must be (a |text|true or|1,|min,|restore,)|has no '|has no unit"
    r"|takes .*did you mean|is not a quantity|is not a number|only one of|not what to do"
    r"|may hold a-z"
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
    """The starter files, and what the docs show."""
    assert fits(text)


@pytest.mark.parametrize("path", wrong_by_shape(), ids=lambda path: path.stem)
def test_it_refuses_what_is_wrong_by_shape(path: Path) -> None:
    """A key, a type, a unit or a word that the reader does not take."""
    assert not fits(path.read_text(encoding="utf-8-sig"))


@pytest.mark.parametrize(("path", "keys"), [(path, set(keys)) for path, _, keys in parts(SCHEMA)])
def test_its_keys_are_the_readers(path: str, keys: set[str], tmp_path: Path) -> None:
    """The reader is asked with a key that is like none of them."""
    content: object = {"zzzzzz": 1}
    for part in reversed(path.split(".") if path else []):
        content = {part: [content] if part in {"groups", "rules"} else content}
    file = tmp_path / "r.yml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(Invalid) as caught:
        load([file], LAWS, KNOBS)
    told = re.search(r"unknown key 'zzzzzz'; in this version .* takes (.*)", str(caught.value))

    assert told is not None
    assert keys == set(told[1].split(", "))


def test_every_key_is_described() -> None:
    """And nothing else is."""
    keys = {f"{path}.{key}" if path else key for path, _, keys in parts(SCHEMA) for key in keys}

    assert keys == set(DESCRIPTIONS)


@pytest.mark.parametrize("knob", KNOBS)
def test_units_are_the_knobs(knob: str) -> None:
    """What one knob takes, another one may not."""
    rule = f"action: a, expr: e, knob: {knob}"
    text = "{{version: 1, groups: [{{name: g, rules: [{{{}, set: {}}}]}}]}}"
    taken = {unit for unit in ("W", "MHz", "%", "s") if fits(text.format(rule, f"5{unit}"))}
    named = {"watts": "W", "hertz": "MHz", "percent": "%"}

    assert {named[unit] for unit in KNOBS[knob].accepts} == taken


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
