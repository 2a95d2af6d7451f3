"""Rule files to rules; every mistake of every file at once."""

import hashlib
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

from wattgov_actuator.connecting import connections
from wattgov_actuator.connection import Connection
from wattgov_actuator.energypolicy import as_rules, is_policy
from wattgov_actuator.expecting import expectation
from wattgov_actuator.include import included
from wattgov_actuator.policies import policy
from wattgov_actuator.rules import (
    FRESHNESS,
    STRATEGIES,
    Bounds,
    Group,
    Kind,
    Law,
    LawForm,
    Policy,
    Protect,
    Quorum,
    Rank,
    Rate,
    Rule,
    RuleSet,
    Sensor,
    Sla,
    Strategy,
    Thermal,
)
from wattgov_actuator.selection import Patterns, Selection, patterns
from wattgov_actuator.strict import Fields, Invalid, Mistake, Quantity, compose
from wattgov_actuator.windows import Windows, spans, zone

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")  # safe as a label value, a file name and a heading
LARGEST = 1 << 20  # bytes; a rule file is written by hand
FASTEST_SECONDS = 1.0
QUORUM = Quantity(70, "percent")
HYSTERESIS_CELSIUS = 8.0  # below `above`, where `clear` is not given
OF_KNOB = ("min", "max", "deadband", "slew")  # their units are the knob's
RANKS = {"cost": Rank.COST, "carbon": Rank.CARBON, "budget": Rank.BUDGET}


class _File:
    """One file on its way to groups: what its parts need to know of the whole."""

    def __init__(
        self, name: str, laws: Mapping[str, LawForm], kinds: Mapping[str, Kind], taken: set[str]
    ) -> None:
        self.name, self.laws, self.kinds, self.taken = name, laws, kinds, taken
        self.mistakes: list[Mistake] = []
        self.connections: tuple[Connection, ...] = ()
        self.stand_ins: list[tuple[Fields, str, str]] = []  # with the rule, and whom it replaces

    def parse(self, text: str, *, enforce: bool) -> tuple[tuple[Group, ...], bool, list[Path]]:
        """Return the groups, whether the file asks to enforce, and the files that it includes.

        *enforce* is what it asks for without saying so: the same as the one that includes it.
        """
        root = compose(text, self.name)
        root = as_rules(root, self.name) if is_policy(root) else root
        fields = Fields(root, self.name, self.mistakes, "the rule file")
        fields.word("version", ["1"])
        strategy = STRATEGIES[fields.word("strategy", list(STRATEGIES), "balanced")]
        strategy = replace(strategy, policies=_policies(fields))
        enforce = fields.flag("enforce", default=enforce)
        more = included(fields, Path(self.name).parent)
        self.connections = connections(fields, self.kinds, self.taken)
        blocks = fields.blocks("groups", "a group") if _has_groups(fields) else []
        groups = tuple(self._group(each, strategy) for each in blocks)
        fields.end()
        return groups, enforce, more

    def _group(self, fields: Fields, strategy: Strategy) -> Group:
        name = self._unique(fields, "name", "group")
        interval = fields.seconds("interval", 15.0, at_least=FASTEST_SECONDS)
        block = fields.block("protect")
        protect = Protect() if block is None else self._protect(block)
        ours = _targets(fields)
        rules = [self._rule(each, strategy, ours) for each in fields.blocks("rules", "a rule")]
        fields.end()
        return Group(name, interval, protect, tuple(rule for rule in rules if rule is not None))

    def _protect(self, fields: Fields) -> Protect:
        sla, thermal = fields.block("sla"), fields.block("thermal")
        quorum = fields.block("quorum")
        protect = Protect(
            sla=None if sla is None else self._sla(sla),
            thermal=None if thermal is None else self._thermal(thermal),
            quorum=None if quorum is None else _quorum(quorum),
            freshness=fields.text("freshness", FRESHNESS),
            max_age_seconds=fields.seconds("max_age", 45.0, at_least=1.0),
            hold_seconds=fields.seconds("hold", 120.0),
        )
        fields.end()
        return protect

    def _sla(self, fields: Fields) -> Sla:
        fields.word("then", ["restore"], "restore")
        sla = Sla(fields.text("expr"), fields.seconds("rearm", 60.0))
        fields.end()
        return sla

    def _thermal(self, fields: Fields) -> Thermal:
        then = fields.block("then")
        if then is not None:
            then.word("set", ["min"])
            then.end()
        device = fields.block("device")
        sensor = None if device is None else self._sensor(device)
        expr = fields.text("expr") if device is None else fields.text("expr", "")
        if "clear" in fields and device is not None and "expr" not in fields:
            fields.say("clear", "clear goes with expr; the device's own is in device")
        thermal = Thermal(expr or None, fields.text("clear", "") or None, sensor)
        fields.end()
        return thermal

    @staticmethod
    def _sensor(fields: Fields) -> Sensor | None:
        above = fields.quantity("above", ("celsius",), "above")
        clear = fields.quantity("clear", ("celsius",), "clear")
        if above is None and "above" not in fields and not fields.strange("above", "clear"):
            fields.say(None, "device does not say when it is hot; give above, such as 83C")
        fields.end()
        if above is None:
            return None
        low = above.value - HYSTERESIS_CELSIUS if clear is None else clear.value
        if low >= above.value:
            fields.say("clear", f"clear must be below above, {above}; found {clear}")
        return Sensor(above.value, low)

    def _rule(self, fields: Fields, strategy: Strategy, ours: tuple[Selection, ...]) -> Rule | None:
        action = self._unique(fields, "action", "rule")
        searched = fields.peek("minimise", "expr") or ""
        expr = fields.text("expr", searched) if "minimise" in fields else fields.text("expr")
        for_seconds = fields.seconds("for", 0.0)
        known = fields.one_of("knob", list(self.kinds))
        knob = known or fields.word("knob", list(self.kinds))
        bounds = _bounds(fields, knob, self.kinds[knob], strategy) if known else None
        law = self._law(fields, knob, strategy, bounds)
        if bounds is None:  # units and bounds mean nothing without the knob
            fields.skip(*OF_KNOB, *(key for form in self.laws.values() for key in form.keys))
        paced = "slew" in fields or (law is not None and law.traits.paced)
        cooldown = fields.seconds("cooldown", 0.0 if paced else strategy.cooldown_seconds)
        keep = fields.seconds("keep", 0.0)
        if "keep" in fields and law is not None and not law.traits.keeps:
            fields.say("keep", "keep goes with set and scale; this law keeps its claim by itself")
        accepts = self.kinds[knob].accepts
        deadband = slew = None
        if bounds is not None:
            deadband = _size(fields, "deadband", accepts, knob)
            slew = _size(fields, "slew", accepts, knob)
        active, rate, targets = _active(fields), _rate(fields), (*ours, *_targets(fields))
        expect, instead_of = expectation(fields, law, strategy), fields.text("instead_of", "")
        if instead_of:
            self.stand_ins.append((fields, action, instead_of))
        rank = RANKS[fields.word("class", list(RANKS))] if "class" in fields else None
        fields.skip("class")
        fields.end()
        if bounds is None or law is None:
            return None
        return Rule(
            action,
            expr,
            knob,
            law,
            bounds,
            for_seconds,
            cooldown,
            rank=law.traits.rank if rank is None else rank,
            keep_seconds=keep,
            active=active,
            deadband=deadband,
            slew=slew,
            rate=rate,
            targets=targets,
            expect=expect,
            instead_of=instead_of,
        )

    def _law(
        self, fields: Fields, knob: str, strategy: Strategy, bounds: Bounds | None
    ) -> Law | None:
        keys = [key for form in self.laws.values() for key in form.keys]
        given = [key for key in keys if key in fields]
        if len(given) > 1:
            fields.say(given[1], f"a rule has one law; give {' or '.join(given)}, not both")
        elif not given and not fields.strange("min", "max", *keys):  # else the law is misspelt
            fields.say(None, f"the rule says when, but not what to do; give {' or '.join(keys)}")
        found: Law | None = None
        for form in self.laws.values():
            if bounds is not None:
                found = form.parse(fields, knob, self.kinds[knob], strategy, bounds) or found
        return found

    def _unique(self, fields: Fields, key: str, what: str) -> str:
        name = fields.text(key)
        if key in fields and name and not NAME.fullmatch(name):
            good = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_0123456789")[:63]
            hint = f": did you mean '{good}'?" if good else ""
            fields.say(key, f"{key} '{name}' may hold a-z, 0-9, _ and -, from a letter on{hint}")
        elif key in fields and f"{what} {name}" in self.taken:
            fields.say(key, f"there is another {what} called '{name}'; the name is its label")
        self.taken.add(f"{what} {name}")
        return name


def _policies(fields: Fields) -> Mapping[str, Policy]:
    """Read the named policies of hibernation."""
    found: dict[str, Policy] = {}
    if "policies" not in fields:
        fields.skip("policies")
        return found
    for each in fields.blocks("policies", "a policy"):
        name = each.text("name")
        if name in found:
            each.say("name", f"there is another policy called '{name}'")
        found[name] = policy(each, Policy())
        each.end()
    return found


def _quorum(fields: Fields) -> Quorum:
    part = fields.quantity("at_least", ("percent",), "at_least", QUORUM) or QUORUM
    if not 0 < part.value <= 100:  # noqa: PLR2004 (percent)
        fields.say("at_least", f"at_least must be above 0% and at most 100%, found {part}")
    quorum = Quorum(fields.text("expr"), part.value / 100)
    fields.end()
    return quorum


def _has_groups(fields: Fields) -> bool:
    """Tell whether groups are to be read; a file may do without when it includes others."""
    fields.skip("groups")
    return "groups" in fields or "include" not in fields


def _bounds(fields: Fields, knob: str, kind: Kind, strategy: Strategy) -> Bounds:
    if kind.levels:
        ends = sorted(kind.levels.values())
        return Bounds(Quantity(ends[0], "level"), Quantity(ends[-1], "level"))
    low = fields.quantity("min", kind.accepts, knob)
    high = fields.quantity("max", kind.accepts, knob)
    for key, bound in (("min", low), ("max", high)):
        if bound is not None and bound.value <= 0:
            fields.say(key, f"{key} must be above 0, found {bound}")
        elif bound is not None and bound.unit == "percent" and bound.value > 100:  # noqa: PLR2004 (percent)
            fields.say(key, f"{key} must be at most 100%, found {bound}")
    floor = low or strategy.floor
    if high is not None and floor.unit == high.unit and floor.value > high.value:
        if low is None:
            fields.say("max", f"max {high} is below the strategy's floor of {floor}; give a min")
        else:
            fields.say("min", f"min {low} is above max {high}")
    return Bounds(floor, high)


def _size(fields: Fields, key: str, accepts: tuple[str, ...], knob: str) -> Quantity | None:
    size = fields.quantity(key, accepts, knob)
    if size is not None and size.value <= 0:
        fields.say(key, f"{key} must be above 0, found {size}")
    return size


def _active(fields: Fields) -> Windows | None:
    """Read when a rule may act."""
    block = fields.block("active")
    if block is None:
        return None
    found: tuple[tuple[int, int], ...] = ()
    where: ZoneInfo | None = None
    text, name = block.text("windows"), block.text("zone", "UTC")
    try:
        found = spans(text) if text.strip() else ()
    except ValueError as error:
        block.say("windows", f"windows: {error}")
    try:
        where = zone(name)
    except ValueError as error:
        block.say("zone", f"zone: {error}")
    block.end()
    return None if where is None else Windows(found, where)


def _targets(fields: Fields) -> tuple[Selection, ...]:
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
        try:
            found[key] = patterns(written)
        except ValueError as error:
            block.say(key, f"{key}: {error}")
        if not written and not labels.strange():
            block.say(key, f"{key} names no label; write it as {key}: {{gpu: '0|1'}}")
    if not block.strange() and "only" not in block and "except" not in block:
        block.say(None, "targets says nothing; give only or except")
    block.end()
    return (Selection(found["only"], found["except"]),)


def _rate(fields: Fields) -> Rate | None:
    """Read how often a rule may tighten a knob."""
    block = fields.block("rate")
    if block is None:
        return None
    changes, per = block.number("changes"), block.seconds("per", 3600.0, at_least=1.0)
    if "changes" in block and (changes < 1 or changes != int(changes)):
        block.say("changes", f"changes must be a whole number above 0, found {changes:g}")
    block.end()
    return Rate(int(changes), per)


def load(paths: Sequence[Path], laws: Mapping[str, LawForm], kinds: Mapping[str, Kind]) -> RuleSet:
    """Return the rules of all files together; raises Invalid with every mistake found."""
    groups: list[Group] = []
    ways: list[Connection] = []
    files: list[_File] = []
    enforce, taken, mistakes = [], set[str](), list[Mistake]()
    digest = hashlib.sha256()
    waiting, known = [(path, False) for path in paths], set(map(_real, paths))
    while waiting:
        path, inherited = waiting.pop(0)
        file = _File(str(path), laws, kinds, taken)
        try:
            text = _read(path)
            digest.update(text.encode())
            found, wants, more = file.parse(text, enforce=inherited)
        except Invalid as error:
            mistakes += error.mistakes
            continue
        files.append(file)
        groups += found
        ways += file.connections
        enforce.append(wants)
        new = [each for each in more if _real(each) not in known]
        known.update(map(_real, new))
        waiting[:0] = [(each, wants) for each in new]
    rules = {rule.action: rule for group in groups for rule in group.rules}
    for file in files:
        for fields, action, other in file.stand_ins:
            if other in rules or f"rule {other}" not in taken:  # else it has its own mistakes
                _stands_in(fields, action, rules.get(other), rules)
        mistakes += file.mistakes
    if mistakes:
        raise Invalid(mistakes)
    if not groups:
        first = str(paths[0])
        raise Invalid([Mistake(first, 1, 1, "there is no group in it, nor in what it includes")])
    asks = bool(enforce) and all(enforce)
    return RuleSet(tuple(groups), asks, digest.hexdigest(), tuple(ways))


def _stands_in(fields: Fields, action: str, other: Rule | None, rules: Mapping[str, Rule]) -> None:
    """Check that the rule that another one stands in for can be found to do nothing."""
    if other is None or other.action == action:
        names = [name for name in rules if name != action]
        fields.word("instead_of", names or [""])
    elif other.expect is None or not other.expect.draw:
        fields.say(
            "instead_of",
            f"instead_of: {other.action} cannot be found to do nothing; give it expect with draw",
        )
    elif action in rules and rules[action].knob == other.knob:
        fields.say("instead_of", f"instead_of: {other.action} turns the same knob, {other.knob}")


def _real(path: Path) -> str:
    return os.path.realpath(path)  # Path.resolve raises on a loop of links


def _read(path: Path) -> str:
    """Return the text of a file that only its owner can write; raises Invalid."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(LARGEST + 1)
        text = raw.decode()
    except UnicodeDecodeError:
        raise Invalid([Mistake(str(path), 1, 1, "not UTF-8 text")]) from None
    except OSError as error:
        raise Invalid([Mistake(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        message = f"others can write this file, and with it this machine; run: chmod go-w {path}"
        raise Invalid([Mistake(str(path), 1, 1, message)])
    if len(raw) > LARGEST:
        raise Invalid([Mistake(str(path), 1, 1, "larger than 1 MiB; is this a rule file?")])
    return text
