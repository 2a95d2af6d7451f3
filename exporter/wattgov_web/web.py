"""The `web.config.file` of Prometheus and its exporters: TLS, client certificates, passwords.

The format is exporter-toolkit's, and as there a password or client certificate guards every path,
health included. What this server does not do is refused by name, never passed over in silence.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wattgov_web.mistakes import Invalid, mistakes_of

if TYPE_CHECKING:  # OpenSSL takes 4 MiB: no TLS, no OpenSSL
    from wattgov_web.tls import Tls

CHECK_SECONDS = 1.0
"""How often, at most, the files are looked at; they are looked at only when somebody asks."""


@dataclass(frozen=True, slots=True)
class Web:
    """The whole file; nothing in it, as without a file, is plain HTTP for all."""

    tls: "Tls | None" = None
    users: Mapping[str, bytes] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def proves_client(self) -> bool:
        """Whether everybody whose request is answered has proved who he is."""
        return bool(self.users) or (self.tls is not None and self.tls.proves_client)


class WatchedWeb:
    """The settings in force: a changed file or certificate is read before the next answer.

    A bad file is told once and counted, and the old settings stay until it is mended.
    """

    def __init__(
        self,
        path: Path | None,
        read: Callable[[Path], Web],
        clock: Callable[[], float],
        log: Callable[[str], object],
    ) -> None:
        """Read the file for the first time; raises as *read* (`webfile.load`) does."""
        self._path = path
        self._read = read
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self._web = self._read(path) if path else Web()
        self._seen = self._marks()
        self._checked = clock()
        self._told: list[str] = []
        self.failures: int | None = 0 if path else None

    @property
    def good(self) -> bool | None:
        """Whether the file was taken as it was last looked at; None where there is none."""
        return None if self._path is None else not self._told

    def current(self) -> Web:
        """Return the settings for what is answered now."""
        if self._path is None:
            return self._web
        with self._lock:
            now = self._clock()
            if now - self._checked >= CHECK_SECONDS:
                self._checked = now
                # A file that was bad is tried again: what mends it may be one that it names.
                if self._told or self._marks() != self._seen:
                    self._reload(self._path)
            return self._web

    def _reload(self, path: Path) -> None:
        # The marks from before the reading: a change in between is seen next time.
        marks = self._marks()
        try:
            self._web = self._read(path)
        except (Invalid, OSError) as error:
            mistakes = mistakes_of(path, error)
            if mistakes != self._told:
                self._told = mistakes
                self.failures = (self.failures or 0) + 1
                for mistake in mistakes:
                    self._log(mistake)
                self._log(f"{path}: not used; the settings from before stay in force")
        else:
            self._told, self._seen = [], marks
            self._log(f"{path}: read again")

    def _marks(self) -> tuple[tuple[int, int, int] | None, ...]:
        named = self._web.tls.files if self._web.tls else ()
        return tuple(_mark(file) for file in (self._path, *named) if file)


def _mark(file: Path) -> tuple[int, int, int] | None:
    """Return what differs after a write, a rename over it, or a turn of a Kubernetes link."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
