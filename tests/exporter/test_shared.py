"""A file that several want in one tick is read once."""

from pathlib import Path

import pytest

from wattgov_exporter.shared import Shared


def test_it_is_as_it_was_until_the_next_tick(tmp_path: Path) -> None:
    """All readers of a tick see the same, those of the next what is there then."""
    read = Shared()
    file = tmp_path / "stat"
    for text in (b"first", b"second"):
        file.write_bytes(text)
        assert text == read(file)
        file.write_bytes(b"meanwhile")
        assert text == read(file)
        read.forget()


def test_what_cannot_be_read_is_asked_for_again(tmp_path: Path) -> None:
    """The error is told to each reader, and a file that is back is read at once."""
    read = Shared()
    file = tmp_path / "stat"
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            read(file)
    file.write_bytes(b"back")

    assert read(file) == b"back"
