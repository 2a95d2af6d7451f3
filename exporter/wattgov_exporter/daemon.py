"""What `run` wires together: the collector, its pages, the server, and what tells it to end."""

import ctypes
import signal
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue

from wattgov_exporter import __version__, state
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import Config
from wattgov_exporter.loop import Ask, Events, Loaded, Loop
from wattgov_exporter.reading import Clock
from wattgov_exporter.rhythm import Callers
from wattgov_exporter.rows import Own, Reloads, View
from wattgov_exporter.serving.answers import Answers
from wattgov_exporter.serving.pages import Pages
from wattgov_exporter.snapshot import Snapshot
from wattgov_exporter.sources import SOURCES, Machine
from wattgov_web.server import Server
from wattgov_web.web import WatchedWeb
from wattgov_web.wire import Limits, Seats

RELOAD_SECONDS = 10.0
"""A reload waits for the end of a tick, which waits for no source longer than its interval."""


class CannotListen(Exception):
    """The address cannot be listened on; the text says why."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says, besides the configuration.

    *replay* is the name of the recording that *machine* shows, None for this machine. *cpu_seconds*
    tells the CPU time of this process, *names* are what this machine is also asked by.
    """

    address: tuple[str, int]
    names: Collection[str]
    connections: int
    config_file: Path | None
    machine: Machine
    own_pid: int
    replay: str | None
    cpu_seconds: Clock
    log: Callable[[str], object]


def run(wish: Wish, loaded: Loaded, web: WatchedWeb) -> None:
    """Sample and serve until a signal says stop; CannotListen before anything is sampled."""
    events: Events = SimpleQueue()
    clock = wish.machine.monotonic
    pages, callers = Pages(clock), Callers(clock)
    seats = Seats(Limits(wish.connections), clock)
    try:
        answers = Answers(pages, _asking(events), callers.came)
        realm = "wattgov-exporter"
        server = Server(wish.address, answers, seats, web, realm, names=wish.names)
    except OSError as error:
        raise CannotListen(error.strerror) from error
    _listen_to_signals(events)
    collector = Collector(loaded.config, wish.machine, wish.own_pid)
    # The totals of a replay are not this machine's.
    kept = None if wish.replay else loaded.config.state_file
    if kept is not None:
        collector.restore(state.take(kept, wish.log))

    def publish(snapshot: Snapshot, config: Config, reloads: Reloads) -> None:
        told = replace(reloads, web_failures=web.failures, web_good=web.good)
        own = Own(__version__, wish.cpu_seconds(), told, wish.replay)
        pages.publish(View(snapshot, config, own))

    threading.Thread(target=server.serve_forever, daemon=True, name="http").start()
    scheme = "https" if web.current().tls else "http"
    wish.log(f"wattgov-exporter serves {scheme}://{server.address}/metrics")
    loop = Loop(
        collector,
        loaded,
        publish,
        path=wish.config_file,
        sources=SOURCES,
        monotonic=clock,
        wall=wish.machine.wall,
        log=wish.log,
        callers=callers,
    )
    _give_back()
    loop.run(events)
    if kept is not None:
        state.leave(kept, collector.totals(), wish.log)
    collector.close()
    server.shutdown()
    server.server_close()


def _asking(events: Events) -> Callable[[], list[str] | None]:
    """Return what asks the loop for a reload: the mistakes, or None when no answer comes."""

    def ask() -> list[str] | None:
        wish = Ask()
        events.put(wish)
        try:
            return wish.answer.get(timeout=RELOAD_SECONDS)
        except Empty:
            return None

    return ask


def _listen_to_signals(events: Events) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: events.put(None))
    signal.signal(signal.SIGHUP, lambda *_: events.put(Ask()))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _give_back() -> None:
    """Return to the kernel what only the start needed: half a MiB; only glibc keeps it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
