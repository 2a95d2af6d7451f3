"""The two ends of a way, and the cheapest way between them, each a process of its own.

`ends.py server` answers every request after 5 ms, `relay PORT` carries bytes and reads none,
`load PORT RATE SECONDS` asks at random moments, whether answers come or not, and prints the
milliseconds from the moment that was due to the end of the answer. Parsing is the least that will
do, so that most of what is measured is what lies between.
"""

import asyncio
import random
import sys
import time
from functools import partial

THINKS_SECONDS = 0.005
CONNECTIONS = 32
BODY = b'{"prompt": "' + b"x" * 500 + b'"}'
ASKS = b"POST /v1/completions HTTP/1.1\r\nHost: chat\r\nContent-Type: application/json\r\n"
ANSWERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def framed(head: bytes, body: bytes) -> bytes:
    """Return a message."""
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


ASK, ANSWER = framed(ASKS, BODY), framed(ANSWERS, b"y" * 300)


class Reader(asyncio.Protocol):
    """Tells of each whole message."""

    def __init__(self) -> None:
        self._came = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Count bytes until a message is whole."""
        self._came += data
        head, _, body = self._came.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if body and len(body) >= int(length):
            self._came = b""
            self.whole()

    def whole(self) -> None:
        """Answer after a while."""
        asyncio.get_running_loop().call_later(THINKS_SECONDS, self.transport.write, ANSWER)


class Asker(Reader):
    """Asks one at a time."""

    answered: asyncio.Future[None]

    def whole(self) -> None:
        """Tell who waits."""
        self.answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        if not self.answered.done():
            self.answered.set_exception(exc or ConnectionResetError())

    async def ask(self) -> None:
        """Return when the answer is whole."""
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(ASK)
        await self.answered


class Half(asyncio.Protocol):
    """One side of the relay."""

    def __init__(self, port: int | None, other: "Half | None" = None) -> None:
        self._port, self._other, self._early = port, other, b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect the other side."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._port is not None:
            self._opening = asyncio.ensure_future(self._open(self._port))

    def data_received(self, data: bytes) -> None:
        """Carry it over."""
        if self._other is None or self._other.transport is None:
            self._early += data
        else:
            self._other.transport.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        """End the other side."""
        if self._other is not None and self._other.transport is not None:
            self._other.transport.close()

    async def _open(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        _, other = await loop.create_connection(partial(Half, None, self), "127.0.0.1", port)
        assert other.transport is not None
        self._other = other
        other.transport.write(self._early)


async def load(port: int, rate: float, seconds: float) -> list[float]:
    """Return the milliseconds of each answer, by their size."""
    loop = asyncio.get_running_loop()
    took, tasks, free = list[float](), set[asyncio.Task[None]](), list[Asker]()

    async def one(due: float) -> None:
        if not free:
            free.append((await loop.create_connection(Asker, "127.0.0.1", port))[1])
        asker = free.pop()
        await asker.ask()
        took.append(1e3 * (time.perf_counter() - due))
        free.append(asker)

    for _ in range(CONNECTIONS):
        free.append((await loop.create_connection(Asker, "127.0.0.1", port))[1])
        await free[-1].ask()  # every connection has been used, on the far side of it too
    chance, due = random.Random(1), time.perf_counter()
    end = due + seconds
    while due < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.add(asyncio.ensure_future(one(due)))
        due += chance.expovariate(rate)
    await asyncio.gather(*tasks)
    return sorted(took)


async def listen(make: "type[Reader] | partial[Half]") -> None:
    """Serve until killed; print the port."""
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["server"]:
            asyncio.run(listen(Reader))
        case ["relay", port]:
            asyncio.run(listen(partial(Half, int(port))))
        case ["load", port, rate, seconds]:
            found = asyncio.run(load(int(port), float(rate), float(seconds)))
            sys.stdout.write(" ".join(f"{each:.4f}" for each in found))
