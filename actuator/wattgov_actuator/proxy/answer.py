"""Answers that are not the server's, and what is left out of those that are."""

import json

from aiohttp import web

from wattgov_actuator.proxy.failure import (
    CLIENT_GONE,
    RETRY_AFTER_SECONDS,
    SWITCHED,
    TOLD,
    Failed,
    Failure,
)
from wattgov_actuator.proxy.headers import NAME

UNSAID = web.ResponseKey("unsaid", list[str])
"""Where an answer keeps the fields that the library would add, and its server has not said."""

ENDS_CONNECTION = {Failure.MALFORMED, Failure.CLIENT_SLOW, Failure.CLIENT_GONE, Failure.STOPPING}
RETRIED = {Failure.QUEUE_FULL, Failure.DEADLINE, Failure.STOPPING}


class LastTouch:
    """What is done to an answer just before its head goes out."""

    def __init__(self) -> None:
        self.leaving = False

    async def __call__(self, _: web.Request, response: web.StreamResponse) -> None:
        """Take out what the library has put in of its own; say so when we are about to leave."""
        for name in response.get(UNSAID, ()):
            response.headers.popall(name, None)
        if self.leaving and response.status != SWITCHED:
            response.headers["Connection"] = "close"
            response.force_close()


def error_answer(status: int, message: str, code: str) -> web.Response:
    """Return an error in the form that clients of the OpenAI API show to people."""
    body = json.dumps({"error": {"message": message, "type": NAME, "code": code}}).encode()
    fields = {"Server": NAME}
    return web.Response(status=status, body=body, content_type="application/json", headers=fields)


def told(failed: Failed) -> web.Response:
    """Return the answer to a request that has had none."""
    status, message = TOLD[failed.failure]
    text = f"{message}: {failed.detail}" if failed.detail else message
    response = error_answer(status, text, failed.failure)
    if failed.failure in RETRIED:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if failed.failure in ENDS_CONNECTION:
        response.force_close()
    return response


def cut(request: web.Request, failed: Failed) -> web.StreamResponse:
    """End an answer of which a part has gone out, so that it cannot be taken for the whole."""
    if request.transport is not None:
        if failed.failure is Failure.CLIENT_SLOW or request.version < (1, 1):
            request.transport.abort()  # of HTTP/1.0 the end of the connection is the end of all
        else:
            request.transport.close()
    if isinstance(failed.begun, web.StreamResponse) and failed.failure is not Failure.CLIENT_GONE:
        return failed.begun
    return web.Response(status=CLIENT_GONE)
