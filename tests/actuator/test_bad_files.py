"""One bad rule file per mistake, and its exact message: the message is part of the product."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from wattgov_actuator.cli import main

BAD = Path(__file__).parents[1] / "bad"


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yml")), ids=lambda path: path.stem)
def test_the_message_is_exact(
    path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """`check` prints every mistake of a file, and nothing else, and exits with 2."""
    monkeypatch.chdir(BAD)
    result = CliRunner().invoke(main, ["check", path.name])
    if request.config.getoption("--update"):
        path.with_suffix(".txt").write_text(result.stderr)

    assert path.with_suffix(".txt").read_text() == result.stderr
    assert (2, "") == (result.exit_code, result.stdout)


def test_three_mistakes_are_three_lines() -> None:
    """An unknown key, a wrong unit and an impossible bound are told at once."""
    lines = (BAD / "three-at-once.txt").read_text().splitlines()

    assert 3 == len(lines)


def test_every_message_has_its_file() -> None:
    """No golden message is left without the file it belongs to."""
    assert sorted(p.stem for p in BAD.glob("*.yml")) == sorted(p.stem for p in BAD.glob("*.txt"))


def test_there_are_many() -> None:
    """Every key of the language, and what YAML itself can do to a file."""
    assert len(list(BAD.glob("*.yml"))) >= 100
