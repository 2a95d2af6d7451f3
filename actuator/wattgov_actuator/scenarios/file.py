"""Scenario files to scenarios; every mistake at once, those of the rule files too."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wattgov_actuator.decision import Reason
from wattgov_actuator.document.strict import Fields, Invalid, Mistake, compose
from wattgov_actuator.language.rulefile import load
from wattgov_actuator.reading import Fault, QueryFailure
from wattgov_actuator.rules import Kind, LawForm, RuleSet
from wattgov_actuator.scenarios.devices import amount_of, by_name, device_of, devices_of, values_of
from wattgov_actuator.scenarios.scenario import (
    Check,
    Event,
    Expected,
    Line,
    Outage,
    Scenario,
    Suite,
)
from wattgov_actuator.scenarios.series import (
    FRESH,
    Given,
    given_of,
    inputs_of,
    slots_of,
    unanswered,
)
from wattgov_actuator.simulation import Planted
from wattgov_actuator.when import moment_of
from wattgov_web import regular

NO_FAULT = "none"


@dataclass(frozen=True, slots=True)
class _Common:
    """What the tests of a file share."""

    rules: RuleSet
    interval_seconds: float
    planted: tuple[Planted, ...]
    inputs: tuple[Line, ...]
    given: Given


class _File:
    """One file on its way to scenarios."""

    def __init__(self, name: str, kinds: Mapping[str, Kind]) -> None:
        self.name, self.kinds = name, kinds
        self.mistakes: list[Mistake] = []
        self.tests: set[str] = set()

    def parse(self, text: str, load_rules: Callable[[Sequence[Path]], RuleSet]) -> Suite:
        """Return what the file says; raises Invalid with the mistakes of the rules."""
        fields = Fields(compose(text, self.name), self.name, self.mistakes, "the scenario file")
        files = [each for each, _ in fields.listed("rules")]
        if not files:
            fields.say("rules" if "rules" in fields else None, "rules names no rule file")
            raise Invalid(self.mistakes)
        rules = load_rules([Path(self.name).parent / each for each in files])
        common = _Common(
            rules,
            fields.seconds("interval", rules.interval_seconds, at_least=0.001),
            devices_of(fields, self.kinds) if "targets" in fields else (),
            inputs_of(_blocks(fields, "input_series", "a series")),
            given_of(fields, rules),
        )
        tests = [self._scenario(each, common) for each in fields.blocks("tests", "a test")]
        fields.end()
        return Suite(rules, tuple(tests))

    def _scenario(self, fields: Fields, common: _Common) -> Scenario:
        name = fields.text("name")
        if name in self.tests:
            fields.say("name", f"there is another test called '{name}'")
        self.tests.add(name)
        began = fields.text("start", "1970-01-01T00:00:00Z")
        start = moment_of(began)
        if start is None:
            fields.say("start", f"start: '{began}' is no moment, such as 2026-01-31T22:00")
        planted = devices_of(fields, self.kinds) if "targets" in fields else common.planted
        if not planted:
            fields.say(None, f"'{name}' has no targets, and neither has the file")
        fields.skip("targets", "ages")
        places = by_name(planted)
        scenario = Scenario(
            name=name,
            start=start or 0.0,
            interval_seconds=common.interval_seconds,
            planted=planted,
            inputs=(*common.inputs, *inputs_of(_blocks(fields, "input_series", "a series"))),
            given={**common.given, **given_of(fields, common.rules)},
            ages=slots_of(fields, "ages") if "ages" in fields else FRESH,
            outages=tuple(map(_outage, _blocks(fields, "outages", "an outage"))),
            events=tuple(
                _event(each, places, self.kinds) for each in _blocks(fields, "happens", "an event")
            ),
            checks=tuple(
                self._check(each, places, common.rules)
                for each in fields.blocks("expect", "an expectation")
            ),
            after=values_of(fields, "after", places, self.kinds) or {},
        )
        fields.end()
        unanswered(fields, scenario, common.rules)
        return scenario

    def _check(self, fields: Fields, places: Mapping[str, Planted], rules: RuleSet) -> Check:
        at, blocks = _at(fields), _blocks(fields, "decisions", "a decision")
        expected = tuple(_expected(each, places, rules, self.kinds) for each in blocks)
        in_force = values_of(fields, "in_force", places, self.kinds)
        if not expected and in_force is None and not fields.strange():
            fields.say(None, "nothing is expected; give decisions or in_force")
        fields.end()
        return Check(at, expected, in_force)


def _expected(
    fields: Fields, places: Mapping[str, Planted], rules: RuleSet, kinds: Mapping[str, Kind]
) -> Expected:
    own = [rule.action for group in rules.groups for rule in group.rules]
    heats = [f"{group.name}.thermal" for group in rules.groups if group.protect.thermal]
    rule = fields.name("rule", [*own, *heats, "actuator.restore"])
    planted = device_of(fields, places) if "target" in fields else None
    reason = fields.word("reason", list(Reason)) if "reason" in fields else None
    meant = places.values() if planted is None else [planted]
    knobs = {each.target.knob for each in meant}
    given = "wanted" in fields
    wanted = amount_of(fields, "wanted", knobs, kinds, "the target") if given else None
    detail = fields.text("detail", "")
    fields.skip("target", "reason", "wanted")
    fields.end()
    return Expected(
        rule,
        None if planted is None else planted.place,
        None if reason is None else Reason(reason),
        wanted,
        detail,
    )


def _event(fields: Fields, places: Mapping[str, Planted], kinds: Mapping[str, Kind]) -> Event:
    at, planted = _at(fields), device_of(fields, places)
    fault = fields.word("fault", [*Fault, NO_FAULT]) if "fault" in fields else NO_FAULT
    value = None
    if planted is not None and "set" in fields:
        knob = planted.target.knob
        value = amount_of(fields, "set", [knob], kinds, knob)
    if ("set" in fields) is ("fault" in fields):
        fields.say(None, "an event is a set or a fault")
    fields.skip("set", "fault")
    fields.end()
    place = ("", "") if planted is None else planted.place
    return Event(
        at,
        place,
        value,
        None if fault == NO_FAULT else Fault(fault),
    )


def _outage(fields: Fields) -> Outage:
    begins, ends = fields.seconds("from", 0.0), fields.seconds("until", float("inf"))
    failure = fields.word("failure", list(QueryFailure), "down")
    if begins >= ends:
        fields.say("until", "until must be later than from")
    fields.end()
    return Outage(begins, ends, QueryFailure(failure))


def _at(fields: Fields) -> float:
    """Return the seconds at `at`, which must be there."""
    if "at" not in fields:
        fields.text("at")
    return fields.seconds("at", 0.0)


def _blocks(fields: Fields, key: str, what: str) -> list[Fields]:
    if key in fields:
        return fields.blocks(key, what)
    fields.skip(key)
    return []


def read(path: Path, laws: Mapping[str, LawForm], kinds: Mapping[str, Kind]) -> Suite:
    """Return the scenarios of one file; raises Invalid with every mistake found."""
    file = _File(str(path), kinds)
    try:
        text = regular.read(path).decode()
    except UnicodeDecodeError:
        raise Invalid([Mistake(str(path), 1, 1, "not UTF-8 text")]) from None
    except OSError as error:
        raise Invalid([Mistake(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from None
    suite = file.parse(text, lambda paths: load(paths, laws, kinds))
    if file.mistakes:
        raise Invalid(file.mistakes)
    return suite
