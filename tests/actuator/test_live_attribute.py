"""The CPU's limit on a live attribute, which refuses and rounds as a driver does.

Each test forks: the file is mounted in a namespace of the child, and gone with it.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from actuator.bench import Bench
from actuator.stands import STANDS
from fakes.child import in_a_child
from fakes.fuse import DEVICE, Attribute
from wattgov_actuator.decision import Reason

STAND = STANDS["cpu_power_limit"]
LIMIT = "sys/class/powercap/intel-rapl:0/constraint_1_power_limit_uw"
NOT_HERE = 77
Test = Callable[[Bench, Callable[[], str]], None]


def on_a_driver(folder: Path, stored: Callable[[str], str], test: Test) -> None:
    """Run *test* in a child, on a machine whose limit answers writes as *stored* does."""
    STAND.plant(folder)

    def work() -> None:
        try:
            attribute = Attribute(folder / LIMIT, stored)
        except OSError:
            os._exit(NOT_HERE)
        bench = Bench(folder, STAND.name, lambda: STAND.open(folder))

        def limit() -> str:
            return attribute.text.strip()

        test(bench, limit)

    status = in_a_child(work)
    if status == NOT_HERE:
        pytest.skip("no FUSE here: it takes /dev/fuse and the right to mount")
    assert 0 == status


pytestmark = pytest.mark.skipif(not DEVICE.exists(), reason="there is no /dev/fuse here")


def test_a_firmware_lock_is_told_with_its_fix(tmp_path: Path) -> None:
    """The kernel says ENODATA; no undo is left of it, and nothing has changed."""

    def locked(_: str) -> str:
        raise OSError(errno.ENODATA, "locked by BIOS")

    def test(bench: Bench, limit: Callable[[], str]) -> None:
        done = bench.act(140)
        assert Reason.REFUSED == done.reason
        assert "No data available" in done.detail
        assert "the firmware has locked it; unlock it in the BIOS" in done.detail
        assert ("165000123", ()) == (limit(), bench.journal.undos())

    on_a_driver(tmp_path, locked, test)


def test_a_register_that_rounds_is_obeyed_and_put_back(tmp_path: Path) -> None:
    """Steps of an eighth of a watt: what reads back is near enough, and the prior one is ours."""

    def rounded(text: str) -> str:
        return str(int(text) // 125_000 * 125_000)

    def test(bench: Bench, limit: Callable[[], str]) -> None:
        assert Reason.APPLIED == bench.act(140.06).reason
        assert "140000000" == limit()
        (back,) = bench.writer.restore()
        assert (Reason.RESTORED, ()) == (back.reason, bench.journal.undos())
        assert "165000000" == limit()

    on_a_driver(tmp_path, rounded, test)


def test_a_driver_that_takes_and_forgets_is_found_out(tmp_path: Path) -> None:
    """The write succeeds, and the limit is what it was."""

    def test(bench: Bench, limit: Callable[[], str]) -> None:
        done = bench.act(140)
        assert Reason.REFUSED == done.reason
        assert "the driver accepted 140 watts and still reads 165 watts" == done.detail
        assert ("165000123", ()) == (limit(), bench.journal.undos())

    on_a_driver(tmp_path, lambda _: "165000123", test)
