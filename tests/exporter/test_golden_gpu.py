"""Virtual cards and their exact exposition; a new file in tests/machines/*.gpus is a new test.

A line is how many `cards` there are (first), a file of the machine (`path = content`), a process
(`process PID NAME`), or what the virtual node is made to do: a method of `VirtualGpus` and its
arguments, where `1/0` is a pair. One that begins with `then` happens ten seconds later.
`pytest tests/exporter/test_golden_gpu.py --update` writes the expositions anew; review the diff.
"""

import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from plant import MACHINES, plant, process
from testbed.nvml import Fault, Kind, VirtualGpus
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import App, Config, Sources
from wattgov_exporter.rows import Own, View
from wattgov_exporter.serving.text import prometheus
from wattgov_exporter.sources import SOURCES, Machine

pytest_plugins = ["testbed.fixtures"]

NAMES = sorted(path.stem for path in MACHINES.glob("*.gpus"))
CONFIG = Config(
    interval_seconds=60.0,  # long, so that a tick waits for its sources on a slow machine too
    idle_watts={"gpu": 70.0},
    sources=Sources(off=tuple(name for name in SOURCES if name != "nvml")),
    apps=(App("chat", process="vllm"), App("train", process="torchrun")),
)
WORDS = {one.name: one for kinds in (Fault, Kind) for one in kinds}
STARTED_NS = 10**12
THEN, PROCESS = "then ", "process "
LATER_SECONDS = 10.0


def _word(text: str) -> object:
    if text in WORDS:
        return WORDS[text]
    if "/" in text:
        return tuple(map(int, text.split("/")))
    return float(text) if "." in text else int(text)


def _calls(lines: list[str], gpus: VirtualGpus) -> Iterator[Callable[[], object]]:
    for line in lines:
        method, *words = line.split()
        yield partial(getattr(gpus, method), *map(_word, words))


def exposition(name: str, root: Path, gpus: VirtualGpus) -> bytes:
    """Return what the exporter shows of some cards, ten seconds after the first look."""
    lines = (MACHINES / f"{name}.gpus").read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    plant("\n".join(line for line in lines if " = " in line), root)
    for line in lines:
        if line.startswith(PROCESS):
            _, pid, comm = line.split()
            process(root / "proc", int(pid), comm, 0)
    made = [line for line in lines if " = " not in line and not line.startswith(PROCESS)]
    cards, *made = made
    gpus.reset(int(cards.removeprefix("cards ")), clock_ns=STARTED_NS)
    for call in _calls([line for line in made if not line.startswith(THEN)], gpus):
        call()
    gpus.advance(LATER_SECONDS)

    def now() -> float:
        return gpus.now_ns() / 1e9

    where = Machine(root / "sys", root / "proc", now, now)
    collector = Collector(CONFIG, where, own_pid=11)
    collector.tick()
    gpus.advance(LATER_SECONDS)
    for call in _calls([line.removeprefix(THEN) for line in made if line.startswith(THEN)], gpus):
        call()
    return prometheus(View(collector.tick(), CONFIG, Own("0", 0.0)))


@pytest.mark.parametrize("name", NAMES)
def test_what_the_cards_show(
    name: str,
    tmp_path: Path,
    gpus: VirtualGpus,
    promtool: str,
    request: pytest.FixtureRequest,
) -> None:
    """The exposition is the recorded one, and promtool finds no fault in it."""
    golden = MACHINES / f"{name}.metrics"
    shown = exposition(name, tmp_path, gpus)
    if request.config.getoption("--update"):
        golden.write_bytes(shown)

    assert golden.read_bytes() == shown
    done = subprocess.run(
        [promtool, "check", "metrics"], input=shown, capture_output=True, check=False
    )
    assert (0, b"") == (done.returncode, done.stderr)
