"""A recorded machine, as it was: its files under a folder of ours, its sources saying their words.

Between two moments nothing is made up: files stand still, and so does the sources' clock, which
shows when the moment was recorded. So joules and the time they took always go together, however
often the exporter looks.
"""

import tempfile
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from wattgov_exporter.config import Sources
from wattgov_exporter.poll import Answer, read
from wattgov_exporter.reading import Clock, NoMeter, Readings, Reason, Source
from wattgov_exporter.recording import laps
from wattgov_exporter.recording.capture import BY_FILES
from wattgov_exporter.recording.format import Fact, Facts, Recording, changes, load
from wattgov_exporter.recording.stage import plant
from wattgov_exporter.recording.words import SAID, Word, words
from wattgov_exporter.sources import SOURCES, Machine
from wattgov_web.mistakes import Invalid

Table = Mapping[str, Callable[[Machine, Sources], Sequence[Source]]]


class Replay:
    """A recording under *root*; at first it shows the first moment. See `opened`."""

    def __init__(self, recording: Recording, root: Path, name: str = "recording") -> None:
        states = list(recording.states())
        self.name = Path(name).name
        self._times = [at for at, _ in states]
        self._files = [_files(state) for _, state in states]
        self._words = [_words(state, name) for _, state in states]
        self._root = root
        self._shown: Facts = {}
        self._now = (0, 0)
        self.lock = threading.Lock()
        for folder in ("sys", "proc"):
            (root / folder).mkdir(exist_ok=True)
        self.show(0, 0)

    @property
    def moments(self) -> int:
        """How many there are."""
        return len(self._times)

    @property
    def seconds(self) -> float:
        """How long the recording is, and with it a lap."""
        return self._times[-1]

    def machine(self, monotonic: Clock, wall: Clock) -> Machine:
        """Return where a collector finds the recorded machine, whose own clocks go on as ever."""
        return Machine(self._root / "sys", self._root / "proc", monotonic, wall, self._table())

    def clock(self) -> float:
        """Return when the moment that is shown was recorded, laps before it included."""
        lap, index = self._now
        return lap * self.seconds + self._times[index]

    def show(self, lap: int, index: int) -> None:
        """Bring a moment on; nobody reads a source meanwhile."""
        state = laps.files(self._files[index], self._files[0], self._files[-1], lap)
        with self.lock:
            plant(self._root, changes(self._shown, state))
            self._shown, self._now = state, (lap, index)

    @contextmanager
    def playing(self, clock: Clock) -> Iterator[None]:
        """Show each moment in its time, round and round, on a thread of its own."""
        stopped = threading.Event()
        thread = threading.Thread(target=self._play, args=(clock, stopped), name="replay")
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def examined(
        self, sources: Sequence[Source], clock: Clock
    ) -> tuple[list[Answer], list[Answer]]:
        """Return the answers of all sources at the first moment, then at the last."""
        return self._answers(0, sources, clock), self._answers(self.moments - 1, sources, clock)

    def _answers(self, index: int, sources: Sequence[Source], clock: Clock) -> list[Answer]:
        self.show(0, index)
        return [read(source, clock) for source in sources]

    def _play(self, clock: Clock, stopped: threading.Event) -> None:
        began = clock()
        while self.seconds and not stopped.is_set():
            lap, rest = divmod(clock() - began, self.seconds)
            index = bisect_right(self._times, rest) - 1
            if (int(lap), index) != self._now:
                self.show(int(lap), index)
            following = began + lap * self.seconds + self._times[index + 1]
            stopped.wait(max(following - clock(), 0.0))

    def word(self, name: str) -> Word | None:
        """Return what a source said at this moment, None if its files speak for it."""
        lap, index = self._now
        said = self._words[index].get(name)
        first, last = self._words[0].get(name), self._words[-1].get(name)
        if not (lap and said and said.readings):
            return said
        ends = [one.readings if one and one.readings else Readings(()) for one in (first, last)]
        grown = laps.readings(said.readings, ends[0], ends[1], (lap, self.seconds))
        return replace(said, readings=grown)

    def told(self, source: Source) -> Readings:
        """Read a source's files, and have it speak of the machine's places, not of ours."""
        try:
            return source.read()
        except NoMeter as absent:
            detail = absent.detail.replace(str(self._root), "")
            raise NoMeter(absent.reason, detail, absent.anomaly) from absent

    def _table(self) -> Table:
        """Return the sources in their order of preference: those that were recorded, no others."""
        spoke = {name: word for each in self._words for name, word in each.items()}
        table: dict[str, Callable[[Machine, Sources], Sequence[Source]]] = {}
        for key in SOURCES:
            names = [name for name in spoke if name == key or name.startswith(f"{key}_")]
            if key in BY_FILES:
                table[key] = self._by_files(key)
            elif names:
                table[key] = self._by_words({name: spoke.pop(name) for name in names})
        others = {name: word for name, word in spoke.items() if name not in BY_FILES}
        return table | {name: self._by_words({name: word}) for name, word in others.items()}

    def _by_files(self, key: str) -> Callable[[Machine, Sources], Sequence[Source]]:
        def make(machine: Machine, used: Sources) -> Sequence[Source]:
            there = replace(machine, monotonic=self.clock)
            return [
                Recorded(self, one.name, one.interval_seconds, one.expected_error, one)
                for one in SOURCES[key](there, used)
            ]

        return make

    def _by_words(
        self, spoke: Mapping[str, Word]
    ) -> Callable[[Machine, Sources], Sequence[Source]]:
        sources = [
            Recorded(self, name, word.interval_seconds, word.expected_error)
            for name, word in spoke.items()
        ]
        return lambda _, __: sources


class Recorded:
    """A source of a recording: it says what it said then, else what *files* of then tell it."""

    def __init__(
        self,
        replay: Replay,
        name: str,
        interval_seconds: float,
        expected_error: str,
        files: Source | None = None,
    ) -> None:
        self.name = Path(name).name
        self.interval_seconds = interval_seconds
        self.expected_error = expected_error
        self._replay = replay
        self._files = files
        self._heard: float | None = None

    def read(self) -> Readings:
        """Read the moment that is shown."""
        with self._replay.lock:
            word, now = self._replay.word(self.name), self._replay.clock()
            if word is None and self._files is not None:
                return self._replay.told(self._files)
        if word is None:
            raise NoMeter(Reason.ABSENT, "the recording has nothing of this source at this moment")
        again, self._heard = self._heard == now, now
        # What was left out is told once a moment, however often that is read.
        return replace(word.answer(), anomalies=()) if again else word.answer()


@contextmanager
def opened(path: Path) -> Iterator[Replay]:
    """Give a recording's machine in a folder that goes with it; Invalid and OSError as `load`."""
    recording = load(path)
    if "proc/stat" not in recording.moments[0].facts:
        raise Invalid([f"{path}: no proc/stat in the first moment: nothing tells the load"])
    with tempfile.TemporaryDirectory(prefix="wattgov-replay-") as folder:
        yield Replay(recording, Path(folder), str(path))


def _files(state: Facts) -> dict[str, Fact]:
    return {path: fact for path, fact in state.items() if not path.startswith(f"{SAID}/")}


def _words(state: Facts, name: str) -> dict[str, Word]:
    try:
        return words(state)
    except ValueError as mistake:
        raise Invalid([f"{name}:{mistake}"]) from mistake
