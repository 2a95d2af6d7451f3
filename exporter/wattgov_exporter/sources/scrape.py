"""Another exporter as a source, where the hardware cannot be read directly."""

from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from wattgov_exporter.config import Scrape as Settings
from wattgov_exporter.doubt import Standing, impossible
from wattgov_exporter.integral import Integral
from wattgov_exporter.reading import (
    Clock,
    Component,
    Energy,
    GpuState,
    Meter,
    NoMeter,
    Readings,
    Reason,
    Refused,
)
from wattgov_exporter.sources.scrape_peers import PEERS, Page, Shown, parse

STILL_SECONDS = 120.0
"""A counter that has not moved for so long is left out: its exporter serves old values.

dcgm-exporter collects every 30 s unless told otherwise, and goes on serving what it has when its
host engine is gone. One that overlaps others may rest (a graphics core that nobody uses): beside
one that moves it then draws nothing.
"""

BRIDGED_INTERVALS = 3
MAX_BYTES = 16 << 20
MAX_REDIRECTS = 3
_CHUNK_BYTES = 65536

TYPES = frozenset({"", "text/plain", "application/openmetrics-text"})
"""Scaphandre states no content type."""

REASONS: Mapping[int, Reason] = {
    HTTPStatus.UNAUTHORIZED: Reason.PERMISSION,
    HTTPStatus.FORBIDDEN: Reason.PERMISSION,
    HTTPStatus.GATEWAY_TIMEOUT: Reason.TIMEOUT,
}


class Scrape:
    """One exporter, read over HTTP. Its counters are its peer's: see `Peer` for what they are."""

    def __init__(self, name: str, settings: Settings, clock: Clock) -> None:
        self.name = name
        self.interval_seconds = settings.interval_seconds
        self._peer = PEERS[settings.kind]
        self.expected_error = self._peer.expected_error
        self._seconds = settings.timeout_seconds
        self._clock = clock
        self._url = settings.url if urlsplit(settings.url).path else f"{settings.url}/metrics"
        self._standing = Standing()
        self._peaks: dict[tuple[str, str], float] = {}
        self._integrals: dict[tuple[str, str], Integral] = {}
        self._http = requests.Session()
        # Neither a proxy nor ~/.netrc of the environment may come between.
        self._http.trust_env = False
        self._http.headers["Accept"] = "text/plain;version=0.0.4"

    def read(self) -> Readings:
        """Scrape once; NoMeter with the reason when there is nothing of use."""
        text = self._get()
        now = self._clock()
        try:
            page = self._peer.read(parse(text, self._peer.prefixes))
        except ValueError as error:
            raise NoMeter(Reason.INVALID, f"{self._url}: a broken line: {error}") from error
        if not (page.meters or page.gpus):
            names = ", ".join(f"{prefix}*" for prefix in self._peer.prefixes)
            raise NoMeter(Reason.UNSUPPORTED, f"{self._url} shows no {names}: {self._peer.missing}")
        energies: list[Energy] = []
        refused: list[tuple[Shown, NoMeter]] = []
        # Of two that are named alike the first.
        named = {shown.key: shown for shown in reversed(page.meters)}
        for shown in named.values():
            try:
                energies.append(self._energy(shown, now))
            except NoMeter as fault:
                refused.append((shown, fault))
        if refused and not any(energy.meter.component for energy in energies):
            raise refused[0][1]
        found = tuple(fault.anomaly for _, fault in refused if fault.anomaly)
        return Readings(
            tuple(energies),
            _gpus(page, energies),
            anomalies=page.anomalies + found,
            refused=tuple(
                Refused(self._meter(shown, 0.0), fault.detail)
                for shown, fault in refused
                if fault.anomaly or not self._may_rest(shown)
            ),
        )

    def _may_rest(self, shown: Shown) -> bool:
        """Tell a card, which may sleep, and a psys that never counted, which many boards have."""
        is_platform = shown.component is Component.PLATFORM
        is_unwired = is_platform and not self._standing.has_moved(shown.key)
        return is_unwired or shown.component is Component.GPU

    def _energy(self, shown: Shown, now: float) -> Energy:
        """Return what a meter counted, as of when it came to that."""
        key, name = shown.key, f"{shown.zone} {shown.package}".strip()
        if shown.joules is None:
            bridge = BRIDGED_INTERVALS * self.interval_seconds
            integral = self._integrals.setdefault(key, Integral(bridge))
            joules = integral.add(shown.watts or 0.0, now)
            return Energy(self._meter(shown, 0.0), joules, now, integral.is_start)
        anomaly = impossible(shown.joules)
        if anomaly is not None:
            words = f"{self._url}: {name} shows {shown.joules:g} J, which cannot be"
            raise NoMeter(Reason.INVALID, words, anomaly)
        since = self._standing.since(key, shown.joules, now)
        is_still = now - since > STILL_SECONDS
        if is_still and shown.component is not None:
            raise NoMeter(
                Reason.INVALID,
                f"{self._url}: the counter of {name} has not moved for {STILL_SECONDS:g} s: "
                "it serves old values, or that meter is stuck",
            )
        peak = self._peaks[key] = max(self._peaks.get(key, 0.0), shown.joules)
        at, is_start = now if is_still else since, self._standing.begins(key, now)
        return Energy(self._meter(shown, peak), shown.joules, at, is_start)

    def _meter(self, shown: Shown, peak: float) -> Meter:
        """Return the meter. It wraps at the least range that holds the most it ever showed.

        That guess can only be too small while the counter is far from its end: a drop is believed
        to be a wrap only where the joules that it would mean are plausible.
        """
        return Meter(
            source=self.name,
            component=shown.component,
            package=shown.package,
            zone=shown.zone,
            method=shown.method,
            max_watts=shown.max_watts,
            range_joules=min((each for each in shown.ranges if each >= peak), default=None),
        )

    def _get(self) -> str:
        """Return the text; a redirect is followed on the same host only."""
        url = self._url
        for _ in range(MAX_REDIRECTS):
            status, place, text = self._send(url)
            if status == HTTPStatus.OK:
                return text
            if not (place and HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST):
                raise NoMeter(
                    REASONS.get(status, Reason.INVALID), f"{url} answered {status}, not 200"
                )
            goal = urljoin(url, place)
            if urlsplit(goal)[:2] != urlsplit(self._url)[:2]:
                raise NoMeter(
                    Reason.INVALID, f"{url} redirects to another host: give that one as url"
                )
            url = goal
        raise NoMeter(Reason.INVALID, f"{self._url} redirects in a circle")

    def _send(self, url: str) -> tuple[int, str, str]:
        """Return the status, where a redirect leads, and the text of a good answer."""
        deadline = self._clock() + self._seconds
        try:
            with self._http.get(
                url, timeout=self._seconds, stream=True, allow_redirects=False
            ) as response:
                place = response.headers.get("Location", "")
                good = response.status_code == HTTPStatus.OK
                text = self._text(response, deadline) if good else ""
                return response.status_code, place, text
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise self._too_slow() from error
        except requests.exceptions.SSLError as error:
            raise NoMeter(Reason.INVALID, f"{url}: its certificate is not trusted") from error
        except requests.ConnectionError as error:
            raise NoMeter(Reason.ABSENT, f"{url}: nothing answers there: is it running?") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            words = f"{type(error).__name__}: {error}"
            raise NoMeter(Reason.INVALID, f"{url}: {words}") from error

    def _text(self, response: requests.Response, deadline: float) -> str:
        """Return the body: text of bounded length that came within the time."""
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in TYPES:
            raise NoMeter(
                Reason.INVALID, f"{response.url} answered {kind}, not metrics: is the path right?"
            )
        parts: list[bytes] = []
        length = 0
        # read1 returns what is there, so that a trickle cannot outlast the deadline.
        while part := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            parts.append(part)
            length += len(part)
            if length > MAX_BYTES:
                raise NoMeter(
                    Reason.INVALID, f"{response.url} answered more than {MAX_BYTES >> 20} MiB"
                )
            if self._clock() > deadline:
                raise self._too_slow()
        return b"".join(parts).decode("utf-8", "replace")

    def _too_slow(self) -> NoMeter:
        return NoMeter(Reason.TIMEOUT, f"{self._url} did not answer within {self._seconds:g} s")


def _gpus(page: Page, energies: Sequence[Energy]) -> tuple[GpuState, ...]:
    """Return the cards' gauges; those of a card whose counter stands still are old too."""
    moving = {energy.meter.zone for energy in energies}
    metered = {shown.zone for shown in page.meters}
    return tuple(one for one in page.gpus if one.uuid in moving or one.uuid not in metered)


def scrapes(settings: Sequence[Settings], clock: Clock) -> tuple[Scrape, ...]:
    """Return a source for each entry, each failing alone: `scrape_dcgm`, then `scrape_dcgm_2`."""
    count: Tally[str] = Tally()
    made: list[Scrape] = []
    for entry in settings:
        count[entry.kind] += 1
        number = f"_{count[entry.kind]}" if count[entry.kind] > 1 else ""
        made.append(Scrape(f"scrape_{entry.kind}{number}", entry, clock))
    return tuple(made)
