"""Ten thousand rule files that nobody would write; `make test` reads a few hundred of them.

`make bench` reads all, and `pytest tests/actuator/test_fuzz.py --fuzz 50000` more.
"""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from actuator.mutations import mutated
from wattgov_actuator.cli import main

SEED = 20_260
LINE = re.compile(r"[^:\n]*:[1-9][0-9]*:[1-9][0-9]*: [^\n]+|PromQL not checked: .*")


@pytest.mark.parametrize("part", range(10))
def test_a_file_is_rules_or_mistakes(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """`check` says OK, or nothing but places and sentences; never anything else."""
    monkeypatch.chdir(tmp_path)
    path = Path("r.yml")
    for raw in mutated(SEED + part, request.config.getoption("--fuzz") // 10):
        path.write_bytes(raw)
        result = CliRunner().invoke(main, ["check", "r.yml"], catch_exceptions=False)
        lines = result.stderr.splitlines()

        assert result.exit_code in {0, 2}
        assert (result.exit_code == 0) == result.stdout.startswith("OK: "), raw
        assert result.exit_code == 0 or lines, raw
        assert all(LINE.fullmatch(each) and each.isprintable() for each in lines), (raw, lines)


def test_some_are_right(tmp_path: Path) -> None:
    """Else nothing but YAML's own grammar would be tried."""
    path = tmp_path / "r.yml"
    statuses = set()
    for raw in mutated(SEED, 50):
        path.write_bytes(raw)
        statuses.add(CliRunner().invoke(main, ["check", str(path)]).exit_code)

    assert {0, 2} == statuses
