"""A recording that goes round: its counters go on growing over the seam. Pure.

The last moment is where the first comes round again: a counter shows there what it showed first,
plus what the whole lap counted. A lap is as long as the recording.
"""

import re
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from wattgov_exporter.reading import Energy, GpuState, Readings
from wattgov_exporter.recording.format import Fact, Facts

_ENERGY = re.compile(r"sys/class/(?:powercap/[^/]+/energy_uj|hwmon/.*/energy\d+_input)")
_BLANKS = re.compile(rb"( +)")
_STAT = re.compile(r"proc/\d+/stat")

TIMES = range(11, 15)
"""utime, stime, cutime, cstime among the fields after the name (proc_pid_stat(5))."""

STARTED = 19


def files(now: Facts, first: Facts, last: Facts, laps: int) -> dict[str, Fact]:
    """Return the files of a moment in a later lap."""
    if not laps:
        return dict(now)
    return {
        path: _file(path, fact, (first, last, now), laps)
        if _whole(path, first, last, now)
        else fact
        for path, fact in now.items()
    }


def readings(said: Readings, first: Readings, last: Readings, lap: tuple[int, float]) -> Readings:
    """Return a source's readings in a later lap; *lap* is its number, and how long one takes."""
    laps, seconds = lap
    began, ended = ({one.meter: one for one in side.energies} for side in (first, last))
    firsts, lasts = ({one.uuid: one for one in side.gpus} for side in (first, last))
    return replace(
        said,
        energies=tuple(
            replace(
                one,
                at=one.at + laps * seconds,
                is_start=False,  # it went on from the lap before
                joules=_joules(one, began.get(one.meter), ended.get(one.meter), laps),
            )
            for one in said.energies
        ),
        gpus=tuple(
            _card(one, firsts.get(one.uuid), lasts.get(one.uuid), laps) for one in said.gpus
        ),
    )


def _whole(path: str, *sides: Facts) -> bool:
    """Tell whether a file could be read at each of these moments."""
    return all(path in side and not (side[path].error or side[path].link) for side in sides)


def _file(path: str, fact: Fact, sides: tuple[Facts, Facts, Facts], laps: int) -> Fact:
    first, last = (side[path].content for side in sides[:2])
    if _ENERGY.fullmatch(path):
        turn = sides[2].get(path.replace("energy_uj", "max_energy_range_uj"))
        return Fact(_count(fact.content, first, last, (laps, turn.content if turn else b"")))
    if path == "proc/stat":
        return Fact(_cpus(fact.content, first, last, laps))
    if _STAT.fullmatch(path):
        return Fact(_process(fact.content, first, last, laps))
    return fact


def _count(now: bytes, first: bytes, last: bytes, lap: tuple[int, bytes]) -> bytes:
    laps, turn = lap
    try:
        counted, whole = int(last) - int(first), int(turn) if turn.strip().isdigit() else 0
        value = int(now) + laps * (counted % whole if whole else max(counted, 0))
    except ValueError:
        return now
    return b"%d\n" % (value % whole if whole else value)


def _cpus(now: bytes, first: bytes, last: bytes, laps: int) -> bytes:
    sides = [_by_first_word(one) for one in (first, last)]
    lines = []
    for line in now.splitlines():
        parts = _BLANKS.split(line)  # words, and between them what parted them
        began, ended = (side.get(parts[0], []) for side in sides)
        if parts[0].startswith(b"cpu") and len(parts[2::2]) == len(began) == len(ended):
            parts[2::2] = map(_grown(laps), parts[2::2], began, ended)
        lines.append(b"".join(parts))
    return b"\n".join(lines) + b"\n"


def _by_first_word(content: bytes) -> dict[bytes, list[bytes]]:
    lines = (line.split() for line in content.splitlines())
    return {name: words for name, *words in filter(None, lines)}


def _process(now: bytes, first: bytes, last: bytes, laps: int) -> bytes:
    (head, words), *sides = (_parted(one) for one in (now, first, last))
    each = (words, *(side for _, side in sides))
    if min(map(len, each)) <= STARTED or len({one[STARTED] for one in each}) > 1:
        return now  # another process had the number
    grown = _grown(laps)
    shown = [
        grown(word, *(side[index] for _, side in sides)) if index in TIMES else word
        for index, word in enumerate(words)
    ]
    return head + b") " + b" ".join(shown) + b"\n"


def _parted(stat: bytes) -> tuple[bytes, list[bytes]]:
    """Return what stands before the last bracket, and the fields after it."""
    head, _, tail = stat.rpartition(b")")
    return head, tail.split()


def _grown(laps: int) -> Callable[[bytes, bytes, bytes], bytes]:
    def grown(now: bytes, first: bytes, last: bytes) -> bytes:
        try:
            return b"%d" % (int(now) + laps * max(int(last) - int(first), 0))
        except ValueError:
            return now  # no number then, none now

    return grown


def _joules(now: Energy, first: Energy | None, last: Energy | None, laps: int) -> float:
    if first is None or last is None:
        return now.joules
    counted, turn = last.joules - first.joules, now.meter.range_joules
    if not turn:
        return now.joules + laps * max(counted, 0.0)
    return (now.joules + laps * (counted % turn)) % turn


def _card(now: GpuState, first: GpuState | None, last: GpuState | None, laps: int) -> GpuState:
    """Return a card's state with its counters grown: the keyed seconds (`throttle_seconds`)."""
    if first is None or last is None:
        return now
    grown: dict[str, Any] = {}
    for one in fields(now):
        if one.name.endswith("_seconds") and isinstance(getattr(now, one.name), tuple):
            began, ended = dict(getattr(first, one.name)), dict(getattr(last, one.name))
            grown[one.name] = tuple(
                (key, value + laps * max(ended.get(key, value) - began.get(key, value), 0.0))
                for key, value in getattr(now, one.name)
            )
    return replace(now, **grown)
