"""A thread that follows the EnergyPolicy objects of a namespace: listed once, then watched.

While the server is away, what was seen last stays: not knowing is no reason to let go of a policy,
nor to take one up.
"""

import logging
import random
from collections.abc import Callable, Mapping
from contextlib import closing
from threading import Event, Thread
from typing import Self

from wattgov_actuator.connection import Connection
from wattgov_actuator.energypolicies.mirror import Mirror, after, back_off_seconds, listed
from wattgov_actuator.knobs.kubernetes.api import Api, Expired, path_of
from wattgov_actuator.knobs.kubernetes.cluster import cluster_of
from wattgov_actuator.language.energypolicy import KIND, VERSION
from wattgov_actuator.logfmt import line
from wattgov_actuator.reading import KnobError
from wattgov_actuator.rules import Document, Kind, RuleSet

LOG = logging.getLogger(__name__)
PATIENCE_SECONDS = 5.0  # with who was told of a change, and has not taken it yet
WATCH_SECONDS = 240.0  # of one watch; a connection that died silently is found out by then
PLURAL = "energypolicies"


class Reflector:
    """One namespace; what it has may be asked from any thread."""

    def __init__(
        self,
        way: Connection,
        namespace: str,
        steady: Callable[[], float],
        changed: Callable[[], None],
        pause: Callable[[int, float], float] = back_off_seconds,
    ) -> None:
        """Take a connection to the cluster, a clock, and who is told of a change.

        *pause* is how long to wait after so many failures in a row.
        """
        self._api, self._steady = Api(way, tries=1), steady
        self._changed, self._pause = changed, pause
        self._path = path_of(VERSION, namespace, PLURAL)
        self._what = f"{PLURAL} of {namespace}"
        self._mirror: Mirror | None = None
        self._listed = False
        self._fresh, self._trouble = False, ""
        self._untaken: float | None = None  # steady seconds; since when a change is told
        self._stop = Event()
        self._thread = Thread(target=self._work, daemon=True, name=PLURAL)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; nobody waits for a watch, whose thread ends with it, or with the process."""
        self._stop.set()

    @property
    def documents(self) -> tuple[Document, ...]:
        """What was seen last, by name."""
        self._untaken = None  # first: a change from now on is told again
        mirror = self._mirror
        return () if mirror is None else tuple(each for _, each in sorted(mirror.documents.items()))

    def watched(self) -> bool:
        """Tell whether a change would be seen now."""
        return self._fresh

    def _work(self) -> None:
        failures = 0
        with closing(self._api):
            while not self._stop.is_set():
                try:
                    self._round()
                except Expired:
                    failures, self._listed = failures + 1, False
                except KnobError as error:
                    failures += 1
                    self._noted(error.detail)
                except Exception as error:  # noqa: BLE001 (whatever is sent, it goes on)
                    failures, self._listed = failures + 1, False
                    self._noted(f"what the server says is no {KIND}: {error!r}")
                else:
                    failures = 0
                self._stop.wait(self._pause(failures, random.random()))  # noqa: S311 (no secret)

    def _round(self) -> None:
        """List them, unless that was done, and watch as long as one watch lasts.

        Raises KnobError, and Expired where they have to be listed again.
        """
        mirror = self._mirror
        if mirror is None or not self._listed:
            mirror = self._seen(listed(*self._api.listed(self._path)))
            self._listed = True
        with self._api.watch(self._path, mirror.version, WATCH_SECONDS) as events:
            self._noted("")
            for event in events:
                if self._stop.is_set():
                    return
                mirror = self._seen(after(mirror, event))

    def _seen(self, mirror: Mirror) -> Mirror:
        """Note what there is now, and tell of it where it is new."""
        before, self._mirror = self._mirror, mirror
        if before is None or before.documents != mirror.documents:
            self._tell()
        return mirror

    def _tell(self) -> None:
        """Tell of a change; of many at once only one, since all are read with it."""
        now, told = self._steady(), self._untaken
        if told is None or now - told >= PATIENCE_SECONDS:
            self._untaken = now
            self._changed()

    def _noted(self, trouble: str) -> None:
        """Log a trouble when it is new, and its end."""
        if trouble and trouble != self._trouble:
            LOG.warning(line("policies_not_watched", what=self._what, detail=trouble))
        if not trouble and not self._fresh:
            LOG.info(line("policies_watched", what=self._what))
        self._trouble, self._fresh = trouble, not trouble


def following(
    namespace: str | None,
    rules: RuleSet,
    kinds: Mapping[str, Kind],
    steady: Callable[[], float],
    changed: Callable[[], None],
) -> Reflector | None:
    """Return who follows a namespace; None where nobody asks for it."""
    if namespace is None:
        return None
    return Reflector(cluster_of(rules, kinds), namespace, steady, changed)
