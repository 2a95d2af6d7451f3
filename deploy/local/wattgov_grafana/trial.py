"""Try the dashboards in a real Grafana by its HTTP API, and leave nothing behind."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests

Json = dict[str, Any]
TIMEOUT_SECONDS = 20.0
FOLDER = "wattgov-check"


class Refused(Exception):
    """What Grafana did not take, in a sentence."""


class Grafana:
    """One Grafana, asked with a service account's token, or with what its URL holds."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, body: Json | None = None) -> Any:  # noqa: ANN401  (JSON)
        """Return the answer; Refused with Grafana's own words."""
        try:
            answer = self._session.request(
                method, f"{self._url}{path}", json=body, timeout=TIMEOUT_SECONDS
            )
        except requests.RequestException as error:
            raise Refused(f"{method} {path}: {type(error).__name__}") from error
        if not answer.ok:
            raise Refused(f"{method} {path}: {answer.status_code} {answer.text.strip()[:300]}")
        return answer.json()


def check(grafana: Grafana, pages: Mapping[str, Json], say: Callable[[str], None]) -> list[str]:
    """Load each dashboard under a uid of its own, read it back, remove it; return what is wrong."""
    say(f"Grafana {grafana.call('GET', '/api/health').get('version', '?')}")
    sources = grafana.call("GET", "/api/datasources")
    wrong = []
    if not any(one["type"] == "prometheus" for one in sources):
        wrong.append("Grafana has no Prometheus data source; the dashboards would be empty")
    grafana.call("POST", "/api/folders", {"uid": FOLDER, "title": "Wattgov check"})
    try:
        for name, page in pages.items():
            found = list(_differences(grafana, page))
            wrong += [f"{name}: {one}" for one in found]
            say(f"{name:<12}{'; '.join(found) or 'loads'}")
    finally:
        grafana.call("DELETE", f"/api/folders/{FOLDER}")
    return wrong


def _differences(grafana: Grafana, page: Json) -> Iterator[str]:
    """Yield how a dashboard that was saved differs from what was sent."""
    uid = f"check-{page['uid']}"
    sent = page | {"uid": uid, "title": f"{page['title']} (check)", "id": None}
    body = {"dashboard": sent, "folderUid": FOLDER, "overwrite": True}
    try:
        grafana.call("POST", "/api/dashboards/db", body)
        kept = grafana.call("GET", f"/api/dashboards/uid/{uid}")["dashboard"]
    except Refused as refused:
        yield str(refused)
        return
    shown = [(one["type"], one["title"], one["gridPos"]) for one in kept.get("panels", [])]
    if shown != [(one["type"], one["title"], one["gridPos"]) for one in page["panels"]]:
        yield "its panels came back changed"
    names = [one["name"] for one in kept["templating"]["list"]]
    if names != [one["name"] for one in page["templating"]["list"]]:
        yield "its variables came back changed"
