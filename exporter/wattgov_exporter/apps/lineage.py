"""CPU time of processes from look to look, with what children used that nobody saw. Pure.

A process shows its own time and the time of the children it has waited for; the kernel adds a
child's whole life (and what that child had waited for) at the wait. So a tick of CPU time stands in
one place: with the process that used it, then with the one that waited for it, and so on upward.
What an elder gains at a look is therefore what its reaped children used *since they were last
seen*, plus what was counted then already. The second part is what the processes that are gone
showed last: their debt. It is taken off the gains, and the rest is new:

    new = own time gained + own time of the newly born + max(gains of both - debts, 0)

The newly born gain what they have reaped: a child may have been seen before its parent, which a
listing can miss, and a read can fail for. A debt is taken off at the nearest living elder, then
further up, then anywhere. One that finds no gain is kept for one more look: its process may have
been waited for after the elder was read.

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

Most processes of a machine sleep, and reading one costs ten times what it costs to be told that it
did not run: then it used nothing, waited for nobody, and is called as before. Only who will wait
for it may have changed, when its parent is gone: so the children of those are asked for that. All
are asked before the first is read, so a child may end, and be waited for, before its elder is read:
the children of those who gained are asked for that.

Beyond this a tick is counted twice only if it moves to a new waiter during one look, through a
subreaper that skips a living ancestor, and again during the next.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple, Protocol

INIT = 1
"""The process that inherits orphans; so its gains are nobody's."""

STEPS_UP = 100
"""So far up a line is followed; a line that is longer, or a ring, was read while it changed."""

TURN_LOOKS = 128
"""Every so many looks a process is read though it sleeps: its memory may be taken, or it be moved
to another control group."""

REMOVED = (b"X", b"x")
"""The states of a process that has been waited for."""

RESIDENT = 21
"""Where the resident pages are in the text of a stat file, counted from the state."""

NEW_LOOKS = 2
"""A process is young for so many looks: it forks, takes its place, and runs what it is for."""


class Processes(Protocol):
    """What can be asked about processes by their numbers."""

    def ran(self, pids: Collection[int]) -> set[int]:
        """Return those that may have run since this was asked last; who is gone is among them."""

    def ended(self, pids: Collection[int]) -> Collection[int]:
        """Return those that are gone, as far as that is told without a read."""

    def read(self, pid: int) -> bytes | None:
        """Return /proc/PID/stat, empty when it cannot be read now, None when nobody is there."""


class Stat(NamedTuple):
    """What /proc/PID/stat says that matters here.

    *own*, *kids* and *started* are in clock ticks, *resident* in pages.
    """

    comm: bytes
    parent: int
    kernel: bool
    own: int
    kids: int
    started: int
    resident: int = 0


@dataclass(slots=True)
class Process:
    """One process.

    *used* is what is new at this look, *ran* what was read if there is any. *app* and *place* are
    for who names it; *unsettled* says at how many looks it must be named anew: it was born, or took
    another name. It is read at those, even if it sleeps.
    """

    pid: int
    stat: Stat
    ran: bytes = b""
    used: int = 0
    app: str = ""
    place: int = 0
    unsettled: int = NEW_LOOKS


class Lineage:
    """All processes, eldest first; *read* are those that were read at the last look."""

    def __init__(self) -> None:
        self.known: dict[int, Process] = {}
        self.read: list[Process] = []
        self._newest: Process | None = None
        self._owed: dict[int, int] = {}
        self._looks = 0

    def turn(self, pid: int) -> bool:
        """Tell whether a process is read at this look even if it sleeps."""
        return (pid + self._looks) % TURN_LOOKS == 0

    def look(self, listing: Callable[[], set[int]], processes: Processes) -> Collection[int]:
        """Read who has run since the last look; return the numbers of those that are gone.

        *listing* returns the numbers of all that may be there. The first look only sets the start.
        """
        self._looks += 1
        for process in self.read:
            process.used, process.ran = 0, b""
        self.read = []
        gone: dict[int, Process] = {}
        gains: dict[int, int] = {}
        read, looks = processes.read, self._looks
        awake = processes.ran(self.known.keys())
        for pid, process in self.known.items():
            # As in `turn`: thousands of calls would cost more than what they say.
            if pid in awake or process.unsettled or (pid + looks) % TURN_LOOKS == 0:
                if _read(process, read(pid), gains):
                    self.read.append(process)
                else:
                    gone[pid] = process
        if gains:
            heirs = (one for one in self.known.values() if one.stat.parent in gains)
            lost = processes.ended([one.pid for one in heirs if one.pid not in gone])
            gone |= {pid: self.known[pid] for pid in lost}
        pids = listing()
        if not self.known.keys() <= pids:
            gone |= {pid: process for pid, process in self.known.items() if pid not in pids}
        for pid, process in self.known.items() if gone else ():
            if process.stat.parent in gone and pid not in gone and not _lives(process, read(pid)):
                gone[pid] = process
        for pid, process in gone.items():
            del self.known[pid]
            process.used += gains.pop(pid, 0)  # before another one of this number gains
        young = self._born(pids - self.known.keys(), gone, read, gains)
        self._enter(young)
        self._settle(gains, gone)
        self.read = [*(one for one in self.read if one.pid not in gone), *young]
        return gone.keys()

    def _born(
        self,
        pids: set[int],
        gone: Collection[int],
        read: Callable[[int], bytes | None],
        gains: dict[int, int],
    ) -> list[Process]:
        """Read the new ones. Numbers are given in turn: those after the newest, then from below."""
        newest = self._newest
        last = newest.pid if newest else 0
        young: list[Process] = []
        for pid in sorted(pids, key=lambda pid: (pid <= last, pid)):
            raw = read(pid)
            stat = parse(raw) if raw else None
            if raw and stat:
                # Who is older than the newest we knew was hidden from us: what it used is not new.
                hidden = newest is not None and stat.started < newest.stat.started
                new = self._looks > 1 and (pid in gone or not hidden)
                used = stat.own if new else 0
                if new and stat.kids:
                    gains[pid] = stat.kids
                young.append(Process(pid, stat, raw if used else b"", used))
        return young

    def _enter(self, young: list[Process]) -> None:
        """Let new ones be known, in order of age; remember the newest, whether or not it lives."""
        if not young:
            return
        young.sort(key=_age)
        self.known.update((process.pid, process) for process in young)
        if self._newest and young[0].stat.started < self._newest.stat.started:  # it was hidden
            self.known = {one.pid: one for one in sorted(self.known.values(), key=_age)}
        self._newest = max(self._newest or young[-1], young[-1], key=_age)

    def _settle(self, gains: dict[int, int], gone: dict[int, Process]) -> None:
        """Take the debts off the gains, and give what is left to those who gained."""
        fresh: dict[int, int] = {}
        for process in gone.values():
            # What it told at this look, just before it was gone, is left for its waiter to tell.
            seen = process.stat.own + process.stat.kids - process.used
            owed = seen + self._owed.pop(process.pid, 0)
            if owed:
                holder = _living(process, gone)
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
    fields = tail.split(None, 22)
    try:
        if fields[0] in REMOVED:
            return None
        return Stat(
            head.partition(b"(")[2],
            int(fields[1]),
            bool(int(fields[6]) & 0x00200000),  # PF_KTHREAD
            int(fields[11]) + int(fields[12]),
            int(fields[13]) + int(fields[14]),
            int(fields[19]),
            int(fields[RESIDENT]) if len(fields) > RESIDENT else 0,
        )
    except (ValueError, IndexError):
        return None


def _read(process: Process, raw: bytes | None, gains: dict[int, int]) -> bool:
    """Take a new reading of a known process; False when it is gone, or is not that process."""
    if raw is None:
        return False
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
    process.stat = new
    process.ran = raw if process.used else b""
    return True


def _lives(process: Process, raw: bytes | None) -> bool:
    """Tell whether this is the process still, and who will wait for it now.

    Its other news is left for the next look.
    """
    if raw is None or _removed(raw):
        return False
    new = parse(raw)
    if new is None:
        return True
    if new.started != process.stat.started:
        return False
    if new.parent != process.stat.parent:
        process.stat = process.stat._replace(parent=new.parent)
    return True


def _age(process: Process) -> int:
    return process.stat.started


def _removed(raw: bytes) -> bool:
    return raw.rpartition(b")")[2].split(None, 1)[:1] in ([state] for state in REMOVED)


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
