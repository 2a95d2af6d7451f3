"""The command line: what it says and how it exits, in this process."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from actuator.fakes import FakePrometheus
from testbed.nvml import VirtualGpus
from wattgov_actuator import cli, flags
from wattgov_actuator.knobs import open_knob

pytest_plugins = ["testbed.fixtures"]

BAD = Path(__file__).parents[1] / "bad" / "three-at-once.yml"
RULES = """
version: 1
groups:
  - name: gpus
    protect: {freshness: fresh}
    rules:
      - {action: trim, expr: quiet, knob: gpu_power_limit, step: -20W, min: 400W}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Return a rule file."""
    path = tmp_path / "rules.yml"
    path.write_text(RULES)
    return path


def invoke(*arguments: object, **environment: str) -> Result:
    """Run the command in this process."""
    words = [str(each) for each in arguments]
    return CliRunner().invoke(cli.main, words, env=environment, catch_exceptions=False)


def test_help_is_light() -> None:
    """It loads neither the driver's binding nor requests, nor what serves metrics or proxies."""
    heavy = {"pynvml", "requests", "prometheus_client", "prometheus_api_client", "http.server"}
    heavy |= {"aiohttp", "uvloop"}
    program = (
        "import sys\nfrom click.testing import CliRunner\nfrom wattgov_actuator.cli import main\n"
        "for command in ([], *([name] for name in main.commands)):\n"
        "    assert CliRunner().invoke(main, [*command, '--help']).exit_code == 0\n"
        "print(*sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert set() == heavy & set(run.stdout.split())


def test_check_says_what_it_read(rules: Path) -> None:
    """The rules by name, and whether they would act."""
    result = invoke("check", rules)

    assert (0, "OK: trim; dry run unless --enforce\n") == (
        result.exit_code,
        result.stdout,
    )


@pytest.mark.parametrize("command", ["run", "plan"])
def test_bad_rules_start_nothing(command: str, tmp_path: Path, server: FakePrometheus) -> None:
    """All mistakes on stderr, status 2, no folder, no question asked."""
    state = tmp_path / "state"
    folder = ["--state-dir", state] if command == "run" else []
    result = invoke(command, "--rules", BAD, "--prometheus", server.url, *folder)

    assert (2, 3) == (result.exit_code, len(result.stderr.splitlines()))
    assert not state.exists()
    assert [] == server.asked


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen", "9471"], "'9471' is not HOST:PORT, such as 127.0.0.1:9471"),
        (["--listen", ":9471"], "':9471' is not HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "is not HOST:PORT"),
        (["--prometheus", "localhost:9090"], "'localhost:9090' is not a URL"),
        (["--prometheus", "http://[x"], "'http://[x' is not a URL"),
        (["--prometheus", "http://me:secret@here:99999"], "'here:99999' is not a URL"),
        (["--prometheus", "http://me:sec/ret@here:9090"], "'here:9090' is not a URL"),
    ],
)
def test_a_wrong_option_is_a_sentence(rules: Path, arguments: list[str], words: str) -> None:
    """What was given, and what is wanted."""
    result = invoke("run", "--rules", rules, *arguments)

    assert 2 == result.exit_code
    assert words in result.stderr
    assert "sec" not in result.stderr


def test_a_device_may_not_be_waited_for_as_long_as_a_lease(tmp_path: Path, rules: Path) -> None:
    """The guardian would end a loop that does nothing but wait."""
    entry = "{knob: batch_size, backend: file, name: chat, path: /etc/chat, high: 64, timeout: 5s}"
    rules.write_text(f"{RULES}\nknobs:\n  - {entry}\n")
    state = tmp_path / "state"
    result = invoke("run", "--rules", rules, "--lease", "5", "--state-dir", state)

    assert (2, False) == (result.exit_code, state.exists())
    assert "chat may be waited for as long (5 s) as a loop may give no sign of life (5 s)" in (
        result.stderr
    )


def test_a_taken_port_is_a_sentence(rules: Path, tmp_path: Path) -> None:
    """Before anything is written."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        result = invoke("run", "--rules", rules, "--state-dir", tmp_path, "--listen", where)

    assert 1 == result.exit_code
    assert f"cannot listen on {where}: Address already in use" in result.stderr


def say_quiet(server: FakePrometheus) -> list[str]:
    """Let the first card be quiet; return the names of all."""
    names = [target.name for target in open_knob("gpu_power_limit").probe().targets]
    server.answers["quiet"] = [({"uuid": names[0]}, 5.0)]
    server.answers["fresh"] = lambda: [({"instance": "here"}, cli.now().unix)]
    return names


def test_plan_shows_what_would_change(
    rules: Path, server: FakePrometheus, gpus: VirtualGpus
) -> None:
    """As a diff, then why the rest stays; nothing is written."""
    first, *others = say_quiet(server)
    result = invoke("plan", "--rules", rules, PROM_URL=server.url)
    changed, rest = result.stdout.split("\n\n")
    told, _head, *rows = rest.splitlines()

    assert 0 == result.exit_code
    assert [
        f"gpu_power_limit of {first}",
        "- 700 W",
        "+ 680 W  trim, would_apply: the value is 5, read 0 s ago",
    ] == changed.splitlines()
    assert f"1 of {1 + len(others)} targets would change; no change by:" == told
    assert [
        f"trim  the other {len(others)}  700 W     700 W   unchanged  none of the 1 series names it"
    ] == rows
    assert 700 == gpus.card(0).limit_watts


def test_plan_in_json(rules: Path, server: FakePrometheus, gpus: VirtualGpus) -> None:
    """The decisions with all that they rest on."""
    first, *others = say_quiet(server)
    result = invoke("plan", "--rules", rules, "--json", PROM_URL=server.url)
    said = json.loads(result.stdout)
    (change,) = said["changes"]

    assert (first, 700.0, 680.0) == (change["target"], change["current"], change["wanted"])
    assert ("quiet", 5.0) == (change["inputs"][0]["name"], change["inputs"][0]["value"])
    assert others == [each["target"] for each in said["unchanged"]]
    assert (None, 700) == (said["paused"], gpus.card(0).limit_watts)


def test_plan_works_with_prometheus_down(rules: Path, gpus: VirtualGpus) -> None:
    """It says what is missing instead of failing."""
    result = invoke("plan", "--rules", rules, "--prometheus", "http://127.0.0.1:9")

    assert 0 == result.exit_code
    assert "Nothing would change; no change by:\n" in result.stdout
    assert f"trim  all {gpus.count()}   700 W     700 W   no_data  " in result.stdout
    assert "http://127.0.0.1:9 cannot be reached: Connection refused" in result.stdout


def test_plan_takes_several_files(rules: Path, tmp_path: Path) -> None:
    """With one --rules and a shell's glob, or with an option for each."""
    second = tmp_path / "second.yml"
    second.write_text(RULES.replace("gpus", "more").replace("trim", "trim-more"))
    url = ["--prometheus", "http://127.0.0.1:9"]
    for words in (["--rules", rules, second], ["--rules", rules, "--rules", second]):
        result = invoke("plan", *words, *url)
        assert {"Nothing", "RULE", "trim", "trim-more"} == {
            line.split()[0] for line in result.stdout.splitlines()
        }


def test_restore_without_a_journal_says_so(tmp_path: Path) -> None:
    """There is nothing to do, and that is no error."""
    result = invoke("restore", "--state-dir", tmp_path)

    assert (0, f"Nothing to put back: there is no journal in {tmp_path}; see --state-dir\n") == (
        result.exit_code,
        result.stdout,
    )


def test_a_damaged_journal_is_a_sentence(rules: Path, tmp_path: Path) -> None:
    """It may hold an undo, so nothing starts."""
    (tmp_path / "journal.sqlite").write_bytes(b"garbage" * 1000)
    for command in (["restore"], ["run", "--rules", rules]):
        result = invoke(*command, "--state-dir", tmp_path)
        assert 1 == result.exit_code
        assert "journal.sqlite cannot be opened: file is not a database; what" in result.stderr
        assert "is in the log, as prior= in the lines with event=decision" in result.stderr


@pytest.mark.parametrize("mode", [0o770, 0o1777])
def test_a_state_folder_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """What stands in its journal is written to this machine."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "journal.sqlite").touch()
    state.chmod(mode)
    result = invoke("restore", "--state-dir", state)

    assert 1 == result.exit_code
    assert f"others can write in {state}" in result.stderr
    assert ["journal.sqlite"] == [each.name for each in state.iterdir()]


def test_a_folder_that_cannot_be_made_is_a_sentence(rules: Path) -> None:
    """With its name."""
    result = invoke("run", "--rules", rules, "--state-dir", "/dev/null/state")

    assert (1, "/dev/null/state: Not a directory\n") == (result.exit_code, result.stderr)


def test_the_state_folder_is_systemds_else_the_users() -> None:
    """$STATE_DIRECTORY may name several; the first is ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_DIRECTORY", "/srv/wattgov:/srv/other")
        assert Path("/srv/wattgov") == flags.state_dir()
        patch.delenv("STATE_DIRECTORY")
        patch.setenv("HOME", "/home/ann")
        patch.setattr(os, "geteuid", lambda: 1000)
        assert Path("/home/ann/.local/state/wattgov") == flags.state_dir()


def test_root_finds_the_journal_of_the_unit_without_an_option() -> None:
    """What alerts tell people to type in an emergency has to find what the service left."""
    unit = Path(__file__).parents[2] / "deploy" / "systemd" / "wattgov-actuator.service"
    (name,) = re.findall("^StateDirectory=(.+)$", unit.read_text(), re.MULTILINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("STATE_DIRECTORY", raising=False)
        patch.setattr(os, "geteuid", lambda: 0)
        assert Path("/var/lib", name) == flags.state_dir()
