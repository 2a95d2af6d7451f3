"""Other exporters to stand beside: one table, each found by its name or by $NAME."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from plant import plant
from wattgov_stack.layout import LOOPBACK
from wattgov_stack.processes import Command

SOCKET = """\
proc/modules = intel_rapl_common 1 0 - Live 0
sys/class/powercap/intel-rapl:0/name = package-0
sys/class/powercap/intel-rapl:0/energy_uj = 5000000
sys/class/powercap/intel-rapl:0/max_energy_range_uj = 262143328850
"""


class Absent(Exception):
    """This peer cannot be measured here; the text says why."""


Start = Callable[[int, dict[str, str], Path], AbstractContextManager[Command]]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another exporter, how it is started on a port, and the path of its metrics."""

    name: str
    command: Start
    path: str = "/metrics"


def _found(*names: str) -> str:
    for name in names:
        path = shutil.which(os.environ.get(name.upper().replace("-", "_"), name))
        if path:
            return path
    raise Absent(f"not installed; set ${names[0].upper().replace('-', '_')} to where it is")


@contextmanager
def _node_exporter(port: int, _: dict[str, str], __: Path) -> Iterator[Command]:
    program = _found("node_exporter", "prometheus-node-exporter")
    words = (program, f"--web.listen-address={LOOPBACK}:{port}")
    yield Command("node", words, f"http://{LOOPBACK}:{port}/")


@contextmanager
def _nvitop_exporter(port: int, gpus: dict[str, str], _: Path) -> Iterator[Command]:
    program = _found("nvitop-exporter")
    words = (program, "--bind-address", LOOPBACK, "--port", str(port), "--interval", "1")
    yield Command("nvitop", words, f"http://{LOOPBACK}:{port}/metrics", tuple(gpus.items()))


@contextmanager
def _scaphandre(port: int, _: dict[str, str], folder: Path) -> Iterator[Command]:
    """Beside a planted RAPL: its paths are fixed, and without a counter it does not start."""
    program = _found("scaphandre")
    library = folder / "planted.so"
    source = Path(__file__).with_name("planted.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    plant(SOCKET, folder / "planted")
    words = (program, "prometheus", "--address", LOOPBACK, "--port", str(port))
    environment = (("LD_PRELOAD", str(library)), ("PLANTED", str(folder / "planted")))
    yield Command("scaphandre", words, f"http://{LOOPBACK}:{port}/metrics", environment)


PEERS = (
    Peer("node_exporter", _node_exporter),
    Peer("nvitop-exporter", _nvitop_exporter),
    Peer("scaphandre", _scaphandre),
)
