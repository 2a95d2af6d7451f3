"""Take a recording: look at the files, hear the sources, again and again."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar, cast

from wattgov_exporter.poll import Answer, Poller
from wattgov_exporter.reading import Clock, Readings, Reason, Source
from wattgov_exporter.recording.format import Fact, Moment, Recording, changes
from wattgov_exporter.recording.standins import StandIns
from wattgov_exporter.recording.words import Word, facts

T = TypeVar("T")

BY_FILES = frozenset({"hwmon", "rapl", "cpu_model", "dram_model"})
"""Sources that read nothing but files which are recorded; a replay lets them read those.

Their words are recorded only where they were refused: no file can be made to do that to everybody.
"""

PATIENCE_SECONDS = 10.0
"""For the first answers; a BMC takes seconds."""

WAIT_SHARE = 0.5
"""The part of an interval that a moment waits for its sources, as a tick of `run` does."""


class Capture:
    """Takes one recording of some sources and of the files that *look* returns.

    *wait* waits so many seconds and returns True when it is told to stop before.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        look: Callable[[], Mapping[str, Fact]],
        hidden: StandIns,
        *,
        clock: Clock,
        with_processes: bool = False,
    ) -> None:
        self._sources = sources
        self._look = look
        self._hidden = hidden
        self._clock = clock
        self._with_processes = with_processes

    def take(
        self,
        seconds: float,
        interval: float,
        wait: Callable[[float], bool],
        tell: Callable[[float], object],
    ) -> Recording:
        """Record for so long, or until told; *tell* is told how many seconds are left."""
        pollers = [Poller(source, self._clock) for source in self._sources]
        for poller in pollers:
            poller.start()
            poller.ask()
        end = self._clock() + PATIENCE_SECONDS
        for poller in pollers:
            poller.wait(max(end - self._clock(), 0.0))
        moments: list[Moment] = []
        state: Mapping[str, Fact] = {}
        start = self._clock()
        for count in range(math.floor(seconds / interval) + 1):
            tell(max(seconds - count * interval, 0.0))
            told = wait(max(start + count * interval - self._clock(), 0.0))
            for poller in pollers:
                poller.ask()
            start = start if moments else self._clock()
            at = round(self._clock() - start, 3)
            now = dict(self._look()) | self._heard(pollers, start, WAIT_SHARE * interval)
            if not moments or at > moments[-1].at:
                moments.append(Moment(at, changes(state, now)))
                state = now
            if told:
                break
        for poller in pollers:
            poller.close()
        return Recording(tuple(moments))

    def _heard(self, pollers: Iterable[Poller], start: float, patience: float) -> dict[str, Fact]:
        deadline = self._clock() + patience
        heard: dict[str, Fact] = {}
        for source, poller in zip(self._sources, pollers, strict=True):
            answer = poller.wait(max(deadline - self._clock(), 0.0))
            if source.name in BY_FILES and answer.reason in {Reason.OK, Reason.ABSENT}:
                continue
            heard |= facts(source.name, self._word(source, answer, start))
        return heard

    def _word(self, source: Source, answer: Answer, start: float) -> Word:
        readings = answer.readings and self._cleared(answer.readings, start)
        return Word(
            reason=answer.reason,
            detail=self._hidden.text(answer.detail),
            interval_seconds=source.interval_seconds,
            expected_error=source.expected_error,
            readings=readings,
        )

    def _cleared(self, readings: Readings, start: float) -> Readings:
        """Return readings that tell of no one: times from the start, cards by number."""
        for uuid in _uuids(readings):
            self._hidden.card(uuid)
        rebased = tuple(
            replace(one, at=round(one.at - start, 3), joules=round(one.joules, 6))
            for one in readings.energies
        )
        uses = readings.gpu_uses if self._with_processes else ()
        # The names of pods and namespaces are their owner's business.
        kept = replace(readings, energies=rebased, gpu_uses=uses, pods=None)
        return _each_text(kept, self._hidden.text)


def _uuids(value: object) -> Iterator[str]:
    if isinstance(value, tuple):
        for one in value:
            yield from _uuids(one)
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            part = getattr(value, one.name)
            yield from (part,) if one.name == "uuid" else _uuids(part)


def _each_text(value: T, change: Callable[[str], str]) -> T:
    """Return a dataclass of readings with every text in it changed; enums and keys are no text."""
    parts: dict[str, Any] = {}
    for one in fields(cast("Any", value)):
        part = getattr(value, one.name)
        if isinstance(part, str) and not isinstance(part, Enum) and one.name != "source":
            parts[one.name] = change(part)
        elif isinstance(part, tuple) and any(is_dataclass(item) for item in part):
            parts[one.name] = tuple(_each_text(item, change) for item in part)
        elif is_dataclass(part):
            parts[one.name] = _each_text(part, change)
    return cast("T", replace(cast("Any", value), **parts))
