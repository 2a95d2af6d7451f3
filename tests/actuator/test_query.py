"""Asking Prometheus: every way to get no answer is an answer."""

import json
import math
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from actuator.fakes import Canned, FakePrometheus, vector
from wattgov_actuator.cycle.latency import Latency
from wattgov_actuator.query import Patience, Prometheus, shown
from wattgov_actuator.reading import Answer, QueryFailure

PATIENT = Patience(connect=30.0, read=30.0)
HASTY = Patience(connect=30.0, read=0.2)  # for what never comes


@pytest.fixture
def source(server: FakePrometheus) -> Iterator[Prometheus]:
    """Return a client of the fake; a busy machine may take its time."""
    client = Prometheus(server.url, time.monotonic, PATIENT)
    yield client
    client.close()


def ask(source: Prometheus) -> Answer:
    """Return the answer to one expression."""
    return source.ask(["up"])["up"]


def test_a_vector_becomes_samples(server: FakePrometheus, source: Prometheus) -> None:
    """Labels and values, also the ones that are no numbers."""
    server.answers["up"] = [({"gpu": "0"}, 5.5), ({"gpu": "1"}, math.nan)]
    answer = ask(source)

    assert [{"gpu": "0"}, {"gpu": "1"}] == [sample.labels for sample in answer.samples]
    assert 5.5 == answer.samples[0].value
    assert math.isnan(answer.samples[1].value)
    assert answer.failure is None


def test_an_empty_vector_is_no_failure(source: Prometheus) -> None:
    """Nothing to say is something said."""
    assert Answer() == ask(source)


def test_what_is_asked_defeats_caches(server: FakePrometheus, source: Prometheus) -> None:
    """VictoriaMetrics hides the last 30 s unless asked with nocache."""
    ask(source)

    assert [{"query": ["up"], "nocache": ["1"], "timeout": ["30s"]}] == server.asked


def error(kind: str, text: str = "no") -> bytes:
    """Return an error as Prometheus words it."""
    return json.dumps({"status": "error", "errorType": kind, "error": text}).encode()


def result(kind: str, value: object, **more: object) -> bytes:
    """Return a successful answer of some kind."""
    return json.dumps(
        {"status": "success", "data": {"resultType": kind, "result": value}, **more}
    ).encode()


@pytest.mark.parametrize(
    ("canned", "failure", "words"),
    [
        (Canned(b"oops", 500, "text/plain"), QueryFailure.HTTP_5XX, "answered 500"),
        (Canned(b"", 503), QueryFailure.HTTP_5XX, "answered 503: Service Unavailable"),
        (Canned(b"", 404), QueryFailure.HTTP_4XX, "answered 404"),
        (Canned(b"", 401), QueryFailure.DENIED, "answered 401"),
        (Canned(b"", 403), QueryFailure.DENIED, "answered 403"),
        (Canned(error("bad_data", "parse error"), 400), QueryFailure.BAD_QUERY, "parse error"),
        (Canned(error("execution", "many-to-many"), 422), QueryFailure.BAD_QUERY, "many-to-many"),
        (Canned(error("422", "want ident"), 422), QueryFailure.BAD_QUERY, "want ident"),
        (Canned(error("timeout", "too slow"), 503), QueryFailure.TIMEOUT, "too slow"),
        (Canned(b"<html>", 200, "text/html"), QueryFailure.BAD_JSON, "answered with text/html"),
        (Canned(b'{"status": "succ'), QueryFailure.BAD_JSON, "not a query's result"),
        (Canned(b"[]"), QueryFailure.BAD_JSON, "not a query's result"),
        (Canned(b"{}"), QueryFailure.BAD_JSON, "not a query's result"),
        (Canned(b'{"status": "success", "data": 5}'), QueryFailure.NOT_A_VECTOR, "gives a None"),
        (Canned(result("scalar", [1, "5"])), QueryFailure.NOT_A_VECTOR, "gives a scalar"),
        (Canned(result("matrix", [])), QueryFailure.NOT_A_VECTOR, "gives a matrix"),
        (Canned(result("vector", [{}])), QueryFailure.BAD_JSON, "cannot be read"),
        (Canned(result("vector", [5])), QueryFailure.BAD_JSON, "cannot be read"),
        (Canned(result("vector", 5)), QueryFailure.BAD_JSON, "cannot be read"),
        (
            Canned(result("vector", [{"metric": {}, "value": "5"}])),
            QueryFailure.BAD_JSON,
            "cannot be read",
        ),
        (
            Canned(result("vector", [], warnings=["a store is gone"])),
            QueryFailure.PARTIAL,
            "partial answer: a store is gone",
        ),
        (Canned(result("vector", [], isPartial=True)), QueryFailure.PARTIAL, "partial answer"),
        (Canned(vector([]), length=10_000), QueryFailure.DOWN, "broke off its answer"),
    ],
    ids=lambda value: value.value if isinstance(value, QueryFailure) else "",
)
def test_every_failure_has_its_word(
    server: FakePrometheus, source: Prometheus, canned: Canned, failure: QueryFailure, words: str
) -> None:
    """A server that answers wrongly gives no samples, a word and a sentence."""
    server.everything = canned
    answer = ask(source)

    assert (failure, ()) == (answer.failure, answer.samples)
    assert words in answer.detail


def test_a_server_that_hangs_is_not_waited_for(server: FakePrometheus) -> None:
    """No answer in time gives no samples, a word and a sentence."""
    server.everything = Canned(b"", hangs=True)
    with closing(Prometheus(server.url, time.monotonic, HASTY)) as source:
        answer = ask(source)

    assert (QueryFailure.TIMEOUT, ()) == (answer.failure, answer.samples)
    assert "did not answer within 0.2 s" in answer.detail


def test_notes_that_are_no_warnings_do_no_harm(server: FakePrometheus, source: Prometheus) -> None:
    """Prometheus 3 remarks on names of metrics; that is not a partial answer."""
    series = [{"metric": {}, "value": [1, "5"]}]
    server.everything = Canned(result("vector", series, infos=["metric might not be a counter"]))

    assert ask(source).failure is None


def test_a_native_histogram_is_no_number(server: FakePrometheus, source: Prometheus) -> None:
    """It has no value, so it is not known."""
    server.everything = Canned(result("vector", [{"metric": {}, "histogram": [1, {}]}]))

    assert math.isnan(ask(source).samples[0].value)


def test_nobody_there_is_found_out_at_once_and_asked_once() -> None:
    """A refused connection is not retried, and not tried for each expression."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    source = Prometheus(f"http://127.0.0.1:{port}", time.monotonic)
    answers = source.ask(["a", "b"])
    source.close()

    assert {QueryFailure.DOWN} == {answer.failure for answer in answers.values()}
    assert answers["a"] is answers["b"]
    assert "Connection refused" in answers["a"].detail


def test_a_wrong_answer_to_one_does_not_stop_the_next(
    server: FakePrometheus, source: Prometheus
) -> None:
    """Only a server that does not answer at all is left alone."""
    server.answers = {"a": Canned(error("bad_data"), 400), "b": [({}, 1.0)]}
    answers = source.ask(["a", "b"])

    assert [QueryFailure.BAD_QUERY, None] == [answer.failure for answer in answers.values()]


def test_a_password_in_the_url_is_not_shown() -> None:
    """Neither in a log nor in a reason."""
    assert "http://host:9090/x" == shown("http://user:secret@host:9090/x")
    source = Prometheus("http://user:secret@127.0.0.1:1/", time.monotonic, HASTY)
    answer = ask(source)
    source.close()

    assert "secret" not in answer.detail + source.url


def test_a_proxy_is_not_asked_for_this_machine(
    server: FakePrometheus, source: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment, meant for the way out, does not hide a local Prometheus."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.answers["up"] = [({}, 1.0)]

    assert 1.0 == ask(source).samples[0].value


def test_an_answer_says_how_long_it_took(server: FakePrometheus, source: Prometheus) -> None:
    """A refusal as well; a server that is not there took no time that is known."""
    server.answers["no"] = Canned(error("bad_data"), 422)
    answers = source.ask(["yes", "no"])
    nobody = Prometheus("http://127.0.0.1:1", time.monotonic, HASTY)
    gone = nobody.ask(["yes"])
    nobody.close()

    assert all((each.seconds or 0.0) > 0 for each in answers.values())
    assert gone["yes"].seconds is None
    assert 2 == Latency().after(answers).after(gone).count
