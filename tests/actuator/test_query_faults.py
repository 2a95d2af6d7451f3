"""Every fault of the proxy, as the query sees it: an answer in the end, and soon."""

import gc
import time
from collections.abc import Iterator

import pytest

from actuator.fakes import FakePrometheus
from fakes.faulty_proxy import FAULTS, REFUSED, WHOLE, FaultyProxy
from wattgov_actuator.query import LARGEST, Patience, Prometheus
from wattgov_actuator.reading import Answer, QueryFailure

HASTY = Patience(connect=5.0, read=1.0)
GIVES: dict[str, QueryFailure | None] = {
    WHOLE: None,
    REFUSED: QueryFailure.DOWN,
    "hangs": QueryFailure.TIMEOUT,
    "hangs in the body": QueryFailure.TIMEOUT,
    "trickles": QueryFailure.TIMEOUT,
    "trickles its header": QueryFailure.TIMEOUT,
    "late": None,
    "too late": QueryFailure.TIMEOUT,
    "500": QueryFailure.HTTP_5XX,
    "503": QueryFailure.HTTP_5XX,
    "429": QueryFailure.HTTP_4XX,
    "401": QueryFailure.DENIED,
    "HTML": QueryFailure.BAD_JSON,
    "redirect": QueryFailure.HTTP_3XX,
    "cut JSON": QueryFailure.BAD_JSON,
    "garbage": QueryFailure.BAD_JSON,
    "deep JSON": QueryFailure.BAD_JSON,
    "gzip garbage": QueryFailure.BAD_JSON,
    "wrong length": QueryFailure.DOWN,
    "reset": QueryFailure.DOWN,
    "flood": QueryFailure.TOO_LARGE,
    "empty vector": None,
    "NaN": None,
    "infinity": None,
    "no number": QueryFailure.BAD_JSON,
    "labels that are numbers": QueryFailure.BAD_JSON,
    "scalar": QueryFailure.NOT_A_VECTOR,
    "matrix": QueryFailure.NOT_A_VECTOR,
    "warnings": QueryFailure.PARTIAL,
    "isPartial": QueryFailure.PARTIAL,
}


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Leave no garbage of other tests: at the bottom of deep JSON its finalizers have no room."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def proxy(server: FakePrometheus) -> Iterator[FaultyProxy]:
    """Return a proxy before a Prometheus that knows one series."""
    server.answers["up"] = [({"gpu": "0"}, 1.0)]
    made = FaultyProxy(server.url)
    yield made
    made.close()


@pytest.fixture
def source(proxy: FaultyProxy) -> Iterator[Prometheus]:
    """Return a client of the proxy, with little patience."""
    client = Prometheus(proxy.url, time.monotonic, HASTY)
    yield client
    client.close()


def ask(source: Prometheus) -> Answer:
    """Return the answer to one expression."""
    return source.ask(["up"])["up"]


@pytest.mark.parametrize("fault", [*FAULTS, REFUSED])
def test_each_fault_has_its_word_and_is_over_with_its_cause(
    proxy: FaultyProxy, source: Prometheus, fault: str
) -> None:
    """A connection that was kept from before does not hide it, nor is it kept afterwards."""
    well = ask(source)
    proxy.switch(fault)
    answer = ask(source)

    assert GIVES[fault] == answer.failure
    assert bool(answer.detail) == (answer.failure is not None)

    proxy.switch(WHOLE)

    assert well == ask(source)
    assert 1.0 == well.samples[0].value


def test_a_flood_is_cut_off(proxy: FaultyProxy, source: Prometheus) -> None:
    """It is read up to a limit; the sentence says which."""
    proxy.switch("flood")

    assert f"more than {LARGEST >> 20} MiB" in ask(source).detail


def test_a_redirect_says_where_it_leads(proxy: FaultyProxy, source: Prometheus) -> None:
    """It is not followed: a login page is no Prometheus."""
    proxy.switch("redirect")

    assert f"answered 302: it leads to {proxy.url}/api/v1/query" in ask(source).detail


def test_many_slow_answers_are_no_hang(proxy: FaultyProxy, source: Prometheus) -> None:
    """There is a sign of life before each question, or a watchdog ends who only waits."""
    signs: list[int] = []
    source.ask(["a", "b", "c"], alive=lambda: signs.append(sum(proxy.seen.values())))

    assert [0, 1, 2] == signs
