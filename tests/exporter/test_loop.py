"""The loop: what a reload changes, what it keeps, and that a bad file changes nothing."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from plant import load, machine, process
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import Config
from wattgov_exporter.loop import Ask, Events, Loaded, Loop, read
from wattgov_exporter.procfs import cpu_times
from wattgov_exporter.rhythm import Callers
from wattgov_exporter.rows import Reloads
from wattgov_exporter.snapshot import Snapshot
from wattgov_exporter.sources import SOURCES, Machine

ONE = "version: 1\napps: [{name: one, process: worker}]\n"
TWO = "version: 1\npolicy: full\ninterval: 2s\napps: [{name: two, process: worker}]\n"


@dataclass
class Stage:
    """A machine that uses half a CPU and 10 joules a tick, and the loop that watches it.

    Each tick takes a second, and after the last of *script* the loop is told to stop.
    """

    root: Path
    events: Events = field(default_factory=Events)
    now: float = 0.0
    published: list[tuple[Snapshot, Config, Reloads]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    garbled_tick: int | None = None

    @property
    def file(self) -> Path:
        """The configuration."""
        return self.root / "exporter.yml"

    def play(self, script: list[str | None]) -> list[list[str]]:
        """Tick once for each text; before it, reload a file with that text. Return the mistakes."""
        machine("xeon-2-sockets", self.root)
        asks: list[Ask] = []

        def clock() -> float:
            return self.now

        def publish(snapshot: Snapshot, config: Config, reloads: Reloads) -> None:
            self.published.append((snapshot, config, reloads))
            self.now += 100  # the next tick is due already
            self._work(len(self.published))
            if len(self.published) > len(script):
                self.events.put(None)
                return
            text = script[len(self.published) - 1]
            if text is not None:
                self.file.write_text(text)
                asks.append(Ask())
                self.events.put(asks[-1])

        self.file.write_text(ONE)
        loaded = read(self.file, SOURCES)
        self._work(0)
        where = Machine(self.root / "sys", self.root / "proc", clock, lambda: 1.7e9 + self.now)
        loop = Loop(
            Collector(loaded.config, where, own_pid=1),
            loaded,
            publish,
            path=self.file,
            sources=SOURCES,
            monotonic=clock,
            wall=lambda: 1.7e9 + self.now,
            log=self._say,
            callers=Callers(clock),
        )
        loop.run(self.events)
        return [ask.answer.get_nowait() for ask in asks]

    def _say(self, line: str) -> None:
        self.log.append(line)
        if line.startswith("tick skipped"):
            self.garbled_tick = None
            self._work(len(self.published))
            self.now += 100

    def _work(self, ticks: int) -> None:
        load(self.root / "proc", busy=1000 + ticks, idle=1000 + ticks)
        if ticks == self.garbled_tick:
            (self.root / "proc/stat").write_text("cpu  1 2 x 4 5\n")
        process(self.root / "proc", 4242, "worker", 500 + 100 * ticks)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Return a machine to watch."""
    return Stage(tmp_path)


def test_reload_keeps_the_totals(stage: Stage) -> None:
    """Another app takes over the process; what the first one used stays with it, and none is lost.

    CPU time goes on from where it was: the process's life before is not counted again.
    """
    assert [[]] == stage.play([None, TWO, None])

    seconds = [snapshot.apps.cpu_seconds for snapshot, _, _ in stage.published]
    assert [0.0, 1.0, 1.0, 1.0] == [one["one"] for one in seconds]
    assert [None, None, 1.0, 2.0] == [one.get("two") for one in seconds]
    assert [1, 1] == [one.apps.processes["two"] for one, _, _ in stage.published[2:]]
    last, config, reloads = stage.published[-1]
    assert ("full", 2.0) == (config.policy, config.interval_seconds)
    assert hashlib.sha256(TWO.encode()).hexdigest() == reloads.sha256
    for component, joules in last.node_joules.items():
        given = sum(one for (_, part, _), one in last.app_joules.items() if part is component)
        assert joules == pytest.approx(given)
    assert [f"{stage.file}: reloaded"] == stage.log


def test_a_bad_file_changes_nothing(stage: Stage) -> None:
    """The mistake is told to the log and to who asked; the old apps go on, and a series says so."""
    (mistakes,) = stage.play([None, "version: 1\npolicy: fair\n", None])

    assert [f"{stage.file}:2:9: policy: expected capacity or dynamic or full, found 'fair'"] == (
        mistakes
    )
    assert [
        *mistakes,
        f"{stage.file}: not used; the configuration from before stays in force",
    ] == stage.log
    before, after = stage.published[1], stage.published[-1]
    assert before[1] is after[1]
    assert 3.0 == after[0].apps.cpu_seconds["one"]
    assert (True, False) == (before[2].successful, after[2].successful)
    assert (before[2].sha256, before[2].success_at) == (after[2].sha256, after[2].success_at)


def test_a_mended_file(stage: Stage) -> None:
    """After a bad file a good one is taken, and the time of that is shown."""
    assert [1, 0] == [len(one) for one in stage.play([None, "version: 2\n", TWO, None])]

    _, config, reloads = stage.published[-1]
    assert ("full", True) == (config.policy, reloads.successful)
    assert reloads.success_at > stage.published[0][2].success_at


def test_sources_wait_for_a_restart(stage: Stage) -> None:
    """What a reload cannot change is told, and the rest is changed."""
    stage.play([ONE + "sources: {off: [rapl]}\npolicy: full\n", None])

    assert f"{stage.file}: what changed under `sources` waits for a restart" == stage.log[0]
    assert "full" == stage.published[-1][1].policy


def test_a_state_file_waits_for_a_restart(stage: Stage) -> None:
    """Who gives another one is told that the totals still go to the one from before."""
    stage.play([ONE + "state_file: totals.json\n", None])

    assert f"{stage.file}: what changed under `state_file` waits for a restart" == stage.log[0]


def test_a_file_that_is_gone(stage: Stage) -> None:
    """A missing file is a sentence, and the old configuration stays."""
    nowhere = Machine(stage.root, stage.root, lambda: 0.0, lambda: 0.0)
    loop = Loop(
        Collector(Config(), nowhere, own_pid=1),
        Loaded(),
        lambda *_: None,
        path=stage.root / "gone.yml",
        sources=SOURCES,
        monotonic=lambda: 0.0,
        wall=lambda: 0.0,
        log=stage.log.append,
        callers=Callers(lambda: 0.0),
    )

    assert [f"{stage.root}/gone.yml: cannot be read: No such file or directory"] == loop.reload()


@pytest.mark.parametrize("content", ["", "cpu\n", "cpu  1 2 x 4 5\n", "intr 5\n"])
def test_a_load_that_cannot_be_read(tmp_path: Path, content: str) -> None:
    """/proc/stat that is empty or garbled is a sentence, and the tick is skipped, not the loop."""
    (tmp_path / "stat").write_text(content)

    with pytest.raises(ValueError, match=r"stat|invalid literal"):
        cpu_times(tmp_path)


def test_the_loop_outlives_a_garbled_load(stage: Stage) -> None:
    """The tick is skipped with a sentence; the next one that can be read is published."""
    stage.garbled_tick = 2

    stage.play([None, None, None])

    assert ["tick skipped"] == [line.partition(":")[0] for line in stage.log]
    assert 3.0 == stage.published[-1][0].apps.cpu_seconds["one"]
