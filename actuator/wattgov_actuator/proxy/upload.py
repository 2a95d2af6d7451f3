"""The body of a request, on its way to the server."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import StreamReader
from aiohttp.web import RequestPayloadError

from wattgov_actuator.proxy.failure import Failed, Failure

FIRST_BYTES = 65_536


class Upload:
    """What has come, and what comes still.

    A body that fits into one buffer has come before its request takes its turn, so a slow client
    holds up nobody but itself.
    """

    def __init__(self, source: StreamReader, client_seconds: float) -> None:
        self._source, self._client_seconds = source, client_seconds
        self._first = b""
        self.trouble: Failed | None = None

    async def begin(self) -> None:
        """Wait for the whole body, or for its first part; Failed when it is not worth a turn."""
        if self._source.is_eof():
            self._first = self._source.read_nowait()
            return
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._client_seconds):
                while size < FIRST_BYTES and (part := await self._source.readany()):
                    parts.append(part)
                    size += len(part)
        except (TimeoutError, RequestPayloadError) as error:
            raise _failed(error) from error
        self._first = b"".join(parts)

    def data(self) -> bytes | AsyncIterator[bytes] | None:
        """Return the body for the client library: at once if it is here, None if there is none."""
        return (self._first or None) if self._source.at_eof() else self._parts()

    async def _parts(self) -> AsyncIterator[bytes]:
        part, self._first = self._first, b""
        try:
            while part:
                yield part
                async with asyncio.timeout(self._client_seconds):
                    part = await self._source.readany()
        except (TimeoutError, RequestPayloadError) as error:
            self.trouble = _failed(error)  # the library wraps what is raised here
            raise


def _failed(error: Exception) -> Failed:
    slow = isinstance(error, TimeoutError)
    return Failed(Failure.CLIENT_SLOW if slow else Failure.MALFORMED, str(error))
