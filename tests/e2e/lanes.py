"""Several governors side by side before one Prometheus: each has cards, an exporter and a proxy."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from actuator.test_run import Actuator
from fakes.faulty_proxy import WHOLE, FaultyProxy
from fault_table import Case
from testbed.nvml import VirtualGpus
from testbed.web import METRICS_TYPE, Answer
from waiting import until
from wattgov_actuator.commands.past import EVERYTHING, Past, Wanted
from wattgov_stack.ask import direct, query
from wattgov_stack.layout import LOOPBACK, free_ports
from wattgov_stack.processes import Command, Process

PRIOR, CAPPED, FLOOR = 700.0, 500.0, 400.0  # watts
QUIET_WATTS, BUSY_WATTS = 100.0, 600.0  # drawn; below 300 W a card is capped
HOT, COOL = 90, 60  # degrees Celsius
TWO_HOURS = 7200.0
ALL = 4  # cards of a lane that goes through all that Prometheus may do
HOLD_SECONDS = 0.5  # shorter than the interval: at the second tick in the dark it is over
SCRAPE = "500ms"
RULES = """
version: 1
groups:
  - name: caps
    interval: 1s
    targets: {{only: {{uuid: "{uuids}"}}}}  # the machine has the other lanes' cards, too
    protect:
      freshness: energy_source_last_sample_timestamp_seconds{{instance="{lane}"}}
      max_age: {max_age}
      hold: 500ms
      thermal:
        expr: node_gpu_temperature_celsius{{instance="{lane}"}} > 83
        then: {{set: min}}
        clear: node_gpu_temperature_celsius{{instance="{lane}"}} < 75
        device: {{above: 83C, clear: 75C}}
    rules:
      - action: cap
        expr: {expr}{{instance="{lane}"}} < 300
        knob: gpu_power_limit
        set: 500W
        min: 400W
        cooldown: 0s
"""
RECORDED = "gpu:power_watts:last5m"
RECORDING = {
    "groups": [
        {
            "name": "recorded",
            "interval": SCRAPE,
            "rules": [
                # It outlives its raw series: what a recorded average of minutes does.
                {"record": RECORDED, "expr": "last_over_time(node_gpu_power_watts[5m])"}
            ],
        }
    ]
}


class Exporter:
    """What one lane's exporter shows; its meter can hang, its clock be wrong, and it can die."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._read_at = clock, clock()
        self.watts: dict[str, float] = {}  # by uuid
        self.celsius: dict[str, float] = {}
        self.fault = ""

    def __call__(self, _: Mapping[str, str]) -> Answer:
        """Answer a scrape."""
        if self.fault == "gone":
            return Answer(b"", status=503)
        return Answer(self.text().encode(), content_type=METRICS_TYPE)

    def text(self) -> str:
        """Return the page."""
        if self.fault != "frozen":
            self._read_at = self._clock()
        shift = {"ahead": TWO_HOURS, "behind": -TWO_HOURS}.get(self.fault, 0.0)
        last = f"energy_source_last_sample_timestamp_seconds {self._read_at + shift}\n"
        watts = (f'node_gpu_power_watts{{uuid="{u}"}} {v}\n' for u, v in self.watts.items())
        heat = (
            f'node_gpu_temperature_celsius{{uuid="{u}"}} {v}\n' for u, v in self.celsius.items()
        )
        return last + "".join((*watts, *heat))


@dataclass(frozen=True, slots=True)
class Card:
    """One card of a lane."""

    index: int
    uuid: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of the three cards in a fault."""

    tightens: str  # why the rule did what it did
    writes: int  # attempts to set the limit of its card
    held: tuple[str, ...]  # the reasons on the way of a claim
    held_seconds: float  # from the first unknown tick until it was put back
    heat: str
    device: tuple[str, ...]  # the reasons of a card that has grown hot, and cool again


class Lane:
    """One governor, real and in a process of its own, and its cards.

    The first two take turns: one holds a claim when a fault begins, for the other one the rule
    turns true while it lasts. Of the others, if there are any, Prometheus says that one is hot;
    the last one grows hot and cool during the fault, which only its own thermometer tells.
    """

    def __init__(
        self, name: str, folder: Path, upstream: str, cards: tuple[Card, ...], gpus: VirtualGpus
    ) -> None:
        self.name, self.folder, self.gpus, self.upstream = name, folder, gpus, upstream
        self.cards = cards
        self.held, self.free = cards[:2]
        self.hot: Card | None = None
        self.warm: Card | None = None
        if len(cards) == ALL:
            self.hot, self.warm = cards[2:]
        self.exporter: Exporter
        self.proxy = FaultyProxy(upstream)
        self.actuator: Actuator
        folder.mkdir()
        self.rules(RECORDED, "5s")

    def rules(self, expr: str, max_age: str) -> None:
        """Write the lane's rules, over a recorded or a raw series."""
        uuids = "|".join(card.uuid for card in self.cards)
        text = RULES.format(lane=self.name, uuids=uuids, expr=expr, max_age=max_age)
        (self.folder / "rules.yml").write_text(text)

    def expose(self, exporter: Exporter) -> None:
        """Take an exporter whose first card is quiet, so that its limit can be lowered."""
        self.exporter = exporter
        exporter.watts = {self.held.uuid: QUIET_WATTS, self.free.uuid: BUSY_WATTS}
        if self.hot is not None:
            exporter.watts[self.hot.uuid], exporter.celsius[self.hot.uuid] = BUSY_WATTS, HOT

    def start(self, fault: str = WHOLE, *options: str) -> None:
        """Start the actuator before a Prometheus with a fault."""
        self.proxy.switch(fault)
        self.actuator = Actuator(self.folder, self.proxy.url, self.gpus, "--enforce", *options)
        self.actuator.ready()

    def limit(self, card: Card) -> float:
        """Return a card's limit."""
        return self.gpus.card(card.index).limit_watts

    def at(self, watts: float, *cards: Card) -> None:
        """Wait until these cards are limited so."""
        for card in cards:
            what = f"{self.name}: card {card.index} at {watts:g} W"
            until(partial(self._is_at, watts, card), what)

    def reason(self, card: Card, rule: str = "cap") -> str:
        """Return why a rule has done at a card what it has done; empty where it has no say."""
        rows = self.actuator.decisions()
        found = (str(r["reason"]) for r in rows if (r["rule"], r["target"]) == (rule, card.uuid))
        return next(found, "")

    def told(self, card: Card, reason: str, rule: str = "cap") -> None:
        """Wait until a card's reason is this."""
        what = f"{self.name}: {reason} at card {card.index}"
        until(lambda: self.reason(card, rule) == reason, what)

    def rested(self) -> None:
        """Wait for a claim held, a card that is free, and one that is held down for its heat."""
        self.exporter.watts[self.held.uuid] = QUIET_WATTS
        self.exporter.watts[self.free.uuid] = BUSY_WATTS
        self.at(CAPPED, self.held)
        self.at(PRIOR, self.free)
        if self.hot is not None:
            self.at(FLOOR, self.hot)
        if self.warm is not None:
            self.at(PRIOR, self.warm)
        self.told(self.held, "unchanged")  # what was applied is in the journal since

    def ticked(self) -> None:
        """Wait for a tick that has asked all its questions after now."""
        began = self._ticks()
        until(lambda: self._ticks() > began + 1, f"{self.name}: two more ticks")

    def busy(self, card: Card) -> None:
        """Let a card draw much."""
        self.exporter.watts[card.uuid] = BUSY_WATTS

    def environment(self) -> dict[str, str]:
        """Return what a program needs that works with the same cards."""
        path = {"PYTHONPATH": os.pathsep.join(sys.path)}
        return {**os.environ, **self.gpus.environment(), **path}

    def quiet(self, card: Card) -> None:
        """Let a card draw little, and wait until Prometheus knows, if it can."""
        self.exporter.watts[card.uuid] = QUIET_WATTS
        if self.exporter.fault == "gone":
            return
        session, expr = direct(), f'{RECORDED}{{uuid="{card.uuid}"}} < 300'
        until(lambda: query(session, self.upstream, expr), f"{self.name}: {expr}")

    def journal(self, card: Card, rule: str, after: int) -> list[tuple[str, float]]:
        """Return what was decided for a card since: the reason, and unix seconds."""
        with closing(Past(self.folder / "state")) as past:
            found = past.entries(Wanted(rule=rule, target=card.uuid, after=after))
        return [(str(each.decision.reason), each.decision.at) for each in found]

    def last(self) -> int:
        """Return the id of the last decision so far."""
        with closing(Past(self.folder / "state")) as past:
            return max((each.id for each in past.entries(EVERYTHING, most=1)), default=0)

    def cooled(self, after: int = 0) -> tuple[str, ...]:
        """Return what was changed since at the card that has grown hot, and cool again."""
        if self.warm is None:
            return ()
        found = self.journal(self.warm, "caps.thermal", after)
        return tuple(word for word, _ in found if word != "unchanged")

    def writes(self) -> int:
        """Return how often anybody has tried to set the limit of one of the cards."""
        return sum(self.gpus.card(card.index).set_calls for card in self.cards[:3])

    def suffer(self, case: Case) -> Seen:
        """Go through a fault and out of it; the two cards change places."""
        self.rested()
        after, free = self.last(), self.free
        writes = self.gpus.card(free.index).set_calls
        self.break_(case)
        self.heat(HOT)
        self.quiet(free)
        if case.held:
            self.told(free, case.tightens)
        self.ticked()
        self.heat(COOL)
        until(lambda: self._ended(case, after), f"{self.name}: what becomes of a claim")
        seen = self._seen(after, self.gpus.card(free.index).set_calls - writes)
        self.mend()
        self.at(CAPPED, self.held, self.free)
        if self.hot is not None:
            self.at(FLOOR, self.hot)
        self.held, self.free = self.free, self.held
        return seen

    def break_(self, case: Case) -> None:
        """Let the fault begin, and wait until it is met."""
        if case.fault in {"frozen", "gone", "ahead", "behind"}:
            self.exporter.fault = case.fault
            self.told(self.free, case.tightens)
            return
        met = self.proxy.seen[case.fault]
        self.proxy.switch(case.fault, case.only)
        if case.fault != "refused":
            until(lambda: self.proxy.seen[case.fault] > met, f"{self.name}: {case.fault}")

    def heat(self, celsius: int) -> None:
        """Let the last card be so warm, if its lane has one, and wait for what becomes of it."""
        if self.warm is not None:
            self.gpus.set_temperature(self.warm.index, celsius)
            self.at(FLOOR if celsius == HOT else PRIOR, self.warm)
            word = ("applied" if celsius == HOT else "restored",)
            until(lambda: self.cooled()[-1:] == word, f"{self.name}: {word} in the journal")

    def mend(self) -> None:
        """End all faults but those of the cards."""
        self.exporter.fault = ""
        if self.warm is not None:  # it may still be hot, where a test has failed
            self.gpus.set_temperature(self.warm.index, COOL)
        self.proxy.switch(WHOLE)

    def end(self, fault: str = WHOLE) -> tuple[int, list[float]]:
        """Stop the actuator in a fault; return its status, and the limits."""
        self.proxy.switch(fault)
        status = self.actuator.end(signal.SIGTERM)
        return status, [self.limit(card) for card in self.cards]

    def close(self) -> None:
        """Leave nothing running."""
        if hasattr(self, "actuator"):
            self.actuator.process.kill()
            self.actuator.process.wait()
        self.proxy.close()

    def _ended(self, case: Case, after: int) -> bool:
        """Tell whether what the table says of claims has come to its end."""
        restored = "restored" in [word for word, _ in self.journal(self.held, "cap", after)]
        cooled = self.hot is None or self.limit(self.hot) == PRIOR
        if not case.held:
            return "applied" in [word for word, _ in self.journal(self.free, "cap", after)]
        return restored and (cooled or case.heat == "held")

    def _seen(self, after: int, writes: int) -> Seen:
        words = self.journal(self.held, "cap", after)
        heat = [word for word, _ in self.journal(self.hot or self.held, "caps.thermal", after)]
        times = [at for _, at in words]
        done = [word for word, _ in self.journal(self.free, "cap", after)]
        return Seen(
            tightens="applied" if "applied" in done else self.reason(self.free),
            writes=writes,
            held=tuple(word for word, _ in words[:2]),
            held_seconds=times[1] - times[0] if len(times) > 1 else 0.0,
            heat="restored" if "restored" in heat else "held",
            device=self.cooled(after),
        )

    def _is_at(self, watts: float, card: Card) -> bool:
        return self.limit(card) == watts

    def _ticks(self) -> int:
        return int(str(self.actuator.status()["ticks"]))


def beside(lane: Lane, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the lane's state folder, and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "wattgov_actuator", *words, "--state-dir", lane.folder / "state"],
        env=lane.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


@contextmanager
def scraping(prometheus: str, folder: Path, address: str, lanes: list[str]) -> Iterator[str]:
    """Run Prometheus over the lanes' exporters; give its URL."""
    port = free_ports().prometheus
    targets = [
        {"targets": [address], "labels": {"__metrics_path__": f"/{name}", "instance": name}}
        for name in lanes
    ]
    config = {
        "global": {
            "scrape_interval": SCRAPE,
            "scrape_timeout": SCRAPE,
            "evaluation_interval": SCRAPE,
        },
        "rule_files": [str(folder / "recording.yml")],
        "scrape_configs": [{"job_name": "lanes", "static_configs": targets}],
    }
    (folder / "recording.yml").write_text(yaml.safe_dump(RECORDING))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    url = f"http://{LOOPBACK}:{port}"
    words = (
        prometheus,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={LOOPBACK}:{port}",
    )
    process = Process(Command("prometheus", words, f"{url}/-/ready"), folder)
    try:
        process.wait_ready()
        yield url
    finally:
        process.stop()
