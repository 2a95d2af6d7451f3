"""The tables of laws, guards and knobs."""

from pathlib import Path

import pytest

from wattgov_actuator.guards import GUARDS
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.laws import LAWS

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("folder", "names"), [("laws", LAWS), ("guards", GUARDS), ("knobs", KNOBS)]
)
def test_every_member_has_its_tests(folder: str, names: dict[str, object]) -> None:
    """One file, one line in a table, one test module."""
    tests = {path.stem.removeprefix("test_") for path in (HERE / folder).glob("test_*.py")}

    assert set(names) == tests
