"""What `wattgov-exporter capture` does around the recording: names to hide, words to the user."""

import os
import pwd
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from errno import EACCES, EEXIST
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

import click

from wattgov_exporter import __version__
from wattgov_exporter.config import Sources
from wattgov_exporter.recording.capture import Capture
from wattgov_exporter.recording.format import Recording, text
from wattgov_exporter.recording.machine import Files
from wattgov_exporter.recording.standins import StandIns
from wattgov_exporter.sources import Machine, configured

STDOUT = "-"
TAKEN = "is there already; --force replaces it"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for."""

    output: Path
    seconds: float
    interval: float
    processes: bool
    force: bool

    @property
    def to_file(self) -> bool:
        """Tell a file from standard output."""
        return str(self.output) != STDOUT


def record(wish: Wish, where: Machine, used: Sources) -> None:
    """Record a machine, put that where it is wished, and tell the user; Ctrl-C ends it early.

    OSError where it cannot be put; that is looked at before a minute is spent.
    """
    _check(wish)
    stops: SimpleQueue[None] = SimpleQueue()  # a signal may put into it at any moment
    signal.signal(signal.SIGINT, lambda *_: stops.put(None))

    def wait(seconds: float) -> bool:
        try:
            stops.get(timeout=seconds)
        except Empty:
            return False
        return True

    def left(seconds: float) -> None:
        if sys.stderr.isatty():
            click.echo(
                f"\rrecording, {seconds:.0f} s left (Ctrl-C ends it here) ", err=True, nl=False
            )

    recording = _recorded(wish, where, used, wait, left)
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
    shown = text(replace(recording, remarks=remarks(recording, wish)))
    if wish.to_file:
        _write(wish.output, shown, force=wish.force)
    else:
        click.echo(shown, nl=False)
    for line in summary(recording, shown, wish):
        click.echo(line, err=True)


def _recorded(
    wish: Wish,
    where: Machine,
    used: Sources,
    wait: Callable[[float], bool],
    left: Callable[[float], None],
) -> Recording:
    """Record what the sources of this configuration read on a machine."""
    places = {str(where.sysfs): "/sys", str(where.proc): "/proc"}
    hidden = StandIns(names(os.environ, used), places)
    files = Files(where.sysfs, where.proc, hidden, with_processes=wish.processes)
    capture = Capture(
        # What Kubernetes calls its pods is no meter, and nobody's business.
        configured(where, replace(used, kubernetes=None)),
        files.look,
        hidden,
        clock=where.monotonic,
        with_processes=wish.processes,
    )
    return capture.take(wish.seconds, wish.interval, wait, left)


def names(environment: Mapping[str, str], sources: Sources) -> Iterator[str]:
    """Yield what would tell whose machine this is: hosts and users, as far as they are known."""
    host = os.uname().nodename
    yield host
    yield host.partition(".")[0]
    users = {environment.get(key, "") for key in ("USER", "LOGNAME", "SUDO_USER")}
    with suppress(KeyError):  # a user without a name, as in a container
        users.add(pwd.getpwuid(os.getuid()).pw_name)
    yield from users - {"root"}
    for url in (sources.redfish and sources.redfish.url, *(one.url for one in sources.scrape)):
        yield (urlsplit(url).hostname or "") if url else ""
    yield from (sources.ipmi.host or "",) if sources.ipmi else ()
    for login in (sources.redfish, sources.ipmi):
        yield (login.username or "") if login else ""


def remarks(recording: Recording, wish: Wish) -> tuple[str, ...]:
    """Return the first lines of a recording."""
    # What follows the numbers may be its builder's name.
    kernel = re.match(r"[0-9.]*", os.uname().release)
    program, seconds = __version__, recording.moments[-1].at
    return (
        f"Recorded by wattgov-exporter {program}: {seconds:g} s, every {wish.interval:g} s.",
        f"Linux {kernel[0] if kernel else ''}, {os.uname().machine}.",
    )


def summary(recording: Recording, shown: str, wish: Wish) -> Iterator[str]:
    """Yield what was taken, and what to check before sharing it."""
    facts = [one for moment in recording.moments for one in moment.facts.items()]
    paths = {path for path, _ in facts}
    refused = {path for path, fact in facts if fact.error not in {"", "ENOENT"}}
    said = sorted({path.split("/")[1] for path in paths if path.startswith("said/")})
    files = len(paths) - sum(path.startswith("said/") for path in paths)
    where = wish.output if wish.to_file else "standard output"
    yield (
        f"{where}: {len(recording.moments)} moments over {recording.moments[-1].at:g} s, "
        f"{files} files ({len(refused)} unreadable), words of {', '.join(said) or 'no source'}, "
        f"{len(shown.encode()) / 1024:.0f} KiB"
    )
    if refused:
        yield f"unreadable: {', '.join(sorted(refused)[:3])}; as root they would be in it"
    yield (
        "Before you share it, read it: it is plain text. No host, user, address, serial number or "
        "UUID should be in it; each stands as a stand-in (NAME-1, GPU-1)."
    )
    if wish.processes:
        yield "It has the names of your programs, without arguments: see the lines under proc/."
    if wish.to_file:
        yield f"To see what an exporter shows of it: wattgov-exporter run --replay {wish.output}"


def _check(wish: Wish) -> None:
    folder = wish.output.absolute().parent
    if wish.to_file and not os.access(folder, os.W_OK):
        raise OSError(EACCES, "no folder that can be written into", str(folder))
    if wish.to_file and wish.output.exists() and not wish.force:
        raise FileExistsError(EEXIST, TAKEN, str(wish.output))


def _write(path: Path, shown: str, *, force: bool) -> None:
    """Put a file there whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("x", encoding="utf-8") as file:
            file.write(shown)
            file.flush()
            os.fsync(file.fileno())
        if force:
            aside.replace(path)
        else:
            _put(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _put(aside: Path, path: Path) -> None:
    """Give a file its name, which nothing else has."""
    try:
        os.link(aside, path)  # a rename would replace what is there
    except FileExistsError:
        raise FileExistsError(EEXIST, TAKEN, str(path)) from None
    except OSError:  # no hard links on this file system (vfat); it was looked for at the start
        aside.replace(path)
