"""A number behind anybody's API: where it is read, and how it is written, stand in the rule file.

Bodies and the URL of a write are templates, in a sandbox: `value`, `target` and `labels` of the
connection, and when putting back `prior`, the JSON that was read before us.
"""

import json

from wattgov_actuator.connection import Connection
from wattgov_actuator.document.template import rendered
from wattgov_actuator.knobs.count import counted
from wattgov_actuator.knobs.once import Once
from wattgov_actuator.knobs.web import Web, bearer
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe


class Http:
    """One number."""

    def __init__(self, way: Connection) -> None:
        self._way, self._web = way, Web(way, bearer(way))
        self._met = Once(lambda: self.read(way.name))

    def probe(self) -> Probe:
        """Return the one target."""
        self._met()
        return counted(self._way, "requests")

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return the number that the pointer leads to."""
        url, path = self._way.text("read_url"), self._way.text("read_path")
        found = pointed(self._web.get(url), path)
        if isinstance(found, int | float | str) and not isinstance(found, bool):
            try:
                return InForce(float(found), text=json.dumps(found))
            except ValueError:
                pass
        raise KnobError(Fault.LOST, f"{url} has {_short(found)} at '{path}', and no number")

    def write(self, target: str, value: float) -> None:  # noqa: ARG002 (a Knob)
        """Send the number."""
        whole = round(value)
        self._send("write_body", whole, str(whole))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Send what was read, or what `restore_body` makes of it."""
        body = "restore_body" if self._way.text("restore_body") else "write_body"
        self._send(body, int(value) if value.is_integer() else value, text)

    def close(self) -> None:
        """Close the connection."""
        self._web.close()

    def _send(self, body: str, value: float, prior: str) -> None:
        way = self._way
        variables = {"value": value, "prior": prior, "target": way.name, "labels": way.labels}
        try:
            url = rendered(way.text("write_url"), variables)
            sent = rendered(way.text(body), variables).encode()
        except ValueError as error:
            raise KnobError(Fault.REFUSED, f"{way.name}: write_url or {body} {error}") from None
        self._web.told(way.text("write_method"), url, sent or None)


def pointed(document: object, pointer: str) -> object:
    """Return what a JSON pointer (RFC 6901) leads to, None where there is nothing."""
    found = document
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found


def _short(found: object) -> str:
    kinds = {dict: "an object", list: "a list", type(None): "nothing"}
    return kinds.get(type(found)) or json.dumps(found)[:40]


def open_knob(machine: Machine, way: Connection) -> Http:  # noqa: ARG001 (a backend)
    """Return the knob."""
    return Http(way)
