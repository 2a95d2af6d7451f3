"""Who was born is found by the numbers that were given, and by listing all where those say less."""

import subprocess
import sys
from pathlib import Path

import pytest

from wattgov_exporter.apps.listing import LIST_LOOKS, Listing


def tell(proc: Path, last: int) -> None:
    """Plant the number that was given last."""
    (proc / "loadavg").write_text(f"0.50 0.40 0.30 2/100 {last}\n")


def add(proc: Path, *pids: int) -> None:
    """Plant processes."""
    for pid in pids:
        (proc / str(pid)).mkdir()
        (proc / str(pid) / "stat").touch()


def ours(proc: Path, processes: set[int], numbers: str = "4000") -> Listing:
    """Return what lists a planted /proc of two dozen; *processes* are those whose clocks tell."""
    (proc / "self").mkdir()
    (proc / "self/status").write_text(f"Name:\ta\nNSpid:\t{numbers}\nThreads:\t1\n")
    add(proc, *range(1, 25))
    tell(proc, 4000)
    listing = Listing(proc, processes.__contains__)
    for _ in range(2):  # the first two know of no number before
        listing()
    return listing


def test_who_was_born_is_asked_for_by_number(tmp_path: Path) -> None:
    """Nothing is listed, and a number that a thread has is no process."""
    listing = ours(tmp_path, {4001, 4003})
    add(tmp_path, 300)

    tell(tmp_path, 4003)

    assert {*range(1, 25), 4001, 4003} == listing()


def test_a_number_that_is_given_before_its_process_is_there(tmp_path: Path) -> None:
    """It is asked for at the next look too."""
    processes: set[int] = set()
    listing = ours(tmp_path, processes)
    tell(tmp_path, 4002)
    assert 4001 not in listing()

    processes.add(4001)
    tell(tmp_path, 4003)

    assert 4001 in listing()


@pytest.mark.parametrize("last", [4300, 20], ids=["many", "from below again"])
def test_all_are_listed_where_that_is_less(tmp_path: Path, last: int) -> None:
    """After more births than there are processes, and when the numbers begin anew."""
    listing = ours(tmp_path, set())
    add(tmp_path, 300)

    tell(tmp_path, last)

    assert {*range(1, 25), 300} == listing()


def test_all_are_listed_now_and_then(tmp_path: Path) -> None:
    """A number that was not given in turn is found."""
    listing = ours(tmp_path, set())
    add(tmp_path, 300)

    seen = [300 in listing() for _ in range(LIST_LOOKS)]

    assert [False, True] == sorted(set(seen))


def test_who_is_gone_is_forgotten(tmp_path: Path) -> None:
    """Until another one has his number."""
    listing = ours(tmp_path, set())

    listing.forget(20)

    assert {*range(1, 25)} - {20} == listing()


@pytest.mark.parametrize("case", ["another namespace", "hidepid", "gvisor", "a recording"])
def test_elsewhere_all_are_listed_each_time(tmp_path: Path, case: str) -> None:
    """The host's /proc in a container has other numbers; some files say nothing of now."""
    listing = ours(tmp_path, set(), "77 4000" if case == "another namespace" else "4000")
    if case == "hidepid":
        (tmp_path / "1/stat").unlink()
    elif case == "gvisor":
        (tmp_path / "loadavg").write_text("0.00 0.00 0.00 0/0 0\n")
    elif case == "a recording":
        (tmp_path / "loadavg").unlink()
    listing = Listing(tmp_path, lambda _: False)
    listing()
    add(tmp_path, 300)

    assert {*range(1, 25), 300} == listing()


def test_a_real_birth() -> None:
    """A process is found as soon as it is there."""
    listing = Listing(Path("/proc"))
    before = set(listing())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        during = set(listing())
        child.communicate(b"\n")

    assert child.pid not in before
    assert child.pid in during
