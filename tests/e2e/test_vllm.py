"""A real vLLM: it sleeps when nothing is in flight, loses no request, and wakes after a crash."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

import vllm
from actuator.bench import Bench
from fakes import api
from fakes.child import in_a_child
from fakes.vllm import Vllm
from vllm import Asking
from waiting import until
from wattgov_actuator.connection import Connection
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError
from wattgov_stack.ask import direct

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("vllm")]

LONG, SHORT = 1500, 5  # tokens; the long one takes seconds
RUNNING, FALLING = (
    f"vllm:{each}"
    for each in ("num_requests_running", 'sleep_mode_operations_in_flight{operation="sleep"')
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return where the real server listens."""
    with vllm.serving(tmp_path_factory.mktemp("vllm")) as url:
        yield url


def knob(url: str) -> Knob:
    """Return the knob."""
    way = Connection("hibernate", "vllm", "chat", {"app": "chat"}, {"url": url}, 60.0)
    opened = open_knob("hibernate", [way])
    opened.probe()
    return opened


def said(url: str, verb: str, path: str) -> tuple[int, object]:
    """Return the status of an answer, and what it says where it is a good one."""
    answer = direct().request(verb, f"{url}{path}", timeout=60)
    return answer.status_code, answer.json() if answer.ok else None


def test_the_fake_answers_as_vllm_does(url: str) -> None:
    """To what may be asked, to what may not, and to what is asked again."""
    asked = [
        ("GET", "/is_sleeping"),
        ("POST", "/sleep?level=9"),
        ("POST", "/sleep?mode=softly"),
        ("GET", "/sleep"),
        ("POST", "/sleep?level=1&mode=keep"),
        ("POST", "/sleep?level=1&mode=keep"),
        ("GET", "/is_sleeping"),
        ("POST", "/wake_up"),
        ("POST", "/wake_up"),
        ("GET", "/is_sleeping"),
        ("GET", "/wakeup"),
    ]
    with api.serving(Vllm()) as fake:
        assert [said(url, *each) for each in asked] == [said(fake, *each) for each in asked]


def test_what_runs_keeps_it_awake_and_what_comes_later_waits(url: str) -> None:
    """Busy, then asleep; a request hangs, shows in no metric, and is answered after the wake."""
    opened, first = knob(url), Asking(url, LONG)
    until(lambda: vllm.metric(url, RUNNING), "a request at work")
    with pytest.raises(KnobError, match="1 requests run or wait") as raised:
        opened.write("chat", 0.0)
    assert Fault.BUSY is raised.value.fault
    assert first.answered()
    until(lambda: vllm.metric(url, RUNNING) == 0, "no request")
    opened.write("chat", 0.0)
    later = Asking(url, SHORT)
    assert (InForce(0.0), True, 0.0) == (
        opened.read("chat"),
        vllm.healthy(url),
        vllm.metric(url, RUNNING),
    )
    opened.write("chat", 1.0)

    assert InForce(1.0) == opened.read("chat")
    assert later.answered()


def test_what_slips_in_before_it_sleeps_is_kept(url: str) -> None:
    """As if it had not slept: to the letter."""
    whole = Asking(url, LONG).answered()
    slipped = Asking(url, LONG)
    until(lambda: vllm.metric(url, RUNNING), "a request at work")
    assert 200 == said(url, "POST", "/sleep?level=1&mode=keep")[0]
    opened = knob(url)
    assert (InForce(0.0), "") == (opened.read("chat"), slipped.text)
    opened.write("chat", 1.0)

    assert whole == slipped.answered() != ""


def test_a_wake_waits_for_a_sleep_that_is_to_come(url: str) -> None:
    """The server itself would say `awake`, and sleep when its last request ends."""
    opened, running = knob(url), Asking(url, LONG)
    until(lambda: vllm.metric(url, RUNNING), "a request at work")
    with pytest.raises(requests.Timeout):
        direct().post(f"{url}/sleep?mode=wait", timeout=0.5)
    assert (InForce(0.0), 1.0) == (opened.read("chat"), vllm.metric(url, FALLING))
    with pytest.raises(KnobError, match="would undo a wake"):
        opened.restore("chat", 1.0, "")
    assert said(url, "POST", "/wake_up") == (200, {"status": "awake", "tags": None})
    assert running.answered()
    until(lambda: vllm.metric(url, FALLING) == 0, "the sleep that was to come")
    assert InForce(0.0) == opened.read("chat")  # this is the trap
    opened.restore("chat", 1.0, "")

    assert InForce(1.0) == opened.read("chat")
    assert Asking(url, SHORT).answered()


def test_an_actuator_that_dies_wakes_it_at_its_next_start(url: str, tmp_path: Path) -> None:
    """The journal knew before the server did."""

    def work() -> None:
        bench = Bench(tmp_path, "hibernate", lambda: knob(url))
        assert Reason.APPLIED is bench.act(0.0).reason
        os.kill(os.getpid(), signal.SIGKILL)

    until(lambda: vllm.metric(url, RUNNING) == 0, "no request")
    assert -signal.SIGKILL == in_a_child(work)
    assert InForce(0.0) == knob(url).read("chat")
    bench = Bench(tmp_path, "hibernate", lambda: knob(url))
    bench.writer.restore()

    assert ((), InForce(1.0)) == (bench.journal.undos(), knob(url).read("chat"))
    assert Asking(url, SHORT).answered()
    bench.close()
