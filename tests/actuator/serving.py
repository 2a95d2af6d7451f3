"""The actuator's service on loopback, for tests: alone with a snapshot, or with a real loop."""

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Self

from actuator.builders import NOW
from actuator.stage import Stage
from wattgov_actuator.cycle.snapshot import Snapshot
from wattgov_actuator.orders import Heed
from wattgov_actuator.pause import PauseFile
from wattgov_actuator.serving.service import Control, listening, web_of

DEADLINE_SECONDS = 30


class Client:
    """One client of one service, over one connection that is kept."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
        self.headers: Mapping[str, str] = {}  # of the last answer

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, str]:
        """Return status and body; an underscore in a header's name is a hyphen."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, named)
        response = self.connection.getresponse()
        self.headers = dict(response.getheaders())
        return response.status, response.read().decode()

    def get(self, path: str) -> Any:  # noqa: ANN401 (it is JSON)
        """Return what a path answers, as JSON."""
        status, text = self.ask(path)
        assert 200 == status, text
        return json.loads(text)

    def post(self, path: str, given: object = None, **headers: str) -> tuple[int, Any]:
        """Return status and answer, as JSON."""
        kind = {"Content_Type": "application/json"} if given is not None else {}
        body = json.dumps(given).encode() if given is not None else None
        status, text = self.ask(path, "POST", body, **{**kind, **headers})
        return status, json.loads(text)


@contextmanager
def serving(
    snapshot: Callable[[], Snapshot],
    folder: Path,
    orders: "SimpleQueue[object] | None" = None,
    web_file: Path | None = None,
) -> Iterator[Client]:
    """Serve until the block ends; a web file is looked at on every request."""
    mistakes, web = web_of(web_file, iter(range(10**9)).__next__)
    assert web is not None, mistakes
    patience = 0.0 if orders is None else DEADLINE_SECONDS  # nobody takes what is ordered
    brake = PauseFile(folder)
    control = Control(orders or SimpleQueue(), brake, lambda: NOW, patience_seconds=patience)
    with listening(("127.0.0.1", 0), web, snapshot, control) as service:
        client = Client(int(service.address.rpartition(":")[2]))
        yield client
        client.connection.close()


class Acting:
    """A real loop in its own thread, on a stage that stands still: it ticks when it is told to."""

    def __init__(self, make: Callable[[], Stage]) -> None:
        self.orders, self.began = SimpleQueue[object](), Event()
        self._make = make
        self._thread = Thread(target=self._act, name="loop")

    def __enter__(self) -> Self:
        """Begin, and wait for the first tick."""
        self._thread.start()
        assert self.began.wait(DEADLINE_SECONDS)
        self.until(lambda: self.stage.governor.snapshot.ticks > 0)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop as a signal does."""
        self.orders.put("SIGTERM")
        self._thread.join(DEADLINE_SECONDS)

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is seen; what the loop does is never long."""
        for _ in range(DEADLINE_SECONDS * 100):
            if true():
                return
            with suppress(TimeoutError):
                Event().wait(0.01)
        raise AssertionError("waited in vain")

    def advance(self, seconds: float) -> None:
        """Let time pass, and the loop see it."""
        self.stage.clock.advance(seconds)
        self.orders.put(Heed())

    def ticked(self, ticks: int) -> None:
        """Wait for a number of ticks since the start."""
        self.until(lambda: self.stage.governor.snapshot.ticks >= ticks)

    def _act(self) -> None:
        self.stage = self._make()  # the journal belongs to the thread that opened it
        self.began.set()
        self.stage.loop.run(self.orders)
        self.stage.journal.close()
