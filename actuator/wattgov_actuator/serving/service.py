"""The listener, and what stands behind it."""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Self

from wattgov_actuator import exposition
from wattgov_actuator.cycle.snapshot import Snapshot
from wattgov_actuator.logfmt import line
from wattgov_actuator.orders import PATIENCE_SECONDS, Asking
from wattgov_actuator.pause import PauseFile
from wattgov_actuator.reading import Clock
from wattgov_actuator.serving.alerts import Alerts
from wattgov_actuator.serving.answers import Answers
from wattgov_actuator.serving.changes import Changes
from wattgov_web.mistakes import Invalid, mistakes_of
from wattgov_web.server import Answer, Server
from wattgov_web.web import WatchedWeb
from wattgov_web.webfile import load
from wattgov_web.wire import Limits, Seats

LOG = logging.getLogger(__name__)
REALM = "wattgov-actuator"
LIMITS = Limits(body_bytes=1 << 20)  # Alertmanager puts all alerts of a group into one


class Service:
    """The listener; answers in its own threads from the moment it is entered."""

    def __init__(
        self,
        address: tuple[str, int],
        answer: Answer,
        web: WatchedWeb,
        steady: Callable[[], float],
        *,
        names: Collection[str] = (),
    ) -> None:
        """Bind; OSError when the address is taken or not ours."""
        self._server = Server(address, answer, Seats(LIMITS, steady), web, REALM, names=names)
        self.address = self._server.address

    def __enter__(self) -> Self:
        """Start to answer."""
        Thread(target=self._server.serve_forever, daemon=True, name="http").start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop answering and let go of the port."""
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True, slots=True)
class Control:
    """By what the service gets its wishes to the loop."""

    orders: "SimpleQueue[object]"
    brake: PauseFile
    now: Clock
    notes: Callable[[], Iterable[tuple[str, str, int]]] = tuple  # how many, by sink and result
    watched: Callable[[], bool] | None = None  # whether policies of a cluster are; None: no
    patience_seconds: float = PATIENCE_SECONDS


def web_of(path: Path | None, steady: Callable[[], float]) -> tuple[str, WatchedWeb | None]:
    """Return the mistakes of a web.config.file as text, or the settings, which follow the file."""
    try:
        return "", WatchedWeb(path, load, steady, lambda text: LOG.warning(line("web", said=text)))
    except (Invalid, OSError) as error:
        return "\n".join(mistakes_of(path or Path(), error)), None


def listening(
    address: tuple[str, int],
    web: WatchedWeb,
    snapshot: Callable[[], Snapshot],
    control: Control,
    names: Collection[str] = (),
) -> Service:
    """Return the whole service, bound but not yet entered; OSError when it cannot be bound."""
    now, ask = control.now, Asking(control.orders, control.patience_seconds)
    exposed = exposition.Exposition(snapshot, lambda: now().unix)
    registry = exposed.registry(
        lambda: exposition.web(web.failures, web.good),
        lambda: exposition.notes(control.notes()),
        lambda: exposition.watched(control.watched() if control.watched else None),
    )
    changes = Changes(ask, control.brake, lambda: now().unix)
    answers = Answers(snapshot, registry, changes, Alerts(ask, snapshot))
    return Service(address, answers, web, lambda: now().steady, names=names)
