"""The expressions of rules by where they stand: what a person calls them."""

from collections.abc import Iterator

from wattgov_actuator.rules import Group, RuleSet


def places(rules: RuleSet) -> tuple[tuple[str, str], ...]:
    """Return the place and the text of every expression, in the order of the file."""
    return tuple(each for group in rules.groups for each in _of(group))


def _of(group: Group) -> Iterator[tuple[str, str]]:
    """Yield those of one group: its guards by its name, a rule's by the rule's."""
    protect, name = group.protect, group.name
    yield f"{name}.freshness", protect.freshness
    if protect.sla is not None:
        yield f"{name}.sla", protect.sla.expr
    if protect.thermal is not None and protect.thermal.expr is not None:
        yield f"{name}.thermal", protect.thermal.expr
        if protect.thermal.clear is not None:
            yield f"{name}.clear", protect.thermal.clear
    if protect.quorum is not None:
        yield f"{name}.quorum", protect.quorum.expr
    for rule in group.rules:
        yield rule.action, rule.expr
        asks = [each for each in dict.fromkeys(rule.asks) if each != rule.expr]
        yield from ((f"{rule.action}.{number}", each) for number, each in enumerate(asks, 1))
