"""Values of a rule file that the environment fills in."""

from pathlib import Path

import pytest

from wattgov_actuator.document.strict import Invalid, Quantity
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.language.rulefile import load
from wattgov_actuator.laws import LAWS
from wattgov_actuator.rules import Rule, RuleSet

HELD = "s3cr3t-t0k3n"  # no number
RULES = """
version: 1
groups:
  - name: gpus
    rules:
      - {{action: trim, knob: gpu_power_limit, expr: {expr}, step: -20W, min: {low}}}
"""


def read(folder: Path, expr: str = "quiet", low: str = "120W", **environment: str) -> RuleSet:
    """Return the rules of a file with these values, in this environment."""
    path = folder / "r.yml"
    path.write_text(RULES.format(expr=expr, low=low))
    return load([path], LAWS, KNOBS, environment)


def only(rules: RuleSet) -> Rule:
    """Return the one rule."""
    return rules.groups[0].rules[0]


@pytest.mark.parametrize(
    ("written", "environment", "watts"),
    [
        ('"${FLOOR}W"', {"FLOOR": "130"}, 130),
        ('"${FLOOR}"', {"FLOOR": "130W"}, 130),
        ('"${FLOOR:-140}W"', {}, 140),
        ('"${FLOOR:-140}W"', {"FLOOR": "130"}, 130),
        ('"${FLOOR:-140}W"', {"FLOOR": ""}, 140),
        ('"${FLOOR:-${LOW:-150}}W"', {}, 150),
        ('"${FLOOR:-${LOW}}W"', {"LOW": "160"}, 160),
        ('"${FLOOR:-${LOW}}W"', {"FLOOR": "130"}, 130),
        ('"${FLOOR:-140}${UNIT:-W}"', {"UNIT": "%", "FLOOR": "50"}, None),
    ],
)
def test_a_value_is_filled_in(
    tmp_path: Path, written: str, environment: dict[str, str], watts: float | None
) -> None:
    """As a whole or inside a text; empty is as good as unset where there is a default."""
    low = only(read(tmp_path, low=written, **environment)).bounds.low

    assert low == (Quantity(50, "percent") if watts is None else Quantity(watts, "watts"))


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("up > ${LIMIT}", "up > 3"),
        ("${EXPR:-up{job='x'}} > ${LIMIT}", "up{job='x'} > 3"),
        ("label_replace(up, \\'a\\', \\'${1}-x\\', \\'b\\', \\'(.*)\\')".replace("\\", ""), None),
        ("up{a=$${LIMIT}}".replace("=$", "='$").replace("}}", "}'}"), "up{a='${LIMIT}'}"),
    ],
)
def test_what_is_promqls_stays(tmp_path: Path, written: str, filled: str | None) -> None:
    """`${1}` is a group of label_replace, and `$${` is how a plain `${` is written."""
    rule = only(read(tmp_path, expr=f'"{written}"', LIMIT="3"))

    assert (written if filled is None else filled) == rule.expr


def test_a_value_stays_one_value(tmp_path: Path) -> None:
    """Whatever is in the environment, it adds no key and no rule."""
    rule = only(read(tmp_path, expr='"${EXPR}"', EXPR='up or {step="-1W"}\nor on () down'))

    assert 'up or {step="-1W"}\nor on () down' == rule.expr
    assert Quantity(-20, "watts") == getattr(rule.law, "amount", None)


def test_an_anchor_is_filled_in_wherever_it_is_used(tmp_path: Path) -> None:
    """An alias is the same value."""
    text = "&x ${FLOOR}W, max: *x"
    bounds = only(read(tmp_path, low=text.replace("${FLOOR}W", '"${FLOOR}W"'), FLOOR="130")).bounds

    assert Quantity(130, "watts") == bounds.low == bounds.high


@pytest.mark.parametrize(
    ("expr", "low"),
    [
        ('"${X} > > 3"', "120W"),
        ("quiet", '"${X}"'),
        ("quiet", '"${X}W"'),
        ("quiet, for: '${X}'", "120W"),
        ("quiet, class: '${X}'", "120W"),
        ("quiet, pid: {target: '${X}'}", "120W"),
        ("quiet, active: {windows: '${X}'}", "120W"),
        ("quiet, active: {windows: '00:00-06:00,${X}'}", "120W"),
        ("quiet, active: {windows: '00:00-06:00', zone: '${X}'}", "120W"),
        ("quiet, targets: {only: {gpu: '(${X}'}}", "120W"),
        ("quiet, targets: '${X}'", "120W"),
        ("quiet, set: '${X}'", "120W"),
    ],
)
def test_a_mistake_does_not_repeat_what_a_variable_holds(
    tmp_path: Path, expr: str, low: str
) -> None:
    """It says where the mistake is, and what is written there."""
    with pytest.raises(Invalid) as caught:
        read(tmp_path, expr, low, X=HELD)

    assert f"{tmp_path}/r.yml:6:" in str(caught.value)
    for part in (HELD, "s3cr3t", "t0k3n"):
        assert part not in str(caught.value)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ("120 W", "min: '120 WW': gpu_power_limit takes watts or percent: did you mean '120W'?"),
        ("120W", "min: '120WW': gpu_power_limit takes watts or percent: did you mean '120W'?"),
        ("-5", "min must be above 0, found -5W"),
    ],
)
def test_a_number_is_no_secret(tmp_path: Path, held: str, message: str) -> None:
    """What is like a quantity is told as it is, since the user must see it."""
    with pytest.raises(Invalid) as caught:
        read(tmp_path, low='"${X}W"', X=held)

    assert f"{tmp_path}/r.yml:6:77: {message}" == str(caught.value)


def test_names_are_hidden_too(tmp_path: Path) -> None:
    """Also where a better one would be suggested, and in a file that is not there."""
    path = tmp_path / "r.yml"
    path.write_text(
        RULES.format(expr="quiet", low="120W")
        .replace("name: gpus", "name: '${X}!'")
        .replace("version: 1", "version: 1\ninclude: ['${X}/nowhere.yml', '${X}/*/a.yml']")
    )
    with pytest.raises(Invalid) as caught:
        load([path], LAWS, KNOBS, {"X": HELD})

    assert 3 == len(str(caught.value).splitlines())
    assert "s3cr3t" not in str(caught.value)


def test_another_environment_is_another_rule_set(tmp_path: Path) -> None:
    """The digest tells two machines apart that read the same file."""
    one, other = (read(tmp_path, low='"${FLOOR}W"', FLOOR=each).sha256 for each in ("130", "140"))

    assert one != other
    assert one == read(tmp_path, low='"${FLOOR}W"', FLOOR="130", OTHER="x").sha256
