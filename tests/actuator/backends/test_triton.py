"""The size of a Triton model's batches: loaded anew with a whole config, and back as it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.api import serving
from fakes.triton import CHAT, Triton, config
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError


@pytest.fixture
def triton() -> Triton:
    """Return the server's state."""
    return Triton()


@pytest.fixture
def url(triton: Triton) -> Iterator[str]:
    """Return where it listens."""
    with serving(triton) as url:
        yield url


class Ticking:
    """A clock on which each look takes a second."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        self.seconds += 1
        return self.seconds


def knob(url: str, clock: Ticking | None = None, **more: Setting) -> Knob:
    """Return the knob of the model `chat`, where no load costs anything unless there is a clock."""
    settings: dict[str, Setting] = {
        "url": url,
        "model": "chat",
        "field": "max_batch_size",
        "low": 1.0,
        "high": 64.0,
    }
    way = Connection("batch_size", "triton", "chat", {"app": "chat"}, {**settings, **more})
    machine = Machine(steady=clock or (lambda: 0.0))
    opened = open_knob("batch_size", [way], machine)
    opened.probe()
    return opened


def found(knob: Knob) -> InForce:
    """Return what is in force."""
    reading = knob.read("chat")
    assert isinstance(reading, InForce)
    return reading


def fault(knob: Knob, value: float = 4.0) -> KnobError:
    """Return what a write fails with."""
    with pytest.raises(KnobError) as raised:
        knob.write("chat", value)
    return raised.value


@pytest.mark.parametrize(
    ("value", "preferred"), [(4, [4]), (8, [8]), (16, [8, 16]), (32, [8, 32]), (64, [8, 64])]
)
def test_only_the_size_changes_and_the_preferred_ones_fit(
    triton: Triton, url: str, value: int, preferred: list[int]
) -> None:
    """Everything else of the config is given again: what is left out would be lost."""
    opened = knob(url)
    before = found(opened)
    opened.write("chat", value)

    batching = {**CHAT["dynamic_batching"], "preferred_batch_size": preferred}
    assert {**CHAT, "max_batch_size": value, "dynamic_batching": batching} == triton.models["chat"]
    assert (32.0, float(value)) == (before.value, found(opened).value)

    opened.restore("chat", before.value, before.text)
    assert CHAT == triton.models["chat"]


def test_what_somebody_else_changed_meanwhile_stays(triton: Triton, url: str) -> None:
    """Putting back is about what we have changed only."""
    opened = knob(url)
    before = found(opened)
    opened.write("chat", 4)
    triton.models["chat"] = {**triton.models["chat"], "parameters": {"a": "b"}}
    opened.restore("chat", before.value, before.text)

    assert {**CHAT, "parameters": {"a": "b"}} == triton.models["chat"]


def test_the_number_of_instances(triton: Triton, url: str) -> None:
    """Only the count of the first group changes, so that the server need not unload."""
    opened = knob(url, field="instances")
    before = found(opened)
    opened.write("chat", 2)
    assert (4.0, 2.0) == (before.value, found(opened).value)
    assert {**CHAT, "instance_group": triton.models["chat"]["instance_group"]} == triton.models[
        "chat"
    ]
    opened.restore("chat", before.value, before.text)

    assert CHAT == triton.models["chat"]


def test_loading_takes_a_tenth_of_the_time_at_most_and_putting_back_never_waits(
    triton: Triton, url: str
) -> None:
    """The next load waits for ten times what the last one took, and says until when."""
    clock = Ticking()
    opened = knob(url, clock)
    before = found(opened)
    opened.write("chat", 16)
    error = fault(opened)

    assert Fault.BUSY is error.fault
    assert "loading chat took 1 s, so it is loaded again in 9 s at the earliest" in error.detail
    clock.seconds += 10
    opened.write("chat", 4)
    opened.restore("chat", before.value, before.text)
    assert [16, 4, 32] == [each["max_batch_size"] for each in triton.loads]


def test_a_restricted_api_gets_its_header(triton: Triton, url: str, tmp_path: Path) -> None:
    """A secret from a file; without it the sentence says which option of the server asks for it."""
    triton.header = ("admin-key", "letmein")
    (tmp_path / "key").write_text("letmein\n")
    (tmp_path / "key").chmod(0o600)
    opened = knob(url, header="admin-key", header_value_file=str(tmp_path / "key"))
    opened.write("chat", 4)

    assert 4.0 == found(opened).value
    assert "--http-restricted-api" in knob(url).probe().note
    assert "go together" in knob(url, header="admin-key").probe().note


@pytest.mark.parametrize(
    ("changes", "fault_", "words"),
    [
        ({"mode": "none"}, Fault.UNSUPPORTED, "start tritonserver with --model-control-mode=expl"),
        ({"broken": "UNAVAILABLE state"}, Fault.REFUSED, "400: load failed .* UNAVAILABLE state"),
        ({"models": {}}, Fault.LOST, "404: Request for unknown model: 'chat' .*; load the model"),
        ({"models": {"chat": config("chat")}}, Fault.UNSUPPORTED, "takes no batches"),
        ({"models": {"chat": {}}}, Fault.UNSUPPORTED, "has no max_batch_size"),
        ({"models": {"chat": []}}, Fault.LOST, "gave no config of a model"),
    ],
)
def test_errors_say_what_to_do(
    triton: Triton, url: str, changes: dict[str, object], fault_: Fault, words: str
) -> None:
    """The old model serves on after all of them."""
    opened = knob(url)
    for name, value in changes.items():
        setattr(triton, name, value)

    with pytest.raises(KnobError, match=words) as raised:
        opened.write("chat", 4)
    assert fault_ is raised.value.fault


def test_a_config_that_the_server_refuses_points_to_its_log(triton: Triton, url: str) -> None:
    """It tells nobody else why."""
    triton.models["chat"] = {**CHAT, "dynamic_batching": {"preferred_batch_size": [0]}}

    assert "500: failed to load 'chat'" in fault(knob(url)).detail
    assert "log of tritonserver" in fault(knob(url)).detail
