"""The closed list of reasons."""

from wattgov_actuator.decision import MEANING, Reason
from wattgov_actuator.reading import Fault


def test_every_reason_has_a_meaning() -> None:
    """The docs are made from it: one sentence each, in the order of the list."""
    assert list(Reason) == list(MEANING)
    assert all(text.endswith(".") for text in MEANING.values())


def test_every_fault_of_a_knob_is_a_reason() -> None:
    """The same word from the driver to the docs."""
    assert {str(fault) for fault in Fault} <= {str(reason) for reason in Reason}
