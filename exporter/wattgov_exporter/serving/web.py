"""The `web.config.file` that Prometheus exporters share: TLS, client certificates, passwords.

The format is exporter-toolkit's, and as there a password or client certificate guards every path,
health included. What this server does not do is refused by name, never passed over in silence.
"""

import importlib.util
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from wattgov_exporter import fields
from wattgov_exporter.fields import Field, Invalid, Mistake, Parse, Reader, mistakes_of
from wattgov_exporter.reading import Clock
from wattgov_exporter.serving.tls import Tls, not_offered, tls

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")

CHECK_SECONDS = 1.0
"""How often, at most, the files are looked at; they are looked at only when somebody asks."""


@dataclass(frozen=True, slots=True)
class Web:
    """The whole file; nothing in it, as without a file, is plain HTTP for all."""

    tls: Tls | None = None
    users: Mapping[str, bytes] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def proves_client(self) -> bool:
        """Whether everybody whose request is answered has proved who he is."""
        return bool(self.users) or (self.tls is not None and self.tls.proves_client)


def load(path: Path) -> Web:
    """Read a file and all that it names; Invalid with every mistake, OSError if it is unreadable.

    Paths in it are relative to its folder.
    """
    reader = Reader(str(path))
    root = fields.compose(path, "it holds tls_server_config or basic_auth_users")
    table: Mapping[str, Field] = {
        "tls_server_config": ("tls", tls(path.parent)),
        "basic_auth_users": ("users", _users),
        "http_server_config": ("headers", fields.block(_headers, _HTTP)),
        "rate_limit": ("rate_limit", not_offered),
    }
    values = reader.mapping(root, table)
    if reader.mistakes:
        raise Invalid(reader.mistakes)
    return Web(**values)


class WatchedWeb:
    """The settings in force: a changed file or certificate is read before the next answer.

    A bad file is told once and counted, and the old settings stay until it is mended.
    """

    def __init__(self, path: Path | None, clock: Clock, log: Callable[[str], object]) -> None:
        """Read the file for the first time; raises as `load` does."""
        self._path = path
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self._web = load(path) if path else Web()
        self._seen = self._marks()
        self._checked = clock()
        self._told: list[str] = []
        self.failures: int | None = 0 if path else None

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
            self._web = load(path)
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


def _users(reader: Reader, node: yaml.Node) -> Mapping[str, bytes]:
    if not isinstance(node, yaml.MappingNode):
        raise Mistake("expected a mapping of users to bcrypt hashes")
    users: dict[str, bytes] = {}
    for key, value in node.value:
        name, hashed = str(key.value), str(value.value)
        if not name or ":" in name:
            reader.wrong(key, "a user's name is not empty and has no colon")
        elif name in users:
            reader.wrong(key, f"user {name!r} stands twice")
        # What was found is not repeated: it may be the password itself.
        elif not _BCRYPT.fullmatch(hashed):
            reader.wrong(
                value, f"user {name!r}: expected a bcrypt hash, such as `htpasswd -nBC 10` prints"
            )
        else:
            users[name] = hashed.encode()
    if users and importlib.util.find_spec("bcrypt") is None:
        raise Mistake("bcrypt is not installed, so nobody could log in: pip install 'wattgov[web]'")
    return users


def _header(*words: str) -> Parse:
    def parse(reader: Reader, node: yaml.Node) -> str:
        found = fields.choice(*words)(reader, node) if words else fields.text(reader, node)
        if not re.fullmatch(r"[\x20-\x7e]+", found):
            raise Mistake("a header is one line of printable ASCII")
        return str(found)

    return parse


def _headers(
    headers: Mapping[str, str] | None = None, http2: bool = False
) -> tuple[tuple[str, str], ...]:
    del http2  # a client that may speak HTTP/2 speaks HTTP/1.1 too
    return tuple((headers or {}).items())


# These five and no more, as in exporter-toolkit.
_HEADERS: Mapping[str, Field] = {
    name: (name, _header(*words))
    for name, *words in (
        ("Strict-Transport-Security",),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "deny", "sameorigin"),
        ("X-XSS-Protection",),
        ("Content-Security-Policy",),
    )
}
_HTTP: Mapping[str, Field] = {
    "http2": ("http2", fields.flag),
    "headers": ("headers", lambda reader, node: reader.mapping(node, _HEADERS)),
}
