"""Attributes of the kernel: what it has against a value, in sentences; on real files."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from wattgov_actuator.knobs import attribute
from wattgov_actuator.reading import Fault, KnobError

OOM = Path("/proc/self/oom_score_adj")  # an attribute that everybody may write, from -1000 to 1000


def refusal(path: Path, text: str) -> KnobError:
    """Return what a write is refused with."""
    with pytest.raises(KnobError) as caught:
        attribute.write(path, text)
    return caught.value


def test_there_and_back() -> None:
    """One write call, as the kernel wants it."""
    before = attribute.number(OOM)
    attribute.write(OOM, str(before + 1))

    assert before + 1 == attribute.number(OOM)


def test_a_value_that_the_kernel_does_not_take_is_refused() -> None:
    """It says EINVAL."""
    refused = refusal(OOM, "2000")

    assert Fault.REFUSED == refused.fault
    assert f"{OOM} cannot be written: Invalid argument: the kernel does not take" in refused.detail


def test_what_is_gone_is_lost_and_not_made(tmp_path: Path) -> None:
    """A device that was taken out leaves no file of ours behind."""
    path = tmp_path / "gone"

    assert Fault.LOST == refusal(path, "1").fault
    assert not path.exists()


def test_text_where_a_number_should_be_is_lost(tmp_path: Path) -> None:
    """The path and the text are in the sentence."""
    (tmp_path / "odd").write_text("<unsupported>\n")
    with pytest.raises(KnobError, match="odd holds '<unsupported>' and no number"):
        attribute.number(tmp_path / "odd")


WRITE = """
import sys
from pathlib import Path
from wattgov_actuator.knobs import attribute
from wattgov_actuator.reading import KnobError
try:
    attribute.write(Path(sys.argv[1]), "1")
except KnobError as error:
    print(error.fault, error.detail)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_without_root_it_says_what_it_takes() -> None:
    """EACCES, the commonest of all."""
    with NamedTemporaryFile() as file:
        path = Path(file.name)
        path.chmod(0o644)
        os.seteuid(65534)
        try:
            refused = refusal(path, "1")
        finally:
            os.seteuid(0)

    assert Fault.REFUSED == refused.fault
    assert f"{path} cannot be written: Permission denied: it takes root" in refused.detail


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_read_only_mount_is_told(tmp_path: Path) -> None:
    """As /sys is in a container."""
    path = tmp_path / "limit"
    path.write_text("0")
    mounts = f"mount --bind '{tmp_path}' '{tmp_path}' && mount -o remount,ro,bind '{tmp_path}'"
    script = f'{mounts} && exec "$@"'
    run = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, "-c", WRITE, path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        pytest.skip(f"no mounts here: {run.stderr}")
    said = run.stdout

    assert said.startswith(
        f"refused {path} cannot be written: Read-only file system: it is mounted"
    )
    assert "0" == path.read_text()


@pytest.mark.parametrize(
    ("number", "fault", "words"),
    [
        (errno.ENODATA, Fault.REFUSED, "the firmware has locked it; unlock it in the BIOS"),
        (errno.EBUSY, Fault.REFUSED, "another setting rules it"),
        (errno.EOPNOTSUPP, Fault.UNSUPPORTED, "Operation not supported"),
        (errno.ENODEV, Fault.LOST, "No such device"),
    ],
)
def test_what_a_driver_says_is_told(number: int, fault: Fault, words: str) -> None:
    """Errors that no kernel gives without the hardware."""
    with pytest.raises(KnobError) as caught, attribute.told(Path("limit"), "written"):
        raise OSError(number, os.strerror(number))

    assert fault == caught.value.fault
    assert words in caught.value.detail
