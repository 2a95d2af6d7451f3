"""Over random machines and faults, what a scraper sees keeps the promises of the meter."""

import tempfile
from collections.abc import Callable
from functools import wraps
from math import inf, nan
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from exporter.promises import RELATIVE, total
from exporter.random_machine import (
    AMD_RANGE_MICROJOULES,
    EXPORTER,
    FOLDER,
    INIT,
    INTEL_RANGE_MICROJOULES,
    RandomMachine,
)
from exporter.watched import Watched
from wattgov_exporter.config import POLICIES, App, Budget, Config

INTERVAL_SECONDS = 0.4
"""A tick waits half of it, in real time, for a source that hangs: short for a test, long for a
file."""

MEMORY = Path("/dev/shm")  # noqa: S108  the fsync of a state file takes 50 ms on a disk
DECLARED = (App("chat", process="vllm"), App("web", unit="unit1.service"))

T = TypeVar("T")
Method = TypeVar("Method", bound=Callable[..., None])

NUMBER = st.integers(0, 1000)
GAPS = st.sampled_from([100, 400, 1000, 1000, 1000, 3000, 10_000, 60_000, 310_000])
"""Milliseconds between two ticks."""

CONFIGS = st.builds(
    lambda policy, idle, apps, by, budget: Config(
        INTERVAL_SECONDS,
        policy,
        idle_watts={"cpu": 40.0} if idle else {},
        apps=DECLARED[:apps],
        apps_by=("unit",) if by else (),
        budget=Budget(budget),
    ),
    st.sampled_from(POLICIES),
    st.booleans(),
    st.integers(0, len(DECLARED)),
    st.booleans(),
    st.integers(1, 5),
)
UNTRUE = st.sampled_from(["", "?", "12 34", "-5\n", f"{2**64 - 1}\n", FOLDER])
UNTRUE |= st.integers(0, AMD_RANGE_MICROJOULES).map(str)


def event(**given: st.SearchStrategy[Any]) -> Callable[[Method], Method]:
    """Make a rule: what it does, then a look after a *gap*, or none if more happens before it."""
    make_rule = cast("Callable[..., Callable[[object], object]]", rule)

    def make(method: Method) -> Method:
        @wraps(method)
        def happen(self: "Node", gap: int, **drawn: object) -> None:
            method(self, **drawn)
            if gap:
                self.machine.pass_time(gap)
                self.watched.look()

        return cast("Method", make_rule(gap=st.just(0) | GAPS, **given)(happen))

    return make


class Node(RuleBasedStateMachine):
    """A machine, an exporter on it, and what its pages have shown."""

    @initialize(
        sockets=st.lists(
            st.tuples(
                st.booleans(),
                st.just(0) | st.integers(0, 10**13),
                st.booleans(),
                st.none() | UNTRUE,
            ),
            max_size=2,
        ),
        cards=st.lists(
            st.tuples(st.integers(0, 500), st.integers(0, 10**14), st.booleans()), max_size=3
        ),
        psys=st.booleans(),
        bmc=st.sampled_from(["", "counter", "gauge"]),
        peer=st.booleans(),
        config=CONFIGS,
    )
    def build(
        self,
        sockets: list[tuple[bool, int, bool, str | None]],
        cards: list[tuple[int, int, bool]],
        psys: bool,
        bmc: str,
        peer: bool,
        config: Config,
    ) -> None:
        """Plant a machine and start the exporter."""
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.machine = RandomMachine(Path(self.folder.name) / "root")
        for amd, raw, dram, shows in sockets:
            reach = AMD_RANGE_MICROJOULES if amd else INTEL_RANGE_MICROJOULES
            self.machine.add_package(reach, raw, dram=dram)
            self.machine.zones[-1].shows = shows
        for watts, raw, counts in cards:
            self.machine.add_card(watts, raw, counts=counts)
        if psys:
            self.machine.add_psys()
        self.machine.pass_time(0)
        state_file = Path(self.folder.name) / "totals.json"
        self.watched = Watched(self.machine, config, state_file, bmc=bmc, peer=peer)
        self.watched.look()

    def teardown(self) -> None:
        """Let threads and files go."""
        if hasattr(self, "watched"):
            self.watched.close()
            self.folder.cleanup()

    # What happens.

    @rule(gaps=st.lists(GAPS, min_size=1, max_size=4))
    def go_on(self, gaps: list[int]) -> None:
        """Let time pass, with a look after each gap."""
        for gap in gaps:
            self.machine.pass_time(gap)
            self.watched.look()

    @precondition(lambda self: self.machine.all_zones)
    @event(number=NUMBER, watts=st.integers(0, 500), shows=UNTRUE | st.none())
    def zone(self, number: int, watts: int, shows: str | None) -> None:
        """Let a zone draw otherwise, and its file be right or wrong."""
        zone = _one(self.machine.all_zones, number)
        zone.watts, zone.shows = watts, shows

    @event()
    def mend(self) -> None:
        """Let all that was broken be right again."""
        for zone in self.machine.all_zones:
            zone.shows, zone.there = None, True
        for card in self.machine.cards:
            card.there = card.tells = True
        for source in self.watched.bench.sources.values():
            source.fails = False

    @precondition(lambda self: self.machine.all_zones)
    @event(number=NUMBER)
    def zone_goes(self, number: int) -> None:
        """Take a zone out, or put it back."""
        zone = _one(self.machine.all_zones, number)
        zone.there = not zone.there

    @precondition(lambda self: self.machine.all_zones)
    @event(number=NUMBER, raw=st.sampled_from([0, 5 * 10**8]) | st.integers(0, 10**12))
    def zone_jumps(self, number: int, raw: int) -> None:
        """Reset a counter, or let it show some other place of its range."""
        _one(self.machine.all_zones, number).jump(raw)

    @precondition(lambda self: self.machine.cards)
    @event(
        number=NUMBER,
        watts=st.integers(0, 500),
        percent=st.floats(0, 100) | st.sampled_from([255.0, -1.0, nan, inf]),
        there=st.booleans(),
        tells=st.booleans(),
    )
    def card(self, number: int, watts: int, percent: float, there: bool, tells: bool) -> None:
        """Let a card work otherwise, fall off the bus, be silent, or be well."""
        card = _one(self.machine.cards, number)
        card.watts, card.percent, card.there, card.tells = watts, percent, there, tells

    @precondition(lambda self: self.machine.cards)
    @event(number=NUMBER, raw=st.sampled_from([0, 10**9]) | st.integers(0, 10**14))
    def card_jumps(self, number: int, raw: int) -> None:
        """Load the driver anew: the counter starts elsewhere."""
        _one(self.machine.cards, number).jump(raw)

    @precondition(lambda self: len(self.machine.cards) < 5)
    @event(watts=st.integers(0, 500), counts=st.booleans())
    def plug(self, watts: int, counts: bool) -> None:
        """Plug a new card in."""
        self.machine.add_card(watts, 0, counts=counts)

    @event(number=NUMBER)
    def source_fails(self, number: int) -> None:
        """Let a whole source fail, or work again."""
        source = _one([*self.watched.bench.sources.values()], number)
        source.fails = not source.fails

    @event(seconds=st.sampled_from([-86400.5, -3600.5, 0.25, 3600.5, 1e8]))
    def wall_jumps(self, seconds: float) -> None:
        """Set the wall clock."""
        self.machine.wall_offset += seconds

    @event(
        number=NUMBER,
        comm=st.sampled_from(["vllm", "sh", "x y)"]),
        unit=st.integers(0, 12),
        pace=st.integers(0, 100),
    )
    def birth(self, number: int, comm: str, unit: int, pace: int) -> None:
        """Let a process be born, and work."""
        parent = _one([*self.machine.processes], number)
        self.machine.born(comm, f"unit{unit}", parent)
        self.machine.processes[max(self.machine.processes)].pace = pace

    @event(number=NUMBER, pace=st.integers(0, 200), comm=st.sampled_from(["vllm", "sh", "python"]))
    def work(self, number: int, pace: int, comm: str) -> None:
        """Let a process become another program, and work as much as it likes."""
        one = _one([*self.machine.processes.values()], number)
        one.pace, one.comm = pace, comm

    @precondition(lambda self: len(self.machine.processes) > EXPORTER)
    @event(number=NUMBER, again=st.booleans())
    def death(self, number: int, again: bool) -> None:
        """Kill a process; another may get its number at once."""
        pid = _one([pid for pid in self.machine.processes if pid > EXPORTER], number)
        self.machine.killed(pid)
        if again:
            self.machine.born("sh", "unit0", INIT, pid)

    @event(number=NUMBER, count=st.integers(1, 300), ticks=st.integers(0, 3))
    def short_lives(self, number: int, count: int, ticks: int) -> None:
        """Let hundreds come and go between two looks."""
        self.machine.short_lives(_one([*self.machine.processes], number), count, ticks)

    @event(first=st.integers(20, 500), count=st.integers(1, 30), pace=st.integers(0, 20))
    def rollout(self, first: int, count: int, pace: int) -> None:
        """Start more apps than have names."""
        for unit in range(first, first + count if len(self.machine.processes) < 60 else first):
            self.machine.born("job", f"unit{unit}", INIT)
            self.machine.processes[max(self.machine.processes)].pace = pace

    @event(config=CONFIGS)
    def reconfigure(self, config: Config) -> None:
        """Load another configuration."""
        self.watched.reconfigure(config)

    @event()
    def blind(self) -> None:
        """Look when /proc/stat cannot be read: the tick is skipped, as the loop does."""
        self.machine.blind = True
        self.machine.pass_time(1000)
        self.machine.blind = False
        try:
            self.watched.tick()
        except OSError:
            pass
        else:
            raise AssertionError("a tick without the CPUs' times")
        self.machine.pass_time(0)

    @event()
    def save(self) -> None:
        """Write the state file."""
        self.watched.save()

    @event(lost=st.booleans(), away=GAPS)
    def restart(self, lost: bool, away: int) -> None:
        """End the exporter, at once or killed long after its last save, or with its file lost."""
        self.watched.restart(away, lost=lost)


class HangingNode(Node):
    """A machine some of whose meters do not answer for a while; in real time, so there are few."""

    @precondition(
        lambda self: all(one.gate.is_set() for one in self.watched.bench.sources.values())
    )
    @event(name=st.sampled_from(["nvml", "rapl", "cpu_model"]))
    def hang(self, name: str) -> None:
        """Let a read hang."""
        self.watched.bench.sources[name].gate.clear()

    @rule()
    def answer(self) -> None:
        """Let it end."""
        self.watched.let_answer()


def _one(several: list[T], number: int) -> T:
    return several[number % len(several)]


def test_random_machines() -> None:
    """Whatever breaks, ends, jumps or comes back, between any two looks."""
    run_state_machine_as_test(Node, settings=settings(max_examples=60, stateful_step_count=30))


def test_random_machines_with_meters_that_hang() -> None:
    """The others are read meanwhile; what it missed is caught up, or another meter counted it."""
    run_state_machine_as_test(
        HangingNode, settings=settings(max_examples=10, stateful_step_count=20)
    )


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([100, 1000, 10_000, 120_000]),
            st.lists(st.integers(1, 350), min_size=6, max_size=6),
        )
    ),
    amd=st.booleans(),
    config=CONFIGS,
)
@settings(max_examples=30)
def test_without_faults_the_node_has_what_its_hardware_drew(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[int, list[int]]],
    amd: bool,
    config: Config,
) -> None:
    """Over wraps, late ticks and any power, parts and rest add up to the board, joule by joule."""
    machine = RandomMachine(tmp_path_factory.mktemp("node") / "root")
    machine.add_package(AMD_RANGE_MICROJOULES if amd else INTEL_RANGE_MICROJOULES, 0, dram=True)
    machine.add_package(AMD_RANGE_MICROJOULES, AMD_RANGE_MICROJOULES - 1, dram=True)
    machine.add_card(100, 0, counts=True)
    machine.add_psys()
    machine.born("vllm", "unit1", INIT)
    machine.pass_time(0)
    state_file = machine.root / "totals.json"
    watched = Watched(machine, config, state_file, bmc="", peer=False)
    watched.look()
    for gap, watts in steps:
        for meter, drawn in zip((*machine.cards, *machine.zones), watts, strict=False):
            meter.watts = drawn
        machine.pass_time(gap)
        watched.look()

        drew = machine.board.true_microjoules / 1e6
        assert drew == pytest.approx(total(watched.page, "app_energy_joules_total"), rel=RELATIVE)
    watched.close()
