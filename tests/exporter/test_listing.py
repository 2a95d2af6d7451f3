"""The processes are listed when one may have come or gone, and only then."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wattgov_exporter.apps.listing import HOST_NAMESPACE, Listing


def host(proc: Path) -> Listing:
    """Return what lists a planted /proc as the host's own."""
    namespace = proc / "self/ns/pid"
    namespace.parent.mkdir(parents=True)
    namespace.touch()
    tell(proc, "1/100 4000")
    return Listing(proc, namespace.stat().st_ino)


def tell(proc: Path, counts: str) -> None:
    """Plant what the kernel counts."""
    (proc / "loadavg").write_text(f"0.50 0.40 0.30 {counts}\n")


def add(proc: Path, *pids: int) -> None:
    """Plant processes."""
    for pid in pids:
        (proc / str(pid)).mkdir()


@pytest.mark.parametrize("counts", ["1/101 4000", "1/99 4000", "1/100 4001"])
def test_a_change_is_listed(tmp_path: Path, counts: str) -> None:
    """One thread more, one less, or one for another."""
    listing = host(tmp_path)
    add(tmp_path, 1, 20)
    assert {1, 20} == listing()
    add(tmp_path, 300)

    tell(tmp_path, counts)

    assert {1, 20, 300} == listing()


def test_without_a_change_nothing_is_listed(tmp_path: Path) -> None:
    """How many run, and the load, say nothing of who is there."""
    listing = host(tmp_path)
    add(tmp_path, 1, 20)
    listing()
    add(tmp_path, 300)

    tell(tmp_path, "7/100 4000")

    assert {1, 20} == listing()


def test_a_change_during_a_listing_is_listed_at_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kernel counted is from before the listing."""
    listing = host(tmp_path)
    add(tmp_path, 1)
    names = os.listdir(tmp_path)  # noqa: PTH208  as it is listed

    def late(_: Path) -> list[str]:
        add(tmp_path, 300)
        tell(tmp_path, "1/101 4001")
        return names

    with monkeypatch.context() as patched:
        patched.setattr(os, "listdir", late)
        assert {1} == listing()

    assert {1, 300} == listing()


def test_elsewhere_each_time(tmp_path: Path) -> None:
    """In a namespace, a container, or a recording the counts do not belong together."""
    host(tmp_path)
    other = Listing(tmp_path, HOST_NAMESPACE)
    add(tmp_path, 1)
    other()

    add(tmp_path, 300)

    assert {1, 300} == other()


def test_the_real_kernel_counts_each_birth_and_end() -> None:
    """A process that came, and one that went, are seen; on the host by what the kernel counts."""
    listing = Listing(Path("/proc"))
    before = listing()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        during = listing()
        child.communicate(b"\n")

    assert child.pid not in before
    assert child.pid in during
    assert child.pid not in listing()
