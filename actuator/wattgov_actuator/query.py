"""Ask Prometheus, or anything that speaks its API, and never raise: a failure is an answer too."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import nan
from urllib.parse import urlsplit

import requests
import urllib3
from prometheus_api_client import PrometheusConnect
from urllib3.util.retry import Retry

from wattgov_actuator.punctual import Punctual
from wattgov_actuator.reading import Answer, QueryFailure, Sample

UNREACHABLE = {QueryFailure.DOWN, QueryFailure.TIMEOUT}
STATUSES = {  # 400 and 422 say that the expression cannot be parsed, or not be run
    400: QueryFailure.BAD_QUERY,
    401: QueryFailure.DENIED,
    403: QueryFailure.DENIED,
    422: QueryFailure.BAD_QUERY,
}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
SHORT = 160  # characters of a server's own words that fit a sentence
LARGEST = 16 << 20  # bytes of an answer: some fifty thousand series
CHUNK = 65536


def _nobody() -> None:
    """Tell nobody."""


class _TooLargeError(Exception):
    """An answer without an end in sight."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds."""

    connect: float = 1.0
    read: float = 3.0  # for the first byte, and for the last one


def shown(url: str) -> str:
    """Return *url* without the password that may be in it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host).geturl()


class Prometheus:
    """One server, asked with instant queries."""

    def __init__(
        self, url: str, steady: Callable[[], float], patience: Patience = Patience()
    ) -> None:
        self._steady, self._patience = steady, patience
        self._session = requests.Session()
        # A proxy of the environment does not lead back to this machine.
        self._session.trust_env = urlsplit(url).hostname not in LOOPBACK
        # Its defaults retry a refused connection for 6 s and wait for ever for an answer.
        self._api = PrometheusConnect(
            url=url.rstrip("/"), session=self._session, retry=Retry(total=0, read=False)
        )
        self._session.mount(self._api.url, Punctual(steady, max_retries=Retry(0, read=False)))
        self.url = shown(url)

    def ask(
        self, expressions: Iterable[str], alive: Callable[[], None] = _nobody
    ) -> dict[str, Answer]:
        """Return the answer to each expression; *alive* is called before each question.

        After one that finds nobody there the rest are not asked: ten timeouts in a row would stop
        the loop, and with it the hand that restores.
        """
        answers: dict[str, Answer] = {}
        gone: Answer | None = None
        for expr in expressions:
            alive()  # many slow answers are no hang
            answers[expr] = answer = gone or self._timed(expr)
            if answer.failure in UNREACHABLE:
                gone = answer
        return answers

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _timed(self, expr: str) -> Answer:
        """Ask one expression; who is not there took no time that is known."""
        began = self._steady()
        answer = self._ask(expr)
        seconds = None if answer.failure in UNREACHABLE else self._steady() - began
        return replace(answer, seconds=seconds)

    def _ask(self, expr: str) -> Answer:
        # VictoriaMetrics answers with what was 30 s ago unless told not to cache.
        wait = f"{self._patience.read:g}s"
        data = self.fetch("query", {"query": expr, "nocache": "1", "timeout": wait})
        return data if isinstance(data, Answer) else self._answer(data)

    def fetch(self, path: str, params: Mapping[str, str]) -> Mapping[str, object] | Answer:
        """Return the data of a good answer, else why there is none."""
        # Not by custom_query: it returns the bare result, and so hides the warnings that mark an
        # answer as partial, and whether it is a vector at all. The session is the library's own.
        wait = self._patience
        until = self._steady() + wait.read
        try:
            with self._session.get(
                f"{self._api.url}/api/v1/{path}",
                params=params,
                timeout=(wait.connect, wait.read),
                allow_redirects=False,
                stream=True,
            ) as response:
                return self._judged(response, self._read(response, until))
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            failure, said = QueryFailure.TIMEOUT, f"did not answer within {wait.read:g} s"
        except requests.RequestException as error:
            failure, said = QueryFailure.DOWN, f"cannot be reached: {_cause(error)}"
        except urllib3.exceptions.DecodeError:
            failure, said = QueryFailure.BAD_JSON, "gave an answer that cannot be unpacked"
        except urllib3.exceptions.HTTPError:
            failure, said = QueryFailure.DOWN, "broke off its answer"
        except _TooLargeError:
            most = f"{LARGEST >> 20} MiB"
            failure, said = QueryFailure.TOO_LARGE, f"answered more than {most}; ask for less"
        return Answer(failure=failure, detail=f"{self.url} {said}")

    def _read(self, response: requests.Response, until: float) -> bytearray:
        """Return the body: of bounded size, and come in time."""
        text = bytearray()
        # read1 returns what is there: neither a trickle nor a flood outlasts our patience.
        while part := response.raw.read1(CHUNK, decode_content=True):
            text += part
            if len(text) > LARGEST:
                raise _TooLargeError
            if self._steady() > until:
                raise requests.Timeout
        return text

    def _judged(
        self, response: requests.Response, text: bytearray
    ) -> Mapping[str, object] | Answer:
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):  # nested without end, it is no answer either
            body = None
        if response.status_code != requests.codes.ok:
            return self._refused(response, body)
        return self._data(body, response)

    def _refused(self, response: requests.Response, body: object) -> Answer:
        status, said = response.status_code, response.reason
        failure = STATUSES.get(status)
        if isinstance(body, dict) and "error" in body:
            said = str(body["error"])[:SHORT]
        if status < requests.codes.bad_request:
            failure = QueryFailure.HTTP_3XX
            place = shown(response.headers.get("Location", "somewhere"))[:SHORT]
            said = f"it leads to {place}; give the server's own URL"
        if failure is None:
            server_error = status >= requests.codes.internal_server_error
            failure = QueryFailure.HTTP_5XX if server_error else QueryFailure.HTTP_4XX
        if isinstance(body, dict) and body.get("errorType") == "timeout":
            failure = QueryFailure.TIMEOUT
        return Answer(failure=failure, detail=f"{self.url} answered {status}: {said}")

    def _data(self, body: object, response: requests.Response) -> Mapping[str, object] | Answer:
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(body, dict) or body.get("status") != "success" or data is None:
            kind = response.headers.get("Content-Type", "something else").partition(";")[0]
            detail = f"{self.url} answered with {kind}, not a query's result"
            return Answer(failure=QueryFailure.BAD_JSON, detail=detail)
        warnings = body.get("warnings") or (["partial"] if body.get("isPartial") else [])
        if warnings:
            detail = f"{self.url} gave a partial answer: {str(warnings[0])[:SHORT]}"
            return Answer(failure=QueryFailure.PARTIAL, detail=detail)
        return data if isinstance(data, dict) else {}

    def _answer(self, data: Mapping[str, object]) -> Answer:
        result = data.get("resultType")
        if result != "vector":
            detail = f"the expression gives a {result}; a rule needs a vector, one series a target"
            return Answer(failure=QueryFailure.NOT_A_VECTOR, detail=detail)
        try:
            return Answer(_samples(data["result"]))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            detail = f"{self.url} answered with a vector that cannot be read"
            return Answer(failure=QueryFailure.BAD_JSON, detail=detail)


def _samples(series: object) -> tuple[Sample, ...]:
    if not isinstance(series, list):
        raise TypeError(series)
    return tuple(_sample(each) for each in series)


def _sample(series: Mapping[str, object]) -> Sample:
    metric = series["metric"]
    if not isinstance(metric, dict) or not all(isinstance(each, str) for each in metric.values()):
        raise TypeError(metric)
    if "value" not in series:  # a native histogram is no number
        return Sample(metric, nan)
    value = series["value"]
    if not isinstance(value, list):
        raise TypeError(value)
    return Sample(metric, float(value[1]))


def _cause(error: Exception) -> str:
    """Return the innermost words of an error: the outer ones repeat the URL and an object's id."""
    cause: BaseException = error
    while cause.args and isinstance(cause.args[0], BaseException):
        cause = cause.args[0]
    reason = getattr(cause, "reason", None)
    if isinstance(reason, BaseException):
        cause = reason
    origin: BaseException = cause.__cause__ or cause.__context__ or cause
    strerror = getattr(origin, "strerror", None)
    return str(strerror or str(cause).rpartition(": ")[2])[:SHORT]
