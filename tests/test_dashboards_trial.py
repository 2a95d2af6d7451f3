"""`make dashboards-check`: load the dashboards into a Grafana, compare, leave nothing behind."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from wattgov_grafana.cli import DASHBOARDS, main


@dataclass
class Served:
    """A stand-in for Grafana's HTTP API: what it holds, and how it may misbehave."""

    url: str = ""
    token: str = "secret"  # noqa: S105  (of the stand-in)
    sources: list[str] = field(default_factory=lambda: ["prometheus"])
    spoil: Callable[[dict[str, Any]], object] = lambda page: page
    folders: set[str] = field(default_factory=set)
    pages: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: int = 0

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:  # noqa: ANN401  (JSON)
        """Return a status and a body."""
        found: Any = {}
        match method, path.strip("/").split("/")[1:]:
            case "GET", ["health"]:
                found = {"version": "11.0.0"}
            case "GET", ["datasources"]:
                found = [{"type": one} for one in self.sources]
            case "POST", ["folders"]:
                self.folders.add(body["uid"])
            case "DELETE", ["folders", uid]:
                self.folders.remove(uid)
                self.pages.clear()
            case "POST", ["dashboards", "db"]:
                self.seen += 1
                self.spoil(body["dashboard"])
                self.pages[body["dashboard"]["uid"]] = body["dashboard"]
            case "GET", ["dashboards", "uid", uid]:
                found = {"dashboard": self.pages[uid]}
            case _:
                return 404, {"message": "not found"}
        return 200, found


@pytest.fixture
def grafana() -> Iterator[Served]:
    """Serve the stand-in on loopback."""
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = 401, {"message": "Unauthorized"}
            if self.headers.get("Authorization") == f"Bearer {served.token}":
                status, body = served.answer(self.command, self.path, json.loads(sent or "{}"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        do_GET = do_POST = do_DELETE = _any  # noqa: N815  (http.server's names)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def run(url: str, token: str = "secret") -> tuple[int, str]:  # noqa: S107  (of the stand-in)
    """Run the command; return its status and what it said."""
    environment = {"GRAFANA_URL": url, "GRAFANA_TOKEN": token, "NO_PROXY": "127.0.0.1"}
    done = CliRunner().invoke(main, ["check"], env=environment)
    return done.exit_code, done.output


def test_all_load_and_nothing_stays(grafana: Served) -> None:
    """Every dashboard is loaded, read back the same, and gone with its folder."""
    status, said = run(grafana.url)

    assert 0 == status, said
    assert len(list(DASHBOARDS.glob("*.json"))) == grafana.seen == said.count("loads")
    assert (set(), {}) == (grafana.folders, grafana.pages)


def test_a_changed_panel_is_told(grafana: Served) -> None:
    """A Grafana that drops a panel makes the check fail, and is left clean all the same."""
    grafana.spoil = lambda page: page["panels"].pop()

    status, said = run(grafana.url)

    assert 1 == status
    assert "overview: its panels came back changed" in said
    assert set() == grafana.folders


def test_no_prometheus_there_is_told(grafana: Served) -> None:
    """Dashboards that would load and stay empty are no success."""
    grafana.sources = ["loki"]

    assert (1, True) == (run(grafana.url)[0], "no Prometheus data source" in run(grafana.url)[1])


def test_a_wrong_token_is_a_sentence(grafana: Served) -> None:
    """Grafana's own words are passed on, without a traceback."""
    status, said = run(grafana.url, token="other")  # noqa: S106  (of the stand-in)

    assert 1 == status
    assert "Error: GET /api/health: 401" in said
    assert "Unauthorized" in said


def test_without_a_grafana_nothing_is_tried() -> None:
    """No URL is a reason to skip, in words, and no failure."""
    status, said = run("")

    assert 0 == status
    assert "set GRAFANA_URL" in said
