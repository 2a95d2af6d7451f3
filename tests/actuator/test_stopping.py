"""`pause`, `resume` and `plan` in a pause: what a person types when it has to stop."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from actuator.fakes import Clock, FakePrometheus
from testbed.nvml import VirtualGpus
from wattgov_actuator import cli
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.pause import Pause, PauseFile

pytest_plugins = ["testbed.fixtures"]

RULES = """
version: 1
groups:
  - name: gpus
    protect: {freshness: fresh}
    rules:
      - {action: trim, expr: quiet, knob: gpu_power_limit, step: -20W, min: 400W}
"""


class Desk:
    """A state folder, and a person before it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, Clock()
        self.file = PauseFile(folder)

    def type(self, *words: str) -> Result:
        """Run a command of the actuator as ann."""
        arguments = [*words, "--state-dir", str(self.folder)]
        env = {"SUDO_USER": "ann"}
        return CliRunner().invoke(
            cli.main, arguments, obj=self.clock, env=env, catch_exceptions=False
        )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return a person before the folder of an actuator that does not run."""
    return Desk(tmp_path)


def test_a_pause_is_kept_with_who_and_why(desk: Desk) -> None:
    """Until its time, or until somebody resumes."""
    result = desk.type("pause", "30m", "--why", "load test")
    unix = desk.clock.unix

    assert 0 == result.exit_code
    assert Pause(unix, unix + 1800, "ann", "load test") == desk.file.read(unix)
    assert result.stdout.splitlines() == [
        "Paused since 1970-01-12T13:46:40Z by ann, until 1970-01-12T14:16:40Z: load test",
        "Nothing is tightened; `wattgov-actuator resume` ends it",
        f"No actuator works with {desk.folder} now; the next one finds it paused",
    ]

    desk.type("pause")

    assert Pause(unix, None, "ann") == desk.file.read(unix)


def test_resume_says_what_it_ended(desk: Desk) -> None:
    """Twice is no error."""
    desk.type("pause")

    assert "Resumed; it was paused since 1970-01-12T13:46:40Z by ann, until somebody resumes\n" == (
        desk.type("resume").stdout
    )
    assert desk.file.read(desk.clock.unix) is None
    assert (0, f"Nothing is paused in {desk.folder}\n") == (
        (again := desk.type("resume")).exit_code,
        again.stdout,
    )


def test_the_kill_switch_without_anything_changed(desk: Desk) -> None:
    """It is armed all the same, for the next start."""
    result = desk.type("pause", "--restore")
    brake = desk.file.read(desk.clock.unix)

    assert (0, True) == (result.exit_code, brake is not None and brake.restore)
    assert "Nothing to put back" in result.stdout


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_folder_where_no_actuator_ever_was_is_refused(tmp_path: Path, command: str) -> None:
    """It would be heard by nobody, and say it was done."""
    result = Desk(tmp_path / "typo").type(command)

    assert (1, f"no actuator has ever worked with {tmp_path}/typo; see --state-dir\n") == (
        result.exit_code,
        result.stderr,
    )


@pytest.mark.parametrize(
    "text", ["30", "half an hour", "0s", "20W", "99999999999d", "9" * 400 + "s"]
)
def test_a_duration_has_a_unit(desk: Desk, text: str) -> None:
    """And is above nothing, and ends before the calendar does."""
    result = desk.type("pause", text)

    assert 2 == result.exit_code
    assert f"'{text}' is " in result.stderr
    assert desk.file.read(desk.clock.unix) is None


def test_plan_shows_a_pause(desk: Desk, gpus: VirtualGpus, server: FakePrometheus) -> None:
    """Who paused it, and what it stops."""
    rules = desk.folder / "rules.yml"
    rules.write_text(RULES)
    first = open_knob("gpu_power_limit").probe().targets[0].name
    server.answers["quiet"] = [({"uuid": first}, 5.0)]
    server.answers["fresh"] = lambda: [({"instance": "here"}, desk.clock.unix)]
    words = ["plan", "--rules", str(rules), "--prometheus", server.url]
    desk.type("pause", "--why", "load test")
    result = desk.type(*words)

    assert result.stdout.startswith("Paused since 1970-01-12T13:46:40Z by ann")
    assert "700 W     680 W   paused     paused since" in result.stdout
    assert gpus.count() == len(result.stdout.splitlines()) - 4
