"""Read of a rule when it may act, how often, and on which targets."""

from zoneinfo import ZoneInfo

from wattgov_actuator.document.strict import Fields
from wattgov_actuator.rules import Rate
from wattgov_actuator.selection import Patterns, Selection, patterns
from wattgov_actuator.windows import Windows, spans, zone


def activity(fields: Fields) -> Windows | None:
    """Read when a rule may act."""
    block = fields.block("active")
    if block is None:
        return None
    found: list[tuple[int, int]] = []
    where: ZoneInfo | None = None
    text, name = block.text("windows"), block.text("zone", "UTC")
    wrong = []
    for each in text.split(",") if text.strip() else ():
        try:
            found += spans(each)
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        block.say("windows", f"windows: {'; '.join(wrong)}")
    try:
        where = zone(name)
    except ValueError as error:
        block.say("zone", f"zone: {error}")
    block.end()
    return None if where is None else Windows(tuple(found), where)


def selections(fields: Fields) -> tuple[Selection, ...]:
    """Read which targets are meant; nothing is all of them."""
    block = fields.block("targets")
    if block is None:
        return ()
    found: dict[str, Patterns] = {"only": (), "except": ()}
    for key in found:
        labels = block.block(key)
        if labels is None:
            continue
        written = labels.texts()
        for label, text in written.items():
            try:
                found[key] += patterns({label: text})
            except ValueError as error:
                labels.say(label, f"{key}: {error}")
        if not written and not labels.strange():
            block.say(key, f"{key} names no label; write it as {key}: {{gpu: '0|1'}}")
    if not block.strange() and "only" not in block and "except" not in block:
        block.say(None, "targets says nothing; give only or except")
    block.end()
    return (Selection(found["only"], found["except"]),)


def rate_limit(fields: Fields) -> Rate | None:
    """Read how often a rule may tighten a knob."""
    block = fields.block("rate")
    if block is None:
        return None
    found = Rate(block.count("changes", at_least=1), block.seconds("per", 3600.0, at_least=1.0))
    block.end()
    return found
