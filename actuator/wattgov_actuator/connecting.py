"""Read `knobs` of a rule file: which connections lead to what is no part of this machine."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.rules import Backend, Key, Kind
from wattgov_actuator.selection import LABEL
from wattgov_actuator.strict import Fields
from wattgov_actuator.template import rendered

INSECURE = "allow_insecure"
URLS = ("url", "url_template")
POINTER = re.compile(r"(/([^/~]|~[01])*)*")  # RFC 6901
SECRETS = ("file", "env")  # where a secret may lie; never in the rule file itself


def connections(
    fields: Fields, kinds: Mapping[str, Kind], taken: set[str]
) -> tuple[Connection, ...]:
    """Return what `knobs` says; mistakes are noted in *fields*."""
    if "knobs" not in fields:
        fields.skip("knobs")
        return ()
    found = (_connection(each, kinds, taken) for each in fields.blocks("knobs", "an entry"))
    return tuple(each for each in found if each is not None)


def _connection(fields: Fields, kinds: Mapping[str, Kind], taken: set[str]) -> Connection | None:
    reachable = {knob: kind for knob, kind in kinds.items() if kind.backends}
    knob = fields.one_of("knob", list(reachable))
    if knob is None:
        fields.word("knob", list(reachable))
        return None
    backends = kinds[knob].backends
    name = fields.one_of("backend", list(backends))
    if name is None:
        fields.word("backend", list(backends))
        return None
    backend, called = backends[name], fields.text("name")
    if f"{knob} {called}" in taken:
        fields.say("name", f"there is another {knob} called '{called}'; the name is its label")
    taken.add(f"{knob} {called}")
    settings = _settings(fields, backend)
    timeout = fields.seconds("timeout", backend.timeout_seconds, at_least=0.1)
    labels = _labels(fields) or {"app": called}
    _secure(fields, backend, settings)
    fields.end()
    return Connection(knob, name, called, labels, settings, timeout)


def _settings(fields: Fields, backend: Backend) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for name, key in backend.keys.items():
        if key.form == "secret":
            found |= _secret(fields, name, key)
        elif name in fields or not (key.optional or key.default is not None):
            found[name] = FORMS[key.form](fields, name, key)
        else:
            fields.skip(name)
            if key.default is not None:
                found[name] = key.default
    return found


def _secret(fields: Fields, name: str, key: Key) -> dict[str, Setting]:
    """Read where a secret lies: in a file, or in a variable of the environment."""
    given = [each for each in (f"{name}_{where}" for where in SECRETS) if each in fields]
    fields.skip(name, *(f"{name}_{where}" for where in SECRETS))
    if name in fields:
        fields.say(
            name,
            f"a {name} does not stand in a rule file; give {name}_file, or {name}_env with the "
            "name of a variable",
        )
    elif len(given) > 1:
        fields.say(given[1], f"give {' or '.join(given)}, not both")
    elif not given and not key.optional:
        fields.say(None, f"{fields.what} has no '{name}_file' and no '{name}_env'")
    return {given[0]: fields.text(given[0])} if given else {}


def _labels(fields: Fields) -> dict[str, str]:
    block = fields.block("labels")
    if block is None:
        return {}
    written = block.texts()
    for label in written:
        if not LABEL.fullmatch(label):
            block.say(label, f"'{label}' cannot be a label")
    if not written and not block.strange():
        block.say(None, "labels names none; write it as labels: {app: chat}")
    return written


def _secure(fields: Fields, backend: Backend, settings: Mapping[str, Setting]) -> None:
    """Refuse what anybody on the way could use, or be: unless the file says that it may be so."""
    allowed = fields.flag(INSECURE, default=False)
    secrets = {
        f"{name}_{where}"
        for name, key in backend.keys.items()
        for where in SECRETS
        if key.form == "secret"
    }
    known = bool(secrets & set(settings))
    for name, key in backend.keys.items():
        parts = urlsplit(str(settings.get(name, ""))) if key.form in URLS else None
        if parts is None or not parts.hostname or allowed or is_loopback(parts.hostname):
            continue
        if not known:
            what = "without authentication"
        elif parts.scheme != "https":
            what = "with a secret that everybody on the way can read"
        else:
            continue
        fields.say(
            name,
            f"{name} controls {parts.hostname} {what}; use https with a secret, or say "
            f"{INSECURE}: true",
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host of a URL is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(fields: Fields, name: str, _: Key) -> Setting:
    text = fields.text(name)
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        parts, good = urlsplit(""), False
    if text.strip() and not good:
        fields.say(name, f"{name}: '{text}' is not a URL, such as 'http://127.0.0.1:8000'")
    elif parts.username or parts.password:
        fields.say(name, f"{name}: a URL with a password in it ends in logs; give it apart")
    return text.rstrip("/")


def _url_template(fields: Fields, name: str, key: Key) -> Setting:
    text = _url(fields, name, key)
    _filled_in(fields, name, str(text))
    return text


def _template(fields: Fields, name: str, _: Key) -> Setting:
    """Read a template of JSON; whether it is one shows with any value."""
    text = fields.text(name)
    whole = _filled_in(fields, name, text)
    try:
        json.loads(whole or "{}")
    except (ValueError, RecursionError) as error:
        fields.say(name, f"{name}: with a value of 1 it is no JSON: {error}")
    return text


def _filled_in(fields: Fields, name: str, text: str) -> str:
    """Return a template with something for each variable; a mistake in it is noted."""
    some = {"value": 1, "prior": 1, "target": "name", "labels": defaultdict(lambda: "label")}
    try:
        return rendered(text, some)
    except ValueError as error:
        fields.say(name, f"{name} {error}; it may use {', '.join(some)}")
        return ""


def _pointer(fields: Fields, name: str, _: Key) -> Setting:
    text = fields.text(name)
    if text.strip() and not POINTER.fullmatch(text):
        fields.say(name, f"{name}: '{text}' is no JSON pointer, such as '/limits/0/batch'")
    return text


def _path(fields: Fields, name: str, _: Key) -> Setting:
    text = fields.text(name)
    if text.strip() and not text.startswith("/"):
        fields.say(name, f"{name}: '{text}' is not a whole path, from / on")
    return text


def _pattern(fields: Fields, name: str, _: Key) -> Setting:
    text = fields.text(name)
    try:
        groups = re.compile(text).groups
    except re.error as error:
        fields.say(name, f"{name}: '{text}' is no regular expression: {error}")
    else:
        if groups != 1 and text.strip():
            fields.say(name, f"{name}: '{text}' needs one group, ( ), around the value")
    return text


def _seconds(fields: Fields, name: str, _: Key) -> Setting:
    return fields.seconds(name, 0.0)


def _count(fields: Fields, name: str, _: Key) -> Setting:
    value = fields.number(name)
    if value < 0 or value != int(value):
        fields.say(name, f"{name} must be a whole number, 0 or more, found {value:g}")
    return value


def _flag(fields: Fields, name: str, _: Key) -> Setting:
    return fields.flag(name, default=False)


def _word(fields: Fields, name: str, key: Key) -> Setting:
    return fields.word(name, key.choices)


def _text(fields: Fields, name: str, _: Key) -> Setting:
    return fields.text(name)


FORMS: Mapping[str, Callable[[Fields, str, Key], Setting]] = {
    "text": _text,
    "url": _url,
    "url_template": _url_template,
    "template": _template,
    "pointer": _pointer,
    "path": _path,
    "pattern": _pattern,
    "seconds": _seconds,
    "count": _count,
    "flag": _flag,
    "word": _word,
}
