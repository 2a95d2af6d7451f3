"""CPU time of processes that nobody saw end is found again, and no tick of it twice."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wattgov_exporter.apps.lineage import INIT, TURN_LOOKS, Lineage, parse

PIDS = 50
"""So few numbers that they are soon given again."""

Event = tuple[str, int, int]


@dataclass
class Task:
    """One process of the simulated kernel; *deaf* ignores SIGCHLD.

    *ran* is how often it ran, *clock* what of that can be seen.
    """

    parent: int
    started: int
    own: int = 0
    kids: int = 0
    ran: int = 0
    clock: int = 0
    zombie: bool = False
    deaf: bool = False


@dataclass
class Kernel:
    """Processes that run, fork, end and wait, with the truth about the time they used."""

    tasks: dict[int, Task] = field(default_factory=lambda: {INIT: Task(0, 0), 2: Task(INIT, 0)})
    used: int = 0
    orphans: int = 0
    _last: int = 2
    _births: int = 0
    _running: int = INIT

    def do(self, event: Event) -> None:
        """Let one thing happen to the process that *which* points at."""
        kind, which, amount = event
        alive = [pid for pid, task in self.tasks.items() if not task.zombie]
        pid = alive[which % len(alive)]
        if kind == "run":
            self.run(pid, amount)
        elif kind == "fork":
            self.fork(pid)
        elif kind == "deafen":
            self.tasks[pid].deaf = True
        elif kind == "exit" and pid != INIT:
            self.exit(pid)
        elif kind == "wait":
            self.wait(pid)

    def run(self, pid: int, ticks: int) -> None:
        """Use CPU time."""
        self._runs(pid)
        self.tasks[pid].own += ticks
        self.used += ticks

    def tick(self) -> None:
        """Bring the clock of the one that runs up to date; the others' are."""
        task = self.tasks.get(self._running)
        if task is not None:
            task.clock = task.ran

    def _runs(self, pid: int) -> None:
        if pid != self._running:
            self.tick()
        self._running = pid
        self.tasks[pid].ran += 1

    def fork(self, pid: int) -> int:
        """Return the child's number, the next that is free."""
        while self._last in self.tasks:
            self._last = 2 + (self._last - 1) % (PIDS - 2)
        if len(self.tasks) < PIDS // 2:
            self._births += 1
            self._runs(pid)
            self.tasks[self._last] = Task(pid, self._births)
        return self._last

    def exit(self, pid: int) -> None:
        """Leave the children to init, which waits at once, and wait to be waited for."""
        for child, task in list(self.tasks.items()):
            if task.parent == pid:
                task.parent = INIT
                if task.zombie:
                    self._reap(child)
        self._runs(pid)
        task = self.tasks[pid]
        task.zombie = True
        if task.parent == INIT or self.tasks[task.parent].deaf:
            self._reap(pid)

    def wait(self, pid: int) -> None:
        """Reap the children that have ended."""
        for child, task in list(self.tasks.items()):
            if task.parent == pid and task.zombie:
                self._reap(child)

    def _reap(self, pid: int) -> None:
        task = self.tasks.pop(pid)
        parent = self.tasks[task.parent]
        life = task.own + task.kids
        if not parent.deaf:
            self._runs(task.parent)
            parent.kids += life
            self.orphans += life if task.parent == INIT else 0

    def stat(self, pid: int) -> bytes | None:
        """Return what /proc/PID/stat says."""
        task = self.tasks.get(pid)
        if task is None:
            return None
        state = "Z" if task.zombie else "S"
        return (
            f"{pid} (p) {state} {task.parent} 0 0 0 0 0 0 0 0 0 {task.own} 0 {task.kids} 0 "
            f"20 0 1 0 {task.started} 0 0"
        ).encode()


@dataclass
class Watch:
    """A lineage that looks at a kernel, and what it has counted.

    Each question about a process takes time, in which *between* of the *coming* events happen.
    """

    kernel: Kernel
    lineage: Lineage = field(default_factory=Lineage)
    counted: int = 0
    clocks: dict[int, tuple[int, int]] = field(default_factory=dict)
    coming: Iterator[Event] = field(default_factory=lambda: iter(()))
    between: int = 0
    clocks_take_time: bool = False

    def ran(self, pids: Collection[int]) -> set[int]:
        """Tell by the clocks who ran."""
        return {pid for pid in pids if self._has_run(pid)}

    def ended(self, pids: Collection[int]) -> Collection[int]:
        """Tell who has no clock any more, or one that is another's."""
        return [pid for pid in pids if self._is_gone(pid)]

    def read(self, pid: int) -> bytes | None:
        """Return the stat file."""
        self._happen()
        return self.kernel.stat(pid)

    def look(self, coming: Iterator[Event], between: int, *, clocks_take_time: bool) -> None:
        """Look once."""
        self.coming, self.between = coming, between
        self.clocks_take_time = clocks_take_time
        self.kernel.tick()
        self.lineage.look(lambda: set(self.kernel.tasks), self)
        for process in self.lineage.known.values():
            process.unsettled = 0
        used = [process.used for process in self.lineage.known.values()]
        assert all(one >= 0 for one in used)
        self.counted += sum(used)

    def _happen(self) -> None:
        for _ in range(self.between):
            event = next(self.coming, None)
            if event is not None and event[0] != "look":
                self.kernel.do(event)

    def _has_run(self, pid: int) -> bool:
        if self.clocks_take_time:
            self._happen()
        task = self.kernel.tasks.get(pid)
        if task is None:
            return True
        before, self.clocks[pid] = self.clocks.get(pid), (task.started, task.clock)
        return before != self.clocks[pid]

    def _is_gone(self, pid: int) -> bool:
        if self.clocks_take_time:
            self._happen()
        task = self.kernel.tasks.get(pid)
        return task is None or task.started != self.clocks.get(pid, (task.started, 0))[0]


def events(*kinds: str, between: int) -> st.SearchStrategy[list[Event]]:
    """Return histories of such events; during a look up to *between* happen before each read.

    The number of a look says whether they do so before each question to a clock, too.
    """
    return st.lists(
        st.tuples(
            st.sampled_from([*kinds, "run", "fork", "fork", "exit", "wait"]),
            st.integers(0, 30),
            st.integers(1, 100),
        )
        | st.tuples(st.just("look"), st.integers(0, 1), st.integers(0, between)),
        max_size=80,
    )


def watched(before: list[Event], history: list[Event]) -> Watch:
    """Let a history pass, and check after each look that no more was counted than was used."""
    kernel = Kernel()
    for event in before:
        kernel.do(event)
    watch = Watch(kernel)
    watch.look(iter(()), 0, clocks_take_time=False)
    kernel.used = kernel.orphans = 0
    coming = iter(history)
    for event in coming:
        if event[0] == "look":
            watch.look(coming, event[2], clocks_take_time=bool(event[1]))
            assert watch.counted <= kernel.used
        else:
            kernel.do(event)
    for _ in range(2):
        watch.look(iter(()), 0, clocks_take_time=False)
        assert watch.counted <= kernel.used
    return watch


@given(before=events(between=0), history=events(between=0))
def test_only_orphans_lose_time(before: list[Event], history: list[Event]) -> None:
    """What is not counted is at most the lives that init reaped."""
    watch = watched(before, history)

    assert 0 <= watch.kernel.used - watch.counted <= watch.kernel.orphans


@given(before=events(between=0), history=events(between=3))
def test_the_world_goes_on_during_a_look(before: list[Event], history: list[Event]) -> None:
    """Processes that end between two reads of one look are counted by the next, and once."""
    watch = watched(before, history)

    assert 0 <= watch.kernel.used - watch.counted <= watch.kernel.orphans


@given(before=events("deafen", between=0), history=events("deafen", between=3))
def test_never_more_than_was_used(before: list[Event], history: list[Event]) -> None:
    """Not even when parents ignore how their children end."""
    watch = watched(before, history)

    assert watch.counted <= watch.kernel.used


@given(
    before=events(between=0),
    history=events(between=3).map(lambda these: [one for one in these if one[0] != "exit"]),
    lives=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 100)), max_size=20),
)
@example(before=[], history=[], lives=[(1, 50)])
def test_a_life_between_two_looks(
    before: list[Event], history: list[Event], lives: list[tuple[int, int]]
) -> None:
    """Children that live and end between two looks and are waited for are counted to the tick."""
    watch = watched(before, history)
    kernel = watch.kernel
    used, counted = kernel.used, watch.counted
    for which, ticks in lives:
        parents = [pid for pid, task in kernel.tasks.items() if pid != INIT and not task.zombie]
        if parents and len(kernel.tasks) < PIDS // 2:
            parent = parents[which % len(parents)]
            child = kernel.fork(parent)
            kernel.run(child, ticks)
            kernel.exit(child)
            kernel.wait(parent)

    watch.look(iter(()), 0, clocks_take_time=False)

    assert kernel.used - used == watch.counted - counted


@dataclass(frozen=True, slots=True)
class Asked:
    """What is answered about processes."""

    ran: Callable[[Collection[int]], set[int]]
    read: Callable[[int], bytes | None]
    ended: Callable[[Collection[int]], Collection[int]] = lambda _: ()


def look(lineage: Lineage, *lines: str, asleep: Collection[int] = ()) -> dict[int, int]:
    """Look at processes given as `pid parent own kids started`; return what is new."""
    rows = [[int(word) for word in line.split()] for line in lines]
    texts = {
        pid: f"{pid} (p) S {parent}{' 0' * 9} {own} 0 {kids} 0 20 0 1 0 {started} 0".encode()
        for pid, parent, own, kids, started in rows
    }
    told = Asked(
        lambda pids: {pid for pid in pids if pid not in asleep},
        texts.get,
        lambda pids: [pid for pid in pids if pid not in texts],
    )
    lineage.look(lambda: set(texts), told)
    for process in lineage.known.values():
        process.unsettled = 0
    return {pid: process.used for pid, process in lineage.known.items()}


def awake(pids: Collection[int]) -> set[int]:
    """Say of each that it may have run."""
    return set(pids)


def test_elders_are_read_first() -> None:
    """By age, not by number; new ones in the order in which numbers are given."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0", "5 30 0 0 9", "30 1 0 0 1")
    started = {1: 0, 30: 1, 5: 9, 7: 10, 40: 11, 2: 12, 3: 13}
    order: list[int] = []

    def read(pid: int) -> bytes | None:
        order.append(pid)
        return f"{pid} (p) S 1{' 0' * 13} 20 0 1 0 {started[pid]}".encode()

    lineage.look(lambda: set(started), Asked(awake, read))

    assert list(started) == order


def test_a_child_that_was_seen_is_not_counted_again() -> None:
    """A parent gains a child's whole life; only what the child used after the last look is new."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0", "10 1 5 0 1", "11 10 700 0 2")
    look(lineage, "1 0 0 0 0", "10 1 5 0 1", "11 10 900 0 2")

    assert {1: 0, 10: 30} == look(lineage, "1 0 0 0 0", "10 1 5 930 1")


def test_a_shell_that_ends_with_its_child() -> None:
    """Two generations that are gone at once settle with the grandparent."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0", "10 1 5 0 1", "11 10 7 0 2", "12 11 100 0 3")

    assert {1: 0, 10: 11} == look(lineage, "1 0 0 0 0", "10 1 5 118 1")


def test_an_orphans_last_moments_are_nobodys() -> None:
    """Init reaps it; what it used after the last look is no app's, and no other app pays for it."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0", "10 1 5 0 1", "11 1 700 0 2")

    assert {1: 0, 10: 40} == look(lineage, "1 0 0 720 0", "10 1 5 40 1")


def test_a_number_given_again_to_a_child() -> None:
    """The old process pays its debt to its parent, the new one counts whole."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0", "10 1 5 0 1", "11 10 700 0 2")

    assert {1: 0, 10: 3, 11: 20} == look(lineage, "1 0 0 0 0", "10 1 5 703 1", "11 10 20 0 9")


def test_a_number_given_again_to_one_that_waited() -> None:
    """What the new one has reaped is its own; the old one owes it nothing."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0", "10 1 5 0 1", "11 10 700 0 2")

    assert {1: 0, 10: 3, 11: 60} == look(lineage, "1 0 0 0 0", "10 1 5 703 1", "11 10 20 40 9")


def test_a_process_that_was_hidden_brings_no_past() -> None:
    """One that is older than the newest known was there before: only its future counts."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0", "10 1 5 0 50")

    assert {1: 0, 10: 0, 7: 0} == look(lineage, "1 0 0 0 0", "10 1 5 0 50", "7 1 9999 0 20")
    assert {1: 0, 10: 0, 7: 1} == look(lineage, "1 0 0 0 0", "10 1 5 0 50", "7 1 10000 0 20")


def test_a_parent_that_is_seen_after_its_child() -> None:
    """Born within one tick, it was missed: the child's time that was seen is not its news."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0")
    assert {1: 0, 9: 480} == look(lineage, "1 0 0 0 0", "9 6 480 0 7")

    assert {1: 0, 6: 23} == look(lineage, "1 0 0 0 0", "6 1 3 500 7")


def test_a_parent_that_is_seen_long_after_its_child() -> None:
    """The newest that ever was tells that it was there before, though that one is gone."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0")
    assert {1: 0, 9: 480} == look(lineage, "1 0 0 0 0", "9 6 480 0 8")
    for _ in range(3):
        look(lineage, "1 0 0 0 0")

    assert {1: 0, 6: 0} == look(lineage, "1 0 0 0 0", "6 1 3 500 7")


def test_one_that_was_hidden_takes_its_place_by_age() -> None:
    """Elders are read first, and who is the newest stays so."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0", "10 1 0 0 50")
    look(lineage, "1 0 0 0 0", "10 1 0 0 50", "7 1 0 0 20")

    assert [1, 7, 10] == list(lineage.known)
    new = look(lineage, "1 0 0 0 0", "10 1 0 0 50", "7 1 0 0 20", "8 1 99 0 30")
    assert {1: 0, 7: 0, 8: 0, 10: 0} == new


def test_a_child_that_got_another_parent_while_it_slept() -> None:
    """Who waits for it now is asked at the end of the first parent."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0", "7 1 0 0 1", "9 7 0 0 2", "10 9 700 0 3")
    look(lineage, "1 0 0 0 0", "7 1 0 0 1", "10 7 700 0 3", asleep=[10])

    new = look(lineage, "1 0 0 0 0", "7 1 0 711 1", "10 1 20 0 8")
    assert {1: 0, 7: 11, 10: 20} == new


def test_a_line_that_sleeps_and_is_gone_from_the_top() -> None:
    """Each one's children are asked, whoever of them sleeps."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0", "7 1 5 0 1", "9 7 6 0 2", "10 9 7 0 3")

    new = look(lineage, "1 0 0 5 0", "10 1 7 0 3", asleep=[9, 10])
    assert {1: 0, 10: 0} == new
    assert lineage.known[10].stat.parent == 1


def test_a_child_that_ends_between_its_clock_and_its_waiter() -> None:
    """All clocks are asked first; so the children of those who gained are asked once more."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0", "7 1 0 0 1", "9 7 700 0 2")
    texts = {1: b"1 (p) S 0", 7: f"7 (p) S 1{' 0' * 9} 5 0 711 0 20 0 1 0 1 0".encode()}
    told = Asked(lambda _: {7}, texts.get, lambda pids: [pid for pid in pids if pid not in texts])

    gone = lineage.look(lambda: {1, 7, 9}, told)

    assert {9} == set(gone)
    assert 5 + 11 == lineage.known[7].used


def test_a_waiter_whose_clock_is_late() -> None:
    """It runs at this moment: what it has gained is seen at the next look, and counted once."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0", "7 1 0 0 1", "9 7 700 0 2")
    assert {1: 0, 7: 0} == look(lineage, "1 0 0 0 0", "7 1 0 711 1", asleep=[1, 7])

    assert {1: 0, 7: 11} == look(lineage, "1 0 0 0 0", "7 1 0 711 1", asleep=[1])


def test_one_that_sleeps_is_not_read_but_in_its_turn() -> None:
    """Its memory may be taken: it is looked at now and then."""
    lineage = Lineage()
    look(lineage, "1 0 0 0 0", "10 1 5 0 1")
    reads = [
        [one.pid for one in lineage.read]
        for _ in range(TURN_LOOKS)
        if look(lineage, "1 0 0 0 0", "10 1 5 0 1", asleep=[1, 10])
    ]

    assert [[1], [10]] == sorted(filter(None, reads))


@pytest.mark.parametrize("text", [b"", b"10 (p) S 1", b"10 (p) S 1 " + b"x " * 20, b"\xff"])
def test_a_text_that_cannot_be_read_is_no_news(text: bytes) -> None:
    """The process stays as it was, and the next good reading counts from there."""
    lineage = Lineage()
    look(lineage, "10 1 5 0 1")
    lineage.look(lambda: {10}, Asked(awake, lambda _: text))

    assert {10: 0} == {pid: process.used for pid, process in lineage.known.items()}
    assert {10: 2} == look(lineage, "10 1 7 0 1")


def test_a_process_that_is_being_removed_is_gone() -> None:
    """In state X its time stands with its parent already."""
    gone = b"10 (a) S (b) X 1 0 0 0 0 0 0 0 0 0 5 0 0 0 20 0 1 0 1 0"
    lineage = Lineage()
    look(lineage, "10 1 5 0 1")

    lost = lineage.look(lambda: {10}, Asked(awake, lambda _: gone))

    assert [10] == list(lost)
    assert parse(gone) is None


def test_a_kernel_thread_is_known() -> None:
    """The flag PF_KTHREAD tells it from a command."""
    thread = parse(b"9 (kworker/0:1) I 2 0 0 0 -1 69238880 0 0 0 0 0 3 0 0 20 0 1 0 9 0")

    assert thread is not None
    assert thread.kernel
