"""The limit of our own proxy: none at all is a setting, too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.api import serving
from fakes.limiter import Limiter
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import InForce, Knob, KnobError


@pytest.fixture
def limiter() -> Limiter:
    """Return the proxy's state."""
    return Limiter()


@pytest.fixture
def url(limiter: Limiter) -> Iterator[str]:
    """Return where its control listens."""
    with serving(limiter) as url:
        yield url


def knob(url: str, **more: Setting) -> Knob:
    """Return the knob."""
    settings: dict[str, Setting] = {"url": url, "high": 64.0, **more}
    opened = open_knob(
        "batch_size", [Connection("batch_size", "limiter", "chat", {"app": "chat"}, settings)]
    )
    opened.probe()
    return opened


@pytest.mark.parametrize("before", [None, 16])
def test_a_limit_and_no_limit_come_back(limiter: Limiter, url: str, before: int | None) -> None:
    """No limit counts as the highest."""
    limiter.state["limit"] = before
    opened = knob(url)
    was = opened.read("chat")
    assert isinstance(was, InForce)
    opened.write("chat", 8)

    assert (before or 64.0, InForce(8.0, text="8")) == (was.value, opened.read("chat"))
    opened.restore("chat", was.value, was.text)
    assert {"app": "chat", "limit": before} == limiter.state


def test_the_token_is_sent(limiter: Limiter, url: str, tmp_path: Path) -> None:
    """Without it the sentence says what the proxy has against it."""
    limiter.token = "letmein"  # noqa: S105 (of a fake)
    (tmp_path / "token").write_text("letmein\n")
    (tmp_path / "token").chmod(0o600)
    knob(url, token_file=str(tmp_path / "token")).write("chat", 8)
    assert 8 == limiter.state["limit"]

    with pytest.raises(KnobError, match="401: send the token; give a token"):
        knob(url).write("chat", 4)


@pytest.mark.parametrize("state", [{}, [], {"limit": True}, {"limit": "8"}])
def test_something_else_is_no_proxy(limiter: Limiter, url: str, state: object) -> None:
    """It is no target, and the note says why."""
    limiter.state = state  # type: ignore[assignment]
    note = knob(url).probe().note

    assert "is no proxy of ours" in note or "the proxy's limit is" in note
