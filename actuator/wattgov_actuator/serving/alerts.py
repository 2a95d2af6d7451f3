"""Alertmanager's webhook: an alert is no command, but a reason to look at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus

from wattgov_actuator.cycle.snapshot import Snapshot
from wattgov_actuator.orders import Asking, Look
from wattgov_actuator.serving.changes import LATER
from wattgov_actuator.serving.questions import body
from wattgov_actuator.serving.replies import Refusal, data
from wattgov_web.client import Client
from wattgov_web.request import Request, Response

NAMES = "wattgov_rules"
VERSION = "4"
MOST_UNKNOWN, LONGEST_NAME = 100, 200  # of what is not known, as much is told back


class Alerts:
    """Takes notifications, and has the groups of the rules that they name asked at once."""

    def __init__(self, ask: Asking, snapshot: Callable[[], Snapshot]) -> None:
        self._ask, self._snapshot = ask, snapshot

    def __call__(self, request: Request, client: Client) -> Response:
        """Answer with the rules that were understood, and the groups that are asked at once."""
        del client
        alerts, rules = _alerts(body(request)), self._snapshot().rules
        groups = {} if rules is None else {r.action: g.name for g in rules.groups for r in g.rules}
        named = set(_named(alerts, groups))
        known = sorted(named & groups.keys())
        unknown = sorted(each[:LONGEST_NAME] for each in named - groups.keys())[:MOST_UNKNOWN]
        told = {"alerts": len(alerts), "rules": known, "unknown": unknown}
        if not known:
            return data({**told, "groups": []})
        soon = self._ask(Look(groups[each] for each in known))
        if soon is None:
            return data({**told, "groups": None, "note": LATER}, HTTPStatus.ACCEPTED)
        return data({**told, "groups": soon})


def _alerts(given: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the alerts of a notification; Refusal when it is none."""
    alerts = given.get("alerts")
    if given.get("version") != VERSION or not isinstance(alerts, list):
        sentence = f"expected Alertmanager's webhook format, version {VERSION}, with its alerts"
        raise Refusal(HTTPStatus.BAD_REQUEST, sentence)
    return [each for each in alerts if isinstance(each, dict)]


def _named(alerts: Iterable[Mapping[str, object]], rules: Iterable[str]) -> Iterator[str]:
    """Yield the rules that alerts are about: those they name, and those that a label is."""
    for alert in alerts:
        labels, notes = (_texts(alert.get(key)) for key in ("labels", "annotations"))
        for each in (labels.pop(NAMES, ""), notes.get(NAMES, "")):
            yield from filter(None, (name.strip() for name in each.split(",")))
        yield from set(labels.values()).intersection(rules)


def _texts(given: object) -> dict[str, str]:
    pairs = given.items() if isinstance(given, dict) else ()
    return {key: value for key, value in pairs if isinstance(value, str)}
