"""What breaks between the governor and a card, and beside it: each returns how that is told."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import fault_table as table
from actuator.test_run import Actuator
from fault_table import Turn
from lanes import CAPPED, PRIOR, Exporter, Lane, beside
from testbed.nvml import Fault
from wattgov_actuator.knobs import open_knob
from wattgov_stack.layout import LOOPBACK, free_ports
from wattgov_stack.processes import Command, Process

HUMAN_WATTS = 620.0
PUSH_SECONDS = 0.25
DIRECT = build_opener(ProxyHandler({}))


def tightens(fault: Fault, lane: Lane) -> str:
    """Let a card not obey when it is to be capped, and then obey."""
    card = lane.free
    lane.gpus.set_fault(card.index, fault)
    lane.quiet(card)
    lane.told(card, "refused")
    lane.ticked()
    assert lane.limit(card) == PRIOR
    reason = lane.reason(card)
    lane.gpus.set_fault(card.index, fault, on=False)
    lane.at(CAPPED, card)
    return reason


def puts_back(fault: Fault, lane: Lane) -> str:
    """Let a card not obey when its limit is to be put back, and then obey."""
    card, hand = lane.held, "actuator.restore"
    lane.gpus.set_fault(card.index, fault)
    lane.busy(card)
    lane.told(card, "refused", hand)
    tried = lane.gpus.card(card.index).set_calls
    lane.ticked()
    assert lane.gpus.card(card.index).set_calls > tried
    assert lane.limit(card) == CAPPED
    reason = lane.reason(card, hand)
    lane.gpus.set_fault(card.index, fault, on=False)
    lane.at(PRIOR, card)
    return reason


def human(lane: Lane) -> str:
    """Change a limit by hand, and change it back."""
    card, knob = lane.held, open_knob("gpu_power_limit")
    knob.write(card.uuid, HUMAN_WATTS)
    lane.told(card, "conflict")
    lane.ticked()
    assert lane.limit(card) == HUMAN_WATTS
    reason = lane.reason(card)
    knob.write(card.uuid, PRIOR)
    lane.at(CAPPED, card)
    return reason


def vanishes(lane: Lane) -> str:
    """Take a card away that is capped; when it is back, nothing wants the cap any more."""
    card = lane.held
    lane.gpus.set_fault(card.index, Fault.LOST)
    lane.told(card, "lost")
    lane.busy(card)
    lane.ticked()
    reason = lane.reason(card)
    lane.gpus.set_fault(card.index, Fault.LOST, on=False)
    lane.at(PRIOR, card)
    return reason


def hangs(lane: Lane) -> str:
    """Let the driver hang in the write for one card: the guardian puts the other one back."""
    with guarding(lane):
        lane.gpus.inject(
            "nvmlDeviceSetPowerManagementLimit", gpu=lane.free.index, count=1, delay_ms=600_000
        )
        after = lane.last()
        lane.quiet(lane.free)
        lane.at(PRIOR, lane.held)
        assert lane.actuator.process.wait(30) == -signal.SIGKILL
    (found,) = lane.journal(lane.held, "actuator.restore", after)
    return found[0]


@contextmanager
def guarding(lane: Lane) -> Iterator[None]:
    """Run the guardian of a lane."""
    places = ("--state-dir", str(lane.folder / "state"))
    with (lane.folder / "guardian.log").open("w") as log:
        guardian = subprocess.Popen(
            [sys.executable, "-m", "wattgov_actuator", "guardian", *places],
            env=lane.environment(),
            stderr=log,
        )
    try:
        yield
    finally:
        guardian.terminate()
        guardian.wait()


def second(lane: Lane, *options: str) -> str:
    """Start another one; it says who is there."""
    other = Actuator(lane.folder, lane.proxy.url, lane.gpus, "--enforce", *options)
    status = other.process.wait(30)
    said = other.log.read_text()
    assert f"process {lane.actuator.process.pid}" in said
    assert str(lane.folder / "state") in said
    assert lane.limit(lane.held) == CAPPED
    return f"exit {status}"


def paused(lane: Lane) -> str:
    """Use the kill switch while nobody answers, and end it."""
    lane.proxy.switch("hangs")
    done = beside(lane, "pause", "--restore")
    assert done.returncode == 0, done.stderr
    assert lane.limit(lane.held) == PRIOR
    lane.mend()
    lane.told(lane.held, "disarmed")  # and not capped again, since Prometheus answers
    lane.ticked()
    assert lane.limit(lane.held) == PRIOR
    reason = lane.reason(lane.held)
    beside(lane, "resume")
    lane.at(CAPPED, lane.held)
    return reason


def pushed(program: str, folder: Path, lane: Lane) -> str:
    """Push samples to VictoriaMetrics and stop: nothing marks its series as ended."""
    port = free_ports().prometheus
    url = f"http://{LOOPBACK}:{port}"
    words = (program, f"-storageDataPath={folder}", f"-httpListenAddr={LOOPBACK}:{port}")
    server = Process(Command("victoria", words, f"{url}/health"), lane.folder)
    try:
        server.wait_ready()
        exporter = Exporter(time.time)
        cards = (lane.held, lane.free)
        with closing(Lane("pushed", folder.with_suffix(".lane"), url, cards, lane.gpus)) as here:
            here.expose(exporter)
            here.rules("node_gpu_power_watts", "3s")
            with pushing(f"{url}/api/v1/import/prometheus?extra_label=instance=pushed", exporter):
                here.start()
                here.rested()
            after = here.last()
            here.at(PRIOR, here.held)
            reason = here.journal(here.held, "cap", after)[0][0]
            with pushing(f"{url}/api/v1/import/prometheus?extra_label=instance=pushed", exporter):
                here.at(CAPPED, here.held)
            here.end()
    finally:
        server.stop()
    return reason


@contextmanager
def pushing(url: str, exporter: Exporter) -> Iterator[None]:
    """Send what an exporter shows, again and again."""
    ended = threading.Event()

    def push() -> None:
        while not ended.wait(PUSH_SECONDS):
            with DIRECT.open(Request(url, exporter.text().encode(), method="POST"), timeout=10):
                pass

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


DONE: dict[Turn, Callable[[Lane], str]] = {
    table.REFUSES: partial(tightens, Fault.READ_ONLY),
    table.KEEPS: partial(puts_back, Fault.READ_ONLY),
    table.LIES: partial(tightens, Fault.LYING_SETTER),
    table.LIES_BACK: partial(puts_back, Fault.LYING_SETTER),
    table.HUMAN: human,
    table.VANISHES: vanishes,
    table.SAME_STATE: second,
    table.OTHER_STATE: lambda lane: second(lane, "--state-dir", str(lane.folder / "other")),
    table.PAUSED: paused,
}
"""What one lane goes through, one after the other."""
