"""Why a request did not come to a good end, by us: a closed list, in the metrics as in answers."""

from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple

SWITCHED = 101
CLIENT_GONE = 499  # nobody reads it; the number that nginx counts such requests by
RETRY_AFTER_SECONDS = 5


class Failure(StrEnum):
    """What went wrong."""

    QUEUE_FULL = "queue_full"
    DEADLINE = "deadline"
    STOPPING = "stopping"
    MALFORMED = "malformed"
    CLIENT_SLOW = "client_slow"
    CLIENT_GONE = "client_gone"
    UNREACHABLE = "unreachable"
    BROKEN_OFF = "broken_off"
    UPSTREAM_SLOW = "upstream_slow"


class Told(NamedTuple):
    """What the client hears."""

    status: int
    message: str


TOLD = {
    Failure.QUEUE_FULL: Told(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests wait already"),
    Failure.DEADLINE: Told(HTTPStatus.SERVICE_UNAVAILABLE, "waited as long as is allowed"),
    Failure.STOPPING: Told(HTTPStatus.SERVICE_UNAVAILABLE, "the proxy is being stopped"),
    Failure.MALFORMED: Told(HTTPStatus.BAD_REQUEST, "the request is malformed"),
    Failure.CLIENT_SLOW: Told(HTTPStatus.REQUEST_TIMEOUT, "the request came too slowly"),
    Failure.CLIENT_GONE: Told(CLIENT_GONE, "the client is gone"),
    Failure.UNREACHABLE: Told(HTTPStatus.BAD_GATEWAY, "the server cannot be reached"),
    Failure.BROKEN_OFF: Told(HTTPStatus.BAD_GATEWAY, "the server broke off its answer"),
    Failure.UPSTREAM_SLOW: Told(HTTPStatus.GATEWAY_TIMEOUT, "the server was silent for too long"),
}


class Failed(Exception):
    """Raised where a request ends so."""

    def __init__(self, failure: Failure, detail: str = "", begun: object = None) -> None:
        """Take the answer, too, if a part of it has gone out."""
        super().__init__(detail)
        self.failure, self.detail, self.begun = failure, detail, begun
