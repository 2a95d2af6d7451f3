"""Which bytes a scraper gets: its format, its encoding, and how long it waits for them."""

import gzip
import threading
from pathlib import Path

import pytest

from exporter.views import publish_when_waited_for, stale_pages, view
from wattgov_exporter.serving.pages import Pages, content_type, wants_gzip

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
    "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain"),
        ("*/*", "text/plain"),
        ("text/html", "text/plain"),
        (PROMETHEUS_2, "application/openmetrics-text"),
        (PROMETHEUS_3, "application/openmetrics-text"),
        ("application/openmetrics-text", "application/openmetrics-text"),
        ("application/openmetrics-text;version=0.0.1", "text/plain"),
        ("text/plain, application/openmetrics-text;q=0.1", "text/plain"),
        ("application/openmetrics-text;q=0, */*;q=0.1", "text/plain"),
        ("application/openmetrics-text;q=2;version=\x00", "text/plain"),
    ],
)
def test_format(accept: str, kind: str) -> None:
    """OpenMetrics for those who prefer it, by quality and not by place; else text."""
    assert kind == content_type(accept).partition(";")[0]


@pytest.mark.parametrize(
    ("accept_encoding", "packed"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP;q=0.5", True),
        ("deflate, gzip;q=0", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0.2, identity;q=0.9", False),
        ("br, zstd", False),
        ("gzip;q=loud", False),
    ],
)
def test_encoding(accept_encoding: str, packed: bool) -> None:
    """Gzip for those who take it, and like it no less than plain bytes."""
    assert packed is wants_gzip(accept_encoding)


def test_rendered_once(tmp_path: Path) -> None:
    """Two scrapers of one tick get the very same object, packed or not; a new tick is a new one."""
    pages = Pages(lambda: 0.0)
    one = view(tmp_path)
    pages.publish(one)

    plain, packed = (pages.metrics("", encoding, 0.0) for encoding in ("", "gzip"))

    assert plain is pages.metrics("", "", 0.0)
    assert packed is pages.metrics("text/plain", "gzip", 0.0)
    assert plain
    assert packed
    assert plain.body == gzip.decompress(packed.body)
    assert len(packed.body) < len(plain.body) / 3
    pages.publish(one)
    assert plain is not pages.metrics("", "", 0.0)


def test_a_client_cannot_fill_the_cache(tmp_path: Path) -> None:
    """However many formats are asked for, no more are kept than there are."""
    pages = Pages(lambda: 0.0)
    pages.publish(view(tmp_path))

    kept = {
        id(pages.metrics(f"application/openmetrics-text;version=1.0.{number}", "", 0.0))
        for number in range(100)
    }

    assert 1 >= len(kept - {id(pages.metrics("application/openmetrics-text", "", 0.0))})


def test_stale_is_not_shown(tmp_path: Path) -> None:
    """A page is shown for ten seconds, or three intervals where that is longer."""
    now = 0.0
    pages = Pages(lambda: now)
    assert not pages.fresh
    pages.publish(view(tmp_path))

    now = 9.9
    assert pages.metrics("", "", 0.0) is not None
    now = 10.1
    assert pages.metrics("", "", 0.0) is None
    assert not pages.fresh


def test_a_scraper_waits_for_the_first_sample(tmp_path: Path) -> None:
    """Who has patience gets the next sample and not an error; who has none gets neither."""
    looked = threading.Event()
    sample = view(tmp_path)
    pages = stale_pages(sample, looked)
    assert pages.metrics("", "", 0.0) is None
    looked.clear()
    publish_when_waited_for(pages, looked, sample)

    page = pages.metrics("", "", 20.0)

    assert page is not None
    assert b"energy_source_up" in page.body
