"""What two ticks of a planted machine show, for tests of what is served."""

import threading
from dataclasses import replace
from pathlib import Path

from plant import machine
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import App, Config, Site
from wattgov_exporter.rows import Own, Reloads, View
from wattgov_exporter.serving.pages import Pages
from wattgov_exporter.sources import Machine

CONFIG = Config(
    site=Site("FR", 56.0, 1.2, 0.2, "EUR"),
    apps=(
        App("chat", process="vllm", target_joules_per_request=150, target_p95_latency_seconds=1),
    ),
)
PATIENT = replace(CONFIG, interval_seconds=60.0)
"""Long, so that a tick waits for its sources on a slow machine too."""


def view(root: Path) -> View:
    """Return two ticks' worth of a machine planted under *root*."""
    machine("xeon-2-sockets", root)
    where = Machine(root / "sys", root / "proc", lambda: 1.0, lambda: 1.7e9)
    collector = Collector(PATIENT, where, own_pid=1)
    collector.tick()
    reloads = Reloads(
        successful=True,
        success_at=1.7e9,
        sha256="c0ffee" * 10,
        web_failures=0,
        web_good=True,
    )
    return View(collector.tick(), CONFIG, Own("1.2.3", 0.5, reloads))


def publish_when_waited_for(pages: Pages, looked: threading.Event, sample: View) -> None:
    """Publish from another thread, but not before *looked*: a scraper saw that there is no page."""

    def publish() -> None:
        looked.wait()
        pages.publish(sample)

    threading.Thread(target=publish).start()


def stale_pages(sample: View, looked: threading.Event) -> Pages:
    """Return pages whose only page is too old; *looked* is set when somebody asks for it."""
    times = iter((0.0, 1000.0))

    def clock() -> float:
        now = next(times, 2000.0)
        if now:
            looked.set()
        return now

    pages = Pages(clock)
    pages.publish(sample)
    return pages
