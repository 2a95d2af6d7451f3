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
from wattgov_actuator.knobs.vllm_weights import NOTHING
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError
from wattgov_stack.ask import direct

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("vllm")]

LONG, SHORT = 1500, 5  # tokens; the long one takes seconds
RUNNING, FALLING = (
    f"vllm:{each}"
    for each in ("num_requests_running", 'sleep_mode_operations_in_flight{operation="sleep"')
)
DROPPED = 'vllm:engine_sleep_state{engine="0",model_name="chat",sleep_state="discard_all"'


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return where the real server listens."""
    with vllm.serving(tmp_path_factory.mktemp("vllm")) as url:
        yield url


@pytest.fixture
def summed(url: str) -> Iterator[str]:
    """Return it behind what leaves out the weights that a CPU packs where no sum finds them."""

    def answer(request: api.Request) -> api.Reply:
        found = direct().request(
            request.verb,
            f"{url}{request.path}",
            data=request.body,
            headers={"Content-Type": "application/json"},
            timeout=300,
        )
        content: object = found.content
        if request.path == "/weight_checker" and found.ok:
            sums = found.json()["checksums"]
            content = {"checksums": {key: each for key, each in sums.items() if each != NOTHING}}
        return api.Reply(
            found.status_code, content, {"Content-Type": found.headers["Content-Type"]}
        )

    with api.serving(answer) as relay:
        yield relay


def knob(url: str, level: str = "1") -> Knob:
    """Return the knob."""
    settings = {"url": url, "level": level}
    way = Connection("hibernate", "vllm", "chat", {"app": "chat"}, settings, 60.0)
    opened = open_knob("hibernate", [way])
    opened.probe()
    return opened


def said(url: str, verb: str, path: str, body: object = None) -> tuple[int, object]:
    """Return the status of an answer, and what it says where it is a good one."""
    answer = direct().request(verb, f"{url}{path}", json=body, timeout=60)
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


def test_the_fake_drops_and_loads_weights_as_vllm_does(url: str) -> None:
    """Each step, and what may not be asked; a CPU drops none, so they are zeroed by hand."""
    checker, rpc = ("POST", "/weight_checker"), ("POST", "/collective_rpc")
    asked: list[tuple[str, str, object]] = [
        ("POST", "/sleep?level=2&mode=keep", None),
        ("POST", "/wake_up?tags=weights", None),
        ("POST", "/wake_up?tags=weights", None),
        ("GET", "/is_sleeping", None),
        (*checker, {"action": "reset"}),
        (*rpc, {"method": "no_such_thing"}),
        (*rpc, {}),
        (*rpc, {"method": "reload_weights"}),
        (*rpc, {"method": "reload_weights"}),
        ("POST", "/wake_up?tags=kv_cache", None),
        ("GET", "/is_sleeping", None),
    ]
    with api.serving(Vllm()) as fake:
        assert [said(url, *each) for each in asked] == [said(fake, *each) for each in asked]


def test_weights_that_were_dropped_come_back_the_same(
    url: str, summed: str, tmp_path: Path
) -> None:
    """After a crash, with zeros where they were: what is answered is the same to the letter."""
    before = Asking(url, LONG).answered()

    def work() -> None:
        bench = Bench(tmp_path, "hibernate", lambda: knob(summed, "2"))
        assert Reason.APPLIED is bench.act(0.0).reason
        os.kill(os.getpid(), signal.SIGKILL)

    until(lambda: vllm.metric(url, RUNNING) == 0, "no request")
    assert -signal.SIGKILL == in_a_child(work)
    assert 1.0 == vllm.metric(url, DROPPED)
    assert (200, {"status": "reset"}) == said(url, "POST", "/weight_checker", {"action": "reset"})
    later = Asking(url, LONG)
    bench = Bench(tmp_path, "hibernate", lambda: knob(summed, "2"))
    bench.writer.restore()

    assert () == bench.journal.undos()
    assert before == later.answered() == Asking(url, LONG).answered() != ""
    bench.close()


def test_weights_that_are_not_the_same_are_not_served(
    url: str, summed: str, tmp_path: Path
) -> None:
    """Their files have changed, or are gone: it stays asleep until they are back."""
    before = Asking(url, SHORT).answered()
    files = Path(str(said(url, "GET", "/v1/models")[1]["data"][0]["root"]))  # type: ignore[index]
    weights = files / "model.safetensors"
    kept = weights.read_bytes()
    bench = Bench(tmp_path, "hibernate", lambda: knob(summed, "2"))
    assert Reason.APPLIED is bench.act(0.0).reason
    weights.write_bytes(kept[:-64] + bytes(64))
    (decision,) = bench.writer.restore()
    assert (Reason.REFUSED, InForce(0.0)) == (decision.reason, knob(summed, "2").read("chat"))
    assert "other weights than it dropped" in decision.detail
    weights.unlink()
    (decision,) = bench.writer.restore()
    assert (Reason.REFUSED, InForce(0.0)) == (decision.reason, knob(summed, "2").read("chat"))
    assert "/collective_rpc answered 500" in decision.detail
    weights.write_bytes(kept)
    bench.writer.restore()

    assert () == bench.journal.undos()
    assert before == Asking(url, SHORT).answered() != ""
    bench.close()


def test_weights_that_somebody_dropped_are_not_woken(url: str) -> None:
    """The real metrics tell; then it is woken as its documentation says."""
    said(url, "POST", "/sleep?level=2&mode=keep")
    with pytest.raises(KnobError, match="somebody else had its weights dropped"):
        knob(url).write("chat", 1.0)
    said(url, "POST", "/wake_up?tags=weights")
    said(url, "POST", "/collective_rpc", {"method": "reload_weights"})
    said(url, "POST", "/wake_up?tags=kv_cache")

    assert Asking(url, SHORT).answered()


def test_weights_that_a_cpu_has_packed_are_not_dropped(url: str) -> None:
    """No sum of the real one finds them."""
    opened = knob(url, "2")
    with pytest.raises(KnobError, match="not summed; use level 1"):
        opened.write("chat", 0.0)

    assert Asking(url, SHORT).answered()
