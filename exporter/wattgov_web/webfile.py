"""Read a web.config.file: all mistakes at once, each with file:line:col."""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from wattgov_web import fields
from wattgov_web.fields import Field, Mistake, Parse, Reader
from wattgov_web.mistakes import Invalid
from wattgov_web.tlsfile import not_offered, tls
from wattgov_web.web import Web

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")


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
