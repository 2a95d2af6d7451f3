"""The dead-man's switch: real processes on a fake CPU, hung, killed or well."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import pytest

from actuator.fakes import Clock, FakePrometheus
from actuator.stands import STANDS
from actuator.test_run import until
from wattgov_actuator.acting.guardian import Guardian
from wattgov_actuator.acting.journal import Journal, JournalError
from wattgov_actuator.acting.lease import BOOT_ID, LeaseFile
from wattgov_actuator.acting.lock import Busy

DEADLINE_SECONDS = 30
PRIOR, FLOOR = "165000123", "100000000"
LIMIT = "sys/class/powercap/intel-rapl:0/constraint_1_power_limit_uw"
RULES = """
version: 1
groups:
  - name: cpus
    interval: 1s
    protect: {freshness: fresh, hold: 0s}
    rules:
      - {action: trim, expr: quiet, knob: cpu_power_limit, step: -50W, min: 100W, cooldown: 0s}
"""


class Machine:
    """A machine with one loop and one guardian on the same state folder."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.running: list[subprocess.Popen[bytes]] = []
        STANDS["cpu_power_limit"].plant(folder)
        (folder / "rules.yml").write_text(RULES)

    def start(self, command: str, *options: str) -> "subprocess.Popen[bytes]":
        """Start one of the commands."""
        places = ["--state-dir", f"{self.folder}/state", "--sysfs", f"{self.folder}/sys"]
        path = {"PYTHONPATH": os.pathsep.join(sys.path)}
        with (self.folder / f"{command}.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "wattgov_actuator", command, *places, *options],
                env={**os.environ, **path},
                stderr=log,
            )
        self.running.append(process)
        return process

    def govern(self) -> "subprocess.Popen[bytes]":
        """Start the loop, and wait until the CPU is held down."""
        options = ["--prometheus", self.url, "--listen", "127.0.0.1:0", "--lease", "5"]
        options += ["--run-dir", str(self.folder / "run")]
        loop = self.start("run", "--rules", str(self.folder / "rules.yml"), "--enforce", *options)
        until("the limit at its floor", lambda: self.limit() == FLOOR)
        return loop

    def limit(self) -> str:
        """Return the limit of the first package."""
        return (self.folder / LIMIT).read_text().strip()

    def log(self, command: str) -> str:
        """Return what one of the commands has said."""
        path = self.folder / f"{command}.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def machine(tmp_path: Path, server: FakePrometheus) -> Iterator[Machine]:
    """Return a machine whose first package is quiet."""
    server.answers["quiet"] = [({"package": "0", "instance": "here"}, 5.0)]
    server.answers["fresh"] = lambda: [({"instance": "here"}, time.time())]
    made = Machine(tmp_path, server.url)
    (tmp_path / "state").mkdir(mode=0o700)
    yield made
    for each in made.running:
        each.kill()
        each.wait()


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_loop_that_hangs_or_dies_is_undone_by_the_guardian(
    machine: Machine, number: signal.Signals
) -> None:
    """Stopped, it is killed first: it must not go on one day where it was."""
    guardian = machine.start("guardian")
    loop = machine.govern()
    loop.send_signal(number)
    until("the prior limit", lambda: machine.limit() == PRIOR)

    assert -signal.SIGKILL == loop.wait(DEADLINE_SECONDS)
    until("the end of the lease", lambda: "event=lease_ended" in machine.log("guardian"))
    assert not (machine.folder / "state" / "lease").exists()
    guardian.send_signal(signal.SIGTERM)
    assert 0 == guardian.wait(DEADLINE_SECONDS)


def test_a_folder_that_no_actuator_has_used_is_warned_of(machine: Machine) -> None:
    """It may be mistyped; or the loop is started after its guardian, which watches it then."""
    guardian = machine.start("guardian")
    until("a warning", lambda: "event=nothing_to_guard" in machine.log("guardian"))
    loop = machine.govern()
    loop.kill()
    until("the prior limit", lambda: machine.limit() == PRIOR)
    guardian.terminate()
    guardian.wait(DEADLINE_SECONDS)
    later = machine.start("guardian")
    until("two starts", lambda: machine.log("guardian").count("event=started") == 2)
    later.terminate()

    assert 0 == later.wait(DEADLINE_SECONDS)
    assert 1 == machine.log("guardian").count("event=nothing_to_guard")


def test_a_loop_that_lives_is_left_alone_for_longer_than_its_lease(machine: Machine) -> None:
    """Its signs of life renew it; stopped as it should be, it ends its lease itself."""
    machine.start("guardian")
    loop = machine.govern()
    lease = LeaseFile(machine.folder / "state", Path("/proc"))
    first = lease.read()
    assert first is not None
    until("the first lease to be over", lambda: time.monotonic() > first.until + 0.5)

    assert (None, FLOOR) == (loop.poll(), machine.limit())

    loop.send_signal(signal.SIGTERM)

    assert (0, PRIOR) == (loop.wait(DEADLINE_SECONDS), machine.limit())
    assert lease.read() is None
    assert "lease_passed" not in machine.log("guardian")


def test_after_a_power_cut_the_former_boots_lease_has_passed(tmp_path: Path) -> None:
    """Its clock says nothing any more, so the guardian puts back at once."""
    lease = LeaseFile(tmp_path, Path("/proc"))
    lease.renew(1e12)
    lease.boot = "the next boot"
    done: list[str] = []

    def put_back() -> bool:
        done.append("restored")
        return False

    guardian = Guardian(lease, Clock(), lambda: None, put_back)

    assert guardian.look()
    assert (["restored"], None) == (done, lease.read())


def test_after_a_power_cut_what_a_package_begins_with_is_no_conflict(machine: Machine) -> None:
    """It is left: neither ours nor the value of before us outlives the machine's new start."""
    loop = machine.govern()
    loop.kill()
    loop.wait()
    (machine.folder / LIMIT).write_text("200000000")
    boot = machine.folder / "proc" / BOOT_ID
    boot.parent.mkdir(parents=True)
    boot.write_text("the next boot\n")
    restored = machine.start("restore", "--procfs", str(machine.folder / "proc"))

    assert (0, "200000000") == (restored.wait(DEADLINE_SECONDS), machine.limit())
    with closing(Journal(machine.folder / "state")) as journal:
        last = journal.decisions()[-1]
    assert ("restored", True) == (last["reason"], "started anew" in str(last["detail"]))


def test_what_cannot_be_put_back_is_tried_again(tmp_path: Path) -> None:
    """A device is away, or the holder cannot be ended: soon, though who puts back has a lease."""
    lease, clock = LeaseFile(tmp_path, Path("/proc")), Clock()
    lease.renew(0.0)
    left = [True, False]
    held = [True, False, False]

    def evict() -> int | None:
        if held.pop(0):
            raise Busy("stuck in a driver")
        return None

    def put_back() -> bool:
        lease.renew(clock().steady + 60.0)
        return left.pop(0)

    guardian = Guardian(lease, clock, evict, put_back)

    assert [False, False, True, True] == [guardian.look() for _ in range(4)]
    assert lease.read() is None
    assert [False] == held  # nobody was ended for the second try


@pytest.mark.parametrize("error", [JournalError("no room"), OSError("no room")])
def test_what_failed_altogether_is_tried_again_as_soon(tmp_path: Path, error: Exception) -> None:
    """Who puts back renews the lease before he opens the journal, which may fail."""
    lease, clock = LeaseFile(tmp_path, Path("/proc")), Clock()
    lease.renew(0.0)
    fails = [True, True, False]

    def put_back() -> bool:
        lease.renew(clock().steady + 60.0)
        if fails.pop(0):
            raise error
        return False

    guardian = Guardian(lease, clock, lambda: None, put_back)

    assert [False, False, True] == [guardian.look() for _ in range(3)]
    assert lease.read() is None


def test_who_has_come_meanwhile_is_not_ended(tmp_path: Path) -> None:
    """What was left is his, and so is the lease: only when that passes is he ended."""
    lease, clock = LeaseFile(tmp_path, Path("/proc")), Clock()
    lease.renew(0.0)
    ended: list[float] = []
    here = [False]

    def evict() -> int | None:
        ended.append(clock().steady)
        return None

    def put_back() -> bool:
        if here[0]:
            raise Busy("another one lives")
        return True

    guardian = Guardian(lease, clock, evict, put_back)
    assert not guardian.look()
    here[0] = True
    lease.renew(clock().steady + 60.0)

    assert [False, True] == [guardian.look() for _ in range(2)]
    assert len(ended) == 1
    clock.advance(61.0)
    assert not guardian.look()
    assert len(ended) == 2


def test_a_lease_that_it_may_not_read_has_passed(tmp_path: Path) -> None:
    """Root has left it, or the disk fails: it is no reason to watch no more."""
    (tmp_path / "lease").mkdir()
    evicted: list[str] = []

    def evict() -> int | None:
        evicted.append("somebody")
        raise Busy("who holds it cannot be seen")

    assert not Guardian(LeaseFile(tmp_path, Path("/proc")), Clock(), evict, lambda: False).look()
    assert ["somebody"] == evicted


def test_told_to_reload_it_watches_on(tmp_path: Path) -> None:
    """Whoever sends SIGHUP to everything that is called so means the loop."""
    lease = LeaseFile(tmp_path, Path("/proc"))
    lease.renew(0.0)
    stop, done = SimpleQueue[object](), list[str]()
    stop.put("SIGHUP")

    def put_back() -> bool:
        done.append("restored")
        stop.put("SIGTERM")
        return False

    Guardian(lease, Clock(), lambda: None, put_back).run(stop)

    assert ["restored"] == done


def test_who_puts_back_by_hand_is_not_killed_for_it(machine: Machine) -> None:
    """The lease of the dead has passed, but whoever holds the lock now has one of its own."""
    loop = machine.govern()
    loop.kill()
    loop.wait()
    restored = machine.start("restore")

    assert (0, PRIOR) == (restored.wait(DEADLINE_SECONDS), machine.limit())
    assert LeaseFile(machine.folder / "state", Path("/proc")).read() is None


@pytest.mark.parametrize("words", [("pause", "--restore"), ("restore",)])
def test_without_a_guardian_who_puts_back_by_hand_ends_a_loop_that_hangs(
    machine: Machine, words: tuple[str, ...]
) -> None:
    """And leaves one that lives alone."""
    loop = machine.govern()
    early = machine.start("restore")
    assert (1, FLOOR, None) == (early.wait(DEADLINE_SECONDS), machine.limit(), loop.poll())
    hint = f"if it hangs: kill -9 {loop.pid}; wattgov-actuator restore --state-dir "
    assert hint in machine.log("restore")

    loop.send_signal(signal.SIGSTOP)
    if words == ("restore",):
        lease = LeaseFile(machine.folder / "state", Path("/proc"))
        until("the lease to pass", lambda: lease.over(time.monotonic()))
    stopped = machine.start(*words)

    assert (0, PRIOR) == (stopped.wait(DEADLINE_SECONDS), machine.limit())
    assert -signal.SIGKILL == loop.wait(DEADLINE_SECONDS)
    assert LeaseFile(machine.folder / "state", Path("/proc")).read() is None
