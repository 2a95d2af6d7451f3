"""A counter whose file misbehaves as sysfs can: the other zones are metered, the rest is told."""

import errno
import os
from pathlib import Path

import pytest

from fakes.child import in_a_child
from fakes.fuse import DEVICE, OPEN, READ, Attribute
from plant import load, machine
from waiting import until
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import Config
from wattgov_exporter.reading import Component, Reason
from wattgov_exporter.snapshot import Snapshot
from wattgov_exporter.sources import Machine

NOT_HERE = 77
ZONE = "sys/class/powercap/intel-rapl:{}/energy_uj"

pytestmark = pytest.mark.skipif(not DEVICE.exists(), reason="there is no /dev/fuse here")


class Node:
    """Two packages that draw 100 W each; the first one's counter is a live file."""

    def __init__(self, root: Path) -> None:
        self.root = machine("xeon-2-sockets", root)
        self.seconds = 1000.0
        self.counter = Attribute(root / ZONE.format(0), str)
        where = Machine(root / "sys", root / "proc", lambda: self.seconds, lambda: self.seconds)
        self.collector = Collector(Config(), where, own_pid=1)
        until(lambda: Component.CPU in self.second().node_joules, "both packages")

    def second(self, text: str | None = None) -> Snapshot:
        """Let a second pass; the first counter shows *text*, if that is given."""
        self.seconds += 1.0
        counted = f"{self.seconds * 100e6:.0f}\n"
        self.counter.text = counted if text is None else text
        (self.root / ZONE.format(1)).write_text(counted)
        load(self.root / "proc", self.seconds, 0)
        return self.collector.tick()

    def cpu(self, snapshot: Snapshot) -> float:
        """Return the joules of both packages."""
        return snapshot.node_joules[Component.CPU]


def misbehaves(node: Node, code: int = 0, error: int = 0, text: str | None = None) -> None:
    """Check three seconds in which the first counter says *text*, or answers *code* by *error*."""
    before = node.second()
    if code:
        node.counter.refusals[code] = error
    for count in (1, 2, 3):
        ill = node.second(text)
        assert node.cpu(ill) == pytest.approx(node.cpu(before) + count * 100.0)
        reasons = {one.name: one.reason for one in ill.sources}
        assert Reason.PARTIAL is reasons["rapl"]  # of its zones the others read
        shown = {state.meter.package for state in ill.meters if state.meter.zone == "package"}
        assert "1" in shown
    node.counter.refusals.clear()

    well = node.second()

    assert node.cpu(well) == pytest.approx(node.cpu(before) + 4 * 200.0)
    assert ({} if text is None else {("rapl", "nan"): 3}) == well.anomalies
    assert Reason.OK is next(one.reason for one in well.sources if one.name == "rapl")


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        (OPEN, errno.EACCES, None),
        (READ, errno.EAGAIN, None),
        (READ, errno.EIO, None),
        (READ, errno.ENODATA, None),
        (0, 0, ""),
        (0, 0, "\x00\x00\n"),
        (0, 0, "not a number\n"),
    ],
    ids=["EACCES", "EAGAIN", "EIO", "ENODATA", "empty", "zeros", "garbage"],
)
def test_a_counter_that_cannot_be_read(
    tmp_path: Path, code: int, error: int, text: str | None
) -> None:
    """Nothing is invented meanwhile, and what it counted by itself is there when it is back."""

    def work() -> None:
        try:
            node = Node(tmp_path)
        except OSError:
            os._exit(NOT_HERE)
        misbehaves(node, code, error, text)

    status = in_a_child(work)
    if status == NOT_HERE:
        pytest.skip("no FUSE here: it takes /dev/fuse and the right to mount")
    assert 0 == status
