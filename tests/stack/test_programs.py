"""Programs are found, or the user is told exactly what to do."""

import os
from pathlib import Path

import pytest

from wattgov_stack.programs import ALERTMANAGER, PROMETHEUS, locate
from wattgov_stack.trouble import Trouble


def program(folder: Path, name: str) -> Path:
    """Make something that can be run."""
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_debians_name_is_known(tmp_path: Path) -> None:
    """Alertmanager is found under its own name and under Debian's."""
    prometheus = program(tmp_path, "prometheus")
    alertmanager = program(tmp_path, "prometheus-alertmanager")
    said: list[str] = []

    found = locate((PROMETHEUS, ALERTMANAGER), {"PATH": str(tmp_path)}, said.append)

    assert [prometheus, alertmanager] == found
    assert [] == said


def test_a_variable_comes_first(tmp_path: Path) -> None:
    """PROMETHEUS= points at another binary."""
    program(tmp_path, "prometheus")
    other = program(tmp_path, "prometheus-3")
    environment = {"PATH": str(tmp_path), "PROMETHEUS": str(other)}

    assert [other] == locate((PROMETHEUS,), environment, print)


def test_a_variable_that_points_at_nothing() -> None:
    """A wrong variable is told, and no other binary is taken behind the user's back."""
    with pytest.raises(Trouble, match="PROMETHEUS=/no/such is not a program that can be run"):
        locate((PROMETHEUS,), {"PATH": os.environ["PATH"], "PROMETHEUS": "/no/such"}, print)


def test_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the right to install, both packages and both variables are named in one sentence."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    absent = (
        PROMETHEUS.__class__("NOBODY", ("no-such-server",), "nobodys-package"),
        PROMETHEUS.__class__("NOTHING", ("no-such-thing",), "nothings-package"),
    )

    with pytest.raises(Trouble) as raised:
        locate(absent, {"PATH": str(tmp_path)}, print)

    assert str(raised.value) == (
        "no-such-server and no-such-thing not found. On Debian and Ubuntu: sudo apt-get install "
        "nobodys-package nothings-package. Or point at your own: NOBODY=/path/to/no-such-server "
        "NOTHING=/path/to/no-such-thing make up"
    )
