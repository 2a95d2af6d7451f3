"""A file that several want in one tick is read once."""

from pathlib import Path

import pytest

from wattgov_exporter.recent import KEPT_SECONDS, Recent


class Clock:
    """A clock that stands still until it is set."""

    seconds = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.seconds


def test_it_is_as_it_was_a_moment_ago_and_no_longer(tmp_path: Path) -> None:
    """The next tick sees what is there then; so does a clock that was set back."""
    clock = Clock()
    read = Recent(clock)
    file = tmp_path / "stat"
    for text in (b"first", b"second", b"third"):
        file.write_bytes(text)
        assert text == read(file)
        file.write_bytes(b"meanwhile")
        assert text == read(file)
        clock.seconds += 2 * KEPT_SECONDS if text == b"first" else -1


def test_what_cannot_be_read_is_asked_for_again(tmp_path: Path) -> None:
    """The error is told to each reader, and a file that is back is read at once."""
    read = Recent(Clock())
    file = tmp_path / "stat"
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            read(file)
    file.write_bytes(b"back")

    assert read(file) == b"back"
