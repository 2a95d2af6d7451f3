"""Scenario files to scenarios; every mistake at once, those of the rule files too."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wattgov_actuator.decision import Reason
from wattgov_actuator.document.strict import Fields, Invalid, Mistake, compose
from wattgov_actuator.language.rulefile import load
from wattgov_actuator.places import places
from wattgov_actuator.reading import Fault, QueryFailure, Target
from wattgov_actuator.rules import Kind, LawForm, RuleSet
from wattgov_actuator.scenarios.notation import Slot, slots
from wattgov_actuator.scenarios.scenario import (
    Check,
    Event,
    Expected,
    Line,
    Outage,
    Scenario,
    Suite,
    answered,
)
from wattgov_actuator.scenarios.selector import labels_of, selector
from wattgov_actuator.simulation import Place, Planted
from wattgov_actuator.when import moment_of
from wattgov_web import regular

RESOLUTIONS = {"watts": 1.0, "hertz": 10e6, "level": 0.5}  # as the knobs of this version have
NO_FAULT = "none"
FRESH = (0.0,)
Given = Mapping[str, tuple[Line, ...]]


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
            self._planted(fields) if "targets" in fields else (),
            self._inputs(fields),
            self._given(fields, rules),
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
        planted = self._planted(fields) if "targets" in fields else common.planted
        if not planted:
            fields.say(None, f"'{name}' has no targets, and neither has the file")
        fields.skip("targets", "ages")
        places = {_called(each, planted): each for each in planted}
        scenario = Scenario(
            name=name,
            start=start or 0.0,
            interval_seconds=common.interval_seconds,
            planted=planted,
            inputs=(*common.inputs, *self._inputs(fields)),
            given={**common.given, **self._given(fields, common.rules)},
            ages=self._slots(fields, "ages") if "ages" in fields else FRESH,
            outages=tuple(map(_outage, _blocks(fields, "outages", "an outage"))),
            events=tuple(
                _event(each, places, self.kinds) for each in _blocks(fields, "happens", "an event")
            ),
            checks=tuple(
                self._check(each, places, common.rules)
                for each in fields.blocks("expect", "an expectation")
            ),
            after=_values(fields, "after", places, self.kinds) or {},
        )
        fields.end()
        self._unanswered(fields, scenario, common.rules)
        return scenario

    def _planted(self, fields: Fields) -> tuple[Planted, ...]:
        found = [self._device(each) for each in fields.blocks("targets", "a target")]
        return tuple(each for each in found if each is not None)

    def _device(self, fields: Fields) -> Planted | None:
        knob = fields.one_of("knob", list(self.kinds))
        if knob is None:
            fields.word("knob", list(self.kinds))
        name, block = fields.text("name"), fields.block("labels")
        labels = {} if block is None else block.texts()
        both_ways = fields.flag("both_ways", default=False)
        if knob is None:
            fields.skip("low", "high", "current")
            fields.end()
            return None
        unit, levels = self.kinds[knob].accepts[0], self.kinds[knob].levels
        both = () if levels else ("low", "high")
        ends: Sequence[float | None] = sorted(levels.values())
        ends = ends or [_amount(fields, key, [knob], self.kinds, knob) for key in both]
        low, high = ends
        for key in both:
            if key not in fields:
                fields.say(None, f"the target has no '{key}'")
        given = "current" in fields
        current = _amount(fields, "current", [knob], self.kinds, knob) if given else high
        fields.skip("current")
        fields.end()
        if low is None or high is None or current is None:
            return None
        if not low <= current <= high:
            fields.say("current" if "current" in fields else "low", "low, current, high: not so")
        target = Target(
            knob,
            name,
            {"uuid": name, **labels},
            low,
            high,
            unit,
            RESOLUTIONS.get(unit, 1.0),
            multiplicative=unit == "hertz",
            both_ways=both_ways,
        )
        return Planted(target, current)

    def _inputs(self, fields: Fields) -> tuple[Line, ...]:
        found = []
        for each in _blocks(fields, "input_series", "a series"):
            series = each.text("series")
            line = Line(_labels(each, "series", series), self._slots(each, "values", failing=False))
            each.end()
            found.append(line)
        return tuple(found)

    def _given(self, fields: Fields, rules: RuleSet) -> Given:
        """Read what expressions return, each called by its text or by its place."""
        block = fields.block("expressions")
        if block is None:
            return {}
        named = {**{_plain(expr): expr for _, expr in places(rules)}, **dict(places(rules))}
        found: dict[str, tuple[Line, ...]] = {}
        good = [key for key in block.names() if _plain(key) in named]
        for key in block.names([*good, *named]):
            expr = named[_plain(key)]
            if expr in found:
                block.say(key, f"'{key}' is given twice, once by another name")
            found[expr] = self._lines(block, key)
        return found

    def _lines(self, block: Fields, key: str) -> tuple[Line, ...]:
        """Read series by their labels, or the values of the one that has none."""
        series = block.block(key) if block.maps(key) else None
        if series is None:
            return (Line({}, self._slots(block, key)),)
        return tuple(
            Line(_labels(series, text, text), self._slots(series, text)) for text in series.names()
        )

    @staticmethod
    def _slots(fields: Fields, key: str, *, failing: bool = True) -> tuple[Slot, ...]:
        text = fields.text(key)
        try:
            return slots(text, failing=failing) if text.strip() else FRESH
        except ValueError as error:
            fields.say(key, f"{key}: {error}")
            return FRESH

    def _check(self, fields: Fields, places: Mapping[str, Planted], rules: RuleSet) -> Check:
        at, blocks = _at(fields), _blocks(fields, "decisions", "a decision")
        expected = tuple(_expected(each, places, rules, self.kinds) for each in blocks)
        in_force = _values(fields, "in_force", places, self.kinds)
        if not expected and in_force is None and not fields.strange():
            fields.say(None, "nothing is expected; give decisions or in_force")
        fields.end()
        return Check(at, expected, in_force)

    @staticmethod
    def _unanswered(fields: Fields, scenario: Scenario, rules: RuleSet) -> None:
        """Report every expression of which the scenario does not say what it returns."""
        clocks = {group.protect.freshness for group in rules.groups}
        for place, expr in places(rules):
            if expr in clocks or answered(scenario, expr):
                continue
            bare = selector(expr)
            how = f"{place}: {{'{{uuid=\"…\"}}': 50x10}}, or {place}: _ for no series"
            raw = f", or input_series of {bare.metric}" if bare and bare.metric else ""
            text = f"nothing says what {place} returns ({_plain(expr)}); give, under expressions, "
            fields.say(None, f"{text}{how}{raw}")


def _expected(
    fields: Fields, places: Mapping[str, Planted], rules: RuleSet, kinds: Mapping[str, Kind]
) -> Expected:
    own = [rule.action for group in rules.groups for rule in group.rules]
    heats = [f"{group.name}.thermal" for group in rules.groups if group.protect.thermal]
    rule = fields.name("rule", [*own, *heats, "actuator.restore"])
    planted = _place(fields, places) if "target" in fields else None
    reason = fields.word("reason", list(Reason)) if "reason" in fields else None
    meant = places.values() if planted is None else [planted]
    knobs = {each.target.knob for each in meant}
    given = "wanted" in fields
    wanted = _amount(fields, "wanted", knobs, kinds, "the target") if given else None
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
    at, planted = _at(fields), _place(fields, places)
    fault = fields.word("fault", [*Fault, NO_FAULT]) if "fault" in fields else NO_FAULT
    value = None
    if planted is not None and "set" in fields:
        knob = planted.target.knob
        value = _amount(fields, "set", [knob], kinds, knob)
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


def _place(fields: Fields, places: Mapping[str, Planted]) -> Planted | None:
    return places.get(fields.name("target", list(places)))


def _values(
    fields: Fields, key: str, places: Mapping[str, Planted], kinds: Mapping[str, Kind]
) -> dict[Place, float] | None:
    """Read values by target."""
    block = fields.block(key)
    if block is None:
        return None
    found = {}
    for name in block.names(list(places)):
        knob = places[name].target.knob
        value = _amount(block, name, [knob], kinds, knob)
        if value is not None:
            found[places[name].place] = value
    return found


def _amount(
    fields: Fields, key: str, knobs: Collection[str], kinds: Mapping[str, Kind], taker: str
) -> float | None:
    """Read a value of one of these knobs: a quantity, or a word where it has words."""
    words = {word: value for knob in knobs for word, value in kinds[knob].levels.items()}
    units = sorted({kinds[knob].accepts[0] for knob in knobs if not kinds[knob].levels})
    if words and not units:
        return words[fields.word(key, list(words))]
    word = fields.one_of(key, list(words))
    if word is not None:
        return words[word]
    found = fields.quantity(key, units, taker)
    return None if found is None else found.value


def _labels(fields: Fields, key: str, series: str) -> dict[str, str]:
    try:
        return labels_of(series)
    except ValueError as error:
        fields.say(key, str(error))
        return {}


def _blocks(fields: Fields, key: str, what: str) -> list[Fields]:
    if key in fields:
        return fields.blocks(key, what)
    fields.skip(key)
    return []


def _called(planted: Planted, among: Sequence[Planted]) -> str:
    """Return the name of a device, with its knob where another knob has one of that name."""
    knob, name = planted.place
    alone = sum(each.target.name == name for each in among) == 1
    return name if alone else f"{knob}/{name}"


def _plain(expr: str) -> str:
    """Return an expression without what its layout adds."""
    return " ".join(expr.split())


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
