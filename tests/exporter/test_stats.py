"""Who has run is told by clocks; who sleeps need not be read."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from plant import process
from wattgov_exporter.apps.clock import cpu_ns, is_ours
from wattgov_exporter.apps.stats import Stats


def test_a_process_that_sleeps_has_not_run() -> None:
    """Stopped, it does not run; let go on, it has."""
    stats = Stats(Path("/proc"), kept=8)
    code = "import sys\nfor line in sys.stdin: print(flush=True)"
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin
        assert child.stdout

        def work() -> None:
            child.stdin.write(b"\n")  # type: ignore[union-attr]
            child.stdin.flush()  # type: ignore[union-attr]
            child.stdout.readline()  # type: ignore[union-attr]

        work()
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        assert [child.pid] == list(stats.ran([child.pid]))
        assert bool(stats.ran([child.pid])) is not is_ours(Path("/proc"))
        child.send_signal(signal.SIGCONT)
        work()
        assert [child.pid] == list(stats.ran([child.pid]))
        child.stdin.close()

    assert [child.pid] == list(stats.ran([child.pid]))
    assert stats.read(child.pid) is None


def test_a_thread_is_no_process() -> None:
    """Its number has no clock of a process; a process has one."""
    assert None not in cpu_ns([os.getpid()])
    words = [sys.executable, "-c", "import threading\nthreading.Thread(target=input).start()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as child:
        tasks = Path(f"/proc/{child.pid}/task")
        threads: list[int] = []
        while not threads:
            threads = [int(one.name) for one in tasks.iterdir() if int(one.name) != child.pid]
        own = os.getpid()
        told = cpu_ns([own, *threads, own])
        assert [None] == told[1:-1]
        assert 0 < (told[0] or 0) < (told[-1] or 0)
        child.communicate(b"\n")

    assert [None] == cpu_ns([child.pid])


def test_who_has_ended_is_told_without_a_read() -> None:
    """And where there are no clocks nobody is named: there everybody is read."""
    stats = Stats(Path("/proc"), kept=8)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        stats.ran([child.pid])
        assert [] == list(stats.ended([os.getpid(), child.pid]))
        child.communicate(b"\n")

    ended = [child.pid] if is_ours(Path("/proc")) else []
    assert ended == list(stats.ended([os.getpid(), child.pid]))


def test_in_another_proc_everybody_may_have_run(tmp_path: Path) -> None:
    """A recording, or the host's tree in a container, has no clocks here."""
    process(tmp_path, 10, "a", 0)
    stats = Stats(tmp_path, kept=8)

    assert [{10}, {10}] == [stats.ran([10]), stats.ran([10])]


def test_what_could_not_be_read_is_asked_again(tmp_path: Path) -> None:
    """It may have run when the text could not be had; so it is not taken to sleep."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self/status").write_text("NSpid:\t1\n")
    process(tmp_path, 1, "init", 0)
    own = os.getpid()
    (tmp_path / str(own) / "stat").mkdir(parents=True)  # a folder cannot be read
    stats = Stats(tmp_path, kept=0)
    stats.ran([own])

    assert b"" == stats.read(own)
    assert {own} == stats.ran([own])
