"""Read `knobs` of a rule file: which connections lead to what is no part of this machine."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from urllib.parse import SplitResult, urlsplit

from wattgov_actuator.connection import Connection, Setting, is_loopback
from wattgov_actuator.document.strict import Fields
from wattgov_actuator.document.template import rendered
from wattgov_actuator.document.tree import line_of
from wattgov_actuator.rules import Backend, Key, Kind
from wattgov_actuator.selection import LABEL, compiled

INSECURE = "allow_insecure"
URLS = ("url", "url_template")
POINTER = re.compile(r"(/([^/~]|~[01])*)*")  # RFC 6901
SECRETS = ("file", "env")  # where a secret may lie; never in the rule file itself


def connections(
    fields: Fields, kinds: Mapping[str, Kind], taken: set[str]
) -> tuple[Connection, ...]:
    """Return what `knobs` says; mistakes are noted in *fields*."""
    fields.skip("knobs")
    if "knobs" not in fields:
        return ()
    found = (_connection(each, kinds, taken) for each in fields.blocks("knobs", "an entry"))
    return tuple(each for each in found if each is not None)


def _connection(fields: Fields, kinds: Mapping[str, Kind], taken: set[str]) -> Connection | None:
    reachable = [knob for knob, kind in kinds.items() if kind.backends]
    knob = fields.meant("knob", reachable)
    fields.word("knob", reachable)
    backends = kinds[knob].backends if knob else {}
    name = fields.meant("backend", list(backends))
    if backends:
        fields.word("backend", list(backends))
    if knob is None or name is None:
        fields.names()  # nobody knows which others it takes
        fields.end()
        return None
    backend, called = backends[name], fields.text("name")
    if f"{knob} {called}" in taken:
        fields.say("name", f"there is another {knob} called '{called}'; the name is its label")
    taken.add(f"{knob} {called}")
    settings = _settings(fields, backend)
    timeout = fields.seconds("timeout", backend.timeout_seconds, at_least=0.1)
    labels = _labels(fields) or {"app": called}
    _secure(fields, backend, settings)
    low, high = (settings.get(key) for key in ("low", "high"))
    if isinstance(low, float) and isinstance(high, float) and low > high and "high" in fields:
        fields.say("high", f"high {high:g} is below low, {low:g}")
    fields.end()
    return Connection(knob, name, called, labels, settings, timeout)


def _settings(fields: Fields, backend: Backend) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for name, key in backend.keys.items():
        if key.form == "secret":
            found |= _secret(fields, name, key)
            continue
        if key.optional or key.default is not None:
            fields.skip(name)  # may be left out
            if name not in fields:
                found |= {} if key.default is None else {name: key.default}
                continue
        found[name] = FORMS[key.form](fields, name, key)
    return found


def _secret(fields: Fields, name: str, key: Key) -> dict[str, Setting]:
    """Read where a secret lies: in a file, or in a variable of the environment."""
    given = [each for each in (f"{name}_{where}" for where in SECRETS) if each in fields]
    fields.skip(*(f"{name}_{where}" for where in SECRETS))
    if name in fields:
        told = f"give {name}_file, or {name}_env with the name of a variable"
        fields.refuse(name, f"a {name} does not stand in a rule file; {told}")
    elif len(given) > 1:
        fields.say(given[1], f"give {' or '.join(given)}, not both")
    elif not given and not key.optional:
        fields.say(None, f"{fields.what} has no '{name}_file' and no '{name}_env'")
    return {each: fields.text(each) for each in given}


def _labels(fields: Fields) -> dict[str, str]:
    block = fields.block("labels")
    if block is None:
        return {}
    written = block.texts()
    for label in written:
        if not LABEL.fullmatch(label):
            block.say(label, f"'{line_of(label)}' cannot be a label")
    if not written and not block.strange():
        block.say(None, "labels names none; write it as labels: {app: chat}")
    return written


def _secure(fields: Fields, backend: Backend, settings: Mapping[str, Setting]) -> None:
    """Refuse what anybody on the way could use, or be: unless the file says that it may be so."""
    allowed = fields.flag(INSECURE, default=False)
    for name, key in backend.keys.items():
        parts = _parts(str(settings.get(name, ""))) if key.form in URLS else None
        if parts is None or not parts.hostname or allowed or is_loopback(parts.hostname):
            continue
        host = line_of(parts.hostname)
        if not any(
            f"{each}_{where}" in settings for each in _vouching(backend, name) for where in SECRETS
        ):
            what = "without authentication"
        elif parts.scheme != "https":
            what = "with a secret that everybody on the way can read"
        else:
            continue
        fields.say(
            name,
            f"{name} controls {host} {what}; use https with a secret, or say {INSECURE}: true",
        )


def _vouching(backend: Backend, url: str) -> list[str]:
    """Return the secrets that go to *url*: its own `URL_token`, else those that are no other's."""
    keys = backend.keys
    if f"{url}_token" in keys:
        return [f"{url}_token"]
    others = {f"{name}_token" for name, key in keys.items() if key.form in URLS}
    return [name for name, key in keys.items() if key.form == "secret" and name not in others]


def _url(fields: Fields, name: str, _: Key) -> Setting:
    text = fields.text(name)
    parts = _parts(text)
    if parts is not None and (parts.username or parts.password):
        fields.say(name, f"{name}: a URL with a password in it ends in logs; give it apart")
    elif parts is None and text.strip():
        shown = line_of(text)
        fields.say(name, f"{name}: '{shown}' is not a URL, such as 'http://127.0.0.1:8000'")
    return text.rstrip("/")


def _parts(text: str) -> SplitResult | None:
    """Return the parts of a URL; None when it is none."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if good else None


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
        trouble = line_of(str(error))
        fields.say(name, f"{name}: with a value of 1 it is no JSON: {trouble}")
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
        shown = line_of(text)
        fields.say(name, f"{name}: '{shown}' is no JSON pointer, such as '/limits/0/batch'")
    return text


def _path(fields: Fields, name: str, _: Key) -> Setting:
    text = fields.text(name)
    if text.strip() and not text.startswith("/"):
        fields.say(name, f"{name}: '{line_of(text)}' is not a whole path, from / on")
    return text


def _pattern(fields: Fields, name: str, _: Key) -> Setting:
    text = fields.text(name)
    try:
        groups = compiled(text).groups
    except ValueError as error:
        fields.say(name, f"{name}: {error}")
    else:
        if groups != 1 and text.strip():
            fields.say(name, f"{name}: '{line_of(text)}' needs one group, ( ), around the value")
    return text


def _seconds(fields: Fields, name: str, _: Key) -> Setting:
    return fields.seconds(name, 0.0)


def _count(fields: Fields, name: str, _: Key) -> Setting:
    return float(fields.count(name))


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
