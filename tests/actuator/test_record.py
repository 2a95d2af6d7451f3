"""The lock of a record is the type checker's: mypy complains here if it has nothing to ignore."""

from dataclasses import asdict, replace

import pytest

from wattgov_actuator.decision import Held


def test_nobody_may_set_a_field() -> None:
    """At run time it goes through, which is what makes records cheap; mypy stops it before."""
    held = Held(280.0)
    held.claim = 300.0  # type: ignore[misc]
    assert held.claim == 300.0


def test_nobody_may_add_a_field() -> None:
    """There is no place for it."""
    with pytest.raises(AttributeError):
        Held().watts = 1.0  # type: ignore[attr-defined]


def test_a_record_is_a_dataclass() -> None:
    """It is compared, hashed, copied and turned into a dict like any other."""
    held = Held(280.0, true_since=5.0)
    assert held == Held(280.0, 5.0) != replace(held, claim=None)
    assert hash(held) == hash(Held(280.0, 5.0))
    assert asdict(held)["true_since"] == 5.0
