"""The tables of laws, guards and knobs."""

from pathlib import Path

import pytest

from actuator.stands import STANDS
from wattgov_actuator.guards import GUARDS
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.knobs.backends import BACKENDS
from wattgov_actuator.laws import LAWS

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("folder", "names"),
    [("laws", LAWS), ("guards", GUARDS), ("knobs", KNOBS), ("backends", BACKENDS)],
)
def test_every_member_has_its_tests(folder: str, names: dict[str, object]) -> None:
    """One file, one line in a table, one test module."""
    tests = {path.stem.removeprefix("test_") for path in (HERE / folder).glob("test_*.py")}

    assert set(names) == tests


def test_every_knob_has_its_page() -> None:
    """A heading of its own, and a row that says what it takes."""
    text = (HERE.parents[1] / "docs" / "knobs.md").read_text()
    headings = {line[3:] for line in text.splitlines() if line.startswith("## ")}
    rows = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}

    assert (set(KNOBS), set(KNOBS)) == (set(KNOBS) & headings, rows)


def test_every_backend_has_its_page_and_a_knob() -> None:
    """Where it is described, each key that its entry may have is named."""
    text = (HERE.parents[1] / "docs" / "knobs.md").read_text()
    sections = {part.partition("\n")[0]: part for part in text.split("\n### ")[1:]}
    missing = [
        (name, key)
        for name, (_, backend) in BACKENDS.items()
        for key in backend.keys
        if f"`{key}" not in sections.get(name, "")
    ]

    assert [] == missing
    assert all(knob in KNOBS for knobs, _ in BACKENDS.values() for knob in knobs)


def test_every_knob_is_in_the_crash_matrix() -> None:
    """A new one joins by its fake machine, and each of its backends by one of its own."""
    ways = {f"{knob}/{name}" for name, (knobs, _) in BACKENDS.items() for knob in knobs}
    forkless = {"platform_power_limit/ipmi"}  # pyghmi's sockets and threads outlive no fork
    modules = {name for name, kind in KNOBS.items() if kind.module}
    found = {"/".join(filter(None, (each.name, each.backend))) for each in STANDS.values()}

    assert found == (ways - forkless) | modules


def test_every_law_has_its_section() -> None:
    """A heading of its name where users look."""
    headings = (HERE.parents[1] / "actuator" / "README.md").read_text().splitlines()

    assert {f"### {name}" for name in LAWS} <= set(headings)
