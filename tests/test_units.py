"""The units for systemd: every line is understood, and what runs in them can do its work."""

import os
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import wattgov_actuator.cli
import wattgov_exporter.cli
from plant import plant

FOLDER = Path(__file__).parents[1] / "deploy/systemd"
UNITS = sorted(path.name for path in FOLDER.iterdir())
PROGRAMS: dict[str, click.Command] = {
    "wattgov-exporter": wattgov_exporter.cli.main,
    "wattgov-actuator": wattgov_actuator.cli.main,
}
HIDES_DEVICES = {"PrivateDevices", "DeviceAllow", "DevicePolicy", "ProtectClock"}
"""ProtectClock implies a DeviceAllow before systemd 253 (systemd issue 18142)."""

ROOTS_METER = """\
proc/modules = intel_rapl_common 1 0 - Live 0
sys/class/powercap/intel-rapl:0/name = package-0
sys/class/powercap/intel-rapl:0/energy_uj = 5000000
sys/class/powercap/intel-rapl:0/max_energy_range_uj = 262143328850
"""
NOBODY = 65534


def service(name: str) -> dict[str, str]:
    """Return the section [Service] of a unit."""
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    parser.read(FOLDER / name)
    return dict(parser["Service"])


def test_the_actuator_is_watched_and_puts_back_however_it_ends() -> None:
    """The watchdog kills what hangs, and what comes after a stop restores."""
    unit = service("wattgov-actuator.service")

    assert ("notify", "60", "on-failure") == (unit["Type"], unit["WatchdogSec"], unit["Restart"])
    assert "restore --leave-conflicts" in unit["ExecStopPost"]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (name, key)
        for name in UNITS
        for key in ("ExecStart", "ExecStopPost")
        if key in service(name)
    ],
)
def test_a_unit_starts_what_there_is(name: str, key: str) -> None:
    """Its commands and options are those of the program."""
    program, command, *options = service(name)[key].split()
    said = CliRunner().invoke(PROGRAMS[program], [command, "--help"])

    assert 0 == said.exit_code
    assert all(word in said.output for word in options if word.startswith("--"))


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_sees_the_cards(name: str) -> None:
    """What protects other services by hiding devices leaves these without a meter, or a knob."""
    assert set() == HIDES_DEVICES & service(name).keys()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_every_line(name: str, tmp_path: Path) -> None:
    """An unknown key would be left out without a word at the start."""
    unit = tmp_path / name
    text = (FOLDER / name).read_text()
    for program in PROGRAMS:
        text = text.replace(f"={program} ", "=/bin/true ")
    unit.write_text(text)
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )

    assert [] == [line for line in said.stderr.splitlines() if name in line]


def confined(name: str, *, user: int, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run something with the capabilities of a unit; skip, in words, where that is not allowed."""
    unit = service(name)
    bounding, ambient = (
        [word.removeprefix("CAP_").lower() for word in unit.get(key, "").split()]
        for key in ("CapabilityBoundingSet", "AmbientCapabilities")
    )
    given = [f"--bounding-set=-all,{','.join(f'+{one}' for one in bounding)}", "--no-new-privs"]
    if user:
        given += [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    if ambient:
        plus = ",".join(f"+{one}" for one in ambient)
        given += [f"--inh-caps={plus}", f"--ambient-caps={plus}"]
    if shutil.which("setpriv") is None or os.geteuid() != 0:
        pytest.skip("only root, with setpriv, may give capabilities away")
    return subprocess.run(
        ["setpriv", *given, *words], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_exporter_reads_what_only_root_may(tmp_path: Path) -> None:
    """RAPL's counters and its configuration, and without being root."""
    plant(ROOTS_METER, tmp_path)
    config = tmp_path / "exporter.yml"
    config.write_text("version: 1\n")
    for path in (config, tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj"):
        path.chmod(0o400)
    options = [f"--path.sysfs={tmp_path}/sys", f"--config={config}"]
    words = [sys.executable, "-m", "wattgov_exporter", "doctor", *options]

    said = confined("wattgov-exporter.service", user=NOBODY, words=words)

    assert 0 == said.returncode, said.stderr
    assert "energy_uj has shown 5 J" in said.stdout  # nothing counts it up


def test_the_actuator_may_stop_a_process_of_anybody() -> None:
    """As `signal_stop` does, and `file` to the process that reads it."""
    with subprocess.Popen(["sleep", "600"], user=NOBODY if os.geteuid() == 0 else None) as process:
        try:
            words = ["kill", "-STOP", str(process.pid)]
            said = confined("wattgov-actuator.service", user=0, words=words)
        finally:
            process.kill()

    assert (0, "") == (said.returncode, said.stderr)
