"""Commands that an administrator allows: which may run, with what, and for how long."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from actuator.groups import until
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs.command import Command
from wattgov_actuator.knobs.running import ENVIRONMENT
from wattgov_actuator.reading import Fault, Hidden, InForce, KnobError

FILE = """\
probe: [{tool}, probe]
read: [{tool}, read, "{{target}}"]
write: [{tool}, write, "{{target}}", "--watts={{value}}"]
restore: [{tool}, back, "{{target}}", "{{value}}"]
"""
GOOD = """
case $1 in
probe) echo "GPU-1 100 700" ; echo "GPU-2 100.5 600" ;;
read) echo "Power Limit: 312.50 W" ;;
esac
"""


class Place:
    """A folder with a tool and its file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tool = folder, folder / "tool"
        self.file, self.log = folder / "commands.yml", folder / "log"
        self.say(GOOD)
        self.file.write_text(FILE.format(tool=self.tool))

    def say(self, body: str) -> None:
        """Make the tool do this, after it has noted how it was called."""
        self.tool.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >> {self.log}\n{body}')
        self.tool.chmod(0o755)

    def knob(self, name: str = "gpu_power_limit", **more: Setting) -> Command:
        """Return the knob; the file is read as it is asked."""
        way = Connection(name, "command", "rack", {"host": "a"}, {"file": str(self.file), **more})
        return Command(way)

    def fault(self, call: Callable[[Command], object] | None = None) -> KnobError:
        """Write, unless something else is to be done, and return why it cannot be."""
        with pytest.raises(KnobError) as raised:
            (call or (lambda knob: knob.write("GPU-1", 250.0)))(self.knob())
        return raised.value


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a folder that only we can write."""
    tmp_path.chmod(0o755)
    return Place(tmp_path)


def test_each_operation_has_its_command_and_two_words_of_ours(place: Place) -> None:
    """Whole watts there, what was printed back; the targets are those that probe prints."""
    knob = place.knob()
    first, second = knob.probe().targets
    found = knob.read("GPU-1")
    knob.write("GPU-1", 249.6)
    knob.restore("GPU-1", 312.5, "312.50")

    assert ({"uuid": "GPU-1"}, 100.0, 700.0) == (first.labels, first.low, first.high)
    assert ("GPU-2", 100.5) == (second.name, second.low)
    assert InForce(312.5, text="312.50") == found
    said = "probe|read|GPU-1|write|GPU-1|--watts=250|back|GPU-1|312.50|"
    assert said == place.log.read_text()
    knob.probe()
    assert said == place.log.read_text()  # a known range is not asked again


def test_without_probe_the_entry_is_the_target(place: Place) -> None:
    """By its name and its labels; clocks are in MHz, and what is read is the clock of now."""
    lines = FILE.format(tool=place.tool).splitlines()[1:]
    place.file.write_text("\n".join(lines))
    (target,) = place.knob("gpu_clock_lock", low=210.0, high=1980.0).probe().targets
    assert (target.name, target.labels, target.high) == ("rack", {"host": "a"}, 1980e6)
    assert place.knob("gpu_clock_lock").read("rack") == Hidden(312.5e6)
    assert "give low and high" in place.fault(lambda knob: knob.probe()).detail
    place.file.write_text("\n".join(lines[:2]))
    with pytest.raises(KnobError, match="has no 'restore'"):
        place.knob("gpu_clock_lock").probe()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("read: [/bin/a]\n", "1:1: the file has no 'write'"),
        ("read: [a]\nwrite: [/bin/a, '{value}']\n", "read is a list that begins with the path"),
        ("read: [/bin/a, '{value}']\nwrite: [/bin/a, '{value}']\n", "'{value}' is no placeholder"),
        ("read: [/bin/a]\nwrite: [/bin/a, '{value']\n", "'{' is no placeholder"),
        ("read: [/bin/a]\nwrite: [/bin/a]\n", "write has no '{value}'"),
        ("read: [/bin/a]\nwrite: [/bin/a, '{value}']\npattern: x\n", "needs one group"),
        ("reed: [/bin/a]\nwrite: [/bin/a, '{value}']\n", "unknown key 'reed': did you mean"),
        ("read: [\n", "not YAML"),
    ],
)
def test_a_file_is_read_strictly(place: Place, text: str, words: str) -> None:
    """Before anything runs, with the line of each mistake."""
    place.file.write_text(text.replace("/bin/a", str(place.tool)))
    found = place.fault()
    assert (Fault.REFUSED, True) == (found.fault, words in found.detail), found.detail
    assert not place.log.exists()


def open_file(place: Place) -> None:
    """Let everybody write the file."""
    place.file.chmod(0o666)


def open_group(place: Place) -> None:
    """Let a group write the program."""
    place.tool.chmod(0o775)


def open_folder(place: Place) -> None:
    """Let everybody put another file in its place."""
    place.folder.chmod(0o777)


def foreign(place: Place) -> None:
    """Give the file to somebody."""
    os.chown(place.file, 12345, -1)


def linked(place: Place) -> None:
    """Lead to it by a link that lies where everybody can lead it elsewhere."""
    (place.folder / "open").mkdir()
    (place.folder / "open").chmod(0o777)
    moved = place.file.rename(place.folder / "moved.yml")
    (place.folder / "open" / "link").symlink_to(moved)
    place.file.symlink_to("open/link")


def looped(place: Place) -> None:
    """Lead to itself."""
    place.file.unlink()
    place.file.symlink_to("commands.yml")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (open_file, "commands.yml, and so what is run; run: chmod go-w"),
        (open_group, "tool, and so what is run"),
        (open_folder, "others can write"),
        (foreign, "belongs to user 12345; run: chown root"),
        (linked, "open, and so what is run"),
        (looped, "is no file"),
    ],
)
def test_what_others_can_change_does_not_run(
    place: Place, change: Callable[[Place], None], words: str
) -> None:
    """Neither by the file, nor by its program, nor by a folder or a link on the way."""
    if change is foreign and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    change(place)
    found = place.fault()
    assert (Fault.REFUSED, True) == (found.fault, words in found.detail), found.detail
    assert not place.log.exists()


@pytest.mark.parametrize("target", ["-rf", "a b", "../x", "a;b", "$(id)", "", "x" * 129])
def test_a_target_is_a_plain_name(place: Place, target: str) -> None:
    """No option, no path, nothing that a shell further on could take for more."""
    place.say(f'echo "{target} 1 2"' if "$" not in target else "echo '$(id) 1 2'")
    note = place.fault(lambda knob: knob.probe()).detail
    assert "is not a name" in note or "no name of a target" in note
    if target:
        assert "no name of a target" in place.fault(lambda knob: knob.write(target, 250)).detail


@pytest.mark.parametrize("text", ["1;id", "-5", "--help", "nan", "{target}"])
def test_only_a_number_is_put_back(place: Place, text: str) -> None:
    """Whatever somebody has written into the journal."""
    found = place.fault(lambda knob: knob.restore("GPU-1", 5.0, text))
    assert "no number to put back" in found.detail
    assert not place.log.exists()


def test_what_a_command_has_against_it_is_a_sentence(place: Place) -> None:
    """Its exit status, or what it printed with 0; and what it is, if it cannot be run."""
    place.say("echo 'sudo: a password is required' >&2; exit 1")
    found = place.fault()
    words = "write GPU-1 --watts=250' ended with 1: sudo: a password is required"
    assert (Fault.REFUSED, True) == (found.fault, words in found.detail), found.detail
    assert Fault.LOST is place.fault(lambda knob: knob.read("GPU-1")).fault
    place.say("echo 'ERROR: not supported'")
    assert "printed no number: 'ERROR" in place.fault(lambda knob: knob.read("GPU-1")).detail
    place.file.write_text(f"{FILE.format(tool=place.tool)}error_pattern: '(?i)error'\n")
    assert "ended with 0, and printed an error: ERROR" in place.fault().detail
    place.tool.write_text("#!/no/such/interpreter\n")
    assert "cannot be run: No such file" in place.fault().detail


def ended(pid: str) -> bool:
    """Tell whether a process is gone; a zombie waits for the init of this container."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_what_hangs_is_ended_with_all_that_it_started(place: Place) -> None:
    """Also a child that keeps the output open."""
    pids = place.folder / "pids"
    place.say(f"sleep 1000 & echo $! $$ > {pids}.new; mv {pids}.new {pids}; wait")
    place.file.write_text(f"{FILE.format(tool=place.tool)}timeout: 2s\n")
    found = place.fault()

    assert (Fault.LOST, True) == (found.fault, "took longer than 2 s" in found.detail)
    for pid in pids.read_text().split():
        until(partial(ended, pid))  # who is killed has still to be given a CPU to end on


def test_output_has_an_end(place: Place) -> None:
    """What prints for ever is ended before its time."""
    place.say("yes")
    assert "printed more than 64 KiB" in place.fault().detail


def test_a_command_sees_little_of_us(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither our variables nor our input."""
    monkeypatch.setenv("BMC_PASSWORD", "correct horse")
    seen = place.folder / "seen"
    place.say(f"/usr/bin/env > {seen}; cat >> {seen}; pwd >> {seen}")
    place.knob().write("GPU-1", 250)
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert names <= {*ENVIRONMENT, "PWD", "OLDPWD", "_", "SHLVL", "/"}
