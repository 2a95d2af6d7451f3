"""Sleep of vLLM without its weights: it comes back with the same ones, or not at all."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from actuator.bench import Bench
from fakes.api import Reply, Request, serving
from fakes.vllm import NOISE, Vllm
from wattgov_actuator.connection import Connection
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError

CHAT = "those of chat"
SUM, LOAD = "/weight_checker checksum", "/collective_rpc reload_weights"
SLEEP, GIVE, SERVE = "/sleep?level=2&mode=keep", "/wake_up?tags=weights", "/wake_up?tags=kv_cache"


@pytest.fixture
def vllm() -> Vllm:
    """Return the server's state."""
    return Vllm()


@pytest.fixture
def url(vllm: Vllm) -> Iterator[str]:
    """Return where it listens."""
    with serving(vllm) as url:
        yield url


def knob(url: str, level: str = "2") -> Knob:
    """Return the knob."""
    way = Connection("hibernate", "vllm", "chat", {"app": "chat"}, {"url": url, "level": level})
    opened = open_knob("hibernate", [way])
    opened.probe()
    return opened


def slept(url: str) -> str:
    """Send it to sleep; return what was read before."""
    opened = knob(url)
    found = opened.read("chat")
    assert isinstance(found, InForce)
    opened.write("chat", 0.0)
    return found.text


def test_it_drops_its_weights_and_loads_the_same_ones(vllm: Vllm, url: str) -> None:
    """Their sum is taken before, and looked at before anybody is served."""
    text = slept(url)
    assert (NOISE, "", True) == (vllm.weights, vllm.kept, len(text) == 64)
    knob(url).restore("chat", 1.0, text)

    assert [SUM, SUM, SLEEP, GIVE, LOAD, SUM, SERVE] == vllm.asked
    assert (CHAT, InForce(1.0, text=text)) == (vllm.serves, knob(url).read("chat"))


def test_other_weights_are_never_served(vllm: Vllm, url: str, tmp_path: Path) -> None:
    """A load that says 200: it stays asleep, and the undo open, until its files are back."""
    bench = Bench(tmp_path, "hibernate", lambda: knob(url))
    assert Reason.APPLIED is bench.act(0.0).reason
    vllm.files = "those of somebody else"
    (decision,) = bench.writer.restore()
    assert (Reason.REFUSED, "nothing") == (decision.reason, vllm.serves)
    assert "other weights than it dropped" in decision.detail
    assert 1 == len(bench.journal.undos())
    vllm.files = CHAT
    bench.writer.restore()

    assert ((), CHAT) == (bench.journal.undos(), vllm.serves)
    bench.close()


class Mortal:
    """A server between which and its client the wire is cut after so many requests."""

    def __init__(self, vllm: Vllm, last: int, *, heard: bool) -> None:
        self._vllm, self._left, self._heard = vllm, last, heard

    def __call__(self, request: Request) -> Reply:
        """Answer, as long as the wire holds; the last one may be heard by nobody."""
        self._left -= 1
        if self._left > 0 or (self._left == 0 and self._heard):
            reply = self._vllm(request)
        if self._left > 0:
            return reply
        raise ConnectionError


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("last", range(1, 20))
def test_a_way_that_ends_anywhere_is_gone_from_the_start(
    vllm: Vllm, last: int, heard: bool
) -> None:
    """After each request, whether it came or not, another process brings the weights back."""
    with serving(vllm) as url:
        text = knob(url).read("chat").text  # type: ignore[union-attr]
    with serving(Mortal(vllm, last, heard=heard)) as url, suppress(KnobError):
        opened = knob(url)
        opened.read("chat")
        opened.write("chat", 0.0)
        opened.restore("chat", 1.0, text)
    assert vllm.serves in {"nothing", CHAT}
    with serving(vllm) as url:
        knob(url).restore("chat", 1.0, text)

    assert (CHAT, False, "awake") == (vllm.serves, vllm.dead, vllm.state)


def test_weights_that_have_changed_are_summed_anew_first(vllm: Vllm, url: str) -> None:
    """What is in the journal is the sum of those that are dropped."""
    opened = knob(url)
    opened.read("chat")
    vllm.weights = vllm.files = "those of a day later"
    with pytest.raises(KnobError, match="sleeps the next time") as raised:
        opened.write("chat", 0.0)
    assert (Fault.BUSY, False) == (raised.value.fault, vllm.sleeping)
    found = opened.read("chat")
    opened.write("chat", 0.0)
    knob(url).restore("chat", 1.0, found.text)  # type: ignore[union-attr]

    assert "those of a day later" == vllm.serves


def test_weights_that_no_sum_finds_are_not_dropped(vllm: Vllm, url: str) -> None:
    """As those that a CPU packs elsewhere: whether they came back could not be told."""
    vllm.packed = True
    opened = knob(url)
    assert [InForce(1.0), InForce(1.0)] == [opened.read("chat"), opened.read("chat")]
    with pytest.raises(KnobError, match="not summed; use level 1") as raised:
        opened.write("chat", 0.0)

    assert (Fault.UNSUPPORTED, CHAT) == (raised.value.fault, vllm.serves)


def test_no_sum_is_taken_while_requests_run(vllm: Vllm, url: str) -> None:
    """They would wait for it."""
    vllm.running = 2
    opened = knob(url)

    assert (InForce(1.0), []) == (opened.read("chat"), vllm.asked)


def test_a_request_that_comes_during_the_sum_keeps_it_awake(vllm: Vllm, url: str) -> None:
    """A sum takes its time."""
    opened = knob(url)
    opened.read("chat")
    vllm.comes = 1
    with pytest.raises(KnobError, match="1 requests run or wait"):
        opened.write("chat", 0.0)

    assert CHAT == vllm.serves


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"load_config": {"load_format": "dummy"}}, "load format dummy are not loaded again"),
        ({"model_config": {"quantization": "fp8"}}, "quantization is set"),
        ({"speculative_config": {"method": "eagle"}}, "leaves its draft model out"),
        ({"lora_config": {"max_loras": 1}}, "leaves its adapters out"),
    ],
)
def test_what_a_load_may_not_bring_back_is_no_target(
    vllm: Vllm, url: str, config: Mapping[str, object], words: str
) -> None:
    """Said before anything is dropped; level 1 is still there for it."""
    vllm.config = dict(config)

    assert words in knob(url).probe().note
    assert "use level 1" in knob(url).probe().note
    assert "" == knob(url, level="1").probe().note


@pytest.mark.parametrize("version", ["0.31.1", "0.9", "none", ""])
def test_an_older_one_is_no_target(vllm: Vllm, url: str, version: str) -> None:
    """Its weights cannot be summed."""
    vllm.version = version

    assert f"it is vLLM {version}; how it sleeps so" in knob(url).probe().note
    assert "" == knob(url, level="1").probe().note


def test_one_that_was_started_otherwise_since_is_left_awake(vllm: Vllm, url: str) -> None:
    """It is asked before each sleep."""
    opened = knob(url)
    opened.read("chat")
    vllm.config = {"load_config": {"load_format": "dummy"}}
    with pytest.raises(KnobError, match="load format dummy"):
        opened.write("chat", 0.0)

    assert CHAT == vllm.serves


@pytest.mark.parametrize("level", ["1", "2"])
def test_weights_that_somebody_else_dropped_are_not_woken(vllm: Vllm, url: str, level: str) -> None:
    """A wake would say 200, and serve garbage."""
    vllm(Request("POST", SLEEP, {}, b""))
    with pytest.raises(KnobError, match="load them, and wake it by hand") as raised:
        knob(url, level).write("chat", 1.0)

    assert (Fault.REFUSED, "nothing") == (raised.value.fault, vllm.serves)


def test_an_undo_stands_when_the_level_was_changed_meanwhile(vllm: Vllm, url: str) -> None:
    """What was dropped is in the journal, not in the rules."""
    text = slept(url)
    knob(url, level="1").restore("chat", 1.0, text)

    assert CHAT == vllm.serves
