"""IPMI DCMI: watts of a real BMC over the network, of the kernel's device, and the trouble."""

import ctypes
import errno
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes import ipmi_bmc
from wattgov_exporter.config import Ipmi as Settings
from wattgov_exporter.reading import Anomaly, Component, Method, NoMeter, Reason
from wattgov_exporter.sources.ipmi import Ipmi, PowerReading, parse
from wattgov_exporter.sources.ipmi_device import Device

SECRET = "correct horse"  # noqa: S105  the simulated BMC's


class Bmc:
    """A simulated BMC in its own process, and the file with its password."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self.port = int(self._line())
        self.password_file = folder / "password"
        self.password_file.write_text(f"{SECRET}\n")

    def change(self, **state: object) -> None:
        """Change what it answers from now on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(state)}\n")
        self._process.stdin.flush()
        assert "changed" == self._line()

    def settings(self, username: str = "meter", timeout_seconds: float = 10.0) -> Settings:
        """Return how to reach it."""
        return Settings(
            "127.0.0.1", self.port, username, self.password_file, timeout_seconds=timeout_seconds
        )

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[Bmc]:
    """Return a simulated BMC that shows 344 W."""
    pytest.importorskip("pyghmi", reason="pyghmi is not installed: pip install 'wattgov[ipmi]'")
    command = [sys.executable, ipmi_bmc.__file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Bmc(process, tmp_path)
        process.communicate(timeout=10)


@pytest.fixture
def source(bmc: Bmc) -> Iterator[Ipmi]:
    """Return the source that reads it, on the real clock: its network library has no other."""
    source = Ipmi(bmc.settings(), time.monotonic)
    yield source
    source.close()


def fault(source: Ipmi) -> NoMeter:
    """Read, and return why it cannot be."""
    with pytest.raises(NoMeter) as raised:
        source.read()
    return raised.value


def test_watts_over_the_network(bmc: Bmc, source: Ipmi) -> None:
    """Power is integrated between two reads in one session."""
    (first,) = source.read().energies
    bmc.change(watts=500)
    (second,) = source.read().energies

    meter = second.meter
    assert (Component.PLATFORM, Method.DERIVED) == (meter.component, meter.method)
    assert ("ipmi", "", "127.0.0.1") == (meter.source, meter.package, meter.zone)
    assert 0.0 == first.joules
    assert second.joules == pytest.approx(422.0 * (second.at - first.at))


def test_ipmitool_reads_the_same(bmc: Bmc) -> None:
    """The reference client sees in the simulated BMC what we see."""
    ipmitool = shutil.which("ipmitool")
    if ipmitool is None:
        pytest.skip("ipmitool is not installed (Debian: apt-get install ipmitool)")
    login = f"-I lanplus -H 127.0.0.1 -p {bmc.port} -U meter -E -N 1 -R 2"
    done = subprocess.run(
        [ipmitool, *login.split(), "dcmi", "power", "reading"],
        env={**os.environ, "IPMI_PASSWORD": SECRET},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    shown = re.search(r"Instantaneous power reading:\s+(\d+) Watts", done.stdout)
    assert shown is not None
    assert 344 == int(shown[1])
    assert PowerReading(344, True) == parse(b"\0" + ipmi_bmc.reading(344, True))


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ({"code": 0xC1}, Reason.UNSUPPORTED, "it has no DCMI power reading (completion code 0xC1)"),
        ({"code": 0xD4}, Reason.PERMISSION, "needs the User privilege"),
        ({"code": 0xC0}, Reason.INVALID, "the BMC is busy"),
        ({"code": 0x8A}, Reason.INVALID, "the BMC refused (completion code 0x8A)"),
        ({"active": False}, Reason.UNSUPPORTED, "power measurement is not active"),
        ({"watts": 65535}, Reason.INVALID, "65535 W cannot be"),
        ({"watts": 25000}, Reason.INVALID, "25000 W cannot be"),
        ({"watts": 0}, Reason.INVALID, "0 W cannot be"),
    ],
)
def test_a_bmc_without_a_reading_and_recovery(
    bmc: Bmc, source: Ipmi, state: dict[str, object], reason: Reason, words: str
) -> None:
    """What the BMC answers instead is told in words; afterwards it is read again."""
    bmc.change(**state)

    refused = fault(source)

    assert (reason, True) == (refused.reason, words in refused.detail), refused.detail
    kinds = {65535: Anomaly.SENTINEL, 25000: Anomaly.SPIKE, 0: Anomaly.SENTINEL}
    assert kinds.get(state.get("watts")) is refused.anomaly  # type: ignore[call-overload]

    bmc.change(watts=344, code=0, active=True)

    assert 1 == len(source.read().energies)


def test_a_wrong_password(bmc: Bmc, source: Ipmi) -> None:
    """It is told once, not tried again, and stands in no message; a new one is tried at once."""
    bmc.password_file.write_text("hunter2")

    first, second = fault(source), fault(source)

    assert {Reason.PERMISSION} == {first.reason, second.reason}
    assert "Incorrect password provided; check username and password_file" in first.detail
    assert "not tried again" in second.detail
    assert "hunter2" not in first.detail + second.detail

    bmc.password_file.write_text(SECRET)

    assert 1 == len(source.read().energies)


def test_a_bmc_that_falls_silent(bmc: Bmc) -> None:
    """No answer is `timeout` after `timeout:`, and a BMC that is back is read again."""
    source = Ipmi(bmc.settings(timeout_seconds=1.0), time.monotonic)
    source.read()
    bmc.change(silent=True)

    silent = fault(source)

    assert Reason.TIMEOUT is silent.reason
    assert f"127.0.0.1:{bmc.port} (UDP) did not answer within 1 s" in silent.detail

    bmc.change(silent=False)

    assert 1 == len(source.read().energies)

    source.close()


def test_an_unknown_user(bmc: Bmc) -> None:
    """A BMC that does not answer a stranger is a timeout that names what to check."""
    source = Ipmi(bmc.settings(username="nobody", timeout_seconds=0.5), time.monotonic)

    unknown = fault(source)

    assert (Reason.TIMEOUT, True) == (unknown.reason, "the username known to it" in unknown.detail)


def test_a_session_too_long_idle_is_opened_anew(bmc: Bmc) -> None:
    """The BMC has forgotten it by then: the next read does not wait for that."""
    idle = [0.0]
    source = Ipmi(bmc.settings(), lambda: time.monotonic() + idle[0])
    source.read()
    idle[0] = 60.0

    assert 1 == len(source.read().energies)

    source.close()


def test_a_login_needs_a_name() -> None:
    """Half a login is a mistake of the configuration, told as one."""
    nameless = fault(Ipmi(Settings(host="192.0.2.1"), time.monotonic))

    assert (Reason.INVALID, "sources.ipmi needs username and password_file") == (
        nameless.reason,
        nameless.detail,
    )


def test_without_pyghmi(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optional extra is named, with the command that brings it."""
    monkeypatch.setitem(sys.modules, "pyghmi.ipmi.command", None)

    missing = fault(Ipmi(Settings(host="192.0.2.1", username="meter"), time.monotonic))

    assert Reason.UNSUPPORTED is missing.reason
    assert missing.detail.endswith("pip install 'wattgov[ipmi]'")


@pytest.mark.parametrize("answer", [b"", b"\0", b"\0\xdc\x58\x01", b"\0" + b"\x17" * 18])
def test_an_answer_that_is_no_reading(answer: bytes) -> None:
    """A short or foreign answer is `invalid`, never a number."""
    with pytest.raises(NoMeter, match="DCMI: ") as raised:
        parse(answer)

    assert Reason.INVALID is raised.value.reason


class Kernel:
    """The kernel's side of /dev/ipmi0 on a 64-bit machine, by raw offsets of linux/ipmi.h."""

    def __init__(self, answer: bytes, netfn: int = 0x2D) -> None:
        self.answer = answer
        self.netfn = netfn
        self.asked: list[tuple[bytes, tuple[int, ...], bytes]] = []

    def ioctl(self, descriptor: int, number: int, structure: ctypes.Structure) -> int:
        """Take a request, or hand over the answer."""
        os.fstat(descriptor)
        at = ctypes.addressof(structure)
        if number == 0x8028690D:  # IPMICTL_SEND_COMMAND
            address, length, _, netfn, command, size, data = struct.unpack(
                "=QI4xqBBH4xQ", ctypes.string_at(at, 40)
            )
            self.asked.append(
                (
                    ctypes.string_at(address, length)[:7],
                    (netfn, command),
                    ctypes.string_at(data, size),
                )
            )
        elif number == 0xC030690B:  # IPMICTL_RECEIVE_MSG_TRUNC
            size, data = struct.unpack("=H4xQ", ctypes.string_at(at + 34, 14))
            kept = self.answer[:size]
            ctypes.memmove(data, kept, len(kept))
            ctypes.memmove(at, struct.pack("=i", 1), 4)
            ctypes.memmove(at + 32, struct.pack("=BBH", self.netfn, 0x02, len(kept)), 4)
        else:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        return 0


def local(path: Path, kernel: Kernel) -> Ipmi:
    """Return the source on a device at 7 s."""
    return Ipmi(Settings(), lambda: 7.0, Device(path, 0.1, kernel.ioctl))


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """Return a file that can always be read, as a device with an answer."""
    path = tmp_path / "ipmi0"
    path.touch()
    return path


def test_watts_of_this_machines_own_bmc(device: Path) -> None:
    """The request and the answer go through the structures of linux/ipmi.h."""
    kernel = Kernel(b"\0" + ipmi_bmc.reading(344, True))

    (energy,) = local(device, kernel).read().energies

    assert ("local", 0.0, 7.0) == (energy.meter.zone, energy.joules, energy.at)
    address = struct.pack("=ihB", 0x0C, 0x0F, 0)
    assert [(address, (0x2C, 0x02), b"\xdc\x01\0\0")] == kernel.asked


def test_power_after_a_gap_starts_anew(device: Path) -> None:
    """Of three intervals and more without an answer nothing is known."""
    times = iter((7.0, 17.0, 48.0))
    kernel = Kernel(b"\0" + ipmi_bmc.reading(344, True))
    source = Ipmi(Settings(), lambda: next(times), Device(device, 0.1, kernel.ioctl))

    energies = [source.read().energies[0] for _ in range(3)]

    assert [False, False, True] == [one.is_start for one in energies]


def test_a_device_that_does_not_answer(tmp_path: Path) -> None:
    """Silence ends after `timeout:`."""
    path = tmp_path / "ipmi0"
    os.mkfifo(path)

    silent = fault(local(path, Kernel(b"")))

    assert Reason.TIMEOUT is silent.reason
    assert "did not answer within 0.1 s" in silent.detail


def test_an_answer_to_something_else(device: Path) -> None:
    """An answer of another function is no power reading."""
    assert Reason.INVALID is fault(local(device, Kernel(b"\0", netfn=0x07))).reason


def test_no_device(tmp_path: Path) -> None:
    """A machine without the device says which modules make it."""
    absent = fault(local(tmp_path / "ipmi0", Kernel(b"")))

    assert Reason.ABSENT is absent.reason
    assert "modprobe -a ipmi_si ipmi_devintf" in absent.detail


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (errno.EACCES, Reason.PERMISSION, "run as root, or give this user's group"),
        (errno.ENOTTY, Reason.INVALID, "ioctl"),
        (errno.EBUSY, Reason.INVALID, "busy"),
    ],
)
def test_a_device_that_refuses(device: Path, code: int, reason: Reason, words: str) -> None:
    """What the kernel says is told, with the fix where there is one."""

    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    refused = fault(Ipmi(Settings(), lambda: 0.0, Device(device, 0.1, refuse)))

    assert (reason, True) == (refused.reason, words in refused.detail), refused.detail
