"""What Prometheus says in a scenario file: scraped series, and what expressions return."""

from collections.abc import Iterable, Mapping

from wattgov_actuator.document.strict import Fields
from wattgov_actuator.places import places
from wattgov_actuator.rules import RuleSet
from wattgov_actuator.scenarios.notation import Slot, slots
from wattgov_actuator.scenarios.scenario import Line, Scenario, answered
from wattgov_actuator.scenarios.selector import labels_of, selector

FRESH = (0.0,)
Given = Mapping[str, tuple[Line, ...]]


def inputs_of(blocks: Iterable[Fields]) -> tuple[Line, ...]:
    """Read series as an exporter exposes them."""
    found = []
    for each in blocks:
        series = each.text("series")
        line = Line(_labels(each, "series", series), slots_of(each, "values", failing=False))
        each.end()
        found.append(line)
    return tuple(found)


def given_of(fields: Fields, rules: RuleSet) -> Given:
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
        found[expr] = _lines(block, key)
    return found


def slots_of(fields: Fields, key: str, *, failing: bool = True) -> tuple[Slot, ...]:
    """Read the values of one series, tick by tick; *failing*: they may say how a query fails."""
    text = fields.text(key)
    try:
        return slots(text, failing=failing) if text.strip() else FRESH
    except ValueError as error:
        fields.say(key, f"{key}: {error}")
        return FRESH


def unanswered(fields: Fields, scenario: Scenario, rules: RuleSet) -> None:
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


def _lines(block: Fields, key: str) -> tuple[Line, ...]:
    """Read series by their labels, or the values of the one that has none."""
    series = block.block(key) if block.maps(key) else None
    if series is None:
        return (Line({}, slots_of(block, key)),)
    return tuple(
        Line(_labels(series, text, text), slots_of(series, text)) for text in series.names()
    )


def _labels(fields: Fields, key: str, series: str) -> dict[str, str]:
    try:
        return labels_of(series)
    except ValueError as error:
        fields.say(key, str(error))
        return {}


def _plain(expr: str) -> str:
    """Return an expression without what its layout adds."""
    return " ".join(expr.split())
