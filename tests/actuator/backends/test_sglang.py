"""Sleep of SGLang: whoever comes, and whenever, nothing is asked of it that would end it."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from actuator.bench import Bench
from fakes.api import Reply, Request, serving
from fakes.sglang import Sglang
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError

PAUSE, CONTINUE = "/pause_generation", "/continue_generation"
RELEASE, RESUME = "/release_memory_occupation", "/resume_memory_occupation"
ASLEEP, AWAKE = InForce(0.0), InForce(1.0)


@pytest.fixture
def sglang() -> Sglang:
    """Return the server's state."""
    return Sglang()


@pytest.fixture
def url(sglang: Sglang) -> Iterator[str]:
    """Return where it listens."""
    with serving(sglang) as url:
        yield url


def knob(url: str, **more: Setting) -> Knob:
    """Return the knob."""
    settings: dict[str, Setting] = {"url": url, **more}
    opened = open_knob(
        "hibernate", [Connection("hibernate", "sglang", "chat", {"app": "chat"}, settings)]
    )
    opened.probe()
    return opened


def order(url: str, path: str, *tags: str) -> None:
    """Give an order as somebody else may, and not care what becomes of it."""
    with suppress(requests.RequestException):
        requests.post(f"{url}{path}", json={"mode": "retract", "tags": tags}, timeout=5)


def test_there_and_back_however_often_it_is_asked(sglang: Sglang, url: str) -> None:
    """Paused, then released; resumed, then let go on; once each."""
    opened = knob(url)
    seen = [opened.read("chat")]
    for value in (1.0, 0.0, 0.0, 1.0, 1.0):
        opened.write("chat", value)
        seen.append(opened.read("chat"))

    assert [AWAKE, AWAKE, ASLEEP, ASLEEP, AWAKE, AWAKE] == seen
    assert [PAUSE, RELEASE, RESUME, CONTINUE] == sglang.asked
    assert sglang.serves


def test_the_trap_is_there(sglang: Sglang, url: str) -> None:
    """What this fake dies of is what the real one dies of."""
    dead = []
    for orders in ((RELEASE, RELEASE), (RESUME,), (PAUSE, RELEASE, CONTINUE)):
        for each in orders:
            order(url, each)
        sglang.client()
        dead.append(sglang.dead)
        sglang.again()

    assert [True, True, True] == dead


def test_requests_keep_it_awake(sglang: Sglang, url: str) -> None:
    """Nothing at all was asked of it."""
    opened = knob(url)
    sglang.waiting = 3
    with pytest.raises(KnobError, match="3 requests are in flight") as raised:
        opened.write("chat", 0.0)

    assert (Fault.BUSY, [], AWAKE) == (raised.value.fault, sglang.asked, opened.read("chat"))


def test_a_request_that_slips_in_lets_it_go_on(sglang: Sglang, url: str) -> None:
    """It came before the pause: a release would end the server."""
    opened = knob(url)
    sglang.slips_in = 1
    with pytest.raises(KnobError, match="1 requests are in flight"):
        opened.write("chat", 0.0)

    assert ([PAUSE, CONTINUE], True) == (sglang.asked, sglang.serves)


def test_what_comes_while_it_sleeps_is_answered_after_the_wake(sglang: Sglang, url: str) -> None:
    """A probe of its health, too, which fails meanwhile: it has to say that it is well again."""
    opened = knob(url)
    opened.write("chat", 0.0)
    sglang.client()
    assert 503 == requests.get(f"{url}/health", timeout=5).status_code
    opened.write("chat", 1.0)

    assert (AWAKE, 0, False) == (opened.read("chat"), sglang.waiting, sglang.dead)


def test_a_pause_of_one_who_died_ends(sglang: Sglang, url: str) -> None:
    """Before it came to the release: nobody is served, so it is not awake."""
    opened = knob(url)
    order(url, PAUSE)
    seen = opened.read("chat")
    opened.restore("chat", 1.0, "")

    assert (ASLEEP, AWAKE, [PAUSE, CONTINUE]) == (seen, opened.read("chat"), sglang.asked)


class Mortal:
    """A server between which and its client the wire is cut after so many requests."""

    def __init__(self, sglang: Sglang, last: int, *, heard: bool) -> None:
        self._sglang, self._left, self._heard = sglang, last, heard

    def __call__(self, request: Request) -> Reply:
        """Answer, as long as the wire holds; the last one may be heard by nobody."""
        self._left -= 1
        if self._left > 0 or (self._left == 0 and self._heard):
            reply = self._sglang(request)
        if self._left > 0:
            return reply
        raise ConnectionError


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("last", range(1, 22))
def test_a_way_that_ends_anywhere_is_undone_by_who_comes_later(
    sglang: Sglang, last: int, heard: bool
) -> None:
    """After each request, whether it came or not; the journal says no more than `awake`."""
    with serving(Mortal(sglang, last, heard=heard)) as url, suppress(KnobError):
        opened = knob(url)
        opened.write("chat", 0.0)
        opened.read("chat")
        opened.restore("chat", 1.0, "")
        opened.read("chat")
    with serving(sglang) as url:
        later = knob(url)
        later.restore("chat", 1.0, "")

        assert (AWAKE, True) == (later.read("chat"), sglang.serves)


@pytest.mark.parametrize("path", [RELEASE, RESUME])
def test_an_order_under_way_is_waited_for(sglang: Sglang, url: str, path: str) -> None:
    """Whoever gave it is dead; it goes on, and a second one would end the server."""
    opened = knob(url)
    opened.write("chat", 0.0)
    if path == RELEASE:
        opened.write("chat", 1.0)
    sglang.silent = True
    order(url, PAUSE)
    order(url, path, "kv_cache", "weights")
    asked = len(sglang.asked)
    for act in (opened.read, lambda target: opened.restore(target, 1.0, "")):
        with pytest.raises(KnobError, match="is under way") as raised:
            act("chat")
        assert Fault.BUSY is raised.value.fault

    assert (asked, False) == (len(sglang.asked), sglang.dead)


def test_a_server_that_was_started_anew_is_awake(sglang: Sglang, url: str, tmp_path: Path) -> None:
    """Its counts begin anew with it: nothing is resumed that is there."""
    bench = Bench(tmp_path, "hibernate", lambda: knob(url))
    assert Reason.APPLIED is bench.act(0.0).reason
    sglang.again()
    bench.writer.restore()

    assert ((), True, [PAUSE, RELEASE]) == (bench.journal.undos(), sglang.serves, sglang.asked)
    bench.close()


@pytest.mark.parametrize(
    "orders",
    [
        [(PAUSE, ()), (RELEASE, ("kv_cache",)), (RELEASE, ("weights",))],
        [
            (PAUSE, ()),
            (RELEASE, ("kv_cache", "weights")),
            (RESUME, ("weights",)),
            (RESUME, ("kv_cache",)),
        ],
    ],
)
def test_one_that_somebody_else_turns_is_left_alone(
    sglang: Sglang, url: str, orders: list[tuple[str, tuple[str, ...]]]
) -> None:
    """In parts, as trainers do: what it holds is not certain any more."""
    opened = knob(url)
    for path, tags in orders:
        order(url, path, *tags)
    sglang.asked.clear()
    for act in (opened.read, lambda target: opened.restore(target, 1.0, "")):
        with pytest.raises(KnobError, match="somebody else turns it, too") as raised:
            act("chat")
        assert Fault.REFUSED is raised.value.fault

    assert ([], False) == (sglang.asked, sglang.dead)


def test_an_order_that_failed_leaves_it_unknown(sglang: Sglang, url: str) -> None:
    """It may have been carried out in part."""
    opened = knob(url)
    sglang.counts |= {
        f'requests_total{{endpoint="{RELEASE}",method="POST"}}': 1,
        f'responses_total{{endpoint="{RELEASE}",method="POST",status_code="400"}}': 1,
    }
    with pytest.raises(KnobError, match="start it anew"):
        opened.write("chat", 0.0)

    assert [] == sglang.asked


def test_orders_that_were_refused_do_not_count(sglang: Sglang, url: str, tmp_path: Path) -> None:
    """Somebody without the key; with it, it sleeps."""
    sglang.key = "open sesame"
    for path in (RELEASE, RESUME):
        order(url, path)
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("open sesame\n")
    opened = knob(url, token_file=str(token))
    opened.write("chat", 0.0)

    assert (ASLEEP, [PAUSE, RELEASE]) == (opened.read("chat"), sglang.asked)
    assert "give its --api-key as token" in knob(url).probe().note


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("version", "0.5.22", "is SGLang 0.5.22"),
        ("enable_memory_saver", False, "start it with --enable-memory-saver"),
        ("enable_weights_cpu_backup", False, "or its weights are lost"),
        ("pp_size", 2, "a pause does not reach the stages"),
        ("dp_size", 2, "its dp_size is 2, not 1"),
        ("tokenizer_worker_num", 4, "reach all of its requests at once"),
        ("disaggregation_mode", "decode", "requests of another server"),
        ("speculative_algorithm", "EAGLE", "its draft model"),
        ("enable_hierarchical_cache", True, "its cache may be at work"),
        ("weight_cache_mode", "daemon", "shared with others"),
    ],
)
def test_one_whose_steps_are_not_all_known_is_no_target(
    sglang: Sglang, url: str, key: str, value: Setting, words: str
) -> None:
    """Nor is it put to sleep when it was started so after it was looked at."""
    opened = knob(url)
    sglang.info[key] = value
    with pytest.raises(KnobError, match="is") as raised:
        opened.write("chat", 0.0)

    assert words in knob(url).probe().note
    assert (Fault.UNSUPPORTED, []) == (raised.value.fault, sglang.asked)


def test_without_its_metrics_it_is_no_target(sglang: Sglang, url: str) -> None:
    """They are the only ones who know."""
    sglang.metrics = False

    assert "with --enable-metrics" in knob(url).probe().note


def test_what_is_no_sglang_is_no_target() -> None:
    """It answers, but not with what is asked for."""
    with serving(lambda _: Reply(200, {})) as url:
        assert "is it SGLang?" in knob(url).probe().note
