"""Batch sizes: a knob of connections only, which goes both ways."""

from pathlib import Path

from actuator.bench import Bench
from actuator.stands import STANDS
from wattgov_actuator.decision import Reason

STAND = STANDS["batch_size:file"]


def test_a_batch_may_grow_beyond_what_was_there_before_us(tmp_path: Path) -> None:
    """In whole requests, and it comes back."""
    STAND.plant(tmp_path)
    bench = Bench(tmp_path, STAND.name, lambda: STAND.open(tmp_path))
    target = bench.observe().target
    grown, odd = bench.act(64), bench.act(8.4)

    assert (target.both_ways, target.multiplicative, target.unit) == (True, True, "requests")
    assert [(Reason.APPLIED, 64), (Reason.APPLIED, 8)] == [
        (each.reason, each.read_back) for each in (grown, odd)
    ]
    bench.writer.restore()
    assert (tmp_path / "sys/server.conf").read_text().strip() == "max_batch = 32"
    bench.close()
