r"""A recording as text: what stood in which file, at which moment. Pure.

    # a remark
    sys/class/powercap/intel-rapl:0/energy_uj = 240422366267
    sys/class/powercap/intel-rapl:1/energy_uj ! EACCES
    sys/class/hwmon/hwmon0/device -> 3-0058
    at 1.002s
    sys/class/powercap/intel-rapl:0/energy_uj = 240572366267

`=` is what a file held, `!` the error that reading it gave, `->` the name that a link led to. `at`
opens the next moment, which lists only what changed; `! ENOENT` is a file that is gone. Paths begin
with sys, proc or said (`words.py`). `\n`, `\t`, `\\` and `\xNN` stand for bytes that would not
show; the end of the last line is left out, and `\c` says that there was none.
"""

import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wattgov_web import regular
from wattgov_web.mistakes import Invalid

GONE = "ENOENT"
NEWLINE = b"\n"
ROOTS = ("sys", "proc", "said")

MOST_BYTES = 64 * 2**20
"""A recording that is larger is none; it may come from anybody."""

_ERRORS = frozenset(errno.errorcode.values())
_FACT = re.compile(r"(\S+) (=|!|->)(?: (.*))?")
_AT = re.compile(r"at ([0-9]{1,9}(?:\.[0-9]{1,3})?)s")
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|(.?))", re.DOTALL)
_PLAIN = {"n": b"\n", "t": b"\t", "\\": b"\\"}
_LETTERS = {"\n": "\\n", "\t": "\\t", "\\": "\\\\"}


@dataclass(frozen=True, slots=True)
class Fact:
    """What was at a path: a file's bytes, or the name of an *error*, or of what a *link* led to."""

    content: bytes = b""
    error: str = ""
    link: str = ""
    line: int = field(default=0, compare=False)


Facts = Mapping[str, Fact]


@dataclass(frozen=True, slots=True)
class Moment:
    """What changed, *at* so many seconds after the first moment."""

    at: float
    facts: Facts


@dataclass(frozen=True, slots=True)
class Recording:
    """The first moment has everything, the others what changed; *remarks* are the first lines."""

    moments: tuple[Moment, ...]
    remarks: tuple[str, ...] = ()

    def states(self) -> Iterator[tuple[float, Facts]]:
        """Yield the whole of each moment."""
        state: dict[str, Fact] = {}
        for moment in self.moments:
            merged = {**state, **moment.facts}
            state = {path: fact for path, fact in merged.items() if fact.error != GONE}
            yield moment.at, state


def changes(before: Facts, after: Facts) -> dict[str, Fact]:
    """Return what one moment must list after another."""
    gone = {path: Fact(error=GONE) for path in before if path not in after}
    return gone | {path: fact for path, fact in after.items() if before.get(path) != fact}


def load(path: Path) -> Recording:
    """Read a file; Invalid with every mistake, OSError when it cannot be read."""
    with regular.opened(path) as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise Invalid([f"{path}: more than {MOST_BYTES >> 20} MiB: this is no recording"])
    try:
        return parse(raw.decode(), str(path))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Invalid([f"{path}:{line}: not UTF-8 text: this is no recording"]) from error


def parse(text: str, name: str) -> Recording:
    """Return the recording in a text; Invalid with every mistake as `name:line: sentence`."""
    mistakes: list[str] = []
    moments: list[tuple[float, dict[str, Fact]]] = [(0.0, {})]
    remarks: list[str] = []
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip(" \t\r")
        begun = len(moments) > 1 or moments[0][1]
        if line.startswith("#"):
            remarks += () if begun else (line[1:].removeprefix(" "),)
            continue
        try:
            if found := _AT.fullmatch(line):
                moments.append((_later(float(found[1]), moments[-1][0]), {}))
            elif line:
                path, fact = _fact(line, number)
                if path in moments[-1][1]:
                    mistakes.append(f"{name}:{number}: {path} stands twice in this moment")
                moments[-1][1][path] = fact
        except ValueError as mistake:
            mistakes.append(f"{name}:{number}: {mistake}")
    mistakes += [f"{name}:{line}: {mistake}" for line, mistake in _conflicts(moments)]
    if mistakes:
        raise Invalid(mistakes)
    return Recording(tuple(Moment(at, facts) for at, facts in moments), tuple(remarks))


def text(recording: Recording) -> str:
    """Return the recording as text, which `parse` reads back."""
    lines = [f"# {remark}".rstrip() for remark in recording.remarks]
    for moment in recording.moments:
        lines += [f"at {moment.at:.3f}s"] if moment.at else []
        lines += [_line(path, fact) for path, fact in moment.facts.items()]
    return "\n".join(lines) + "\n"


def _line(path: str, fact: Fact) -> str:
    shown = escape(path.encode("utf-8", "surrogateescape")).replace(" ", "\\x20")
    if fact.error:
        return f"{shown} ! {fact.error}"
    if fact.link:
        return f"{shown} -> {escape(fact.link.encode())}"
    ending = "" if fact.content.endswith(b"\n") else "\\c"
    return f"{shown} = {escape(fact.content.removesuffix(NEWLINE))}{ending}"


def _fact(line: str, number: int) -> tuple[str, Fact]:
    found = _FACT.fullmatch(line)
    if found is None:
        raise ValueError(
            "expected `PATH = CONTENT`, `PATH ! ERROR`, `PATH -> NAME` or `at SECONDSs`"
        )
    path, sign, rest = _path(found[1]), found[2], found[3] or ""
    if sign == "!":
        if rest not in _ERRORS:
            raise ValueError(f"{rest!r} is no name of an error, such as EACCES")
        return path, Fact(error=rest, line=number)
    if sign == "->":
        target = unescape(rest).decode()
        if target in {"", ".", ".."} or "/" in target or "\0" in target:
            raise ValueError(f"a link leads to one name, not to {target!r}")
        return path, Fact(link=target, line=number)
    # An escaped backslash before the c is no sign: count them.
    cut = rest.endswith("\\c") and (len(rest[:-1]) - len(rest[:-1].rstrip("\\"))) % 2 == 1
    content = unescape(rest[:-2]) if cut else unescape(rest) + b"\n"
    return path, Fact(content, line=number)


def _path(shown: str) -> str:
    """Return a path that stays inside the recording, wherever it is planted."""
    path = unescape(shown).decode("utf-8", "surrogateescape")
    root, *parts = path.split("/")
    if root not in ROOTS or not parts:
        raise ValueError(f"{path!r} does not begin with {'/, '.join(ROOTS)}/")
    if any(part in {"", ".", ".."} or "\0" in part or len(part) > 200 for part in parts):  # noqa: PLR2004  a file's name has 255 bytes
        raise ValueError(f"{path!r} is no path that could be in a recording")
    return path


def _later(at: float, before: float) -> float:
    if at <= before:
        raise ValueError(f"at {at:g}s does not come after {before:g}s")
    return at


def _conflicts(moments: list[tuple[float, dict[str, Fact]]]) -> Iterator[tuple[int, str]]:
    """Yield each path that is a file and a folder, and each link that changes."""
    facts = [one for _, moment in moments for one in moment.items()]
    folders = {
        "/".join(parts[:count])
        for path, _ in facts
        for parts in [path.split("/")]
        for count in range(1, len(parts))
    }
    links: set[str] = set()
    for path, fact in facts:
        if path in links:
            yield fact.line, f"{path} is a link, which stays as it is"
        elif fact.link:
            links.add(path)
        elif path in folders and fact.error != GONE:
            yield fact.line, f"{path} is a file here and a folder elsewhere"


def escape(raw: bytes) -> str:
    """Return bytes as visible text; blanks at the ends show, so that no editor takes them away."""
    decoded = raw.decode("utf-8", "surrogateescape")
    inner = decoded.strip(" ")
    before = len(decoded) - len(decoded.lstrip(" ")) if inner else len(decoded)
    after = len(decoded) - before - len(inner)
    blank = "\\x20"
    return blank * before + "".join(map(_shown, inner)) + blank * after


def _shown(char: str) -> str:
    if char in _LETTERS:
        return _LETTERS[char]
    if char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def unescape(shown: str) -> bytes:
    """Return the bytes that a text stands for; ValueError for an unknown escape."""
    parts: list[bytes] = []
    end = 0
    for found in _ESCAPE.finditer(shown):
        parts.append(shown[end : found.start()].encode("utf-8", "surrogateescape"))
        end = found.end()
        if found[1] is None and found[2] not in _PLAIN:
            raise ValueError(f"{found[0]!r} is no escape: \\n, \\t, \\\\ and \\xNN are")
        parts.append(bytes.fromhex(found[1]) if found[1] else _PLAIN[found[2]])
    return b"".join([*parts, shown[end:].encode("utf-8", "surrogateescape")])
