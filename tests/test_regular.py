"""Files that a person names: a pipe or a device in their place must keep no daemon waiting."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.language.rulestext import text_of
from wattgov_actuator.laws import LAWS
from wattgov_actuator.notes.choice import sinks
from wattgov_actuator.proxy.secret import read as token
from wattgov_actuator.scenarios.file import read as scenarios
from wattgov_actuator.serving.service import web_of
from wattgov_exporter.assets.site import load as site
from wattgov_exporter.loop import read as config
from wattgov_exporter.recording.format import load as recording
from wattgov_exporter.secret import read as password
from wattgov_exporter.state import load as totals
from wattgov_web.regular import ENDLESS, opened


def pairs(path: Path) -> None:
    """Give a device as the certificate of a server."""
    web = path.parent / "web.yml"
    web.write_text(f"tls_server_config: {{cert_file: {path}, key_file: {path}}}\n")
    mistakes, _ = web_of(web, time.monotonic)
    raise ValueError(mistakes)


def told(path: Path) -> None:
    """Give a device where the mistakes come back as text."""
    raise ValueError(web_of(path, time.monotonic)[0])


def unsent(path: Path) -> None:
    """Give a device as the token of Grafana."""
    raise ValueError(sinks("http://127.0.0.1", path, None, {})[0])


def said(path: Path) -> None:
    """Give a device as what an earlier run has left."""
    words: list[str] = []
    totals(path, words.append)
    raise ValueError("\n".join(words))


READERS: dict[str, Callable[[Path], object]] = {
    "rules": text_of,
    "scenarios": lambda path: scenarios(path, LAWS, KNOBS),
    "web file": told,
    "certificates": pairs,
    "token of the proxy": token,
    "token of Grafana": unsent,
    "exporter.yml": lambda path: config(path, ()),
    "site.yml": site,
    "password": lambda path: password(path, "password_file"),
    "recording": recording,
    "state": said,
}


@pytest.mark.parametrize("kind", READERS)
def test_no_daemon_reads_a_device(tmp_path: Path, kind: str) -> None:
    """It is told in a sentence, as other mistakes are."""
    path = tmp_path / "device"
    path.symlink_to("/dev/null")
    with pytest.raises(Exception, match="no regular file") as found:
        READERS[kind](path)

    assert not isinstance(found.value, OSError) or found.value.strerror == ENDLESS


def test_nobody_waits_for_the_writer_of_a_pipe(tmp_path: Path) -> None:
    """A link to a file is one; a folder is told as ever."""
    pipe, file = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match=ENDLESS):
        opened(pipe)
    file.write_text("text")
    (tmp_path / "link").symlink_to(file)
    with opened(tmp_path / "link") as found:
        assert b"text" == found.read()
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        opened(tmp_path)
