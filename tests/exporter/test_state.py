"""Totals survive a restart, whole or not at all, and never fall."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattgov_exporter.state import Totals, leave, load, save, take

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
JOULES = st.floats(0, 1e15)


def file_with(meters: str) -> str:
    """Return a state file whose meters are these."""
    rest = '"node": [], "apps": [], "cpu_seconds": [], "own": []'
    return f'{{"version": 1, "meters": {meters}, {rest}}}'


@given(
    apps=st.dictionaries(st.tuples(NAMES, st.just("cpu"), st.just("idle")), JOULES),
    seconds=st.dictionaries(st.tuples(NAMES), JOULES),
)
def test_there_and_back(
    tmp_path_factory: pytest.TempPathFactory,
    apps: dict[tuple[str, ...], float],
    seconds: dict[tuple[str, ...], float],
) -> None:
    """What was saved is loaded, to the last bit, whatever the apps are called."""
    path = tmp_path_factory.mktemp("state") / "totals.json"
    totals = Totals(apps=apps, cpu_seconds=seconds, own={("exporter",): 1.5})
    save(path, totals)

    assert totals == load(path, pytest.fail)


def test_no_file_is_the_first_start(tmp_path: Path) -> None:
    """Without a file there is nothing to go on from, and nothing to tell."""
    assert Totals() == load(tmp_path / "none.json", pytest.fail)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 2}',
        '{"version": 1}',
        file_with('[["a", -1]]'),
        file_with('[["a", NaN]]'),
        file_with("[[]]"),
        file_with("3"),
        file_with('[["rapl", "0", 5]]'),
        file_with(f'[["rapl", "0", "package", 1{"0" * 400}]]'),
        pytest.param("[" * 100_000, id="lists without end"),
        file_with("[]").replace('"node": []', '"node": [["flux", 5]]'),
    ],
)
def test_a_file_that_is_none_is_set_aside(tmp_path: Path, text: str) -> None:
    """It is told, kept under another name, and the counters start at zero."""
    path = tmp_path / "totals.json"
    path.write_text(text)
    said: list[str] = []

    assert Totals() == load(path, said.append)

    assert 1 == len(said)
    assert "counters start at zero" in said[0]
    assert text == (tmp_path / "totals.bad").read_text()
    assert not path.exists()


def test_bytes_that_are_no_text_are_set_aside(tmp_path: Path) -> None:
    """They are kept, as text is that holds no totals."""
    path = tmp_path / "totals.json"
    path.write_bytes(b"\xff\xfe{")
    said: list[str] = []

    assert Totals() == load(path, said.append)

    assert b"\xff\xfe{" == (tmp_path / "totals.bad").read_bytes()
    assert "counters start at zero" in said[0]


def test_a_save_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    """A disk that refuses leaves the last good totals where they are."""
    path = tmp_path / "totals.json"
    old = Totals(node={("cpu",): 5.0})
    save(path, old)
    (tmp_path / "totals.new").mkdir()

    with pytest.raises(OSError, match=r"totals\.new"):
        save(path, Totals())

    assert old == load(path, pytest.fail)


def test_a_file_is_taken_once(tmp_path: Path) -> None:
    """What is there after a crash is nothing, not totals that are older than what was published."""
    path = tmp_path / "totals.json"
    totals = Totals(own={("exporter",): 1.5})
    leave(path, totals, pytest.fail)

    assert totals == take(path, pytest.fail)
    assert Totals() == take(path, pytest.fail)


def test_a_file_that_cannot_be_taken_away(tmp_path: Path) -> None:
    """It would be too old after a crash: it is told, and counters start at zero."""
    path = tmp_path / "totals.json"
    path.mkdir()
    told: list[str] = []

    assert Totals() == take(path, told.append)
    assert "counters start at zero" in told[-1]


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    """A stop goes on without the file."""
    told: list[str] = []

    leave(tmp_path / "missing" / "totals.json", Totals(), told.append)

    assert "the totals are not saved" in told[0]
