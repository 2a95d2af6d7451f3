"""The exporter on a random machine, its restarts, and what its pages must show."""

from pathlib import Path
from typing import NoReturn

from exporter import promises
from exporter.expected_books import Expected
from exporter.promises import KEPT, RELATIVE, Page, by_label, parsed, total
from exporter.random_machine import EXPORTER, RandomMachine
from exporter.random_sources import Bench, Told
from wattgov_exporter import state
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import Config
from wattgov_exporter.rows import Own, View
from wattgov_exporter.serving.pages import Pages
from wattgov_exporter.snapshot import Snapshot

JOULES = 1e-6
"""What RAPL counts in."""


class Watched:
    """One exporter after another on one machine; *names* is how many apps may have series."""

    def __init__(
        self, machine: RandomMachine, config: Config, state_file: Path, *, bmc: str, peer: bool
    ) -> None:
        self.machine, self.config = machine, config
        self.names = 0
        self.saved: Page = {}
        self.saved_expected = Expected()
        self._bmc, self._peer = bmc, peer
        self._state_file = state_file
        self._count_names()
        self._start()

    def _count_names(self) -> None:
        """Allow for the names of each configuration there was: they last until their apps die."""
        self.names += self.config.budget.apps + len(self.config.apps)

    def _start(self) -> None:
        """Start an exporter that goes on from what is saved."""
        self.bench = Bench(self.machine, bmc=self._bmc, peer=self._peer)
        self.collector = Collector(self.config, self.bench.where(), EXPORTER)
        self.collector.restore(state.load(self._state_file, _never))
        self.page, self.expected = self.saved, self.saved_expected.saved()
        self._heard: dict[str, tuple[Told, ...]] = {}
        self._pages = Pages(self.machine.monotonic)
        self._cpu_ticks: int | None = None
        self._cpu_seconds = total(self.page, "app_cpu_seconds_total")

    def close(self) -> None:
        """Stop the exporter."""
        self.let_answer()
        self.collector.close()

    def let_answer(self) -> None:
        """End what hangs."""
        for source in self.bench.sources.values():
            source.gate.set()
        self._settle()

    def _settle(self) -> None:
        """Wait for every read that is not stuck: else a history would not replay."""
        for poller in self.collector._pollers:  # noqa: SLF001  nobody else knows of a read begun
            asked = poller._reading and poller._unheard is None  # noqa: SLF001
            if asked and self.bench.sources[poller.name].gate.is_set():
                poller._answers.put(poller._answers.get())  # noqa: SLF001

    def reconfigure(self, config: Config) -> None:
        """Load another configuration."""
        self.config = config
        self._count_names()
        self.collector.reconfigure(config)

    def save(self) -> None:
        """Write the state file."""
        state.save(self._state_file, self.collector.totals())
        self.saved = {key: value for key, value in self.page.items() if key[0] in KEPT}
        self.saved_expected = self.expected.saved()

    def restart(self, milliseconds: int, *, lost: bool) -> None:
        """End it, long after its last save too; *lost*: its state file is gone."""
        self.close()
        self.machine.pass_time(milliseconds)
        if lost:
            self._state_file.unlink(missing_ok=True)
            self.saved, self.saved_expected = {}, Expected()
        self._start()
        self.look()

    def tick(self) -> Snapshot:
        """Tick; a slow source is heard at the next one, always, so that a history replays."""
        slow = [one for one in self.bench.sources.values() if not one.awaited]
        for one in slow:
            one.gate.clear()
        try:
            return self.collector.tick()
        finally:
            for one in slow:
                one.gate.set()
            self._settle()

    def look(self) -> None:
        """Tick, scrape, and hold what is promised."""
        snapshot = self.tick()
        if self._cpu_ticks is None:
            self._cpu_ticks = self.machine.ticks
        self._pages.publish(View(snapshot, self.config, Own("1.2.3", 0.5)))
        served = self._pages.metrics("", "", 0.0)
        assert served is not None
        before, self.page = self.page, parsed(served.body.decode())
        promises.plain(self.page)
        promises.closed(self.page)
        promises.counting_up(before, self.page)
        promises.fair(before, self.page)
        promises.few(self.page, self.names)
        self._hold_the_truth()
        used = (self.machine.ticks - self._cpu_ticks) / 100
        shown = total(self.page, "app_cpu_seconds_total")
        assert shown <= self._cpu_seconds + used + JOULES

    def _hold_the_truth(self) -> None:
        """Hold that the node's counters show what the meters told: see `expected_books`."""
        assert [] == self.bench.strangers
        told = self.bench.sources
        health = [dict(labels) for name, labels in self.page if name == "energy_source_up"]
        up = {one["source"] for one in health if one["reason"] in {"ok", "partial"}}
        last = by_label(self.page, "energy_source_last_sample_timestamp_seconds", "source")
        new = {name for name in up if last[name] == self.machine.wall()}
        self._heard |= {name: told[name].told for name in new}
        self.expected.tick({name: self._heard[name] for name in told if name in up}, new)
        node = by_label(self.page, "node_energy_joules_total", "component")
        for component in ("cpu", "dram", "gpu"):
            counted = node.get(component, 0.0)
            least, most = self.expected.least[component], self.expected.most[component]
            assert least * (1 - RELATIVE) - JOULES <= counted, (component, least, counted)
            assert counted <= most * (1 + RELATIVE) + JOULES, (component, counted, most)
        whole = self.expected.most["platform"]
        assert node.get("rest", 0.0) <= whole * (1 + RELATIVE) + JOULES


def _never(sentence: str) -> NoReturn:
    raise AssertionError(sentence)
