"""Sleep of a model of Ollama: gone from memory when that has been seen, and pinned when awake."""

from collections.abc import Iterator

import pytest

from fakes.api import serving
from fakes.ollama import Ollama
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.knobs.ollama import Ollama as OllamaKnob
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError


@pytest.fixture
def ollama() -> Ollama:
    """Return the server's state."""
    return Ollama()


@pytest.fixture
def url(ollama: Ollama) -> Iterator[str]:
    """Return where it listens."""
    with serving(ollama) as url:
        yield url


def way(url: str, model: str = "chat", **more: Setting) -> Connection:
    """Return the connection to a model."""
    settings: dict[str, Setting] = {"url": url, "model": model, **more}
    return Connection("hibernate", "ollama", "chat", {"app": "chat"}, settings)


def knob(url: str, model: str = "chat", **more: Setting) -> Knob:
    """Return the knob of a model."""
    opened = open_knob("hibernate", [way(url, model, **more)])
    opened.probe()
    return opened


@pytest.mark.parametrize("model", ["chat", "chat:latest", "hf.co/me/chat:q4"])
def test_a_model_leaves_and_comes_back(ollama: Ollama, url: str, model: str) -> None:
    """By the whole name that Ollama lists it under; it leaves when its requests are done."""
    ollama.models.append("hf.co/me/chat:q4")
    ollama.loaded["hf.co/me/chat:q4"], ollama.requests = "5m", 4
    opened = knob(url, model)
    seen = [opened.read("chat")]
    for value in (0.0, 1.0):
        opened.write("chat", value)
        seen.append(opened.read("chat"))

    assert [InForce(1.0), InForce(0.0), InForce(1.0)] == seen
    assert -1 == ollama.loaded[model if ":" in model else f"{model}:latest"]


@pytest.mark.parametrize(("given", "kept"), [("30m", "30m"), ("3600", 3600), ("-1", -1)])
def test_how_long_it_stays_may_be_said(
    ollama: Ollama, url: str, given: str, kept: str | int
) -> None:
    """Ollama takes a number of seconds as a number only."""
    opened = knob(url, keep_alive=given)
    opened.write("chat", 1.0)
    assert "5m" == ollama.loaded["chat:latest"]  # it is awake: left alone
    opened.write("chat", 0.0)
    opened.write("chat", 1.0)

    assert kept == ollama.loaded["chat:latest"]


def test_a_model_that_still_answers_is_busy(ollama: Ollama, url: str) -> None:
    """The answer to the unload came at once."""
    ollama.requests = 1000
    opened = OllamaKnob(way(url), patience_seconds=0.0)
    with pytest.raises(KnobError, match="chat:latest still answers") as raised:
        opened.write("chat", 0.0)

    assert (Fault.BUSY, InForce(1.0)) == (raised.value.fault, opened.read("chat"))


def test_an_unknown_model_is_no_target(ollama: Ollama, url: str) -> None:
    """It would seem to sleep for ever."""
    assert "has no model other:latest" in knob(url, "other").probe().note
    opened = knob(url)
    opened.write("chat", 0.0)
    ollama.models.clear()
    with pytest.raises(KnobError, match="404: model 'chat:latest' not found; run: ollama pull"):
        opened.write("chat", 1.0)


def test_a_duration_that_is_none_is_told_in_its_words(url: str) -> None:
    """What it makes of it is Ollama's to say."""
    opened = knob(url, keep_alive="long")
    opened.write("chat", 0.0)
    with pytest.raises(KnobError, match='400: time: invalid duration "long"') as raised:
        opened.write("chat", 1.0)

    assert Fault.REFUSED is raised.value.fault


def test_a_gate_before_it_gets_its_token(
    ollama: Ollama, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ollama itself asks for none."""
    ollama.token = "letmein"  # noqa: S105 (of a fake)
    monkeypatch.setenv("GATE", "letmein")
    knob(url, token_env="GATE").write("chat", 0.0)  # noqa: S106 (the variable's name)

    assert {} == ollama.loaded
    assert "401" in knob(url).probe().note
