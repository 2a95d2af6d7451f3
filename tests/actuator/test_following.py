"""The loop follows the scrapes of the exporter that reads its devices, however it is disturbed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor
from pathlib import Path
from queue import Empty

import pytest

from actuator.builders import answer, group, rule
from actuator.fakes import FRESH, Clock, FileKnob
from actuator.stage import Stage
from wattgov_actuator.orders import Look, Reload
from wattgov_actuator.reading import Answer
from wattgov_actuator.rules import RuleSet

SECONDS, SCRAPED, SEEN = 15.0, 4.0, 0.03  # of the rules; after an epoch; after the scrape
RULES = RuleSet((group(), group(rule("slow", "dark"), name="other", interval_seconds=60)))
ASKS = f'timestamp({FRESH}{{instance="here"}})'


class Watched(Stage):
    """A stage before a Prometheus that scrapes every SECONDS; notes how old each look's find is."""

    def __init__(self, folder: Path, rules: RuleSet, knob: FileKnob) -> None:
        super().__init__(folder, rules, knob)
        self.instances = ["here"]
        self.ages: list[float] = []

    def ask(self, expressions: Iterable[str]) -> Mapping[str, Answer]:
        """Answer as Prometheus would, to when it scraped, too."""
        past = self.clock.unix - SCRAPED - SEEN
        scraped = SECONDS * floor(past / SECONDS) + SCRAPED
        self.said[ASKS] = answer(({"instance": "here"}, scraped))
        self.said[FRESH] = answer(*(({"instance": each}, scraped) for each in self.instances))
        answers = super().ask(expressions)
        if "quiet" in answers:
            self.ages.append(self.clock.unix - scraped)
        return answers

    def run(self, intervals: float, *orders: tuple[float, object]) -> list[float]:
        """Run for so long; return the ages at the looks of the fast group."""
        self.loop.run(Hurry(self.clock, intervals * SECONDS, list(orders)))
        self.journal.close()
        return self.ages


@dataclass
class Hurry:
    """The loop's orders, in a hurried time: *given* at their seconds, and a signal at the end."""

    clock: Clock
    seconds: float
    given: list[tuple[float, object]]

    def __post_init__(self) -> None:
        """Begin now."""
        self._end = self.clock.steady + self.seconds
        self.given = [(self.clock.steady + at, order) for at, order in self.given]

    def get(self, _: bool = True, timeout: float | None = None, /) -> object:
        """Let time pass."""
        until = self.clock.steady + (timeout or 0.0)
        if self.given and self.given[0][0] <= until:
            at, order = self.given.pop(0)
            self.clock.advance(max(at - self.clock.steady, 0.0))
            return order
        if until >= self._end:
            return "SIGTERM"
        self.clock.advance(timeout or 0.0)
        raise Empty


@pytest.fixture
def stage(tmp_path: Path, knob: FileKnob) -> Watched:
    """Return an actuator whose first look falls anywhere between two scrapes."""
    stage = Watched(tmp_path, RULES, knob)
    stage.clock.advance(0.2)
    return stage


def test_looks_come_to_follow_the_scrapes(stage: Watched) -> None:
    """After some intervals, and none is lost on the way."""
    ages = stage.run(60)

    assert ages[0] > 1.0
    assert max(ages[5:]) < 0.1
    assert 60 <= len(ages) <= 62


def test_a_hurried_look_is_one_more(stage: Watched) -> None:
    """Those after it follow the scrapes as before."""
    ages = stage.run(40, (20.4 * SECONDS, Look(["gpus"])))

    assert 1 == sum(age > 0.1 for age in ages[5:])


def test_new_rules_are_followed_too(stage: Watched) -> None:
    """What was learnt of the old interval is not taken for the new one's."""
    stage.rules = RuleSet((group(interval_seconds=5),))
    ages = stage.run(40, (20.4 * SECONDS, Reload()))

    assert 20 + 3 * 20 == pytest.approx(len(ages), abs=2)
    assert all(each < 0.1 for each in ages[-45::3]) or all(each < 0.1 for each in ages[-44::3])


def test_of_several_exporters_the_one_behind_a_device_is_followed(stage: Watched) -> None:
    """Nobody knows which that is until a series has named one; then the looks keep their pace."""
    stage.instances = ["here", "there"]
    (age, *rest) = stage.run(20)

    assert {round(age, 6)} == {round(each, 6) for each in rest}


def test_a_series_tells_whose_the_devices_are(stage: Watched) -> None:
    """Even where it is false by now."""
    stage.instances = ["here", "there"]
    stage.say("quiet")
    ages = stage.run(20)

    assert max(ages[5:]) < 0.1
