"""The limit of a machine by DCMI, on pyghmi's own BMC, seen by ipmitool too."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actuator.bench import Bench
from fakes import ipmi_bmc
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs.ipmi import Ipmi, open_knob
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, KnobError

SECRET = "correct horse"  # noqa: S105 (the simulated BMC's)


class Bmc:
    """A simulated BMC in its own process, and the file with its password."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self.port = int(self._line())
        self.password_file = folder / "password"
        self.password_file.touch(0o600)
        self.password_file.write_text(f"{SECRET}\n")

    def change(self, **state: object) -> None:
        """Change what it answers from now on."""
        assert "changed" == self._told(state)

    def held(self) -> dict[str, object]:
        """Return what it holds about the limit."""
        found = json.loads(self._told({"show": True}))
        names = ("limit", "limited", "exception", "correction", "sampling")
        return {name: found[name] for name in names}

    def knob(self, seconds: float = 10.0, **more: Setting) -> Ipmi:
        """Return the knob on it."""
        settings: dict[str, Setting] = {
            "host": "127.0.0.1",
            "port": float(self.port),
            "username": "meter",
            "password_file": str(self.password_file),
            "low": 100.0,
            "high": 900.0,
            **more,
        }
        way = Connection("platform_power_limit", "ipmi", "rack", {}, settings, seconds)
        return open_knob(Machine(), way)

    def ipmitool(self, *words: str) -> str:
        """Return what the reference client says."""
        ipmitool = shutil.which("ipmitool")
        if ipmitool is None:
            pytest.skip("ipmitool is not installed (Debian: apt-get install ipmitool)")
        login = f"-I lanplus -H 127.0.0.1 -p {self.port} -U meter -E -N 1 -R 2"
        done = subprocess.run(
            [ipmitool, *login.split(), "dcmi", "power", *words],
            env={**os.environ, "IPMI_PASSWORD": SECRET},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def _told(self, state: dict[str, object]) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(state)}\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[Bmc]:
    """Return a simulated BMC without a limit."""
    pytest.importorskip("pyghmi", reason="pyghmi is not installed: pip install 'wattgov[ipmi]'")
    command = [sys.executable, ipmi_bmc.__file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Bmc(process, tmp_path)
        process.communicate(timeout=10)


def fault(knob: Ipmi, watts: float = 400) -> KnobError:
    """Write, and return why it cannot be."""
    with pytest.raises(KnobError) as raised:
        knob.write("rack", watts)
    return raised.value


@pytest.mark.parametrize("before", [(0, False), (650, False), (650, True)])
def test_a_limit_is_set_activated_and_comes_back_to_the_letter(
    bmc: Bmc, before: tuple[int, bool]
) -> None:
    """With all that belongs to it; one that was not active is not again."""
    bmc.change(limit=before[0], limited=before[1])
    held, knob = bmc.held(), bmc.knob()
    (target,) = knob.probe().targets
    was = knob.read("rack")
    knob.write("rack", 400.4)

    assert (100.0, 900.0, 650.0 if before[1] else 900.0) == (target.low, target.high, was.value)
    assert {**held, "limit": 400, "limited": True} == bmc.held()
    assert knob.read("rack").value == 400
    knob.restore("rack", was.value, was.text)
    after = bmc.held()
    # A limit of 0 W cannot be set; not active, it is none.
    assert {**held, "limit": after["limit"]} == after
    assert before[0] in {0, after["limit"]}
    assert was.value == knob.read("rack").value


def test_ipmitool_sees_the_same(bmc: Bmc) -> None:
    """What we set it shows as active, and what it sets we read."""
    knob = bmc.knob()
    knob.write("rack", 400)
    shown = bmc.ipmitool("get_limit")
    assert re.search(r"Current Limit State:\s*Power Limit Active", shown), shown
    assert re.search(r"Power Limit:\s*400\s+Watts", shown), shown
    bmc.ipmitool("set_limit", "limit", "500")
    assert knob.read("rack").value == 500
    bmc.ipmitool("deactivate")
    assert knob.read("rack").value == 900


def test_a_bmc_that_tells_nothing_of_no_limit(bmc: Bmc) -> None:
    """0x80 is no error, with a body or without one."""
    bmc.change(bare=True)
    knob = bmc.knob()
    was = knob.read("rack")
    knob.write("rack", 400)
    knob.restore("rack", was.value, was.text)
    assert (900.0, False) == (was.value, bmc.held()["limited"])


@pytest.mark.parametrize(
    ("state", "watts", "kind", "words"),
    [
        ({}, 1001, Fault.REFUSED, "0x84: the limit is out of its range"),
        ({"code": 0xC1}, 400, Fault.UNSUPPORTED, "it knows no DCMI power limit"),
        ({"code": 0xD4}, 400, Fault.REFUSED, "needs the privilege Operator"),
        ({"code": 0x91}, 400, Fault.REFUSED, "0x91: it refuses"),
        ({"exception": 1}, 400, Fault.REFUSED, "a limit could end the machine"),
    ],
)
def test_what_the_bmc_has_against_it_is_a_sentence(
    bmc: Bmc, state: dict[str, object], watts: float, kind: Fault, words: str
) -> None:
    """And nothing is in force afterwards."""
    bmc.change(**state)
    found = fault(bmc.knob(), watts)
    assert (kind, True) == (found.fault, words in found.detail), found.detail
    assert bmc.held()["limited"] is False


def test_a_wrong_password_and_silence_are_told_apart(bmc: Bmc) -> None:
    """The one is refused, the other lost; neither sentence has the password."""
    bmc.password_file.write_text("battery staple\n")
    found = fault(bmc.knob())
    assert Fault.REFUSED is found.fault
    assert "check username and password" in found.detail
    assert "staple" not in found.detail
    bmc.password_file.write_text(f"{SECRET}\n")
    bmc.change(silent=True)
    bmc.change(code=0)
    knob = bmc.knob(0.5, username="nobody")
    assert Fault.LOST is fault(knob).fault


def test_the_next_start_puts_back_what_a_dead_one_left(bmc: Bmc, tmp_path: Path) -> None:
    """By the journal alone: pyghmi's threads outlive no fork, so the crash matrix has it not."""
    bmc.change(limit=650, limited=True)
    before = bmc.held()
    bench = Bench(tmp_path, "platform_power_limit", bmc.knob)
    assert Reason.APPLIED is bench.act(400).reason
    assert before != bmc.held()
    bench.restart()
    assert [Reason.RESTORED] == [each.reason for each in bench.writer.restore()]
    assert (before, ()) == (bmc.held(), bench.journal.undos())
    bench.close()


def test_no_range_is_no_target(bmc: Bmc) -> None:
    """DCMI tells none, so the entry must."""
    with pytest.raises(KnobError, match="are no range"):
        bmc.knob(low=900.0).probe()
