"""CPU time of processes from look to look, with what children used that nobody saw. Pure.

A process shows its own time and the time of the children it has waited for; the kernel adds a
child's whole life (and what that child had waited for) at the wait. So a tick of CPU time stands in
one place: with the process that used it, then with the one that waited for it, and so on upward.
What an elder gains at a look is therefore what its reaped children used *since they were last
seen*, plus what was counted then already. The second part is what the processes that are gone
showed last: their debt. It is taken off the gains, and the rest is new:

    new = own time gained + all time of the newly born + max(gains of elders - debts, 0)

A debt is taken off at the nearest living elder, then further up, then anywhere. One that finds no
gain is kept for one more look: its process may have been waited for after the elder was read.

Reading takes time, and the world goes on. A waiter is always older than the child it waits for, so
elders are read first: a tick of time may then be missed by one look (the next one finds it), but
never be seen twice in one.

What holds, for any processes and any moments of looking:

- Nothing is negative, and the sum never exceeds the time used (to the kernel's rounding: below one
  tick for each figure shown).
- What is lost is part of the lives of orphans, which init (pid 1) reaps: no app is shown to have
  used them. They pay their debts there, and what they used unseen stays with nobody.
- A parent that ignores SIGCHLD is never told what its children used. Their debts find no gain of
  their own, and may hide that much time of others that is reaped within two looks.

Beyond this a tick is counted twice only if it moves to a new waiter during one look, through a
subreaper that skips a living ancestor, and again during the next.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

INIT = 1
"""The process that inherits orphans; so its gains are nobody's."""

STEPS_UP = 100
"""So far up a line is followed; a line that is longer, or a ring, was read while it changed."""

NEW_LOOKS = 2
"""A process is young for so many looks: it forks, takes its place, and runs what it is for."""


class Stat(NamedTuple):
    """What /proc/PID/stat says that matters here; *own*, *kids*, *started* in clock ticks."""

    comm: bytes
    parent: int
    kernel: bool
    own: int
    kids: int
    started: int


@dataclass(slots=True)
class Process:
    """One process.

    *used* is what is new at this look. *app* and *place* are for who names it; *unsettled* says at
    how many looks it must be named anew: it was born, or took another name.
    """

    pid: int
    raw: bytes
    stat: Stat
    used: int = 0
    app: str = ""
    place: int = 0
    unsettled: int = NEW_LOOKS


class Lineage:
    """All processes, eldest first."""

    def __init__(self) -> None:
        self.known: dict[int, Process] = {}
        self._owed: dict[int, int] = {}
        self._looked = False

    def look(self, pids: set[int], read: Callable[[int], bytes | None]) -> list[Process]:
        """Read all of *pids*; return those that are gone. The first look only sets the start.

        *read* returns the text of /proc/PID/stat, empty when it cannot be read now, None when there
        is no such process any more.
        """
        newest = next(reversed(self.known.values()), None)
        born = [pid for pid in pids if pid not in self.known]
        gone: list[Process] = []
        gains: dict[int, int] = {}
        for process in self.known.values():
            raw = read(process.pid) if process.pid in pids else None
            if raw == process.raw:
                process.used = 0
            elif raw is None or not _follow(process, raw, gains):
                gone.append(process)
        for process in gone:
            del self.known[process.pid]
            if process.pid in pids:
                born.append(process.pid)  # the number may have been given to another process
        # Numbers are given in turn: those after the newest, then again from below.
        last = newest.pid if newest else 0
        young: list[Process] = []
        for pid in sorted(born, key=lambda pid: (pid <= last, pid)):
            raw = read(pid)
            stat = parse(raw) if raw else None
            if raw and stat:
                # Who is older than the newest we knew was hidden from us: what it used is not new.
                new = self._looked and (newest is None or stat.started >= newest.stat.started)
                young.append(Process(pid, raw, stat, stat.own + stat.kids if new else 0))
        young.sort(key=lambda process: process.stat.started)
        self.known.update((process.pid, process) for process in young)
        self._settle(gains, gone)
        self._looked = True
        return gone

    def _settle(self, gains: dict[int, int], gone: list[Process]) -> None:
        """Take the debts off the gains, and give what is left to those who gained."""
        lost = {process.pid: process for process in gone}
        fresh: dict[int, int] = {}
        for process in gone:
            owed = process.stat.own + process.stat.kids + self._owed.pop(process.pid, 0)
            if owed:
                holder = _living(process, lost)
                fresh[holder] = fresh.get(holder, 0) + owed
        everybody = list(gains)
        for line in (self._line, lambda _: everybody):
            for debts in (self._owed, fresh):
                for holder, owed in debts.items():
                    debts[holder] = _pay(owed, line(holder), gains) if owed else 0
        self._owed = {holder: owed for holder, owed in fresh.items() if owed}
        for pid, gain in gains.items():
            if pid != INIT and pid in self.known:
                self.known[pid].used += gain

    def _line(self, pid: int) -> list[int]:
        line: list[int] = []
        while pid in self.known and len(line) < STEPS_UP:
            line.append(pid)
            pid = self.known[pid].stat.parent
        return line


def parse(raw: bytes) -> Stat | None:
    """Read /proc/PID/stat (proc_pid_stat(5)); None when it is being removed, or is no such text.

    The name may hold spaces and brackets, so the fields are counted from the last `)`. A process in
    state X has been waited for: its time stands with its waiter already.
    """
    head, _, tail = raw.rpartition(b")")
    fields = tail.split(None, 20)
    if fields[:1] in ([b"X"], [b"x"]):
        return None
    try:
        return Stat(
            comm=head.partition(b"(")[2],
            parent=int(fields[1]),
            kernel=bool(int(fields[6]) & 0x00200000),  # PF_KTHREAD
            own=int(fields[11]) + int(fields[12]),
            kids=int(fields[13]) + int(fields[14]),
            started=int(fields[19]),
        )
    except (ValueError, IndexError):
        return None


def _follow(process: Process, raw: bytes, gains: dict[int, int]) -> bool:
    """Take a new reading of a known process; False when it is not that process any more."""
    process.used = 0
    old, new = process.stat, parse(raw)
    if new is None:
        # What cannot be read now will be read again; a process that is being removed is gone.
        return not _removed(raw)
    if new.started != old.started:
        return False
    if new.own < old.own or new.kids < old.kids:
        return True  # no true reading: the kernel's figures never fall
    process.used = new.own - old.own
    if new.kids > old.kids:
        gains[process.pid] = new.kids - old.kids
    if new.comm != old.comm:
        process.unsettled = NEW_LOOKS
    process.raw, process.stat = raw, new
    return True


def _removed(raw: bytes) -> bool:
    return raw.rpartition(b")")[2].split(None, 1)[:1] in ([b"X"], [b"x"])


def _living(process: Process, lost: dict[int, Process]) -> int:
    """Return the nearest elder that is not gone."""
    for _ in range(STEPS_UP):
        elder = lost.get(process.stat.parent)
        if elder is None:
            break
        process = elder
    return process.stat.parent


def _pay(owed: int, line: list[int], gains: dict[int, int]) -> int:
    """Take what is owed off the gains along a line; return what is still owed."""
    for pid in line:
        if not owed:
            break
        paid = min(owed, gains.get(pid, 0))
        if paid:
            gains[pid] -= paid
            owed -= paid
    return owed
