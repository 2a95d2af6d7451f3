"""The loop: sample, publish, and between two ticks stop or reload when told to."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

from wattgov_exporter.collect import Collector
from wattgov_exporter.config import Config
from wattgov_exporter.pace import Paces
from wattgov_exporter.reading import Clock
from wattgov_exporter.rhythm import Callers
from wattgov_exporter.rows import Reloads
from wattgov_exporter.snapshot import Snapshot
from wattgov_web import regular
from wattgov_web.mistakes import Invalid, mistakes_of


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and the SHA-256 of its file, None without a file."""

    config: Config = field(default_factory=Config)
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody wants the configuration read again; *answer* gets the mistakes, [] for none."""

    answer: SimpleQueue[list[str]] = field(default_factory=SimpleQueue)


Events = SimpleQueue[Ask | None]
"""What the loop is told; None is stop. A signal may put into it at any moment, which an Event's
lock would not survive: it may be held by the very wait that the signal interrupts."""

RESTART = ("sources", "state_file")
"""The keys that are only heeded at the start."""

Publish = Callable[[Snapshot, Config, Reloads], None]


class Loop:
    """Runs in the main thread; the only one that changes the configuration in force."""

    def __init__(
        self,
        collector: Collector,
        loaded: Loaded,
        publish: Publish,
        *,
        path: Path | None,
        sources: Collection[str],
        monotonic: Clock,
        wall: Clock,
        log: Callable[[str], object],
        callers: Callers,
    ) -> None:
        self._path = path
        self._callers = callers
        self._config = loaded.config
        self._sources = sources
        self._collector = collector
        self._publish = publish
        self._clock = monotonic
        self._wall = wall
        self._log = log
        self._reloads = Reloads(True, wall(), loaded.sha256)
        self._paces = Paces()

    def run(self, events: Events) -> None:
        """Tick until told to stop."""
        due = self._clock()
        while True:
            began = self._clock()
            try:
                snapshot = self._collector.tick()
            except (OSError, ValueError) as error:
                self._log(f"tick skipped: {error}")
            else:
                self._publish(snapshot, self._config, self._reloads)
                self._warn(snapshot)
            interval = self._config.interval_seconds
            due = self._callers.next_tick(interval, began, due + interval)
            # After a pause (suspend, a stopped process) go on from now; do not catch up.
            due = max(due, self._clock())
            if self._told_to_stop(events, due):
                return

    def _warn(self, snapshot: Snapshot) -> None:
        """Say which meters are read too seldom for their counters."""
        read = (
            (state.meter, self._collector.interval_of(state.meter.source))
            for state in snapshot.meters
        )
        for sentence in self._paces.fresh(read):
            self._log(f"warning: {sentence}")

    def _told_to_stop(self, events: Events, due: float) -> bool:
        while True:
            try:
                event = events.get(timeout=max(due - self._clock(), 0.0))
            except Empty:
                return False
            if event is None:
                return True
            event.answer.put(self.reload())

    def reload(self) -> list[str]:
        """Put the file as it is now in force, or keep the old and return what is wrong with it."""
        if self._path is None:
            self._log("nothing to reload: there is no --config")
            return []
        try:
            loaded = read(self._path, self._sources)
        except (Invalid, OSError) as error:
            mistakes = mistakes_of(self._path, error)
            self._reloads = Reloads(False, self._reloads.success_at, self._reloads.sha256)
            for mistake in mistakes:
                self._log(mistake)
            self._log(f"{self._path}: not used; the configuration from before stays in force")
            return mistakes
        for key in RESTART:
            if getattr(loaded.config, key) != getattr(self._config, key):
                self._log(f"{self._path}: what changed under `{key}` waits for a restart")
        self._collector.reconfigure(loaded.config)
        self._config = loaded.config
        self._reloads = Reloads(True, self._wall(), loaded.sha256)
        self._log(f"{self._path}: reloaded")
        return []


def read(path: Path, sources: Collection[str]) -> Loaded:
    """Load a configuration; raises as `config.load` does."""
    import hashlib  # noqa: PLC0415  4 MiB of OpenSSL

    from wattgov_exporter.configfile import load  # noqa: PLC0415  1 MiB of YAML; no file, no YAML

    digest = hashlib.sha256(regular.read(path)).hexdigest()
    return Loaded(load(path, sources), digest)
