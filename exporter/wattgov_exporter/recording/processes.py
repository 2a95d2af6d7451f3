"""Who runs here, as far as attribution reads it: only when asked for, and never an argument."""

import re
from collections.abc import Iterator
from pathlib import Path

from wattgov_exporter.recording.files import in_order, read
from wattgov_exporter.recording.format import Fact
from wattgov_exporter.recording.standins import StandIns

KEPT_FIELDS = frozenset({0, 1, 6, 11, 12, 13, 14, 19, 21, 36})
"""Of the fields after the name in /proc/PID/stat: state, parent, flags, utime, stime, cutime,
cstime, starttime, rss, processor (proc_pid_stat(5)). The others, addresses among them, become 0."""

COMMAND_BYTES = 64

_IDS = re.compile(
    r"(?P<container>[0-9a-f]{64})"
    r"|pod(?P<pod>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})"
)
_MACHINE = re.compile(
    r"(?<![^/])(?:(machine-)([^/]+)(?=\.scope(?:/|$))"
    r"|(lxc\.(?:payload|monitor)\.|lxc(?:\.payload)?/)([^/]+))"
)
"""Virtual machines and containers with names that a person gave: those of hosts, often."""

_INSTANCE = re.compile(r"@(?!\d+\.)[^/]*?(?=\.(?:service|scope|slice|socket)\b|/|$)")


def look(proc: Path, hidden: StandIns) -> Iterator[tuple[str, Fact]]:
    """Yield the facts of every process."""
    for folder in in_order(proc.glob("[0-9]*")):
        stat = read(folder / "stat", lambda raw: _stat(raw, hidden))
        if stat.error in {"ENOENT", "ESRCH"}:
            continue
        yield f"proc/{folder.name}/stat", stat
        yield f"proc/{folder.name}/cmdline", read(folder / "cmdline", lambda raw: _cut(raw, hidden))
        yield (
            f"proc/{folder.name}/cgroup",
            read(folder / "cgroup", lambda raw: _groups(raw, hidden)),
        )


def _stat(raw: bytes, hidden: StandIns) -> bytes:
    head, _, tail = raw.rpartition(b")")
    pid, _, comm = head.partition(b"(")
    fields = [field if index in KEPT_FIELDS else b"0" for index, field in enumerate(tail.split())]
    name = hidden.text(comm.decode("utf-8", "replace")).encode()
    return b"%b(%b) %b\n" % (pid, name, b" ".join(fields))


def _cut(raw: bytes, hidden: StandIns) -> bytes:
    """Return the program's name alone: what follows may hold a password, and some write over it."""
    first = raw.partition(b"\0")[0].decode("utf-8", "replace")
    words = first.split()
    name = words[0].rpartition("/")[2] if words else ""
    return hidden.text(name[:COMMAND_BYTES]).encode()


def _groups(raw: bytes, hidden: StandIns) -> bytes:
    """Return the control groups: containers and pods by number, instances of units without name."""
    lines = (line.split(":", 2) for line in raw.decode("utf-8", "replace").splitlines())
    shown = (":".join([*line[:2], *(_path(path, hidden) for path in line[2:])]) for line in lines)
    return "".join(f"{line}\n" for line in shown).encode()


def _path(path: str, hidden: StandIns) -> str:
    path = _MACHINE.sub(lambda found: _machine(found, hidden), _INSTANCE.sub("@x", path))
    parts: list[str] = []
    end = 0
    for found in _IDS.finditer(path):
        parts.append(_named(path[end : found.start()], hidden))
        end = found.end()
        if found["pod"]:
            parts.append("pod" + _pod(hidden, found["pod"]))
        else:
            parts.append(f"{_number(hidden, 'container', found['container']):064x}")
    return "".join([*parts, _named(path[end:], hidden)])


def _machine(found: re.Match[str], hidden: StandIns) -> str:
    return (found[1] or found[3]) + hidden.name("MACHINE", found[2] or found[4])


def _named(part: str, hidden: StandIns) -> str:
    """Return a part without names; `getty@x.service` is no address of mail."""
    return "@".join(map(hidden.text, part.split("@")))


def _pod(hidden: StandIns, uid: str) -> str:
    """Return a uid of the same form, so that it is still known for one."""
    digits = f"{_number(hidden, 'pod', uid.replace('-', '').replace('_', '')):032x}"
    sign = "_" if "_" in uid else "-"
    parts = digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]
    return digits if len(uid) == len(digits) else sign.join(parts)


def _number(hidden: StandIns, kind: str, value: str) -> int:
    return int(hidden.name(kind, value).rpartition("-")[2])
