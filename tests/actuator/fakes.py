"""The edge of the actuator, faked: a knob kept in files, a Prometheus on a free port, a clock."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

from wattgov_actuator.reading import Fault, InForce, KnobError, Moment, Probe, Target

LOW, HIGH, DEFAULT = 100.0, 400.0, 300.0
FRESH = "fresh"  # the freshness expression of the tests


def target(name: str = "GPU-a", index: int = 0) -> Target:
    """Return a card of 100 to 400 W."""
    return Target(
        "gpu_power_limit", name, {"uuid": name, "gpu": str(index)}, LOW, HIGH, "watts", 1.0
    )


class FileKnob:
    """A knob whose values live in files, so that they outlive a process that is killed.

    *at* is called with the name of each step before it is taken, "wrote" after a write.
    """

    def __init__(
        self,
        folder: Path,
        at: Callable[[str], None] = lambda _: None,
        name: str = "gpu_power_limit",
    ) -> None:
        self.folder, self.at, self.name = folder, at, name
        self.via = ""  # as if its cards were reached by a connection
        self.lies = False  # writes succeed and change nothing
        self.refuses: Fault | None = None
        self.gone: set[str] = set()
        self.writes: list[tuple[str, float]] = []

    def add(self, name: str = "GPU-a", watts: float = DEFAULT) -> None:
        """Put in a card."""
        self.folder.mkdir(exist_ok=True)
        self._set(name, watts)

    def watts(self, name: str = "GPU-a") -> float:
        """Return what is set, as the card sees it."""
        return float((self.folder / name).read_text())

    def probe(self) -> Probe:
        """Return the cards that are there."""
        names = sorted(path.name for path in self.folder.iterdir())
        found = [target(name, i) for i, name in enumerate(names) if name not in self.gone]
        here = [replace(each, knob=self.name, via=self.via) for each in found]
        return Probe(tuple(here), "" if here else "no card")

    def read(self, target: str) -> InForce:
        """Return what is set."""
        self.at("read")
        if target in self.gone:
            raise KnobError(Fault.LOST, "the card is gone")
        return InForce(self.watts(target), self.watts(target))

    def write(self, target: str, value: float) -> None:
        """Set, unless told to misbehave."""
        self.at("write")
        self.writes.append((target, value))
        if self.refuses is not None:
            raise KnobError(self.refuses, "the card says no")
        if not self.lies:
            self._set(target, value)
        self.at("wrote")

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Set the prior value."""
        self.write(target, value)

    def close(self) -> None:
        """Nothing is open."""

    def _set(self, name: str, watts: float) -> None:
        new = self.folder.with_name(f"{name}.new")  # in one step: another thread may read it
        new.write_text(str(watts))
        new.replace(self.folder / name)


@dataclass
class Clock:
    """Time that passes when the test says so."""

    unix: float = 1_000_000.0
    steady: float = 500.0

    def __call__(self) -> Moment:
        """Return now."""
        return Moment(self.unix, self.steady)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.unix += seconds
        self.steady += seconds


Series = Iterable[tuple[Mapping[str, str], float]]


def vector(series: Series) -> bytes:
    """Return Prometheus' answer with these series."""
    result = [{"metric": dict(labels), "value": [1.0, str(value)]} for labels, value in series]
    return json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": result}}
    ).encode()


@dataclass
class Canned:
    """One answer of the fake, byte by byte."""

    body: bytes
    status: int = 200
    kind: str = "application/json"
    length: int | None = None  # a lie about the length, to cut an answer short
    hangs: bool = False


@dataclass
class FakePrometheus:
    """A real HTTP server that answers what the test says, by expression."""

    answers: dict[str, Series | Canned | Callable[[], Series]] = field(default_factory=dict)
    everything: Canned | None = None  # whatever is asked
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    released: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        """Listen on a free port of the loopback."""
        self._server = _Server(("127.0.0.1", 0), self)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop; what hangs is let go."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, query: dict[str, list[str]]) -> Canned:
        """Return the answer to one query string."""
        self.asked.append(query)
        if self.everything is not None:
            return self.everything
        given = self.answers.get(query["query"][0], ())
        if isinstance(given, Canned):
            return given
        return Canned(vector(given() if callable(given) else given))


class _Server(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], fake: FakePrometheus) -> None:
        self.fake = fake
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Answer as told."""
        canned = self.server.fake.answer(parse_qs(urlsplit(self.path).query))
        if canned.hangs:
            self.server.fake.released.wait()
            self.close_connection = True
            return
        self.send_response(canned.status)
        self.send_header("Content-Type", canned.kind)
        length = len(canned.body) if canned.length is None else canned.length
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(canned.body)
        self.close_connection = canned.length is not None

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name upstream)
        """Keep quiet."""
