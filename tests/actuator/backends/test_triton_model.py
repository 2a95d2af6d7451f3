"""Sleep of a Triton model: unloaded, waited for, and back with the config that it had."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from actuator.bench import Bench
from fakes.api import serving
from fakes.triton import CHAT, Triton, config
from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.acting.writer import Writer
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.knobs.triton_model import TritonModel
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError

LARGE = {**CHAT, "max_batch_size": 64}


@pytest.fixture
def triton() -> Triton:
    """Return the server's state."""
    return Triton()


@pytest.fixture
def url(triton: Triton) -> Iterator[str]:
    """Return where it listens."""
    with serving(triton) as url:
        yield url


def way(url: str, model: str = "chat", **more: Setting) -> Connection:
    """Return the connection to a model."""
    settings: dict[str, Setting] = {"url": url, "model": model}
    return Connection("hibernate", "triton_model", "chat", {"app": "chat"}, {**settings, **more})


def knob(url: str, **more: str) -> Knob:
    """Return the knob of the model `chat`."""
    opened = open_knob("hibernate", [way(url, **more)])
    opened.probe()
    return opened


def found(knob: Knob) -> InForce:
    """Return what is in force."""
    reading = knob.read("chat")
    assert isinstance(reading, InForce)
    return reading


def test_a_write_ends_when_the_index_says_that_it_is_unloaded(triton: Triton, url: str) -> None:
    """The 200 comes before."""
    opened = knob(url)
    opened.write("chat", 0.0)

    assert ({}, {}) == (triton.models, triton.leaving)
    assert InForce(0.0) == found(opened)


def test_a_model_without_an_override_is_loaded_once(triton: Triton, url: str) -> None:
    """As its file says, so that a later change of the file counts."""
    opened = knob(url)
    was = found(opened)
    opened.write("chat", 0.0)
    opened.restore("chat", was.value, was.text)

    assert (1, CHAT, was) == (len(triton.loads), triton.models["chat"], found(opened))


@pytest.mark.parametrize("file", [CHAT, {**CHAT, "max_batch_size": -1}])
def test_an_override_comes_back_and_outlives_its_file(
    triton: Triton, url: str, file: dict[str, object]
) -> None:
    """Where the file gives another config, or none that can be loaded any more."""
    triton.models["chat"], triton.files["chat"] = LARGE, file
    opened = knob(url)
    was = found(opened)
    opened.write("chat", 0.0)
    opened.restore("chat", was.value, was.text)

    assert LARGE == triton.models["chat"]


def test_a_model_on_its_way_is_neither_asleep_nor_awake(triton: Triton, url: str) -> None:
    """What is not known tightens nothing."""
    triton.looks = 1000
    opened = TritonModel(way(url), patience_seconds=0.0)
    with pytest.raises(KnobError, match="chat is not unloaded after 0 s") as late:
        opened.write("chat", 0.0)
    with pytest.raises(KnobError, match="chat is unloading") as raised:
        opened.read("chat")

    assert {Fault.BUSY} == {late.value.fault, raised.value.fault}


def test_what_was_never_loaded_is_asleep_and_a_write_loads_it(triton: Triton, url: str) -> None:
    """And what is awake already is left alone: a load would take what its file says by now."""
    triton.files["other"] = config("other")
    opened = open_knob("hibernate", [way(url, "other")])
    opened.probe()
    before = found_of(opened)
    opened.write("chat", 1.0)
    opened.write("chat", 1.0)

    assert ((0.0, 1.0), 1) == ((before, found_of(opened)), len(triton.loads))


def found_of(knob: Knob) -> float:
    """Return the level."""
    return found(knob).value


def test_a_restricted_api_gets_its_header(triton: Triton, url: str, tmp_path: Path) -> None:
    """A secret from a file."""
    triton.header = ("admin-key", "letmein")
    (tmp_path / "key").write_text("letmein\n")
    (tmp_path / "key").chmod(0o600)
    knob(url, header="admin-key", header_value_file=str(tmp_path / "key")).write("chat", 0.0)

    assert {} == triton.models
    assert "--http-restricted-api" in knob(url).probe().note


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_server_in_another_mode_says_which_it_takes(
    triton: Triton, url: str, value: float
) -> None:
    """It may neither load nor unload."""
    opened = knob(url)
    was = found(opened)
    triton.mode = "poll"
    with pytest.raises(KnobError, match="--model-control-mode=explicit") as raised:
        opened.restore("chat", value, was.text)

    assert Fault.UNSUPPORTED is raised.value.fault


def test_a_model_that_does_not_come_up_says_why(triton: Triton, url: str) -> None:
    """With its server's words."""
    opened = knob(url)
    opened.write("chat", 0.0)
    triton.broken = "UNAVAILABLE state"
    with pytest.raises(KnobError, match=r"400: load failed .* UNAVAILABLE state") as raised:
        opened.write("chat", 1.0)

    assert Fault.REFUSED is raised.value.fault


def test_an_unknown_model_is_no_target(url: str) -> None:
    """Triton itself would say 200 to whatever name."""
    opened = open_knob("hibernate", [way(url, "none")])

    assert "has no model none" in opened.probe().note


def test_it_is_woken_before_its_batches_are_put_back(
    triton: Triton, url: str, tmp_path: Path
) -> None:
    """Asleep it has no batches; awake it has those that we gave it, and then its own."""
    size: dict[str, Setting] = {"field": "max_batch_size", "low": 1.0, "high": 64.0}
    batches = Connection("batch_size", "triton", "chat", {}, {"url": url, "model": "chat", **size})
    for name, value in (("batch_size", 16.0), ("hibernate", 0.0)):
        bench = Bench(tmp_path, name, partial(open_knob, name, [batches, way(url)]))
        assert Reason.APPLIED is bench.act(value).reason
        bench.close()
    bench.start()
    hands = Hands(lambda name, _: open_knob(name, [batches, way(url)]))
    done = Writer(bench.journal, hands, bench.clock).restore()

    assert [("hibernate", Reason.RESTORED), ("batch_size", Reason.RESTORED)] == [
        (each.knob, each.reason) for each in done
    ]
    assert (CHAT, ()) == (triton.models["chat"], bench.journal.undos())
    hands.close()
    bench.close()
