"""`make up`: ready, a table, Ctrl-C, again at once; a taken port in one sentence."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Self

import pytest

from waiting import until
from wattgov_stack.layout import LOOPBACK, Ports, check_ports, free_ports
from wattgov_stack.trouble import Trouble

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.usefixtures("prometheus", "alertmanager"),
    pytest.mark.xdist_group("up"),
]

# The table's footer: alerts are what this machine is, and none of this test's business.
FOOTER = re.compile(r"^(no alert is firing|firing: |notified: )", re.MULTILINE)


class Up:
    """A running `up`, and what it has printed so far."""

    def __init__(self, state: Path, ports: Ports, *words: str) -> None:
        moved = [
            word for name, port in asdict(ports).items() for word in ("--port", f"{name}={port}")
        ]
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-u",
                "-m",
                "wattgov_stack",
                "up",
                "--state",
                str(state),
                *moved,
                *words,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "160"},
        )
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGINT)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.text += line

    def shown(self) -> None:
        """Wait for the table's last lines; say what was printed if they do not come."""
        ended = self.process.poll
        try:
            until(lambda: FOOTER.search(self.text) or ended() is not None, "the table")
            assert ended() is None, "it ended early"
        except AssertionError as error:
            error.add_note(self.text)
            raise

    def end(self, number: int) -> int:
        """Send a signal; return the exit status once all is printed."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for the end; return the exit status once all is printed."""
        status = self.process.wait(60)
        self._reader.join()
        return status


@pytest.fixture
def ports() -> Ports:
    """Return free ports."""
    return free_ports()


@pytest.fixture
def up(tmp_path: Path, ports: Ports) -> Iterator[Up]:
    """Return a stack whose table has been shown."""
    with Up(tmp_path / "state", ports) as running:
        running.shown()
        yield running


def free(ports: Ports) -> bool:
    """Tell whether all ports are free."""
    try:
        check_ports(ports)
    except Trouble:
        return False
    return True


def test_table_and_end(up: Up, tmp_path: Path, ports: Ports) -> None:
    """The table has power, apps and rules; Ctrl-C ends all four; a second run works at once."""
    for part in ("exporter", "alertmanager", "prometheus", "actuator"):
        assert re.search(rf"{part} +ready after", up.text)
    for title in ("Power", "Apps", "Rules"):
        assert f"\n{title}" in up.text
    assert "estimated" in up.text or "measured" in up.text
    assert "trim-quiet-gpus" in up.text

    assert 0 == up.end(signal.SIGINT)
    assert up.text.endswith("all stopped\n")

    assert free(ports)
    with Up(tmp_path / "state", ports) as again:
        again.shown()
        assert 0 == again.end(signal.SIGTERM)


def test_a_killed_stack_takes_its_parts_with_it(up: Up, ports: Ports) -> None:
    """After kill -9 of the stack itself no part is left to hold a port."""
    up.end(signal.SIGKILL)

    until(lambda: free(ports), "all ports free")


def test_a_taken_port_is_a_sentence(tmp_path: Path, ports: Ports) -> None:
    """The part, the port, the holder and the way out are named, and nothing is started."""
    with socket.socket() as taken:
        taken.bind((LOOPBACK, ports.prometheus))
        taken.listen()
        running = Up(tmp_path / "state", ports)
        assert 1 == running.ended()

    assert re.search(
        rf"Error: prometheus needs port {ports.prometheus}, which \S+ \(pid {os.getpid()}\) has\. "
        r"Stop that, or move ours: make up UP='--port prometheus=NUMBER'",
        running.text,
    )
    assert "ready after" not in running.text


def test_mistakes_in_two_files_are_told_before_anything_starts(
    tmp_path: Path, ports: Ports
) -> None:
    """A bad exporter.yml and a bad rule file: each mistake with its place, and nothing started."""
    exporter, rules = tmp_path / "exporter.yml", tmp_path / "rules.yml"
    exporter.write_text("version: 1\nintervall: 1s\n")
    rules.write_text("version: 1\ngroupes: []\n")
    words = ("--exporter-config", str(exporter), "--rules", str(rules))

    running = Up(tmp_path / "state", ports, *words)

    assert 1 == running.ended()
    assert "Error: nothing was started:" in running.text
    assert f"{exporter}:2:1: unknown key 'intervall'; did you mean 'interval'?" in running.text
    assert f"{rules}:2:1: " in running.text
    assert "ready after" not in running.text
