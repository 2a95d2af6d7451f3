"""Sleep of vLLM: only when it has nothing to do, never twice, and never on its own word."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from actuator.bench import Bench
from fakes.api import Reply, serving
from fakes.vllm import Vllm
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError

SLEEP, WAKE = "/sleep?level=1&mode=keep", "/wake_up"


@pytest.fixture
def vllm() -> Vllm:
    """Return the server's state."""
    return Vllm()


@pytest.fixture
def url(vllm: Vllm) -> Iterator[str]:
    """Return where it listens."""
    with serving(vllm) as url:
        yield url


def knob(url: str, **more: Setting) -> Knob:
    """Return the knob."""
    settings: dict[str, Setting] = {"url": url, **more}
    way = Connection("hibernate", "vllm", "chat", {"app": "chat"}, settings)
    opened = open_knob("hibernate", [way])
    opened.probe()
    return opened


@pytest.mark.parametrize("empty", [True, False])
def test_there_and_back_whatever_its_answers_look_like(vllm: Vllm, url: str, empty: bool) -> None:
    """Up to 0.31 they are empty; what counts is what it says when it is asked again."""
    vllm.empty = empty
    opened = knob(url)
    seen = [opened.read("chat")]
    for value in (0.0, 1.0):
        opened.write("chat", value)
        seen.append(opened.read("chat"))

    assert [InForce(1.0), InForce(0.0), InForce(1.0)] == seen
    assert [SLEEP, WAKE] == vllm.asked


def test_nothing_is_asked_of_it_twice(vllm: Vllm, url: str) -> None:
    """It is read before each call."""
    opened = knob(url)
    for value in (1.0, 0.0, 0.0, 1.0, 1.0):
        opened.write("chat", value)

    assert [SLEEP, WAKE] == vllm.asked


@pytest.mark.parametrize("where", ["running", "waiting"])
def test_a_request_keeps_it_awake(vllm: Vllm, url: str, where: str) -> None:
    """One at work, and one in its queue; older versions would abort it."""
    opened = knob(url)
    setattr(vllm, where, 3)
    with pytest.raises(KnobError, match="3 requests run or wait") as raised:
        opened.write("chat", 0.0)

    assert (Fault.BUSY, []) == (raised.value.fault, vllm.asked)


def test_a_wake_does_not_fall_into_a_sleep_that_is_to_come(vllm: Vllm, url: str) -> None:
    """Somebody else's order waits for a request: it would come after the wake, and undo it."""
    opened = knob(url)
    vllm.running = 1
    requests.post(f"{url}/sleep?mode=wait", timeout=5)
    with pytest.raises(KnobError, match="would undo a wake") as raised:
        opened.restore("chat", 1.0, "")
    assert (Fault.BUSY, InForce(0.0)) == (raised.value.fault, opened.read("chat"))
    vllm.drained()
    opened.restore("chat", 1.0, "")

    assert InForce(1.0) == opened.read("chat")
    assert ["/sleep?mode=wait", WAKE] == vllm.asked


def test_one_that_counts_no_requests_stays_awake(vllm: Vllm, url: str) -> None:
    """Not known is not idle."""
    vllm.counts = False
    with pytest.raises(KnobError, match="without --disable-log-stats") as raised:
        knob(url).write("chat", 0.0)

    assert (Fault.UNSUPPORTED, []) == (raised.value.fault, vllm.asked)


def test_without_its_development_mode_it_is_no_target(vllm: Vllm, url: str) -> None:
    """The note says how to start it, and who may reach it then."""
    vllm.dev = False

    assert "VLLM_SERVER_DEV_MODE=1" in knob(url).probe().note
    assert "404: " in knob(url).probe().note


def test_a_wake_that_is_none_is_refused(vllm: Vllm, url: str, tmp_path: Path) -> None:
    """It says 200 and sleeps on; the undo stays open."""
    bench = Bench(tmp_path, "hibernate", lambda: knob(url))
    assert Reason.APPLIED is bench.act(0.0).reason
    vllm.stuck = True
    (decision,) = bench.writer.restore()

    assert (Reason.REFUSED, 1) == (decision.reason, len(bench.journal.undos()))
    assert "accepted 1 level and still reads 0 level" in decision.detail
    bench.close()


def test_what_is_no_vllm_is_no_target() -> None:
    """It answers, but not with what is asked for."""
    with serving(lambda _: Reply(200, {"is_sleeping": None})) as other:
        assert "is it vLLM?" in knob(other).probe().note
