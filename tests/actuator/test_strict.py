"""Strict reading of YAML: quantities, and mistakes with their place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattgov_actuator.document.strict import Fields, Invalid, Mistake, Quantity, compose

NOT_CLOSED = (
    "the bracket that line 1 opens is not closed before this; close it, or put quotes around a "
    "text that holds brackets or colons"
)
SECOND = "a second document begins here; put it into a file of its own"


def fields(text: str) -> tuple[Fields, list[Mistake]]:
    """Return the mapping in *text*, and where its mistakes go."""
    mistakes: list[Mistake] = []
    return Fields(compose(text, "f.yml"), "f.yml", mistakes, "the file"), mistakes


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("20W", Quantity(20, "watts")),
        ("-20W", Quantity(-20, "watts")),
        ("+20 W", Quantity(20, "watts")),
        ("1.5kW", Quantity(1500, "watts")),
        ("5%", Quantity(5, "percent")),
        ('"5%"', Quantity(5, "percent")),
    ],
)
def test_quantities_are_read_in_base_units(written: str, expected: Quantity) -> None:
    """A quantity is a number and a unit, as people write it."""
    found, mistakes = fields(f"step: {written}")

    assert expected == found.quantity("step", ("watts", "percent"), "the knob")
    assert [] == mistakes


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("45s", 45), ("2m", 120), ("200ms", 0.2), ("1.5h", 5400), ("1d", 86400)],
)
def test_durations_are_read_in_seconds(written: str, seconds: float) -> None:
    """Every unit of time ends up as seconds."""
    found, mistakes = fields(f"for: {written}")

    assert seconds == pytest.approx(found.seconds("for", 0))
    assert [] == mistakes


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("-20s", "step: '-20s': the knob takes watts or percent: did you mean '-20W'?"),
        ("-20", "step: '-20' has no unit: the knob takes watts or percent: did you mean '-20W'?"),
        ("20w", "step: '20w': the knob takes watts or percent: did you mean '20W'?"),
        ("2GHz", "step: '2GHz': the knob takes watts or percent, such as '20W'"),
        ("20KW", "step: '20KW': the knob takes watts or percent: did you mean '20kW'?"),
        (
            "down a bit",
            "step: 'down a bit' is not a quantity; the knob takes watts or percent, such as '20W'",
        ),
        ("[20W]", "step must be a quantity, found a list"),
        ("{watts: 20}", "step must be a quantity, found a mapping"),
    ],
)
def test_a_wrong_unit_gets_a_suggestion(written: str, message: str) -> None:
    """The message says what is taken, and what was probably meant."""
    found, mistakes = fields(f"step: {written}")

    assert found.quantity("step", ("watts", "percent"), "the knob") is None
    assert [f"f.yml:1:7: {message}"] == [str(each) for each in mistakes]


def test_percent_is_of_the_whole() -> None:
    """A percentage is resolved against the device's highest value."""
    assert 35 == Quantity(5, "percent").of(700)
    assert 20 == Quantity(20, "watts").of(700)


def test_a_misspelt_key_is_one_mistake() -> None:
    """The key that was meant is not reported as missing too."""
    found, mistakes = fields("exprr: up\nfro: 2m\n")
    found.text("expr")
    found.seconds("for", 0)
    found.end()

    assert [
        "f.yml:1:1: unknown key 'exprr': did you mean 'expr'?",
        "f.yml:2:1: unknown key 'fro': did you mean 'for'?",
    ] == [str(each) for each in mistakes]


def test_an_unlike_key_gets_the_list() -> None:
    """What is not like any key is answered with all keys there are."""
    found, mistakes = fields("pid: {kp: 2}\nexpr: up\n")
    found.text("expr")
    found.seconds("for", 0)
    found.end()

    assert ["f.yml:1:1: unknown key 'pid'; in this version the file takes expr, for"] == list(
        map(str, mistakes)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yml:1:1: the file is empty"),
        ("# nothing\n", "f.yml:1:1: the file is empty"),
        ("a: [1\nb: 2\n", f"f.yml:2:2: not YAML: {NOT_CLOSED}"),
        ("a: \x01\n", "f.yml:1:4: not YAML: the character U+0001 is not allowed"),
        (
            "a: 1\n---\nb: 1\n",
            f"f.yml:2:1: not YAML: {SECOND}",
        ),
        ("[" * 5000, "f.yml:1:52: not YAML: nested too deeply"),
    ],
)
def test_what_is_not_yaml_says_where(text: str, message: str) -> None:
    """A broken document is one mistake with its place."""
    with pytest.raises(Invalid) as caught:
        compose(text, "f.yml")

    assert message == str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_a_node_or_invalid(text: str) -> None:
    """No text brings anything but a node or Invalid with a mistake."""
    mistakes: list[Mistake] = []
    try:
        Fields(compose(text, "f.yml"), "f.yml", mistakes, "the file").end()
    except Invalid as error:
        mistakes += error.mistakes

    assert mistakes  # no text of so little sense says nothing wrong
