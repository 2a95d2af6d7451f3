"""The paths: /metrics, health, reload, and the first page; and who may see them."""

from collections.abc import Callable
from http import HTTPStatus

from wattgov_exporter.serving.pages import Pages
from wattgov_web.client import Client
from wattgov_web.request import TEXT, Request, Response

SCRAPE_MARGIN_SECONDS = 0.5
"""An answer must be there before the scraper gives up: on the way, and parsed."""

MOST_PATIENCE_SECONDS = 10.0
"""Nobody waits longer for a sample, whatever timeout he claims to have."""

SCRAPE_TIMEOUT = "x-prometheus-scrape-timeout-seconds"
"""The header by which a scraper is told from one who asks by hand."""

READ = ("/", "/metrics", "/-/healthy", "/-/ready")
RELOAD = "/-/reload"
OTHERWISE = "logins are in --web.config.file; `kill -HUP` reloads, too"

_NOT_FRESH = Response(HTTPStatus.SERVICE_UNAVAILABLE, b"no fresh sample\n")

Reload = Callable[[], list[str] | None]
"""Reloads the configuration and returns its mistakes; None when that takes too long."""


class Answers:
    """Turns a request into a response."""

    def __init__(self, pages: Pages, reload: Reload, scraped: Callable[[], None]) -> None:
        """Take what is shown; *scraped* is called whenever a scraper comes."""
        self._pages = pages
        self._scraped = scraped
        self._reload = reload

    def __call__(self, request: Request, client: Client) -> Response:
        """Answer a client."""
        if request.path == RELOAD:
            return self._reloaded(request, client)
        if request.path not in READ:
            return Response(HTTPStatus.NOT_FOUND, b"not here; see /\n")
        if request.method not in {"GET", "HEAD"}:
            return _not_allowed("GET, HEAD")
        return self._page(request)

    def _page(self, request: Request) -> Response:
        match request.path:
            case "/metrics":
                return self._metrics(request)
            case "/-/healthy":
                return Response(HTTPStatus.OK, b"healthy\n")
            case "/-/ready":
                return Response(HTTPStatus.OK, b"ready\n") if self._pages.fresh else _NOT_FRESH
        from wattgov_exporter.serving.landing import landing  # noqa: PLC0415  a scraper needs none

        return Response(HTTPStatus.OK, landing(self._pages.view), "text/html; charset=utf-8")

    def _metrics(self, request: Request) -> Response:
        timeout = request.headers.get(SCRAPE_TIMEOUT, "")
        if timeout:
            self._scraped()
        page = self._pages.metrics(
            request.headers.get("accept", ""),
            request.headers.get("accept-encoding", ""),
            _patience(timeout),
        )
        if page is None:
            return _NOT_FRESH
        vary = ("Vary", "Accept, Accept-Encoding")
        packed = (("Content-Encoding", page.encoding),) if page.encoding else ()
        return Response(HTTPStatus.OK, page.body, page.content_type, (vary, *packed))

    def _reloaded(self, request: Request, client: Client) -> Response:
        if request.method != "POST":
            return _not_allowed("POST")
        if said := client.against_changing(request.headers):
            told = f"not reloaded: {said} ({OTHERWISE})\n"
            return Response(HTTPStatus.FORBIDDEN, told.encode())
        mistakes = self._reload()
        if mistakes is None:
            return Response(HTTPStatus.GATEWAY_TIMEOUT, b"not reloaded yet; see the log\n")
        if mistakes:
            text = "\n".join((*mistakes, "the old configuration stays in force\n"))
            return Response(HTTPStatus.INTERNAL_SERVER_ERROR, text.encode())
        return Response(HTTPStatus.OK, b"reloaded\n")


def _not_allowed(allowed: str) -> Response:
    body = f"only {allowed}\n".encode()
    return Response(HTTPStatus.METHOD_NOT_ALLOWED, body, TEXT, (("Allow", allowed),))


def _patience(timeout: str) -> float:
    """Return how long a scraper with this timeout can wait for a sample, in seconds."""
    try:
        seconds = float(timeout)
    except ValueError:
        return 0.0
    if not seconds > SCRAPE_MARGIN_SECONDS:  # nor is "nan"
        return 0.0
    return min(seconds - SCRAPE_MARGIN_SECONDS, MOST_PATIENCE_SECONDS)
