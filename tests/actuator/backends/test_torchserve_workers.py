"""Sleep of a TorchServe model: no workers, and as many again as there were."""

from collections.abc import Iterator

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


def knob(url: str, model: str = "chat") -> Knob:
    """Return the knob of a model."""
    settings: dict[str, Setting] = {"url": url, "model": model}
    way = Connection("hibernate", "torchserve_workers", "chat", {"app": "chat"}, settings)
    opened = open_knob("hibernate", [way])
    opened.probe()
    return opened


def test_workers_end_and_as_many_come_back(torchserve: TorchServe, url: str) -> None:
    """Least and most; they are waited for."""
    opened = knob(url)
    was = opened.read("chat")
    opened.write("chat", 0.0)

    assert (InForce(1.0, text="2 4"), [0, 0]) == (was, torchserve.models["chat"])
    assert torchserve.asked[-1].endswith("min_worker=0&max_worker=0&synchronous=true")
    assert InForce(0.0, text="0 0") == opened.read("chat")
    assert isinstance(was, InForce)
    opened.restore("chat", was.value, was.text)
    assert [2, 4] == torchserve.models["chat"]


def test_who_is_awake_keeps_its_workers_and_who_had_none_gets_one(
    torchserve: TorchServe, url: str
) -> None:
    """A write of what is so already changes nothing."""
    torchserve.models["other"] = [0, 0]
    knob(url).write("chat", 1.0)
    knob(url, "other").write("chat", 1.0)

    assert {"chat": [2, 4], "other": [1, 1]} == torchserve.models


def test_workers_that_do_not_come_up_are_no_waking(torchserve: TorchServe, url: str) -> None:
    """TorchServe says which."""
    opened = knob(url)
    opened.write("chat", 0.0)
    torchserve.broken = "dead"
    with pytest.raises(KnobError, match="500: Failed to start workers") as raised:
        opened.restore("chat", 1.0, "2 4")

    assert Fault.REFUSED is raised.value.fault


def test_an_unknown_model_is_no_target(url: str) -> None:
    """The note has the server's words."""
    assert "404: Model not found: other" in knob(url, "other").probe().note
