"""How fast the governor decides, how its cost grows, and how long a breach takes to the knob.

The ticks are the pure function, and beside it what the loop does with each of its decisions, in CPU
time of one core. The way from breach to knob is the real one: exporter, Prometheus and the
enforcing actuator, on virtual cards.
"""

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from actuator.builders import answer, group, rule, watts
from actuator.fakes import FRESH, target
from testbed import nvml
from wattgov_actuator.cycle.ledger import Ledger
from wattgov_actuator.deciding.facts import Facts, Memory
from wattgov_actuator.deciding.tick import tick
from wattgov_actuator.document.strict import Quantity
from wattgov_actuator.laws.threshold import Scale, Set, Step
from wattgov_actuator.reading import Answer, Moment, Reading
from wattgov_actuator.rules import Protect, Rule, RuleSet, Sla, Thermal
from wattgov_stack.layout import Layout, free_ports
from wattgov_stack.stack import Stack
from wattgov_stack.trouble import Trouble

LAWS = (Step(watts(-20)), Step(watts(20)), Set(watts(250)), Scale(Quantity(80, "percent")))
LOOSENS = 1  # which of them
PROTECT = Protect(Sla("slow"), Thermal("hot", "cool"), FRESH)
WARM = 10  # ticks until every step has reached its floor
MEASURED = 7
Truth = Callable[[int, int], bool]  # is this rule true at this target?
CASES: dict[str, Truth] = {
    "nothing": lambda _, __: False,
    "one in ten": lambda number, card: (card + number) % 10 == 0,
    "what tightens": lambda number, _: number % len(LAWS) != LOOSENS,
    "everything": lambda _, __: True,
}
TOLD = """\
The rules in turn: step -20 W, step +20 W, set 250 W, scale 80 %, in one group with an SLA and a
thermal guard. Each series of a rule has a value of its own and is one target: 20 rules at 50
devices are 1,000 targets, at 1,000 devices 20,000. Settled: no knob is written any more. "one in
ten": each rule at a tenth of the devices. "what tightens": three rules of four at every device,
which holds it at its floor. "everything": all rules at every device, where what loosens wins.
"entered", besides the median: decisions are counted, kept for the API, compared with the last."""
CURVE = (100, 1000, 10_000)
RULES = 20
DEVICES = 50  # at which RULES have 1,000 targets
BUDGET_MS, BUDGET_RATE, BUDGET_SECONDS, BUDGET_MIB = 100.0, 20_000.0, 2.0, 60.0

CARDS = 8
PHASES = 10  # exporters and actuators one after the other, each started at its own moment
INTERVALS = ("200ms", "1s")
DEADLINE_SECONDS = 15.0
LOOK_SECONDS = 0.005
SETTLE_SECONDS = 8.0  # until both have learnt when scrapes come
SPREAD_SECONDS = 2.0
CAP_WATTS = 400.0

EXPORTER = "version: 1\ninterval: {interval}\n"
ACTUATOR = """\
version: 1
groups:
  - name: breach
    interval: 1s
    protect: {max_age: 10s}
    rules:
      - action: cap
        expr: node_gpu_utilization_percent > 50
        knob: gpu_power_limit
        set: 400W
        min: 400W
        cooldown: 0s
"""


@dataclass(frozen=True, slots=True)
class Pace:
    """CPU seconds of the ticks of one scene."""

    rules: int
    targets: int
    seconds: tuple[float, ...]
    entered: tuple[float, ...]  # by the ledger

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def pairs_per_second(self) -> float:
        """How many rules at targets are decided."""
        return self.rules * self.targets / self.median


def show(console: Console) -> None:
    """Measure and print."""
    _show_ticks(console)
    _show_curve(console)
    _show_breaches(console)


def pace(rules: int, targets: int, true: Truth) -> Pace:
    """Return what ticks cost when rules are true where *true* says.

    What is wanted is in force at the next tick, so that what is measured has settled.
    """
    the_rules = RuleSet((group(*_rules(rules), protect=PROTECT),))
    cards = [target(f"GPU-{number:05}", number) for number in range(targets)]
    readings = {card.name: Reading(card, 300.0) for card in cards}
    memory, ledger, seconds, entered = Memory(), Ledger(), [], []
    for turn in range(WARM + MEASURED):
        now = Moment(1e6 + 15 * turn, 15.0 * turn)
        facts = Facts(_answers(rules, targets, true, now), tuple(readings.values()), now.steady)
        began = time.process_time()
        outcome = tick(the_rules, memory, facts, now)
        decided = time.process_time()
        ledger.decided(outcome.decisions, ["gpus"])
        seconds.append(decided - began)
        entered.append(time.process_time() - decided)
        memory = outcome.memory
        for (_, name), wanted in outcome.wanted.items():
            prior = None if wanted == 300 else 300.0
            if readings[name].current != wanted:
                readings[name] = Reading(readings[name].target, wanted, prior, now.steady)
    return Pace(rules, targets, tuple(seconds[WARM:]), tuple(entered[WARM:]))


def _rules(count: int) -> Iterator[Rule]:
    for number in range(count):
        law = LAWS[number % len(LAWS)]
        yield rule(f"rule-{number}", f"expr-{number}", law, cooldown_seconds=0)


def _answers(rules: int, targets: int, true: Truth, now: Moment) -> dict[str, Answer]:
    named = {
        f"expr-{number}": answer(
            *(
                ({"uuid": f"GPU-{card:05}", "gpu": str(card), "instance": "here"}, value)
                for card in range(targets)
                if true(number, card)
                for value in [number + card / 7]
            )
        )
        for number in range(rules)
    }
    fresh = answer(({"instance": "here", "source": "nvml"}, now.unix - 1))
    return {**named, FRESH: fresh, **dict.fromkeys(("slow", "hot", "cool"), Answer())}


def _show_ticks(console: Console) -> None:
    title = "One tick, CPU time of one core, settled"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    table.add_column("true", no_wrap=True)
    columns = ("rules", "devices", "median ms", "entered", "devices/s", "targets/s", "asked")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    with console.status("deciding ..."):
        for rules, devices in ((1, 1000), (2, 1000), (RULES, DEVICES), (RULES, 1000)):
            for name, true in CASES.items():
                one = pace(rules, devices, true)
                rate = one.targets / one.median
                asked = f"{BUDGET_MS:g} ms" if rules == RULES else f"{BUDGET_RATE:,.0f}/s"
                kept = one.median * 1e3 <= BUDGET_MS if rules == RULES else rate >= BUDGET_RATE
                table.add_row(
                    *(name, str(rules), f"{devices:,}"),
                    *(f"{one.median * 1e3:.1f}", f"{statistics.median(one.entered) * 1e3:.1f}"),
                    *(f"{rate:,.0f}", f"{one.pairs_per_second:,.0f}"),
                    f"{asked} {'kept' if kept else 'missed'}",
                )
            table.add_section()
    console.print(table)
    console.print(TOLD)


def _show_curve(console: Console) -> None:
    table = Table(
        title=f"Cost against targets, {RULES} rules, one in ten true", box=box.SIMPLE_HEAD
    )
    for column in ("targets", "median ms", "µs a pair", "to the first"):
        table.add_column(column, justify="right", no_wrap=True)
    first = 0.0
    with console.status("deciding for many ..."):
        for targets in CURVE:
            one = pace(RULES, targets, CASES["one in ten"])
            each = 1e6 / one.pairs_per_second
            first = first or each
            table.add_row(
                f"{targets:,}", f"{one.median * 1e3:.1f}", f"{each:.2f}", f"{each / first:.2f}x"
            )
    console.print(table)


def _show_breaches(console: Console) -> None:
    title = f"From breach to knob: {CARDS} cards, {PHASES} starts, scrape 1 s, rules 1 s"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for column in ("exporter reads every", "breaches", "p50 s", "p95 s", "worst s", "MiB"):
        table.add_column(column, justify="right", no_wrap=True)
    for interval in INTERVALS:
        try:
            with console.status(f"breaching, exporter at {interval} ..."):
                seconds, mib = _breached(interval)
        except Trouble as why:
            console.print(f"not measured: breach to knob at {interval}: {why}")
            continue
        cuts = statistics.quantiles(seconds, n=20, method="inclusive")
        table.add_row(
            *(interval, str(len(seconds)), f"{cuts[9]:.2f}", f"{cuts[18]:.2f}"),
            *(f"{max(seconds):.2f}", f"{mib:.1f}"),
        )
    console.print(table)
    console.print(f"asked: p95 at most {BUDGET_SECONDS:g} s, at most {BUDGET_MIB:g} MiB resident")


def _breached(interval: str) -> tuple[list[float], float]:
    """Return the seconds of each breach, and what the actuator's process holds of memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "exporter.yml").write_text(EXPORTER.format(interval=interval))
        (folder / "rules.yml").write_text(ACTUATOR)
        layout = Layout(
            state=folder / "state",
            ports=free_ports(),
            exporter_config=folder / "exporter.yml",
            actuator_rules=(folder / "rules.yml",),
            scrape_seconds=1,
            enforce=True,
            actuator_options=("--run-dir", str(folder / "run")),
        )
        library = nvml.build(folder)
        with nvml.VirtualGpus(library, folder / "gpus", gpus=CARDS) as gpus:
            for card in range(CARDS):
                gpus.set_load(card, 100.0, busy=0.1)
            environment = tuple(gpus.environment().items())
            with Stack(layout, os.environ, lambda _: None, extra=environment) as stack:
                parts = [_phase(stack, gpus, random.Random(phase)) for phase in range(PHASES)]
        return [one for part, _ in parts for one in part], max(mib for _, mib in parts)


def _phase(
    stack: Stack, gpus: nvml.VirtualGpus, chance: random.Random
) -> tuple[list[float], float]:
    """Breach every card once under a new exporter and a new actuator.

    When one reads, and the other looks, between two scrapes is chance anew.
    """
    exporter = stack.processes["exporter"].command
    stack.stop("exporter")
    time.sleep(chance.random())
    stack.start(exporter)
    actuator = stack.start_actuator()
    time.sleep(SETTLE_SECONDS + chance.random())
    begins = [time.monotonic() + chance.uniform(0, SPREAD_SECONDS) for _ in range(CARDS)]
    waiting, breached, seconds = set(range(CARDS)), set[int](), []
    while waiting | breached:
        now = time.monotonic()
        for card in [each for each in waiting if now >= begins[each]]:
            gpus.set_load(card, 600.0, busy=1.0)
            begins[card] = time.monotonic()
            waiting.remove(card)
            breached.add(card)
        for card in [each for each in breached if gpus.card(each).limit_watts <= CAP_WATTS]:
            seconds.append(time.monotonic() - begins[card])
            breached.remove(card)
        if any(now - begins[card] > DEADLINE_SECONDS for card in breached):
            raise Trouble(f"not capped within {DEADLINE_SECONDS:g} s: cards {sorted(breached)}")
        time.sleep(LOOK_SECONDS)
    resident = _resident(actuator.pid)
    for card in range(CARDS):
        gpus.set_load(card, 100.0, busy=0.1)
    stack.stop("actuator")
    return seconds, resident


def _resident(pid: int) -> float:
    """Return the MiB that a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    show(Console(width=100))
