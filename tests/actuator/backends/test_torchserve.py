"""The workers of a TorchServe model, with a token that changes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.api import serving
from fakes.torchserve import TorchServe
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError


@pytest.fixture
def torchserve() -> TorchServe:
    """Return the server's state."""
    return TorchServe()


@pytest.fixture
def url(torchserve: TorchServe) -> Iterator[str]:
    """Return where it listens."""
    with serving(torchserve) as url:
        yield url


def knob(url: str, model: str = "chat", **more: Setting) -> Knob:
    """Return the knob of a model."""
    settings: dict[str, Setting] = {"url": url, "model": model, "low": 1.0, "high": 8.0}
    way = Connection("batch_size", "torchserve", "chat", {"app": "chat"}, {**settings, **more})
    opened = open_knob("batch_size", [way])
    opened.probe()
    return opened


def test_workers_come_back_as_least_and_most(torchserve: TorchServe, url: str) -> None:
    """Set as one number, waited for."""
    opened = knob(url)
    (target,) = opened.probe().targets
    was = opened.read("chat")
    opened.write("chat", 3)

    assert ("workers", InForce(2.0, text="2 4")) == (target.unit, was)
    assert [3, 4] == torchserve.models["chat"]
    assert "PUT /models/chat?min_worker=3&max_worker=4&synchronous=true" == torchserve.asked[-1]
    opened.write("chat", 6)
    assert [6, 6] == torchserve.models["chat"]
    assert isinstance(was, InForce)
    opened.restore("chat", was.value, was.text)
    assert [2, 4] == torchserve.models["chat"]


def test_the_token_is_read_at_each_call(torchserve: TorchServe, url: str, tmp_path: Path) -> None:
    """TorchServe makes another each hour, and says 400 to the old one."""
    path = tmp_path / "key_file.json"

    def renew(token: str) -> None:
        torchserve.token = token
        path.write_text(json.dumps({"management": {"key": token}, "API": {"key": "x"}}, indent=2))
        path.chmod(0o600)

    renew("first")
    opened = knob(url, key_file=str(path))
    renew("second")
    opened.write("chat", 3)

    assert [3, 4] == torchserve.models["chat"]
    assert "400: Token Authorization failed" in knob(url).probe().note
    assert "give key_file" in knob(url).probe().note
    path.write_text("{}")
    with pytest.raises(KnobError, match="has no management key") as raised:
        opened.write("chat", 4)
    assert raised.value.fault is Fault.REFUSED


@pytest.mark.parametrize(
    ("broken", "fault", "words"),
    [
        ("slow", Fault.BUSY, "chat is still starting workers"),
        ("dead", Fault.REFUSED, "500: Failed to start workers; why is in the log of TorchServe"),
    ],
)
def test_workers_that_do_not_come_up(
    torchserve: TorchServe, url: str, broken: str, fault: Fault, words: str
) -> None:
    """A partial success is none."""
    opened = knob(url)
    torchserve.broken = broken
    with pytest.raises(KnobError, match=words) as raised:
        opened.write("chat", 3)

    assert raised.value.fault is fault


def test_a_key_that_does_not_change_may_be_in_a_variable(
    torchserve: TorchServe, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `--disable-token-auth` behind somebody's own gate."""
    torchserve.token = "letmein"  # noqa: S105 (of a fake)
    monkeypatch.setenv("TS_KEY", "letmein")
    knob(url, key_env="TS_KEY").write("chat", 3)

    assert [3, 4] == torchserve.models["chat"]


def test_an_unknown_model_is_no_target(url: str) -> None:
    """The note has the server's words."""
    assert "404: Model not found: other" in knob(url, "other").probe().note
