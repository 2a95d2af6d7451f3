"""Rule files to rules; every mistake of every file at once."""

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from wattgov_actuator.connection import Connection
from wattgov_actuator.document.expressions import names_nothing
from wattgov_actuator.document.mistakes import mistake_at
from wattgov_actuator.document.strict import (
    NOWHERE,
    Fields,
    Invalid,
    Mistake,
    Quantity,
    compose,
)
from wattgov_actuator.document.tree import oddities
from wattgov_actuator.document.variables import fill
from wattgov_actuator.language.connecting import connections
from wattgov_actuator.language.energypolicy import as_rules, is_policy
from wattgov_actuator.language.expecting import expectation
from wattgov_actuator.language.include import included
from wattgov_actuator.language.protecting import protection
from wattgov_actuator.language.rulestext import text_of
from wattgov_actuator.language.scope import activity, rate_limit, selections
from wattgov_actuator.naming import DEVICES
from wattgov_actuator.policies import named_policies
from wattgov_actuator.reading import UUIDS
from wattgov_actuator.rules import (
    LEARNED,
    STRATEGIES,
    Bounds,
    Document,
    Group,
    Kind,
    Law,
    LawForm,
    Policies,
    Protect,
    Rank,
    Rule,
    RuleSet,
    Strategy,
)
from wattgov_actuator.selection import Selection

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")  # safe as a label value, a file name and a heading
FASTEST_SECONDS = 1.0
UNKNOWN = Kind((), "")  # of a knob that is not known: any unit may be right
NAMING = (*UUIDS, *DEVICES, "app")  # a series without any of them names nothing that a rule turns
RANKS = {"cost": Rank.COST, "carbon": Rank.CARBON, "budget": Rank.BUDGET}


class _File:
    """One file on its way to groups: what its parts need to know of the whole."""

    def __init__(
        self,
        name: str,
        laws: Mapping[str, LawForm],
        kinds: Mapping[str, Kind],
        taken: set[str],
        *,
        whole: bool,
    ) -> None:
        """Take its name, the tables, and the names that are taken; *whole*: it needs groups."""
        self.name, self.laws, self.kinds, self.taken = name, laws, kinds, taken
        self.whole = whole
        self.law_keys = [key for form in laws.values() for key in form.keys]
        self.mistakes: list[Mistake] = []
        self.connections: tuple[Connection, ...] = ()
        self.stand_ins: list[tuple[Fields, str, str]] = []  # with the rule, and whom it replaces
        self.named: list[tuple[Fields, str]] = []  # with an expression whose series name devices
        self.variables: dict[str, str] = {}  # of the environment, as they were read

    def parse(
        self, text: str, environment: Mapping[str, str], *, enforce: bool
    ) -> tuple[tuple[Group, ...], bool, list[Path]]:
        """Return the groups, whether the file asks to enforce, and the files that it includes.

        *enforce* is what it asks for without saying so: the same as the one that includes it.
        """
        root = compose(text, self.name)
        wrong = [*oddities(root), *fill(root, environment, self.variables)]
        self.mistakes += [mistake_at(node, self.name, message) for node, message in wrong]
        told = {id(node) for node, _ in wrong}
        if is_policy(root):
            root = as_rules(root, self.name, self.mistakes, told)
        fields = Fields(root, self.name, self.mistakes, "the rule file", told)
        return self.read(fields, enforce=enforce)

    def read(self, fields: Fields, *, enforce: bool) -> tuple[tuple[Group, ...], bool, list[Path]]:
        """Read the file from its outermost mapping."""
        fields.word("version", ["1"])
        strategy = STRATEGIES[fields.word("strategy", list(STRATEGIES), "balanced", LEARNED)]
        strategy = replace(strategy, policies=named_policies(fields))
        enforce = fields.flag("enforce", default=enforce)
        more = included(fields, Path(self.name).parent)
        self.connections = connections(fields, self.kinds, self.taken)
        blocks = fields.blocks("groups", "a group") if self._has_groups(fields) else []
        groups = tuple(self._group(each, strategy) for each in blocks)
        fields.end()
        return groups, enforce, more

    def _group(self, fields: Fields, strategy: Strategy) -> Group:
        name = self._unique(fields, "name", "group")
        interval = fields.seconds("interval", 15.0, at_least=FASTEST_SECONDS)
        block = fields.block("protect")
        protect = Protect() if block is None else protection(block)
        ours = selections(fields)
        rules = [self._rule(each, strategy, ours) for each in fields.blocks("rules", "a rule")]
        fields.end()
        return Group(name, interval, protect, tuple(rule for rule in rules if rule is not None))

    def _rule(self, fields: Fields, strategy: Strategy, ours: tuple[Selection, ...]) -> Rule | None:
        action = self._unique(fields, "action", "rule")
        searched = fields.peek("minimise", "expr") or ""
        expr = fields.expression("expr", *([searched] if "minimise" in fields else []))
        for_seconds = fields.seconds("for", 0.0)
        meant = fields.meant("knob", list(self.kinds))
        fields.word("knob", list(self.kinds))
        knob, kind = meant or "the knob", self.kinds[meant] if meant else UNKNOWN
        bounds = _bounds(fields, knob, kind, strategy)
        given = any(key in fields for key in self.law_keys)
        law = self._law(fields, knob, kind, strategy, bounds)
        paced = "slew" in fields or (law is not None and law.traits.paced)
        cooldown = fields.seconds("cooldown", 0.0 if paced else strategy.cooldown_seconds)
        keep = fields.seconds("keep", 0.0)
        if "keep" in fields and law is not None and not law.traits.keeps:
            fields.say("keep", "keep goes with set and scale; this law keeps its claim by itself")
        _sized(fields, knob, kind, "deadband", "slew")
        deadband, slew = (_size(fields, key, kind.accepts, knob) for key in ("deadband", "slew"))
        active, rate, targets = activity(fields), rate_limit(fields), (*ours, *selections(fields))
        expect, instead_of = expectation(fields, law, strategy), fields.text("instead_of", "")
        if instead_of:
            self.stand_ins.append((fields, action, instead_of))
        rank = RANKS[fields.word("class", list(RANKS), "cost")] if "class" in fields else None
        fields.skip("class")
        if not given and not fields.strange():  # else the law is misspelt
            keys = " or ".join(self.law_keys)
            fields.say(None, f"the rule says when, but not what to do; give {keys}")
        fields.end()
        if law is None:
            return None
        if not law.traits.measures:
            self.named.append((fields, expr))
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
        self, fields: Fields, knob: str, kind: Kind, strategy: Strategy, bounds: Bounds
    ) -> Law | None:
        given = [key for key in self.law_keys if key in fields]
        _sized(fields, knob, kind, *(key for form in self.laws.values() for key in form.sizes))
        if len(given) > 1:
            fields.say(given[1], f"a rule has one law; give only one of {', '.join(given)}")
        found: Law | None = None
        for form in self.laws.values():
            found = form.parse(fields, knob, kind, strategy, bounds) or found
        return found

    def _has_groups(self, fields: Fields) -> bool:
        """Tell whether groups are to be read; a file may do without when they come from others."""
        fields.skip("groups")
        return "groups" in fields or (self.whole and "include" not in fields)

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


def _sized(fields: Fields, knob: str, kind: Kind, *keys: str) -> None:
    """Refuse *keys* where the knob is set to words: nothing lies between them."""
    words = " or ".join(kind.levels)
    for key in keys if kind.levels else ():
        fields.refuse(key, f"{knob} takes set: {words}; it has no sizes, so {key} means nothing")


def _bounds(fields: Fields, knob: str, kind: Kind, strategy: Strategy) -> Bounds:
    _sized(fields, knob, kind, "min", "max")
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


def load(
    paths: Sequence[Path],
    laws: Mapping[str, LawForm],
    kinds: Mapping[str, Kind],
    environment: Mapping[str, str] = NOWHERE,
    documents: Sequence[Document] | None = None,
) -> RuleSet:
    """Return the rules of all files together; raises Invalid with every mistake found.

    *documents* are policies of a cluster, None where none is watched: then files must have groups.
    Variables are not filled in there, and whether to enforce is for the files to say.
    """
    groups: list[Group] = []
    ways: list[Connection] = []
    files: list[_File] = []
    enforce, taken, mistakes = [], set[str](), list[Mistake]()
    digest = hashlib.sha256()
    known = set[str]()
    waiting = [(path, False) for path in _once(paths, known)]
    while waiting:
        path, inherited = waiting.pop(0)
        file = _File(str(path), laws, kinds, taken, whole=documents is None)
        try:
            text = text_of(path)
            digest.update(text.encode())
            found, wants, more = file.parse(text, environment, enforce=inherited)
            digest.update("".join(f"{k}={v}\n" for k, v in file.variables.items()).encode())
        except Invalid as error:
            mistakes += error.mistakes
            continue
        files.append(file)
        groups += found
        ways += file.connections
        enforce.append(wants)
        waiting[:0] = [(each, wants) for each in _once(more, known)]
    resting = []
    for each in documents or ():
        file = _File(each.name, laws, kinds, taken, whole=True)
        try:
            digest.update(each.text.encode())
            found, wants, _ = file.parse(each.text, NOWHERE, enforce=False)
        except Invalid as error:
            mistakes += error.mistakes
            continue
        files.append(file)
        groups += found if wants else ()
        resting += [] if wants else [each.name]
    rules = {rule.action: rule for group in groups for rule in group.rules}
    for file in files:
        for fields, action, other in file.stand_ins:
            if other in rules or f"rule {other}" not in taken:  # else it has its own mistakes
                _stands_in(fields, action, rules.get(other), rules)
        mistakes += file.mistakes
    if mistakes:
        raise Invalid(mistakes)
    naming = {*NAMING, *(label for way in ways for label in way.labels)}
    notes = [note for file in files for each in file.named for note in _notes(*each, naming)]
    if not groups and documents is None:
        first = str(paths[0])
        raise Invalid([Mistake(first, 1, 1, "there is no group in it, nor in what it includes")])
    asks = bool(enforce) and all(enforce)
    policies = None if documents is None else _policies(documents, resting)
    return RuleSet(
        tuple(groups),
        asks,
        digest.hexdigest(),
        tuple(ways),
        notes=tuple(notes),
        policies=policies,
    )


def _policies(documents: Sequence[Document], resting: Sequence[str]) -> Policies:
    names = [each.name for each in documents if each.name not in resting]
    return Policies(tuple(names), tuple(resting))


def _notes(fields: Fields, expr: str, naming: Collection[str]) -> Iterator[Mistake]:
    """Yield what is allowed, and probably not meant."""
    if lost := names_nothing(expr, naming):
        note = f"a note: {lost} leaves no label that names a device; the rule will act on none"
        yield fields.placed("expr", note)


def _stands_in(fields: Fields, action: str, other: Rule | None, rules: Mapping[str, Rule]) -> None:
    """Check that the rule that another one stands in for can be found to do nothing."""
    if other is None or other.action == action:
        names = [name for name in rules if name != action]
        fields.name("instead_of", names)
    elif other.expect is None or not other.expect.draw:
        fields.say(
            "instead_of",
            f"instead_of: {other.action} cannot be found to do nothing; give it expect with draw",
        )
    elif action in rules and rules[action].knob == other.knob:
        fields.say("instead_of", f"instead_of: {other.action} turns the same knob, {other.knob}")


def _once(paths: Iterable[Path], known: set[str]) -> list[Path]:
    """Return those that are not *known* yet, each once, and know them from now on."""
    new = []
    for path in paths:
        if (real := _real(path)) not in known:
            known.add(real)
            new.append(path)
    return new


def _real(path: Path) -> str:
    return os.path.realpath(path)  # Path.resolve raises on a loop of links


def outline(fields: Fields, laws: Mapping[str, LawForm], kinds: Mapping[str, Kind]) -> None:
    """Read *fields* as a rule file for nothing but the questions that it is asked."""
    _File(".", laws, kinds, set(), whole=True).read(fields, enforce=False)
