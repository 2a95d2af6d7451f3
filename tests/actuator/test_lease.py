"""The lease file, and who ends the holder of the lock."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.child import in_a_child
from wattgov_actuator.acting.lease import Lease, LeaseFile
from wattgov_actuator.acting.lock import Busy, evict, locked

PROC = Path("/proc")
HOLD = """
import sys, time
from pathlib import Path
from wattgov_actuator.acting.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lease(tmp_path: Path) -> LeaseFile:
    """Return the lease of a state folder."""
    return LeaseFile(tmp_path, PROC)


def test_a_lease_is_renewed_in_place(lease: LeaseFile, tmp_path: Path) -> None:
    """It needs no new block, so a full disk does not end it."""
    assert lease.read() is None

    lease.renew(100.0)
    file = tmp_path / "lease"
    first = (file.stat().st_ino, file.stat().st_size)
    lease.renew(12345.678)

    assert Lease(12345.678, lease.boot) == lease.read()
    assert first == (file.stat().st_ino, file.stat().st_size)

    lease.end()
    lease.end()
    assert lease.read() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_lease_that_root_has_left_is_ours_again(lease: LeaseFile, tmp_path: Path) -> None:
    """After `sudo wattgov-actuator restore` in the folder of a service that is not root."""
    lease.renew(100.0)
    os.chown(tmp_path, 65534, 65534)

    def work() -> None:
        os.chdir(tmp_path)  # the folders above are root's
        os.seteuid(65534)
        there = LeaseFile(Path(), PROC)
        there.renew(200.0)
        assert Lease(200.0, there.boot) == there.read()

    assert 0 == in_a_child(work)


@pytest.mark.parametrize(
    ("steady", "boot", "passed"),
    [(99, "now", False), (100, "now", False), (101, "now", True), (1, "next", True)],
)
def test_a_lease_passes_with_its_time_or_its_boot(steady: float, boot: str, passed: bool) -> None:
    """The steady clock begins anew with each boot."""
    assert passed == Lease(100, "now").passed(steady, boot)


@pytest.mark.parametrize("text", ["", "soon now", "\x00\xff"])
def test_a_lease_that_cannot_be_read_has_passed(
    lease: LeaseFile, tmp_path: Path, text: str
) -> None:
    """What nobody can tell the end of is at its end."""
    (tmp_path / "lease").write_bytes(text.encode("latin-1"))
    found = lease.read()

    assert found is not None
    assert found.passed(0.0, lease.boot)


def hung() -> bool:
    """Tell that the lease has passed."""
    return True


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Return another process that holds the folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "held\n" == process.stdout.readline()
        yield process
        process.kill()


def test_who_holds_the_lock_is_killed_even_when_stopped(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    """A stopped process does not get to run any more, and cannot write over what we put back."""
    holder.send_signal(signal.SIGSTOP)

    assert holder.pid == evict(tmp_path, PROC, hung)
    assert -signal.SIGKILL == holder.wait(10)
    assert evict(tmp_path, PROC, hung) is None


def test_a_number_that_is_somebody_elses_now_is_not_killed(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    """The lock's text may come from another container: only who has it open is the holder."""
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (tmp_path / "lock").write_text(str(stranger.pid))
        with pytest.raises(Busy, match="cannot be seen from here: run this as the same"):
            evict(tmp_path, PROC, hung)
        assert stranger.poll() is None
        stranger.kill()
    assert holder.poll() is None


def test_who_has_taken_the_lock_since_is_not_killed(
    tmp_path: Path, lease: LeaseFile, holder: "subprocess.Popen[str]"
) -> None:
    """Guardian and person come at once: one ends the loop that hangs, and the other waits."""
    lease.renew(1e12)
    with pytest.raises(Busy, match=f"works with {tmp_path}: process {holder.pid}"):
        evict(tmp_path, PROC, lambda: lease.over(0.0))
    assert holder.poll() is None


def test_nobody_sees_the_number_of_a_new_holder_before_its_lease(tmp_path: Path) -> None:
    """The number is read first, and then the lease: so no lease of the dead is taken for ours."""
    (tmp_path / "lock").write_text("12345")
    seen: list[str] = []
    with locked(tmp_path, lambda: seen.append((tmp_path / "lock").read_text())):
        seen.append((tmp_path / "lock").read_text().strip())

    assert ["12345", str(os.getpid())] == seen


@pytest.mark.parametrize("text", ["", "unknown", "999999999"])
def test_a_holder_without_a_number_is_told(
    tmp_path: Path, holder: "subprocess.Popen[str]", text: str
) -> None:
    """It cannot be ended from here."""
    (tmp_path / "lock").write_text(text)
    with pytest.raises(Busy, match="cannot be seen from here"):
        evict(tmp_path, PROC, hung)
    assert holder.poll() is None


def test_the_lock_is_free_after_a_kill(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    """The kernel lets go of it."""
    holder.kill()
    holder.wait(10)
    with locked(tmp_path):
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())
