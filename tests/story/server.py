"""A real Prometheus, or VictoriaMetrics, that holds the story."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from story import remote
from story.play import SCRAPE_SECONDS, START, play
from story.replay import replay
from wattgov_stack.layout import free_ports

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "rules/recording", ROOT / "alerting/rules")
READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Told:
    """A server that holds the story."""

    url: str
    start: float
    end: float


@contextmanager
def prometheus(program: str, folder: Path, seconds: float) -> Iterator[str]:
    """Run Prometheus with the story of so many seconds in it; give its URL."""
    config = folder / "prometheus.yml"
    config.write_text("global: {scrape_interval: 15s}\n", encoding="utf-8")
    port = free_ports().prometheus
    # A block of days: the head takes samples of any time of the story, in any order of series.
    words = (
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.min-block-duration=4d",
        "--storage.tsdb.max-block-duration=4d",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
    )
    with _running([program, *words], folder, f"http://127.0.0.1:{port}", "/-/ready") as url:
        _send(url, seconds)
        replay(url, RULES, START, START + seconds)
        yield url


@contextmanager
def victoria_metrics(program: str, folder: Path, seconds: float) -> Iterator[str]:
    """Run VictoriaMetrics with the story in it; give its URL."""
    port = free_ports().prometheus
    words = (
        f"-storageDataPath={folder / 'vm'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
        "-search.latencyOffset=0s",
        "-loggerLevel=WARN",
    )
    flush = "/internal/force_flush"
    with _running([program, *words], folder, f"http://127.0.0.1:{port}", "/health") as url:
        _send(url, seconds)
        requests.get(f"{url}{flush}", timeout=READY_SECONDS).raise_for_status()
        replay(url, RULES, START, START + seconds, flush)
        yield url


def _send(url: str, seconds: float) -> None:
    series = play(seconds).series
    remote.send(f"{url}/api/v1/write", series, SCRAPE_SECONDS, START + seconds)


@contextmanager
def _running(words: Sequence[str], folder: Path, url: str, ready: str) -> Iterator[str]:
    session = requests.Session()
    session.trust_env = False
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
        try:
            end = time.monotonic() + READY_SECONDS
            while not _answers(session, url + ready):
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((folder / "server.log").read_text(encoding="utf-8"))
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait(READY_SECONDS)


def _answers(session: requests.Session, url: str) -> bool:
    try:
        return session.get(url, timeout=1).ok
    except requests.RequestException:
        return False
