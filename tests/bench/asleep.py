"""How well the governor lets a server sleep on a recorded trace of requests.

The loop, the rules, the law, the proxy's gate and the journal are the real ones; the server is
simulated, its watts and seconds are made up, and so is what a token takes. The trace is not.
"""

import logging
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from actuator.builders import loaded
from actuator.lodger import Nature, gaps
from actuator.test_sleep_traces import CODE, OFFLOADED, RULES, Requests, recorded
from actuator.vigil import Vigil
from wattgov_actuator.simulation import scratch

SERVERS = {"unloaded": Nature(), "offloaded": OFFLOADED}
MORE_SECONDS = 60.0
KILO = 1000.0


def show(console: Console) -> None:
    """Let it happen, and print."""
    if not CODE.exists():
        console.print(
            f"Asleep in the gaps: not measured, there is no {CODE.name} beside the project"
        )
        return
    logging.getLogger("wattgov_actuator").addHandler(logging.NullHandler())
    requests = recorded()
    seconds = max(came + service for came, service in requests) + MORE_SECONDS
    table = Table(
        title=f"Asleep in the gaps of Azure's code trace: {len(requests)} requests, "
        f"{seconds / 60:.0f} min",
        box=box.SIMPLE_HEAD,
    )
    for column in ("server", "wake", "asleep", "of idle", "sleeps", "spared", "of the best"):
        table.add_column(column, justify="left" if column in {"server", "wake"} else "right")
    for column in ("waited", "p50", "worst", "lost"):
        table.add_column(column, justify="right")
    for name, nature in SERVERS.items():
        for orders in (True, False):
            table.add_row(
                name,
                "ordered" if orders else "by metrics",
                *_row(requests, seconds, nature, orders=orders),
            )
    console.print(table)
    console.print(
        "  spared: less than always awake, in percent of what idling takes; wakes are paid for.\n"
        "  of the best: of what one spares who knows the future and keeps nobody waiting.\n"
        "  waited: requests that had to, for so long: p50, worst.\n"
        "  unloaded: 120 W idle, 10 W asleep, wakes in 20 s; offloaded: 75 W asleep, 3 s.\n"
    )


def _row(requests: Requests, seconds: float, nature: Nature, *, orders: bool) -> tuple[str, ...]:
    """Return what became of one server."""
    with scratch() as name:
        folder = Path(name)
        vigil = Vigil(loaded(folder / "r.yml", RULES), requests, nature, orders=orders)
        vigil.play(folder, seconds)
    server, idle = vigil.server, gaps(requests, seconds)
    best = sum(nature.idle_watts * each - nature.least_joules(each) for each in idle)
    waits = sorted(each.waited for each in vigil.visits if each.waited)
    lost = sum(each.left is None and each.refused is None for each in vigil.visits)
    return (
        f"{server.asleep_seconds / 60:.1f} min",
        f"{100 * server.asleep_seconds / sum(idle):.0f} %",
        f"{len(server.sleeps)}",
        f"{100 * server.spared_joules / (nature.idle_watts * sum(idle)):.1f} %",
        f"{100 * server.spared_joules / best:.0f} %",
        f"{len(waits)}",
        f"{waits[len(waits) // 2]:.1f} s",
        f"{waits[-1]:.1f} s",
        f"{lost}",
    )


if __name__ == "__main__":
    show(Console(width=120))
