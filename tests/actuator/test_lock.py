"""The lock of a machine: one that enforces, whatever its state folder."""

import errno
import fcntl
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from wattgov_actuator.acting.lock import Busy, MachineLock
from wattgov_actuator.flags import run_dir

TAKE = """
import sys
from pathlib import Path
from wattgov_actuator.acting.lock import MachineLock
lock = MachineLock(Path(sys.argv[1]), Path(sys.argv[2]))
lock.take()
print("taken", flush=True)
sys.stdin.read()
"""


def test_the_second_is_told_who_is_the_first(tmp_path: Path) -> None:
    """Its number and its state folder; a kill sets the lock free."""
    place = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", TAKE, place, tmp_path / "first"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        assert "taken\n" == first.stdout.readline()
        second = MachineLock(place, tmp_path / "second")
        who = f"process {first.pid}, with the state folder {tmp_path / 'first'} \\(lock: {place}"
        with pytest.raises(Busy, match=who):
            second.take()
        first.kill()
        first.wait()

    second.take()
    second.take()  # ours already
    assert f"{os.getpid()} {tmp_path / 'second'}\n" == (place / "lock").read_text()
    second.close()
    with closing(MachineLock(place, tmp_path)) as third:
        third.take()


def test_nobody_elses_link_is_followed(tmp_path: Path) -> None:
    """Neither instead of the folder nor instead of the file: what it leads to stays as it is."""
    (tmp_path / "precious").write_text("as it was")
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "run" / "lock").symlink_to(tmp_path / "precious")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for name in ("run", "link"):
        with pytest.raises(Busy, match="give another --run-dir"):
            MachineLock(tmp_path / name, tmp_path).take()

    assert "as it was" == (tmp_path / "precious").read_text()


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """Whoever put the file there could keep us from acting."""
    place = tmp_path / "run"
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(Busy, match="others can write there"):
        MachineLock(place, tmp_path).take()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """The lock would be theirs."""
    place = tmp_path / "run"
    place.mkdir(mode=0o700)
    os.chown(place, 12345, 12345)
    with pytest.raises(Busy, match="belongs to another user"):
        MachineLock(place, tmp_path).take()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """In a sentence that says what to do."""
    with pytest.raises(Busy, match="No such file or directory; give another --run-dir"):
        MachineLock(tmp_path / "not" / "there", tmp_path).take()


def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload that wants to enforce leaves the rules from before in force; nothing else ends."""
    files: list[int] = []

    def refused(file: int, _: int) -> None:
        files.append(file)
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(Busy, match="cannot be locked: No locks available; give another --run-dir"):
        MachineLock(tmp_path / "run", tmp_path).take()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(files[0])


@pytest.mark.parametrize(
    ("user", "environment", "folder"),
    [
        (0, {"RUNTIME_DIRECTORY": "/run/one:/run/two"}, "/run/one"),
        (0, {"XDG_RUNTIME_DIR": "/run/user/0"}, "/run/wattgov"),
        (1000, {"XDG_RUNTIME_DIR": "/run/user/1000"}, "/run/user/1000/wattgov"),
        (1000, {}, "/tmp/wattgov-1000"),  # noqa: S108 (compared, not opened)
    ],
)
def test_where_a_users_actuators_meet(
    monkeypatch: pytest.MonkeyPatch, user: int, environment: dict[str, str], folder: str
) -> None:
    """However they are started; under systemd in the folder of the service."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert folder == str(run_dir())
