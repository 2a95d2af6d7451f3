"""`pause`, `resume` and `plan` in a pause: what a person types when it has to stop."""

from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from actuator.fakes import Clock, FakePrometheus
from testbed.nvml import VirtualGpus
from wattgov_actuator import cli
from wattgov_actuator.acting.hands import Hands
from wattgov_actuator.acting.journal import Journal
from wattgov_actuator.acting.writer import Writer
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.decision import Decision, Reason
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
    "text", ["30", "half an hour", "0s", "20W", "367d", "99999999999d", "9" * 400 + "s"]
)
def test_a_duration_has_a_unit(desk: Desk, text: str) -> None:
    """And is above nothing, and at most a year."""
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


def held(folder: Path, *names: str) -> Path:
    """Hold one file of each name down to 8 from 32, as a loop that has died; return the folder."""
    ways = []
    for name in names:
        (folder / name).write_text("32")
        settings: dict[str, Setting] = {"path": f"{folder}/{name}", "pattern": r"(\d+)"}
        settings |= {"low": 1, "high": 64}
        ways.append(Connection("batch_size", "file", name, {"app": name}, settings))
    state = folder / "state"
    state.mkdir()
    with closing(Journal(state)) as journal:
        writer = Writer(journal, Hands(open_knob), Clock())
        writer.connect(ways)
        for each in writer.observe(["batch_size"])[0]:
            order = Decision(
                *("batches", "less", "batch_size", each.target.name, "requests"),
                *(Reason.APPLIED, "because", 1.0),
                current=each.current,
                wanted=8.0,
                acts=True,
            )
            assert writer.act(order).reason is Reason.APPLIED
    return state


def test_what_is_gone_for_good_is_given_up_and_the_rest_is_put_back(tmp_path: Path) -> None:
    """It is asked for by name, tried once more, and kept in the journal with who said so."""
    desk = Desk(held(tmp_path, "chat", "gone", "near"))
    (tmp_path / "gone").unlink()

    first = desk.type("restore")
    assert (1, "32") == (first.exit_code, (tmp_path / "chat").read_text())
    assert "batch_size gone: lost: the device is gone; its undo stays open." in first.stdout

    slip = desk.type("restore", "--give-up", "gome")
    assert (2, "nothing of ours holds 'gome'; we hold gone\n") == (slip.exit_code, slip.stderr)

    last = desk.type("restore", "--give-up", "gone")
    assert 0 == last.exit_code
    assert "given up by ann: it stays as it is" in last.stdout
    with closing(Journal(desk.folder)) as journal:
        assert () == journal.undos()
        assert "given up by ann" in str(journal.decisions()[-1]["detail"])


def test_what_can_be_put_back_is_not_given_up(tmp_path: Path) -> None:
    """Who gives it up has been mistaken, and nothing stays changed."""
    desk = Desk(held(tmp_path, "chat"))
    result = desk.type("restore", "--give-up", "chat")

    assert (0, "32") == (result.exit_code, (tmp_path / "chat").read_text())
    assert "put back" in result.stdout
