"""How many watts a CPU package draws for a load: rest, what one awake core wakes, the cores. Pure.

Scope: the package, as RAPL's package zone; no memory, no fans, no losses of a power supply.

    P = idle + wake x (time that any core is awake) + sum over cores of core x clock^2.1 x activity

The constants and where each is from are in cpu_models.csv and docs/cpu-model.md. None is fitted to
a recording of RAPL against load.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

TABLE = Path(__file__).with_name("cpu_models.csv")

CLOCK_EXPONENT = 2.1
"""Power is clock x voltage^2. From half to full clock the voltages of published operating points
(Linux device trees of RK3399 and RK3588: A55, A72, A76) make that clock^1.95 to clock^2.25."""

CLOCK_RANGE = (0.2, 2.0)
"""A clock is believed so far below and above the one that a family's watts were published at."""

SECOND_THREAD = 0.17
"""The part of a busy core's watts that its second thread adds: SMT brings 16 to 28 % more work
(Marr et al., Intel Technology Journal 6/1, 2002), here 20 %, and energy goes with the work."""


@dataclass(frozen=True, slots=True)
class Family:
    """The watts of one package of a kind of CPU.

    *idle_watts*: all cores asleep. *wake_watts*: caches, fabric and memory controllers, which stay
    on while any core runs. *core_watts*: one core, all its threads busy, at *gigahertz*. *threads*:
    of a usual package, for a virtual machine that sees only a few of them.
    """

    name: str
    idle_watts: float
    wake_watts: float
    core_watts: float
    gigahertz: float
    threads: int

    def shared_watts(self, awake: float) -> float:
        """Return what is drawn outside the cores; *awake* is the part of time a core runs."""
        return self.idle_watts + self.wake_watts * awake

    def cores_watts(self, cores: Sequence[Sequence[float]], gigahertz: float | None) -> float:
        """Return what the cores draw above rest; *cores* holds the load (0..1) of each thread."""
        return (
            self.core_watts
            * _clock_factor(self, gigahertz)
            * sum(_activity(core) for core in cores)
        )

    def package_watts(self, cores: Sequence[Sequence[float]], gigahertz: float | None) -> float:
        """Return the package's watts; *gigahertz* None is the clock of a full load."""
        return self.shared_watts(awake(cores)) + self.cores_watts(cores, gigahertz)

    def rented_idle_watts(self) -> float:
        """Return one hardware thread's share of a package that its other tenants keep awake."""
        return self.shared_watts(1.0) / self.threads

    def rented_busy_watts(self) -> float:
        """Return what one busy hardware thread adds where its core's other thread is busy too."""
        return self.core_watts / 2

    def most_watts(self, cores: int) -> float:
        """Return what a package of so many cores can never exceed."""
        return self.shared_watts(1.0) + self.core_watts * _clock_factor(self, float("inf")) * cores


def awake(cores: Iterable[Iterable[float]]) -> float:
    """Return the part of time that any core runs, were each thread busy at random times."""
    return 1.0 - prod(1.0 - load for core in cores for load in core)


def choose(vendor: str, family: str, model: int, stepping: int, brand: str = "") -> Family:
    """Return the first row that fits; *brand* is the CPU's full name; the last row fits all."""
    for row in csv.DictReader(TABLE.read_text().splitlines()):
        fits = row["vendor"] in ("", vendor) and (
            not row["family"] or family in row["family"].split()
        )
        fits = fits and row["brand"] in brand
        if fits and _within(model, row["models"]) and _within(stepping, row["steppings"]):
            return Family(
                name=row["name"],
                idle_watts=float(row["idle_watts"]),
                wake_watts=float(row["wake_watts"]),
                core_watts=float(row["core_watts"]),
                gigahertz=float(row["gigahertz"]),
                threads=int(row["threads"]),
            )
    raise LookupError("cpu_models.csv has lost its last row, which fits every CPU")


def _activity(loads: Sequence[float]) -> float:
    """Return a core's share of its watts: what the first thread takes, and what more ones add."""
    running = awake((loads,))
    if len(loads) == 1:
        return running
    more = (sum(loads) - running) / (len(loads) - 1)
    return (1.0 - SECOND_THREAD) * running + SECOND_THREAD * more


def _clock_factor(family: Family, gigahertz: float | None) -> float:
    low, high = CLOCK_RANGE
    ratio: float = 1.0 if gigahertz is None else gigahertz / family.gigahertz
    factor: float = min(max(ratio, low), high) ** CLOCK_EXPONENT
    return factor


def _within(number: int, spans: str) -> bool:
    """Tell whether *number* is in spans such as `17 160-175`; no spans hold every number."""
    ends: Iterable[tuple[str, str]] = (
        (low, high or low) for low, _, high in (span.partition("-") for span in spans.split())
    )
    return not spans or any(int(low, 0) <= number <= int(high, 0) for low, high in ends)
