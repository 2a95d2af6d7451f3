"""Sleep of a model behind the router of llama.cpp, which answers before anything is done."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.api import serving
from fakes.llamacpp import LlamaCpp
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.knobs.llamacpp import LlamaCpp as LlamaCppKnob
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError


@pytest.fixture
def llamacpp() -> LlamaCpp:
    """Return the server's state."""
    return LlamaCpp()


@pytest.fixture
def url(llamacpp: LlamaCpp) -> Iterator[str]:
    """Return where it listens."""
    with serving(llamacpp) as url:
        yield url


def way(url: str, model: str = "chat", **more: Setting) -> Connection:
    """Return the connection to a model."""
    settings: dict[str, Setting] = {"url": url, "model": model, **more}
    return Connection("hibernate", "llamacpp", "chat", {"app": "chat"}, settings)


def knob(url: str, model: str = "chat", **more: Setting) -> Knob:
    """Return the knob of a model."""
    opened = open_knob("hibernate", [way(url, model, **more)])
    opened.probe()
    return opened


def test_a_model_ends_and_starts_and_both_are_waited_for(llamacpp: LlamaCpp, url: str) -> None:
    """What is so already is not asked for: the router would say 400."""
    opened = knob(url)
    seen = [opened.read("chat")]
    for value in (1.0, 0.0, 0.0, 1.0):
        opened.write("chat", value)
        assert {} == llamacpp.changing
        seen.append(opened.read("chat"))

    assert [InForce(each) for each in (1.0, 1.0, 0.0, 0.0, 1.0)] == seen


def test_a_model_that_sleeps_by_itself_is_there_for_a_request(llamacpp: LlamaCpp, url: str) -> None:
    """It is neither loaded, which would be a 400, nor ours to wake."""
    llamacpp.models["chat"] = "sleeping"
    opened = knob(url)
    opened.write("chat", 1.0)
    before = opened.read("chat")
    opened.write("chat", 0.0)

    assert (InForce(1.0, 0.0), "unloaded") == (before, llamacpp.models["chat"])


@pytest.mark.parametrize("state", ["loading", "downloading"])
def test_a_model_on_its_way_is_neither_asleep_nor_awake(
    llamacpp: LlamaCpp, url: str, state: str
) -> None:
    """What is not known tightens nothing."""
    llamacpp.models["chat"] = state
    with pytest.raises(KnobError, match=f"chat is {state}") as raised:
        knob(url).write("chat", 0.0)

    assert Fault.BUSY is raised.value.fault


def test_a_model_that_does_not_start_says_so(llamacpp: LlamaCpp, url: str) -> None:
    """The 200 came before; the reason is in the router's log. It may be tried again."""
    opened = knob(url)
    opened.write("chat", 0.0)
    llamacpp.broken = True
    with pytest.raises(KnobError, match=r"did not start: exit code 1; .*log") as raised:
        opened.write("chat", 1.0)
    assert Fault.REFUSED is raised.value.fault
    llamacpp.broken = False
    opened.write("chat", 1.0)

    assert InForce(1.0) == opened.read("chat")


def test_what_takes_too_long_is_busy(llamacpp: LlamaCpp, url: str) -> None:
    """Whoever waits knows that it is not through."""
    llamacpp.looks = 1000
    with pytest.raises(KnobError, match="chat is not unloaded after 0 s") as raised:
        LlamaCppKnob(way(url), patience_seconds=0.0).write("chat", 0.0)

    assert Fault.BUSY is raised.value.fault


def test_the_key_is_asked_for_and_sent(llamacpp: LlamaCpp, url: str, tmp_path: Path) -> None:
    """From a file; without it the note names the option of the server."""
    llamacpp.key = "letmein"
    (tmp_path / "key").write_text("letmein\n")
    (tmp_path / "key").chmod(0o600)
    knob(url, token_file=str(tmp_path / "key")).write("chat", 0.0)

    assert "unloaded" == llamacpp.models["chat"]
    assert "401: Invalid API Key; give the --api-key of llama-server" in knob(url).probe().note


def test_what_is_no_router_or_has_no_such_model_is_no_target(llamacpp: LlamaCpp, url: str) -> None:
    """The notes say what to do."""
    assert "has no model other" in knob(url, "other").probe().note
    llamacpp.router = False
    assert "start llama-server without -m" in knob(url).probe().note
