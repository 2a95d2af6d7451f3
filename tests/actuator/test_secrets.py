"""Secrets of connections: where they may lie, and that nobody tells them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs.secrets import secret
from wattgov_actuator.reading import Fault, KnobError


def way(settings: Mapping[str, Setting]) -> Connection:
    """Return a connection with these settings."""
    return Connection("batch_size", "wire", "chat", {"app": "chat"}, settings)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file of a secret, as an editor leaves it."""
    path = tmp_path / "password"
    path.write_text("correct horse\n")
    path.chmod(0o640)
    return path


def test_a_secret_is_one_line_of_a_file_or_of_a_variable(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the end of the line; what was not given is empty."""
    monkeypatch.setenv("BMC_PASSWORD", "battery staple")

    assert "correct horse" == secret(way({"password_file": str(file)}), "password")
    assert "battery staple" == secret(way({"password_env": "BMC_PASSWORD"}), "password")
    assert "" == secret(way({"password_file": str(file)}), "token")


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        (b"correct horse\n", 0o644, "others can read password_file"),
        (b"correct horse\n", 0o602, "others can read password_file"),
        (b"\n", 0o600, "is empty"),
        (b"correct\nhorse", 0o600, "more than one line"),
        (b"correct \xff horse", 0o600, "no UTF-8"),
    ],
)
def test_what_is_no_secret_is_refused_and_not_told(
    file: Path, content: bytes, mode: int, expected: str
) -> None:
    """The sentence names the file, and nothing that is in it."""
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(KnobError, match=expected) as raised:
        secret(way({"password_file": str(file)}), "password")

    assert raised.value.fault is Fault.REFUSED
    assert str(file) in raised.value.detail
    assert "horse" not in raised.value.detail
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_a_secret_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A file, a pipe that nobody writes to, or a variable."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for given, expected in (
        ({"token_file": str(tmp_path / "none")}, "cannot be read: No such file"),
        ({"token_file": str(tmp_path / "pipe")}, "is no file"),
        ({"token_env": "WATTGOV_NOBODY_SET_THIS"}, "WATTGOV_NOBODY_SET_THIS is not set"),
    ):
        with pytest.raises(KnobError, match=expected):
            secret(way(given), "token")
